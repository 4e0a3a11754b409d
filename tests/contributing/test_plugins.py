"""Methods of one's own, without a line in the package: the examples beside this file, and what is said
where one is faulty."""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

import autogal
from autogal import cli
from autogal.configuration.composing import compose
from autogal.flags import Flag
from autogal.images import moffat

HERE = Path(__file__).parent
PLAIN = {"segment": "sep", "initialise": "moments", "neighbours": "mask", "device": "cpu"}
SIZE = 4.0


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with the examples in it."""
    for file in HERE.glob("my_*.py"):
        shutil.copy(file, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def images():
    """Galaxies beside a neighbour, [2, 64, 64], noise 1, seen through a Moffat of 2.5 px."""
    galaxy = {"x": 31.0, "y": 32.0, "mag": 16.0, "r_eff": SIZE, "n": 1.0, "q": 0.8, "pa": 30.0}
    neighbour = {"x": 50.0, "y": 45.0, "mag": 17.0, "r_eff": 2.0, "n": 1.0, "q": 1.0, "pa": 0.0}
    light = sum(
        autogal.render(Table([one]), psf=moffat(2.5), shape=(64, 64), zeropoint=25.0)[0]
        for one in (galaxy, neighbour)
    )
    return light + np.random.default_rng(2).normal(0, 1, (2, 64, 64))


def fit(images, **settings):
    given = PLAIN | settings
    return autogal.fit(images, sigma=np.ones_like(images), **({"psf": moffat(2.5)} | given), zeropoint=25.0)


def write(folder, name, source):
    (folder / f"{name}.py").write_text("import numpy as np\n\n" + textwrap.dedent(source))


def test_a_segmenter(folder, images):
    found = fit(images, segment="my_segmenter:threshold")
    assert list(found.table["status"]) == ["converged"] * 2
    np.testing.assert_allclose(found.table["r_eff"], SIZE, rtol=0.03)
    assert all(cutout.mask[45, 50] and not cutout.mask[32, 31] for cutout in found.cutouts)
    none = fit(images, segment={"name": "my_segmenter:threshold", "grow": 0.0})
    assert none.cutouts[0].mask.sum() < found.cutouts[0].mask.sum()


def test_a_segmenter_on_the_command_line(folder, images, capsys):
    for number, image in enumerate(images):
        fits.writeto(f"{number}.fits", image.astype(np.float32))
    fits.writeto("psf.fits", moffat(2.5))
    (folder / "conf" / "segment").mkdir(parents=True)
    (folder / "conf" / "segment" / "mine.yaml").write_text(
        "name: my_segmenter:threshold\nsigmas: 4.0\ngrow: 1.0\n"
    )
    words = [
        "0.fits",
        "1.fits",
        "psf=psf.fits",
        "zeropoint=25",
        "initialise=moments",
        "neighbours=mask",
        "device=cpu",
    ]
    assert cli.main(["fit", *words, "segment.name=my_segmenter:threshold", "out=a"]) == 0, (
        capsys.readouterr().err
    )
    assert cli.main(["fit", *words, "segment=mine", "--config-dir=conf", "out=b"]) == 0, (
        capsys.readouterr().err
    )
    for out in "ab":
        np.testing.assert_allclose(Table.read(folder / out / "catalogue.fits", 1)["r_eff"], SIZE, rtol=0.03)
    assert (
        f"{folder}/my_segmenter.py:threshold" in (folder / "b" / "config.yaml").read_text()
    )  # found from any folder
    assert cli.main(["fit", *words, "segment.name=my_segmenter:treshold", "out=c"]) == 2
    assert (
        "There is no treshold in" in (said := capsys.readouterr().err)
        and "It has threshold, footprints." in said
    )


def test_an_initialiser(folder, images):
    found = fit(images, initialise="my_initialiser:footprint_light")
    assert list(found.table["status"]) == ["converged"] * 2
    np.testing.assert_allclose(found.table["r_eff"], SIZE, rtol=0.03)
    assert all(flags & Flag.START_FALLBACK for flags in found.table["flags"])  # q and pa were measured
    assert "No usable starting value was given for q, pa: measured instead." in found.table["message"][0]


def test_a_survey(folder, images):
    (folder / "conf" / "survey").mkdir(parents=True)
    (folder / "conf" / "survey" / "deep.yaml").write_text(
        "name: deep\nband: i\npixel_scale: 0.2\nzeropoint: 27.0\npsf_fwhm: 0.6\npsf_beta: 3.0\n"
        "gain: 5000\nsky_sigma: 0.05\nmagnitude: [18, 24]\n"
    )
    survey = compose(overrides=["survey=my_survey:deep"]).survey
    assert survey.name == "deep" and survey.zeropoint == 27.0 and list(survey.magnitude) == [18.0, 24.0]
    found = autogal.fit(images[0], survey="my_survey:deep", **PLAIN)
    assert (
        found.table["zeropoint"][0] == 27.0
        if "zeropoint" in found.table.colnames
        else found.cutouts[0].zeropoint == 27.0
    )
    assert cli.main(["fit", "--config-dir=conf", "survey=deep", "--cfg", "job"]) == 0
    assert compose("simulate", ["survey=my_survey:deep"]).survey == survey


def test_a_psf_model(folder, images):
    found = fit(images, psf="my_psf:by_name", ids=["corner-1", "middle-1"])
    widths = [np.count_nonzero(cutout.psf > 0.5 * cutout.psf.max()) for cutout in found.cutouts]
    assert widths[0] > widths[1]
    assert found.table["r_eff"][0] < found.table["r_eff"][1]
    np.testing.assert_allclose(found.table["r_eff"][1], SIZE, rtol=0.03)
    same = fit(images, psf=lambda cutout: moffat(2.5))
    np.testing.assert_allclose(same.table["r_eff"], fit(images).table["r_eff"], rtol=1e-12)
    fits.writeto("corner.fits", images[0].astype(np.float32))
    assert (
        cli.main(
            [
                "fit",
                "corner.fits",
                "psf=my_psf:by_name",
                "zeropoint=25",
                "segment=sep",
                "initialise=moments",
                "device=cpu",
                "out=a",
            ]
        )
        == 0
    )
    np.testing.assert_allclose(
        Table.read("a/catalogue.fits", 1)["r_eff"][0], found.table["r_eff"][0], rtol=0.02
    )


def test_a_network(folder, images, capsys):
    (folder / "network").mkdir()
    (folder / "network" / "my_network.yaml").write_text(
        "name: my_network:task\nlr: 1.0e-3\nbatch: 4\nsteps: 4\nvalidate_every: 4\nvalidate_on: 8\n"
    )
    assert (
        cli.main(["train", "network=my_network", f"--config-dir={folder}", "trainer=cpu", "out=trained"]) == 0
    ), capsys.readouterr().err
    assert (folder / "trained" / "size_network-general.safetensors").is_file()
    found = fit(images, initialise="my_network:predict", checkpoints="trained")
    np.testing.assert_allclose(found.table["r_eff"], SIZE, rtol=0.03)
    with pytest.raises(autogal.AutogalError, match="holds no checkpoint|no checkpoint for"):
        (folder / "empty").mkdir()
        fit(images, initialise="my_network:predict", checkpoints="empty")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return [np.zeros(c.shape, int) for c in cutouts[1:]]", "of 3 cutouts it gives 2 segmentations"),
        ("return [np.zeros(c.shape) for c in cutouts]", "an array of float64"),
        ("return [None for c in cutouts]", "a NoneType"),
        ("return [np.zeros((9, 9), int) for c in cutouts]", "footprints of .9, 9."),
        ("return [np.full(c.shape, -1) for c in cutouts]", "whole numbers from 0"),
        ("return [1 / 0 for c in cutouts]", "failed on a small image: ZeroDivisionError"),
        ("cutouts[0].image[:] = 0; return [np.ones(c.shape, int) for c in cutouts]", "changes the images"),
    ],
)
def test_a_faulty_segmenter_is_refused_before_the_run(folder, images, body, said):
    write(folder, "faulty", f"def f(cutouts, settings, device):\n    {body}\n")
    with pytest.raises(autogal.AutogalError, match=said):
        fit(images, segment="faulty:f")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return []", "of 3 cutouts it gives 0 starts"),
        ("return [3.0 for c in cutouts]", "neither a Start nor a mapping"),
        ("return [{'radius': 3.0} for c in cutouts]", "no starting value radius"),
        ("return [{}['x'] for c in cutouts]", "failed on a small image: KeyError"),
    ],
)
def test_a_faulty_initialiser_is_refused_before_the_run(folder, images, body, said):
    write(folder, "faulty", f"def f(cutouts, segmentations, settings, device):\n    {body}\n")
    with pytest.raises(autogal.AutogalError, match=said):
        fit(images, initialise="faulty:f")


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"segment": "nowhere_at_all:f"}, "no module nowhere_at_all"),
        ({"initialise": "nowhere_at_all:f"}, "no module nowhere_at_all"),
        ({"segment": "math:pi"}, "is not a segmenter"),
        ({"survey": "math:pi"}, "is not a survey"),
        ({"psf": "math:pi"}, "is not a PSF model"),
        ({"psf": "my_survey:psf"}, "There is no psf in"),
        ({"psf": lambda cutout: np.zeros((0, 3))}, "(?i)psf"),
        ({"segment": {"name": "sepp"}}, "no segment called sepp"),
    ],
)
def test_what_cannot_be_found_is_said(folder, images, setting, said):
    with pytest.raises(autogal.AutogalError, match=said):
        fit(images, **setting)


def test_an_own_method_that_fails_on_one_image_fails_one_row(folder, images):
    write(
        folder,
        "picky",
        """
        def segment(cutouts, settings, device):
            if any(cutout.id == "bad" for cutout in cutouts):
                raise RuntimeError("not this one")
            return [np.ones(cutout.shape, int) for cutout in cutouts]
        """,
    )
    found = fit(images, segment="picky:segment", ids=["bad", "good"])
    assert (
        list(found.table["status"]) == ["failed", "converged"]
        or list(found.table["status"])[1] == "converged"
    )
    assert "not this one" in found.table["message"][0]
