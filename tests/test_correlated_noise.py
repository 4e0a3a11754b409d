"""Errors under noise that a resampling has correlated, from images drawn without the package."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from scipy.ndimage import gaussian_filter

import autogal
from autogal.errors import AutogalError
from autogal.flags import Flag

from .observations import PARAMETERS, PSF, ZEROPOINT, random_galaxies

MEASURED = ("x", "y", "mag", "r_eff", "n", "q")
SHAPE = (64, 64)
WIDTH = 0.7  # of the Gaussian that has smoothed white noise, pixels
COUNT = 90


def smooth(rng, shape=SHAPE):
    """Noise of unit variance."""
    wide = gaussian_filter(rng.normal(size=(shape[0] + 16, shape[1] + 16)), WIDTH, mode="wrap")[8:-8, 8:-8]
    return wide * 2 * WIDTH * np.sqrt(np.pi)


def lag_matrix(reach=4):
    along = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (4 * WIDTH**2))
    return np.outer(along, along)


@pytest.fixture(scope="module")
def scenes():
    galaxies = random_galaxies(COUNT, seed=8, shape=SHAPE)
    rng = np.random.default_rng(21)
    images = [g.flux * g.light() + g.sky + g.noise * smooth(rng) for g in galaxies]
    return galaxies, images, [np.full(SHAPE, g.noise) for g in galaxies]


def fit(scenes, **settings):
    galaxies, images, sigma = scenes
    start = {name: [getattr(g, name) for g in galaxies] for name in PARAMETERS}
    return autogal.fit(
        images, sigma=sigma, psf=PSF.star(25), zeropoint=ZEROPOINT, pixel_scale=1.0, start=start, **settings
    ).table


def inside(table, galaxies):
    """Share of truths within one error, of all parameters together."""
    off = [
        np.abs(np.asarray(table[name]) - [getattr(g, name) for g in galaxies])
        / np.asarray(table[f"{name}_err"])
        for name in MEASURED
    ]
    off = np.concatenate(off)
    return np.mean(off[np.isfinite(off)] < 1)


def test_errors_hold_the_truth_that_independent_pixels_lose(scenes):
    galaxies = scenes[0]
    allowed, alone = fit(scenes), fit(scenes, noise={"correlation": "none"})
    assert 0.60 < inside(allowed, galaxies) < 0.76
    assert inside(alone, galaxies) < 0.50
    assert (np.asarray(allowed["flags"]) & Flag.NOISE_CORRELATED).all()
    for name in MEASURED:  # the fit is the same, and so is what tells a good one
        np.testing.assert_allclose(allowed[name], alone[name], rtol=1e-6)
    np.testing.assert_allclose(allowed["chi2_dof"], alone["chi2_dof"], rtol=1e-6)


def test_the_correlation_of_a_file_is_taken(scenes, tmp_path):
    fits.writeto(tmp_path / "lags.fits", lag_matrix())
    table = fit(scenes, noise={"correlation": str(tmp_path / "lags.fits")})
    measured = fit(scenes)
    ratio = np.asarray(measured["r_eff_err"]) / np.asarray(table["r_eff_err"])
    assert 0.9 < np.nanmedian(ratio) < 1.1
    assert 0.62 < inside(table, scenes[0]) < 0.75


@pytest.mark.parametrize(("matrix", "header", "words"), [
    (np.ones((4, 5)), {}, "no middle"),
    (np.full((3, 3), np.nan), {}, "finite"),
    (np.array([[0.0, 0.9, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]), {}, "opposite lags differ"),
    (np.outer([0.9, 1.0, 0.9], [0.9, 1.0, 0.9]), {}, "negative power"),
    (lag_matrix(), {"PIXSCALE": 0.3}, "pixels of 0.3 arcsec"),
])  # fmt: skip
def test_what_is_no_correlation_is_refused(scenes, tmp_path, matrix, header, words):
    fits.writeto(tmp_path / "lags.fits", matrix, fits.Header(header))
    few = tuple(part[:1] for part in scenes)
    try:
        table = fit(few, noise={"correlation": str(tmp_path / "lags.fits")})
    except AutogalError as error:
        assert words in str(error)
    else:
        assert words in table["message"][0] and table["status"][0] == "failed"


def test_blocks_of_the_bootstrap_agree_with_the_covariance(scenes):
    few = tuple(part[:24] for part in scenes)
    table = fit(few, uncertainty="both")
    for name in MEASURED:
        assert np.nanmedian(
            np.asarray(table[f"{name}_err_boot"]) / np.asarray(table[f"{name}_err"])
        ) == pytest.approx(1.0, abs=0.12), name


def bound(galaxy):
    """Cramer-Rao bound under the true noise, of all pixels with all."""
    step = {"x": 0.02, "y": 0.02, "r_eff": 0.02 * galaxy.r_eff, "n": 0.01 * galaxy.n, "q": 0.005, "pa": 0.5}
    columns = [np.ones(SHAPE), -0.4 * np.log(10) * galaxy.flux * galaxy.light()]
    for name, width in step.items():
        value = getattr(galaxy, name)
        columns.append(
            galaxy.flux
            * (galaxy.light(**{name: value + width}) - galaxy.light(**{name: value - width}))
            / (2 * width)
        )
    rows = np.stack([column.ravel() for column in columns]) / galaxy.noise
    along = [np.exp(-(np.subtract.outer(np.arange(n), np.arange(n)) ** 2) / (4 * WIDTH**2)) for n in SHAPE]
    inverse = [np.linalg.pinv(one, rcond=1e-3, hermitian=True) for one in along]
    whitened = np.stack([(inverse[0] @ row.reshape(SHAPE) @ inverse[1]).ravel() for row in rows])
    errors = np.sqrt(np.diag(np.linalg.inv(rows @ whitened.T)))
    return dict(zip(("sky", "mag", *step), errors))


def test_whitened_the_fit_reaches_the_bound_of_that_noise(scenes):
    galaxies = scenes[0]
    table = fit(scenes, noise={"whiten": True})
    pulls = np.concatenate(
        [
            [(table[name][i] - getattr(g, name)) / bound(g)[name] for name in MEASURED]
            for i, g in enumerate(galaxies)
        ]
    )
    assert (
        np.quantile(np.abs(pulls), 0.6827) < 1.08 + 0.1
    )  # of 540 values, known to 4 %; and not all independent
    assert 0.60 < inside(table, galaxies) < 0.76
    assert np.median(table["chi2_dof"]) == pytest.approx(1.0, abs=0.05)


def test_only_chi_square_can_be_whitened(scenes):
    with pytest.raises(AutogalError, match="noise.whiten=true is not possible with likelihood=student_t"):
        fit(scenes, likelihood="student_t", noise={"whiten": True})


def test_masked_pixels_bias_nothing(scenes):
    galaxies, images, sigma = (part[:40] for part in scenes)
    mask = np.zeros(SHAPE, bool)
    mask[:, 40:46] = mask[10:20, 10:30] = True
    start = {name: [getattr(g, name) for g in galaxies] for name in PARAMETERS}
    table = autogal.fit(
        images,
        sigma=sigma,
        mask=[mask] * 40,
        psf=PSF.star(25),
        zeropoint=ZEROPOINT,
        pixel_scale=1.0,
        start=start,
        noise={"whiten": True},
    ).table
    off = np.array(
        [
            [(table[name][i] - getattr(g, name)) / table[f"{name}_err"][i] for name in MEASURED]
            for i, g in enumerate(galaxies)
        ]
    )
    assert np.all(np.abs(np.nanmean(off, axis=0)) < 3.5 / np.sqrt(40))
    assert 0.55 < np.mean(np.abs(off[np.isfinite(off)]) < 1) < 0.80
