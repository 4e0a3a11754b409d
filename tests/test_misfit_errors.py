"""Errors of what a model misses: nothing of note where it is true, more than the noise's where a bright
galaxy has arms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

import autogal
from autogal.errors import AutogalError
from autogal.fitting import store

from .observations import PARAMETERS, PSF, ZEROPOINT, Galaxy, observe, random_galaxies

ARMS = Galaxy(x=31.2, y=31.6, mag=11.0, r_eff=8.0, n=1.0, q=0.8, pa=40.0, noise=10.0, shape=(64, 64))
ENDS = ("fits", "ecsv", "parquet")


def ratios(table, names=("x", "y", "mag", "r_eff", "n", "q")):
    return np.stack(
        [np.asarray(table[f"{name}_err_misfit"]) / np.asarray(table[f"{name}_err"]) for name in names]
    )


def spiral(strength):
    """The same galaxy with two arms, a share of its light at each place."""
    rows, columns = np.mgrid[:64, :64]
    dy, dx = rows - ARMS.y, columns - ARMS.x
    radius, angle = np.hypot(dx, dy), np.arctan2(dy, dx)
    wave = np.cos(2 * angle - 4 * np.log(radius / 4 + 0.3)) * np.clip(radius / 6, 0, 1)
    light = ARMS.flux * ARMS.light()
    return light * (1 + strength * wave), np.sqrt(ARMS.noise**2 + light)


def fit(images, sigmas, starts, **settings):
    start = {name: [getattr(g, name) for g in starts] for name in PARAMETERS}
    return autogal.fit(
        images,
        sigma=sigmas,
        psf=PSF.star(25),
        zeropoint=ZEROPOINT,
        pixel_scale=0.2,
        start=start,
        **{"uncertainty.misfit": True},
        **settings,
    )


def test_a_model_that_is_true_misses_little():
    observed = observe(random_galaxies(24, seed=5), seed=6)
    table = autogal.fit(**observed.arguments(), pixel_scale=0.2, **{"uncertainty.misfit": True}).table
    assert (np.nanmedian(ratios(table), axis=1) < 0.6).all()


def test_arms_of_a_bright_galaxy_move_it_by_more_than_noise(tmp_path):
    rng = np.random.default_rng(3)
    images, sigmas = [], []
    for strength in (0.0, 0.3):
        light, sigma = spiral(strength)
        images.append(light + sigma * rng.normal(size=light.shape))
        sigmas.append(sigma)
    catalogue = fit(images, sigmas, [ARMS, ARMS])
    true, armed = ratios(catalogue.table).T
    assert np.median(true) < 0.7 and np.median(armed) > 1 and np.median(armed) > 2 * np.median(true)
    # what follows from parameters has them too
    table = catalogue.table
    np.testing.assert_allclose(
        table["r_eff_arcsec_err_misfit"], 0.2 * np.asarray(table["r_eff_err_misfit"]), rtol=1e-6
    )
    np.testing.assert_allclose(
        table["flux_err_misfit"],
        np.asarray(table["flux"] * table["mag_err_misfit"]) * 0.4 * np.log(10),
        rtol=1e-6,
    )
    assert (
        "added in quadrature" in table["mag_err_misfit"].description and table["mag_err_misfit"].unit == "mag"
    )
    for end in ENDS:
        np.testing.assert_array_equal(
            autogal.read(catalogue.write(tmp_path / f"c.{end}")).table["mag_err_misfit"],
            table["mag_err_misfit"],
        )
    plain = autogal.fit(
        images[1:],
        sigma=sigmas[1:],
        psf=PSF.star(25),
        zeropoint=ZEROPOINT,
        pixel_scale=0.2,
        start={name: [getattr(ARMS, name)] for name in PARAMETERS},
    ).table
    assert plain["mag_err"][0] == pytest.approx(
        table["mag_err"][1], rel=1e-6
    )  # the noise's errors stay what they are
    assert "mag_err_misfit" not in plain.colnames


def test_several_models_have_them_each():
    light, sigma = spiral(0.3)
    table = fit([light + sigma], [sigma], [ARMS], model=["exponential", "sersic"]).table
    assert table["exponential_mag_err_misfit"][0] > 0 and table["sersic_r_eff_err_misfit"][0] > 0


def test_residuals_like_the_noise_are_no_misfit(monkeypatch):
    """Nor is what is not known of the level of a held sky."""

    def noise_alone(bucket, theta):
        return bucket.gradient_and_hessian(theta, torch.arange(len(theta)))[1]

    monkeypatch.setattr(store, "misfit_covariance_of", noise_alone)
    # no Gaussian has wings: the fitted sky would take them up, and is held at the level that is measured
    winged = Galaxy(x=40.0, y=40.0, mag=10.5, r_eff=5.0, n=4.0, q=0.9, pa=20.0, shape=(80, 80))
    observed = observe([winged], seed=8)
    row = autogal.fit(**observed.arguments(), model="gaussian", **{"uncertainty.misfit": True}).table[0]
    assert "SKY_FIXED" in row["flag_names"]
    for name in ("x", "y", "mag", "fwhm", "q", "sky"):
        assert row[f"{name}_err_misfit"] < 0.05 * row[f"{name}_err"], name


def test_whitened_fits_of_a_model_that_is_true_miss_little():
    galaxies = random_galaxies(24, seed=7, shape=(64, 64))
    rng, images = np.random.default_rng(9), []
    for galaxy in galaxies:
        noise = gaussian_filter(rng.normal(size=(96, 96)), 0.7)[16:-16, 16:-16] * 2 * 0.7 * np.sqrt(np.pi)
        images.append(galaxy.flux * galaxy.light() + galaxy.sky + galaxy.noise * noise)
    sigmas = [np.full(galaxy.shape, galaxy.noise) for galaxy in galaxies]
    whitened = ratios(fit(images, sigmas, galaxies, noise={"whiten": True}).table)
    assert (np.nanmedian(whitened, axis=1) < 0.7).all()


def test_only_chi_square_tells_what_is_missed():
    observed = observe(random_galaxies(1, seed=5))
    with pytest.raises(AutogalError, match="misfit=true is not possible with likelihood=student_t"):
        autogal.fit(**observed.arguments(), likelihood="student_t", **{"uncertainty.misfit": True})
