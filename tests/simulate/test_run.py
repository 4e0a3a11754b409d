"""`autogal simulate`, from the command line to files that a fit takes."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from autogal import cli
from autogal.images import find_entries, load


@pytest.fixture
def simulate(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def run(*words):
        code = cli.main(["simulate", "survey=sdss", "size=48", "threads=1", *words])
        return code, capsys.readouterr()

    return run


def test_scenes_with_their_truth(simulate, tmp_path):
    code, shown = simulate("n=5", "out=scenes", "population.defects=1", "population.composite=0.5")
    assert code == 0 and "autogal fit scenes/manifest.csv survey=sdss" in shown.out
    truth = Table.read(tmp_path / "scenes" / "truth.ecsv")
    entries = find_entries([str(tmp_path / "scenes" / "manifest.csv")])
    assert [entry.id for entry in entries] == list(truth["id"]) and len(truth) == 5
    for entry, row in zip(entries, truth, strict=True):
        cutout = load(entry)
        assert cutout.error is None and cutout.image.shape == (48, 48)
        assert cutout.mask.any() == bool(entry.mask)
        masks = fits.getdata(tmp_path / "scenes" / f"{entry.id}_instances.fits")
        assert masks.shape == (1 + row["n_neighbours"], 48, 48) and set(np.unique(masks)) <= {0, 1}
    assert any(entry.mask for entry in entries)


def test_pieces_make_the_whole(simulate, tmp_path):
    simulate("n=4", "out=whole", "instances=false")
    simulate("n=2", "first=2", "out=piece", "instances=false")
    for name in ("sim0-000002", "sim0-000003"):
        assert np.array_equal(
            fits.getdata(tmp_path / "whole" / f"{name}_image.fits"),
            fits.getdata(tmp_path / "piece" / f"{name}_image.fits"),
        )
        assert not (tmp_path / "whole" / f"{name}_instances.fits").exists()


def test_the_users_galaxies_and_sky(simulate, tmp_path):
    Table({"mag": [16.0], "r_eff_arcsec": [1.5], "n": [4.0], "q": [0.5]}).write(tmp_path / "mine.ecsv")
    (tmp_path / "sky").mkdir()
    noise = np.random.default_rng(0).normal(0, 0.1, (90, 90)).astype(np.float32)
    fits.writeto(tmp_path / "sky" / "blank.fits", noise)
    code, _ = simulate("n=3", "out=scenes", "galaxies=mine.ecsv", "background=sky", "population.composite=0")
    assert code == 0
    truth = Table.read(tmp_path / "scenes" / "truth.ecsv")
    assert (
        np.allclose(truth["n"], 4, rtol=0.3)
        and np.allclose(truth["mag"], 16, atol=0.5)
        and np.all(truth["q"] == 0.5)
    )
    assert np.median(fits.getdata(tmp_path / "scenes" / "sim0-000000_sigma.fits")) == pytest.approx(
        0.1, rel=0.1
    )


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["size=20"], "size=20 is not possible."),
        (["n=0"], "n=0 is not possible."),
        (["survey=none"], "The survey 'none' does not say its pixel_scale"),
        (["population.stars=2"], "population.stars=2.0 is not possible."),
        (["population.strs=1"], "There is no key population.strs."),
        (["a.fits"], "`autogal simulate` takes no path, but a.fits was given."),
        (["galaxies=none.fits"], "The catalogue none.fits cannot be read"),
    ],
)
def test_requests_that_make_no_sense(simulate, words, what, tmp_path):
    code, shown = simulate(*words)
    assert code == 2 and shown.err.startswith(f"error: {what}")
    assert len(shown.err.splitlines()) == 2
