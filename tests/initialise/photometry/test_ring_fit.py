"""Profiles fitted to rings: against galaxies drawn by the renderer of the fit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from astropy.table import Table

import autogal
from autogal.images import moffat
from autogal.initialise.photometry.photometry import (
    NAMES,
    PSF_NAMES,
    describe_psf,
    measure_sources,
    photometry,
)
from autogal.initialise.photometry.ring_fit import PSF_WIDTHS, psf_shares

SIDE, MIDDLE = 128, 63.5
TRUTH = Table(
    {
        "x": [63.2, 64.1, 63.0, 64.4],
        "y": [63.9, 63.0, 64.2, 63.5],
        "flux": 4 * [1e5],
        "r_eff": [4.0, 8.0, 12.0, 6.0],
        "n": [1.0, 4.0, 2.0, 0.6],
        "q": [0.8, 0.5, 0.9, 0.35],
        "pa": [20.0, 80.0, 150.0, 45.0],
        "sky": 4 * [0.0],
    }
)


def measured(
    images: np.ndarray, psf: np.ndarray, fwhm: float, known: torch.Tensor | None = None, radius: float = 20.0
) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Features by name, and the unit of flux."""
    light = torch.as_tensor(images, dtype=torch.float32)
    many = torch.full((len(light),), fwhm)
    described = describe_psf(torch.as_tensor(psf, dtype=torch.float32).expand(len(light), -1, -1), many)
    known = torch.ones_like(light, dtype=torch.bool) if known is None else known
    places = [torch.full((len(light),), value, dtype=torch.float64) for value in (MIDDLE, MIDDLE, radius)]
    features, flux = photometry(
        torch.where(known, light, 0.0), torch.ones_like(light), known, *places, described
    )
    return dict(zip(NAMES, features.unbind(1), strict=True)), flux


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray]:
    psf = moffat(3.0, 3.0, 41)
    return autogal.render(TRUTH, psf=psf, shape=(SIDE, SIDE), zeropoint=25.0), psf


def test_profiles_without_noise_are_found(drawn):
    images, psf = drawn
    found, flux = measured(images, psf, 3.0)
    q = torch.exp(-torch.hypot(found["fitted e1"], found["fitted e2"])).numpy()
    circular = np.asarray(TRUTH["r_eff"] * np.sqrt(TRUTH["q"]))
    assert np.exp(found["fitted ln R"].numpy()) * 20 == pytest.approx(circular, rel=0.05)
    assert np.exp(found["fitted ln n"].numpy()) == pytest.approx(np.asarray(TRUTH["n"]), rel=0.12)
    assert (torch.exp(found["fitted ln flux"]) * flux).numpy() == pytest.approx(
        np.asarray(TRUTH["flux"]), rel=0.04
    )
    assert q == pytest.approx(np.asarray(TRUTH["q"]), abs=0.03)


def test_rings_that_nobody_fills_tell_nothing(drawn):
    images, psf = drawn
    near = np.hypot(*(np.indices((SIDE, SIDE)) - MIDDLE)) < 25
    light = torch.as_tensor(images, dtype=torch.float32)
    described = describe_psf(
        torch.as_tensor(psf, dtype=torch.float32).expand(4, -1, -1), torch.full((4,), 3.0)
    )
    places = [torch.full((4,), value, dtype=torch.float64) for value in (MIDDLE, MIDDLE, 12.0)]
    known = torch.as_tensor(near).expand(4, -1, -1).clone()
    few = measure_sources(torch.where(known, light, 0.0), known, *places, described)
    known[3] = True  # with one that fills more of them
    more = measure_sources(torch.where(known, light, 0.0), known, *places, described)
    for name, values in few.items():
        assert values[:3].numpy() == pytest.approx(more[name][:3].numpy(), rel=1e-5), name


def test_sources_are_measured(drawn):
    images, psf = drawn
    described = describe_psf(
        torch.as_tensor(psf, dtype=torch.float32).expand(4, -1, -1), torch.full((4,), 3.0)
    )
    places = [torch.full((4,), value, dtype=torch.float64) for value in (MIDDLE, MIDDLE, 20.0)]
    light = torch.as_tensor(images, dtype=torch.float32)
    found = measure_sources(light, torch.ones_like(light, dtype=torch.bool), *places, described)
    for name, allowed in (("flux", 0.1), ("r_eff", 0.1), ("n", 0.15), ("q", 0.05)):
        assert found[name].numpy() == pytest.approx(np.asarray(TRUTH[name]), rel=allowed), name
    for name, allowed in (("x", 0.1), ("y", 0.1), ("pa", 3.0)):
        assert found[name].numpy() == pytest.approx(np.asarray(TRUTH[name]), abs=allowed), name


