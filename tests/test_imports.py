"""What a fit does not load: nothing trains, simulates or evaluates there, and one process needs no
Lightning."""

from __future__ import annotations

import subprocess
import sys

import pytest

# A small image with a neighbour, through both networks; then the modules that are loaded
_FIT = """
import sys
import numpy as np
y, x = np.mgrid[:64, :64]
image = 80 * np.exp(-((x - 31) ** 2 + (y - 32) ** 2) / 32) + 60 * np.exp(-((x - 50) ** 2 + (y - 44) ** 2) / 8)
image += np.random.default_rng(1).normal(0, 1, image.shape)
star = np.exp(-((x[:17, :17] - 8) ** 2 + (y[:17, :17] - 8) ** 2) / 4)
"""
_IN_PYTHON = (
    _FIT
    + """
import autogal
catalogue = autogal.fit(image[None], sigma=np.ones((1, 64, 64)), psf=star / star.sum(), zeropoint=25.0, device="cpu")
"""
)
_FROM_FILES = (
    _FIT
    + """
from astropy.io import fits
from autogal.configuration.composing import compose
from autogal.run.job import run
fits.writeto("a.fits", image), fits.writeto("a_psf.fits", star / star.sum())
catalogue = run(compose(overrides=["out=run", "device=cpu", "zeropoint=25.0"]), ["a.fits"])
"""
)
_LOADED = """
assert catalogue.table["status"][0] == "converged", catalogue.table["status"][0]
print("loaded", *sorted(sys.modules))
"""


@pytest.mark.parametrize("program", [_IN_PYTHON, _FROM_FILES], ids=["arrays", "files"])
def test_a_fit_loads_neither_trainer_nor_simulator(program, tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", program + _LOADED], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert ended.returncode == 0, ended.stderr
    loaded = ended.stdout.splitlines()[-1].split()
    assert "autogal.segment.network.maskrcnn" in loaded and "autogal.initialise.network.resnet50" in loaded
    unwanted = (
        "autogal.training",
        "autogal.simulate",
        "autogal.evaluate",
        "pytorch_lightning",
        "lightning_fabric",
    )
    assert [name for name in loaded if name.startswith(unwanted)] == []


INFERENCE = (
    "autogal.segment",
    "autogal.initialise",
    "autogal.neighbours",
    "autogal.networks",
    "autogal.pipeline",
    "autogal.api",
    "autogal.fitting",
)


def test_nothing_a_fit_is_made_of_names_them():
    from tests.test_architecture import MODULES, imports, inside, module_name

    unwanted = ("autogal.training", "autogal.simulate", "autogal.evaluate", "pytorch_lightning")
    for path in MODULES:
        module = module_name(path)
        if any(inside(module, part) for part in INFERENCE):
            found = [
                name
                for name in imports(path.read_text(), module, path.name == "__init__.py")
                if any(inside(name, part) for part in unwanted)
            ]
            assert found == [], module
