"""Pixels that are stored as asinh magnitudes, as Pan-STARRS does, are linear after reading."""

import math

import numpy as np
import pytest
from astropy.io import fits

from autogal.images import load
from autogal.images.entry import Entry

A = 2.5 / math.log(10)


def stored(values, soft, offset):
    return (A * np.arcsinh((values - offset) / (2 * soft))).astype(np.float32)


@pytest.mark.parametrize("soft, offset, noise", [(25.0, 2.2, 20.0), (221.9, 7.17, 30.0), (3.1, -0.4, 0.7)])
@pytest.mark.parametrize("scaled", [False, True])
def test_undone_with_the_noise_map_as_it_is(tmp_path, soft, offset, noise, scaled):
    y, x = np.mgrid[:60, :60]
    truth = 400 * noise * np.exp(-np.hypot(x - 30, y - 30) / 4) + np.random.default_rng(1).normal(
        0, noise, (60, 60)
    )
    sigma = np.full(truth.shape, noise)
    header = fits.Header({"BSOFTEN": soft, "BOFFSET": offset, "MAGZERO": 25.0})
    fits.writeto(tmp_path / "a.fits", stored(truth, soft, offset), header)
    # Its header is a copy of the image's, whether its pixels are scaled or not.
    fits.writeto(tmp_path / "s.fits", stored(sigma, soft, offset) if scaled else sigma, header)
    cutout = load(Entry("a", str(tmp_path / "a.fits"), sigma=str(tmp_path / "s.fits")))
    np.testing.assert_allclose(cutout.image, truth, rtol=2e-5, atol=1e-4 * noise)
    np.testing.assert_allclose(cutout.sigma, sigma, rtol=1e-4)
    assert any("BSOFTEN" in note and "undone" in note for note in cutout.notes)
    assert any("sigma map" in note for note in cutout.notes)


def test_a_sigma_map_without_the_keywords_and_infinite_pixels(tmp_path):
    pixels = stored(np.random.default_rng(2).normal(0, 5, (40, 40)), 25.0, 0.0)
    pixels[3, 4], pixels[5, 6] = np.nan, 3000.0
    fits.writeto(tmp_path / "a.fits", pixels, fits.Header({"BSOFTEN": 25.0, "BOFFSET": 0.0}))
    fits.writeto(tmp_path / "s.fits", np.full((40, 40), 5.0))
    cutout = load(Entry("a", str(tmp_path / "a.fits"), sigma=str(tmp_path / "s.fits")))
    assert cutout.error is None and cutout.mask.sum() == 2 and np.all(cutout.sigma == 5.0)


@pytest.mark.parametrize(
    "keywords", [{"BSOFTEN": 25.0}, {"BSOFTEN": 0.0, "BOFFSET": 1.0}, {"BSOFTEN": "n/a", "BOFFSET": 1.0}]
)
def test_pixels_are_linear_without_both_keywords(tmp_path, keywords):
    data = np.random.default_rng(3).normal(0, 1, (40, 40)).astype(np.float32)
    fits.writeto(tmp_path / "a.fits", data, fits.Header(keywords))
    np.testing.assert_array_equal(load(Entry("a", str(tmp_path / "a.fits"))).image, data)
