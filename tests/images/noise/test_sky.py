"""Sigma maps estimated from images whose noise is known."""

import numpy as np
import pytest

from autogal.errors import AutogalError
from autogal.images import estimate_sigma, sky_statistics


def galaxy(size, flux, r_eff, n):
    """An elliptical Sersic profile sampled at pixel centres, off the middle."""
    y, x = np.indices((size, size)) - size / 2 + 0.3
    light = np.exp(-(2 * n - 1 / 3) * (np.hypot(x, 1.3 * y) / r_eff) ** (1 / n))
    return flux * light / light.sum()


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.mark.parametrize("size", [32, 64, 128])
@pytest.mark.parametrize("level", [0.0, 65000.0])
@pytest.mark.parametrize("flux, n", [(0.0, 1), (3000.0, 1), (10000.0, 4)])
def test_scatter_beside_a_galaxy(rng, size, level, flux, n):
    image = galaxy(size, flux, size / 8, n) + rng.normal(level, 2.0, (size, size))
    measured_level, scatter = sky_statistics(image)
    assert scatter == pytest.approx(2.0, rel=0.12 if size == 32 else 0.05)
    assert measured_level == pytest.approx(level, abs=2.0)


@pytest.mark.parametrize("n", [1, 4])
def test_scatter_where_a_galaxy_fills_the_stamp(rng, n):
    image = galaxy(96, 1e6, 32, n) + rng.normal(100, 1.0, (96, 96))
    assert np.std(image) > 50
    assert sky_statistics(image)[1] == pytest.approx(1.0, rel=0.25)


def test_scatter_of_correlated_noise_is_that_of_a_pixel(rng):
    noise = rng.normal(size=(130, 130))
    for axis in (0, 1):
        noise = sum(
            weight * np.roll(noise, shift, axis) for weight, shift in ((0.25, -1), (0.5, 0), (0.25, 1))
        )
    noise = noise[1:-1, 1:-1]
    assert np.median(estimate_sigma(noise)[0]) == pytest.approx(noise.std(), rel=0.05)


def test_slope_and_masked_neighbours_do_not_count(rng):
    y, x = np.indices((80, 80))
    image = rng.normal(0, 1, (80, 80)) + 0.5 * x - 0.3 * y
    image[10:40, 50:75] += 1e4
    image[0, 0] = np.nan
    mask = image > 1000
    assert sky_statistics(image, mask)[1] == pytest.approx(1.0, rel=0.08)


@pytest.mark.parametrize("sky", [0.0, 400.0])
def test_photon_noise_of_the_source_but_not_twice_of_the_sky(rng, sky):
    gain, read_noise = 4.0, 3.0
    model = galaxy(96, 4e5, 8, 1) + sky
    truth = np.sqrt(read_noise**2 + model / gain)
    image = rng.poisson(model * gain) / gain + rng.normal(0, read_noise, model.shape)
    sigma, _ = estimate_sigma(image, gain=gain)
    bright = model - sky > 20 * read_noise
    np.testing.assert_allclose(np.median(sigma[bright] / truth[bright]), 1.0, atol=0.04)
    np.testing.assert_allclose(np.median(sigma[~bright] / truth[~bright]), 1.0, atol=0.06)


def test_weights_do_not_favour_pixels_that_happen_to_be_faint(rng):
    gain = 0.5
    image = rng.poisson(np.full((100, 100), 30.0) * gain) / gain
    image[:50] -= 30.0  # a step: the upper half is "source", of uniform brightness
    image[:50] += rng.normal(0, 1, (50, 100)) - image[:50]
    sigma, _ = estimate_sigma(image, gain=gain)
    weighted = np.average(image[55:], weights=sigma[55:] ** -2)
    assert weighted == pytest.approx(30.0, rel=0.05)


def test_without_gain_the_map_is_uniform_and_says_so(rng):
    sigma, notes = estimate_sigma(galaxy(64, 1e4, 5, 1) + rng.normal(0, 1, (64, 64)))
    assert np.ptp(sigma) == 0
    assert any("gain unknown" in note for note in notes)


def test_masked_and_nan_pixels_get_a_sigma_all_the_same(rng):
    image = rng.normal(0, 1, (32, 32))
    image[3, 4] = np.nan
    sigma, _ = estimate_sigma(image, image > 1, gain=2.0)
    assert np.all(np.isfinite(sigma) & (sigma > 0))


def test_small_stamp(rng):
    scatters = [sky_statistics(rng.normal(0, 1, (8, 8)))[1] for _ in range(50)]
    assert np.mean(scatters) == pytest.approx(1.0, rel=0.1)


def test_counts_of_few_digits(rng):
    image = np.round(rng.normal(0, 0.4, (100, 100)))
    assert sky_statistics(image)[1] == pytest.approx(image.std(), rel=0.1)


@pytest.mark.parametrize("image", [np.full((32, 32), 5.0), np.full((32, 32), np.nan)])
def test_no_noise_no_sigma(image):
    with pytest.raises(AutogalError, match="cannot be measured"):
        estimate_sigma(image)
