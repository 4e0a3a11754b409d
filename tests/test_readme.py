"""The README's examples do what they say."""

from __future__ import annotations

import re
import shlex
import sys

import numpy as np
import pytest
from astropy.io import fits

import autogal
from autogal.images import moffat
from autogal.results import Catalogue

TRUTH = {"x": [23.4, 24.2], "y": [24.3, 23.1], "mag": [17.0, 17.5], "h": [4.0, 3.0], "c": [1.2, 0.9], "q": [0.5, 0.8], "pa": [20.0, 110.0]}


@pytest.fixture
def example(repository, tmp_path, monkeypatch) -> dict[str, str]:
    """The section's blocks of code by language, its files written and its cutouts simulated where it runs."""
    section = (repository / "README.md").read_text().partition("## A profile of your own")[2].partition("\n## ")[0]
    blocks: dict[str, list[str]] = {}
    for language, code in re.findall(r"```(\w*)\n(.*?)```", section, re.DOTALL):
        blocks.setdefault(language, []).append(code)
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
    clean = autogal.render(TRUTH, model={"profile": "my_profiles:SechSquared"}, psf=psf, shape=(48, 48), zeropoint=25.0)
    images = clean + np.random.default_rng(3).normal(0.0, 0.3, clean.shape).astype(np.float32)
    fits.writeto(tmp_path / "psf.fits", psf)
    for k, image in enumerate(images):
        fits.writeto(tmp_path / "cutouts" / f"g{k}.fits", image)
    return images, psf


def assert_recovered(table, names=("mag", "h", "c", "q", "pa")):
    assert list(table["status"]) == ["converged"] * 2
    for name in names:
        assert np.all(np.abs(table[name] - TRUTH[name]) < 4 * np.asarray(table[f"{name}_err"])), name


def test_a_profile_of_your_own_on_the_command_line_and_in_other_processes(example, observed, autogal_command, tmp_path):
    words = shlex.split(example["command"])
    assert words[0] == "autogal"
    facts = ["psf=psf.fits", "zeropoint=25", "pixel_scale=0.4", "device=cpu"]
    done = autogal_command(*words[1:], *facts, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    alone = Catalogue.read(tmp_path / "run3" / "catalogue.fits")
    assert_recovered(alone.table)
    cube = tmp_path / "run3" / "objects" / "g0.fits"
    assert np.isfinite(fits.getdata(cube)).all(), "the model image too"
    shared = autogal_command(*words[1:-1], *facts, "out=shared", "block=1", "trainer.devices=2", OMP_NUM_THREADS="1")
    assert shared.returncode == 0, shared.stderr
    np.testing.assert_array_equal(Catalogue.read(tmp_path / "shared" / "catalogue.fits").table["h"], alone.table["h"])


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
    (tmp_path / "my_profiles.py").write_text("import autogal\n\nclass SechSquared(autogal.Profile):\n"
                                             "    def surface_brightness(self, r):\n        return r * float('nan')\n")
    (tmp_path / "cutouts" / "g0.fits").write_bytes(b"")
    done = autogal_command(*shlex.split(example["command"])[1:])
    assert done.returncode == 2
    first, second = done.stderr.splitlines()
    assert first == "error: The profile SechSquared is NaN, infinite or negative at the radius 4.14e-08." and second.startswith("       ")
    assert not (tmp_path / "run3" / "catalogue.fits").exists()