def test_with_noise_they_are_found_as_well_as_they_say(drawn):
    images, psf = drawn
    rng = np.random.default_rng(3)
    many = np.concatenate([images / 20 + rng.normal(size=images.shape) for _ in range(25)])
    found, _ = measured(many, psf, 3.0)
    off = found["fitted ln R"] - torch.tensor(np.log(TRUTH["r_eff"] * np.sqrt(TRUTH["q"]) / 20)).repeat(25)
    pull = off / found["ln error of ln R"].exp()
    assert 0.2 < float(pull.std()) < 1.5  # their model error is an upper bound where there is noise alone
    assert float(off.median().abs()) < 0.05


def test_wings_that_were_taken_off_as_sky_are_found_again(drawn):
    """The sky of a stamp is measured in what is left of its galaxy's light: a quarter of the noise here."""
    images, psf = drawn
    rng = np.random.default_rng(5)
    many = np.concatenate([images[1:2] / 10 - 0.25 + rng.normal(size=images[:1].shape) for _ in range(16)])
    found, flux = measured(many, psf, 3.0, radius=8.0)
    assert (torch.exp(found["fitted ln flux"]) * flux).median().item() == pytest.approx(1e4, rel=0.04)
    assert found["fitted ln R"].exp().median().item() * 8 == pytest.approx(8 * 0.5**0.5, rel=0.08)


def test_what_is_masked_makes_little_difference(drawn):
    images, psf = drawn
    known = torch.ones(len(images), SIDE, SIDE, dtype=torch.bool)
    known[:, 40:60, 70:90] = False
    whole, _ = measured(images, psf, 3.0)
    holed, _ = measured(images, psf, 3.0, known)
    for name in ("fitted ln R", "fitted ln n"):
        assert torch.allclose(whole[name], holed[name], atol=0.06)


def test_each_target_by_itself(drawn):
    images, psf = drawn
    noisy = images + np.random.default_rng(4).normal(size=images.shape)
    together, _ = measured(noisy, psf, 3.0)
    for i in range(len(noisy)):
        alone, _ = measured(noisy[i : i + 1], psf, 3.0)
        for name, value in together.items():
            assert float(alone[name][0]) == pytest.approx(float(value[i]), abs=1e-4), name


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((SIDE, SIDE)),
        -np.ones((SIDE, SIDE)),
        np.full((SIDE, SIDE), 1e7),
        np.where(np.arange(SIDE) == 63, 1e6, 0.0) * np.ones((SIDE, 1)),
    ],
)
def test_nothing_makes_features_that_are_not_finite(image):
    found, flux = measured(image[None], moffat(3.0, 3.0, 41), 3.0)
    assert all(value.isfinite().all() for value in found.values()) and bool((flux > 0).all())
    found, flux = measured(
        image[None], moffat(3.0, 3.0, 41), 3.0, torch.zeros(1, SIDE, SIDE, dtype=torch.bool)
    )
    assert all(value.isfinite().all() for value in found.values()) and bool((flux > 0).all())


@pytest.mark.parametrize("fwhm", [2.5, 4.0, 7.0])
@pytest.mark.parametrize("beta", [2.5, 4.5])
def test_a_psf_as_gaussians(fwhm, beta):
    psf = torch.as_tensor(moffat(fwhm, beta, 61), dtype=torch.float32)
    share = psf_shares(psf[None], torch.tensor([fwhm]))[0]
    assert float(share.sum()) == pytest.approx(1, abs=1e-5) and bool((share >= 0).all())
    rows, columns = torch.meshgrid(*[torch.arange(61.0) - 30] * 2, indexing="ij")
    variance = torch.tensor(PSF_WIDTHS).square()[:, None, None] * fwhm**2
    model = (
        share[:, None, None] * torch.exp(-0.5 * (rows**2 + columns**2) / variance) / (2 * np.pi * variance)
    ).sum(0)
    assert float((model / model.sum() - psf / psf.sum()).abs().max() / psf.max() * psf.sum()) < 0.06
    assert len(share) == len(PSF_NAMES) - 4
