"""The README's examples do what they say."""

from __future__ import annotations

import ast
import re
import shlex
import sys

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

import autogal
from autogal.images import moffat
from autogal.results import Catalogue

TRUTH = {
    "x": [23.4, 24.2],
    "y": [24.3, 23.1],
    "mag": [17.0, 17.5],
    "h": [4.0, 3.0],
    "c": [1.2, 0.9],
    "q": [0.5, 0.8],
    "pa": [20.0, 110.0],
}


def statements(code):
    """The statements of a program, each as text."""
    return [ast.get_source_segment(code, node) for node in ast.parse(code).body]


def blocks_of(repository, title: str) -> dict[str, list[str]]:
    """A section's blocks of code by language."""
    section = (repository / "README.md").read_text().partition(f"## {title}\n")[2].partition("\n## ")[0]
    blocks: dict[str, list[str]] = {}
    for language, code in re.findall(r"```(\w*)\n(.*?)```", section, re.DOTALL):
        blocks.setdefault(language, []).append(code)
    return blocks


@pytest.fixture
def example(repository, tmp_path, monkeypatch) -> dict[str, str]:
    """The section's blocks of code by language, its files written and its cutouts simulated where it runs."""
    blocks = blocks_of(repository, "A profile of your own")
    (tmp_path / "my_conf" / "model").mkdir(parents=True)
    (tmp_path / "cutouts").mkdir()
    (tmp_path / "my_profiles.py").write_text(blocks["python"][0])
    (tmp_path / "my_conf" / "model" / "sech.yaml").write_text(blocks["yaml"][0])
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_profiles", raising=False)
    return {"command": blocks[""][0].strip(), "session": blocks["python"][1]}


@pytest.fixture
def observed(example, tmp_path):
    """Noisy images of the profile, and their PSF."""
    psf = moffat(2.5, 3.5, size=31)
    clean = autogal.render(
        TRUTH, model={"profile": "my_profiles:SechSquared"}, psf=psf, shape=(48, 48), zeropoint=25.0
    )
    images = clean + np.random.default_rng(3).normal(0.0, 0.3, clean.shape).astype(np.float32)
    fits.writeto(tmp_path / "psf.fits", psf)
    for k, image in enumerate(images):
        fits.writeto(tmp_path / "cutouts" / f"g{k}.fits", image)
    return images, psf


def assert_recovered(table, names=("mag", "h", "c", "q", "pa")):
    assert list(table["status"]) == ["converged"] * 2
    for name in names:
        assert np.all(np.abs(table[name] - TRUTH[name]) < 4 * np.asarray(table[f"{name}_err"])), name


