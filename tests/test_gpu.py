"""What runs on a GPU keeps to it, and gives the CPU's numbers: on a pretended one where there is none, so
that every machine can tell."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest
import torch

import autogal
from autogal.configuration.composing import compose
from autogal.images.survey import Survey
from autogal.simulate import simulate

from .pretended_gpu import pretended_gpu

SURVEY = Survey.from_settings(compose(overrides=["survey=sdss"]).survey)


@pytest.fixture(scope="module")
def galaxies() -> dict:
    """Two stamps, and starting values not far from the truth."""
    found = simulate(2, SURVEY, seed=5, shape=(64, 64))
    start = found.truth["x", "y", "mag", "r_eff", "n", "q", "pa", "sky"].copy()
    start["r_eff"] *= 1.1
    return {
        "images": np.stack([c.image for c in found.cutouts]),
        "sigma": np.stack([c.sigma for c in found.cutouts]),
        "psf": [c.psf for c in found.cutouts],
        "zeropoint": found.cutouts[0].zeropoint,
        "pixel_scale": 0.396,
        "start": start,
    }


def a_gpu(monkeypatch):
    """A real one where there is one."""
    return nullcontext(torch.device("cuda:0")) if torch.cuda.is_available() else pretended_gpu(monkeypatch)


@pytest.fixture
def gpu(monkeypatch):
    with a_gpu(monkeypatch) as device:
        yield device


def test_a_gpu_keeps_to_its_own(gpu):
    there, here = torch.ones(3, device=gpu), torch.ones(3)
    assert there.is_cuda and (2 * there).is_cuda and not there.cpu().is_cuda and here.to(gpu).is_cuda
    with pytest.raises(RuntimeError, match="same device"):
        there + here
    with pytest.raises(RuntimeError, match="same device"):
        here.add_(there)
    with pytest.raises((RuntimeError, TypeError)):
        there.numpy()
    there[1:].mul_(2)
    assert there.sum().item() == 5 and torch.arange(3, device=gpu)[there > 1.5].tolist() == [1, 2]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"dtype": "float64"},
        {"solver": "lbfgs"},
        {"likelihood": "student_t"},
        {"likelihood": "poisson"},
        {"model": ["sersic", "bulge_disk"]},
        {"model": "sersic_point"},
        {"model.fixed.sky": "start"},
        *(
            {"uncertainty": "both", "uncertainty.kind": kind, "uncertainty.replicates": 3}
            for kind in ("pixel", "block", "parametric")
        ),
    ],
    ids=lambda settings: " ".join(map(str, settings.values())) or "as usual",
)
def test_fits_from_starting_values(galaxies, monkeypatch, settings):
    if settings.get("likelihood") == "poisson":  # counts are not negative
        start = galaxies["start"].copy()
        start["sky"] = 100.0
        galaxies = galaxies | {
            "images": np.round(1000 * galaxies["images"] + 100).clip(0),
            "zeropoint": galaxies["zeropoint"] + 7.5,
            "start": start,
        }
    _compare(galaxies, monkeypatch, settings)


@pytest.mark.parametrize("settings", [{}, {"neighbours": "auto"}], ids=["mask", "auto"])
def test_the_whole_pipeline(galaxies, monkeypatch, settings):
    raw = {name: value for name, value in galaxies.items() if name != "start"}
    _compare(raw, monkeypatch, settings)


def test_scenes(monkeypatch):
    here = simulate(2, SURVEY, seed=5, shape=(48, 48))
    with a_gpu(monkeypatch) as device:
        there = simulate(2, SURVEY, seed=5, shape=(48, 48), device=str(device))
    for one, other in zip(here.cutouts, there.cutouts, strict=True):
        assert np.allclose(one.image, other.image, rtol=1e-5, atol=1e-5)


def _compare(data: dict, monkeypatch, settings: dict) -> None:
    here = autogal.fit(**data, **settings, device="cpu")
    with a_gpu(monkeypatch) as device:
        there = autogal.fit(**data, **settings, device=str(device))
    assert list(there.table["status"]) == list(here.table["status"])
    assert "converged" in set(there.table["status"])
    for name in here.parameters:
        value, error = (np.asarray(here.table[column], float) for column in (name, f"{name}_err"))
        assert np.allclose(there.table[f"{name}_err"], error, rtol=0.01, equal_nan=True), name
        off = np.abs(np.asarray(there.table[name], float) - value)
        assert (off <= 1e-3 * np.nan_to_num(error) + 1e-5 * np.abs(value) + 1e-6).all(), name