def test_a_profile_of_your_own_on_the_command_line_and_in_other_processes(
    example, observed, autogal_command, tmp_path
):
    words = shlex.split(example["command"])
    assert words[0] == "autogal"
    facts = ["psf=psf.fits", "zeropoint=25", "pixel_scale=0.4", "device=cpu"]
    done = autogal_command(*words[1:], *facts, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    alone = Catalogue.read(tmp_path / "run3" / "catalogue.fits")
    assert_recovered(alone.table)
    cube = tmp_path / "run3" / "objects" / "g0.fits"
    assert np.isfinite(fits.getdata(cube)).all(), "the model image too"
    shared = autogal_command(
        *words[1:-1], *facts, "out=shared", "block=1", "trainer.devices=2", OMP_NUM_THREADS="1"
    )
    assert shared.returncode == 0, shared.stderr
    # the networks round differently in batches of another size
    np.testing.assert_allclose(
        Catalogue.read(tmp_path / "shared" / "catalogue.fits").table["h"], alone.table["h"], rtol=1e-5
    )


def test_a_profile_of_your_own_in_python(example, observed):
    images, psf = observed
    names = {"images": images, "psf": psf}
    for line in example["session"].strip().splitlines():
        exec(line, names)
        if "catalogue" in names and "fixed" not in line:
            assert_recovered(names["catalogue"].table)
            assert np.std(names["catalogue"].residual(0)) == pytest.approx(0.3, abs=0.02)
    assert list(names["catalogue"].table["c"]) == [1.0, 1.0]


def test_a_bad_profile_ends_the_run_before_it_begins(example, autogal_command, tmp_path):
    (tmp_path / "my_profiles.py").write_text(
        "import autogal\n\nclass SechSquared(autogal.Profile):\n"
        "    def surface_brightness(self, r):\n        return r * float('nan')\n"
    )
    (tmp_path / "cutouts" / "g0.fits").write_bytes(b"")
    done = autogal_command(*shlex.split(example["command"])[1:])
    assert done.returncode == 2
    first, second = done.stderr.splitlines()
    assert (
        first == "error: The profile SechSquared is NaN, infinite or negative at the radius 4.14e-08."
        and second.startswith("       ")
    )
    assert not (tmp_path / "run3" / "catalogue.fits").exists()


FLARED = {
    "x": [19.4],
    "y": [20.3],
    "mag": [16.0],
    "h": [4.0],
    "thickness": [0.2],
    "inclination": [75.0],
    "pa": [20.0],
}


def test_a_body_of_your_own(repository, tmp_path, monkeypatch):
    definition, session = blocks_of(repository, "A body of your own")["python"]
    (tmp_path / "my_bodies.py").write_text(definition)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_bodies", raising=False)
    psf = moffat(2.5, 3.5, size=21)
    clean = autogal.render(
        FLARED, model={"profile": "my_bodies:Flared"}, psf=psf, shape=(40, 40), zeropoint=25.0
    )
    names = {
        "images": clean + np.random.default_rng(3).normal(0.0, 0.5, clean.shape).astype(np.float32),
        "psf": psf,
    }
    found = []
    for line in statements(session):
        exec(line, names)
        if line.startswith("catalogue"):
            found.append(names["catalogue"])
    table = found[0].table
    assert list(table["status"]) == ["converged"]
    for name in ("mag", "h", "thickness", "inclination", "pa"):
        assert abs(table[name][0] - FLARED[name][0]) < 4 * table[f"{name}_err"][0], name
    assert np.std(found[0].residual(0)) == pytest.approx(0.5, abs=0.05)
    assert found[1].table["inclination"][0] == pytest.approx(90.0, abs=0.1)


DISK = {
    "x": [27.4, 28.2],
    "y": [28.3, 27.1],
    "mag": [14.0, 14.2],
    "h": [4.0, 3.5],
    "q": [0.36, 0.49],
    "pa": [20.0, 110.0],
}


@pytest.fixture
def tied(repository, tmp_path, monkeypatch):
    """The blocks of the section on ties, its files, and galaxies as it describes them."""
    blocks = blocks_of(repository, "Ties, limits and priors")
    (tmp_path / "my_conf" / "model").mkdir(parents=True)
    (tmp_path / "cutouts").mkdir()
    (tmp_path / "my_ties.py").write_text(blocks["python"][0])
    (tmp_path / "my_conf" / "model" / "spiral.yaml").write_text(blocks["yaml"][0])
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_ties", raising=False)
    psf = moffat(2.5, 3.5, size=31)
    disk = {name: np.array(v) for name, v in DISK.items()}
    parts = [
        disk | {"n": np.ones(2), "r_eff": 1.678 * disk["h"]},
        disk
        | {
            "n": np.full(2, 2.5),
            "r_eff": np.full(2, 2.0),
            "q": np.sqrt(disk["q"]),
            "pa": disk["pa"] + 10,
            "mag": disk["mag"] + 0.5,
        },
    ]
    clean = sum(autogal.render(part, psf=psf, shape=(56, 56), zeropoint=25.0) for part in parts)
    images = clean + np.random.default_rng(3).normal(0.0, 1.0, clean.shape).astype(np.float32)
    fits.writeto(tmp_path / "psf.fits", psf)
    for k, image in enumerate(images):
        fits.writeto(tmp_path / "cutouts" / f"g{k}.fits", image)
    return blocks, images, psf


def assert_spiral(table):
    assert list(table["status"]) == ["converged"] * 2
    for name, truth in (
        ("disk_h", DISK["h"]),
        ("disk_q", DISK["q"]),
        ("bulge_r_eff", [2.0, 2.0]),
        ("bulge_n", [2.5, 2.5]),
    ):
        assert np.all(np.abs(table[name] - truth) < 4 * np.asarray(table[f"{name}_err"])), name
    np.testing.assert_allclose(table["disk_r_eff"], 1.678 * table["disk_h"], rtol=1e-5)
    np.testing.assert_allclose(table["bulge_q"], np.sqrt(table["disk_q"]), rtol=1e-5)
    assert np.all(np.isfinite(table["bulge_q_err"])) and np.all(np.isfinite(table["bt_err"]))


def test_ties_on_the_command_line(tied, autogal_command, tmp_path):
    facts = ["psf=psf.fits", "zeropoint=25", "pixel_scale=0.4", "device=cpu", "objects.png=false"]
    for line in tied[0][""][0].strip().splitlines():
        done = autogal_command(*shlex.split(line)[1:], *facts, OMP_NUM_THREADS="1")
        assert done.returncode == 0, done.stderr
    assert_spiral(Catalogue.read(tmp_path / "run4" / "catalogue.fits").table)
    assert np.isfinite(fits.getdata(tmp_path / "run4" / "objects" / "g0.fits")).all(), "the model image too"
    limited = Catalogue.read(tmp_path / "run5" / "catalogue.fits").table
    assert np.all(limited["bulge_r_eff"] <= 0.5 * limited["disk_r_eff"] * (1 + 1e-6))


def test_ties_in_python(tied):
    blocks, images, psf = tied
    single = {
        "x": [27.4, 28.2],
        "y": [28.3, 27.1],
        "mag": [13.5, 13.7],
        "r_eff": [5.0, 5.0],
        "n": [2.0, 2.0],
        "q": [0.5, 0.5],
        "pa": [20.0, 110.0],
    }
    names = {"autogal": autogal, "images": images, "psf": psf, "table": Table(single | {"sky": [0.1, -0.2]})}
    found = []
    for line in statements(blocks["python"][1]):
        exec(line, names)
        if line.startswith("catalogue"):
            found.append(names["catalogue"])
    assert_spiral(found[0].table)
    assert np.std(found[0].residual(0)) == pytest.approx(1.0, abs=0.1)
    np.testing.assert_allclose(found[1].table["disk_q"], 0.6, rtol=1e-6)
    np.testing.assert_allclose(found[1].table["bulge_q"], np.sqrt(0.6), rtol=1e-6)
    assert np.all(found[2].table["bulge_r_eff"] <= 0.5 * found[2].table["disk_r_eff"] * (1 + 1e-6))
    np.testing.assert_allclose(found[3].table["sky"], names["table"]["sky"], rtol=1e-6)
    assert np.all(found[3].table["mag_err"] <= 0.02) and np.isnan(found[3].table["sky_err"]).all()


def test_a_tie_that_goes_nowhere_ends_the_run_before_it_begins(tied, autogal_command, tmp_path):
    done = autogal_command(
        "fit",
        "cutouts/",
        "--config-dir=my_conf",
        "model=spiral",
        "+model.ties={bulge.pa: disk.paa}",
        "out=none",
    )
    assert done.returncode == 2
    first, second = done.stderr.splitlines()
    assert (
        first == "error: bulge_pa follows disk.paa, but there is no parameter disk_paa."
        and second.startswith("       There are bulge_x")
    )
    assert not (tmp_path / "none" / "catalogue.fits").exists()
