"""Sigma maps against the scatter of their images: what is wrong is said, what is right is not."""

import galsim
import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

import autogal
from autogal.batch.correlated import power_spectrum
from autogal.flags import Flag
from autogal.images import from_arrays
from autogal.images.noise.correlation import correlation
from autogal.images.noise.noise_map import has_no_noise, measure_noise
from autogal.images.noise.photons import photon_variance
from autogal.images.noise.sky import find_sky

PSF = galsim.Moffat(beta=3.5, fwhm=3.2).drawImage(nx=41, ny=41, scale=1, dtype=float).array
NOISE = Flag.NOISE_MISMATCH | Flag.NOISE_CORRELATED


def galaxy(mag=17.0, r_eff=6.0, n=1.5, q=0.6, side=96, shift=(1.3, -0.6)):
    """An image without noise; zero point 25."""
    light = galsim.Sersic(n=n, half_light_radius=r_eff * np.sqrt(q), flux=10 ** (0.4 * (25 - mag))).shear(
        q=q, beta=40 * galsim.degrees
    )
    return (
        galsim.Convolve(light, galsim.Moffat(beta=3.5, fwhm=3.2))
        .drawImage(nx=side, ny=side, scale=1, offset=shift, dtype=float)
        .array
    )


def correlated(rng, shape, width):
    """Noise of variance 1 smoothed by a Gaussian of `width` pixels, and by how much that of a large sum
    exceeds white noise's."""
    kernel = np.zeros((81, 81))
    kernel[40, 40] = 1
    kernel = gaussian_filter(kernel, width)
    scale = np.sqrt(np.square(kernel).sum())
    return gaussian_filter(rng.normal(size=[n + 80 for n in shape]), width)[40:-40, 40:-40] / scale, 1 / scale


def noise_of(image, sigma):
    return measure_noise(image, find_sky(image), np.broadcast_to(sigma, image.shape))


def test_right_maps_raise_nothing():
    rng, raised = np.random.default_rng(1), 0
    for _number in range(60):
        side, level = int(rng.choice([48, 64, 96, 140])), rng.choice([0.0, 300.0])
        light = galaxy(rng.uniform(14, 20), rng.uniform(2, side / 8), rng.choice([1.0, 2.5, 4.0]), side=side)
        scatter, gain = 10 ** rng.uniform(-2, 2), 10 ** rng.uniform(-1, 3)
        sigma = np.sqrt(scatter**2 + light / gain)
        _y, x = np.indices(light.shape)
        noise = noise_of(light + level + 0.01 * scatter * x + rng.normal(size=light.shape) * sigma, sigma)
        raised += bool(noise.flags)
        assert not noise.absent
    assert raised == 0


@pytest.mark.parametrize("scatter", [0.01, 0.3, 20.0])
@pytest.mark.parametrize(
    "name, sigma, words",
    [
        ("inverse variance", lambda s: s**-2, "inverse variance"),
        ("variance", lambda s: s**2, "looks like a variance"),
        ("twice", lambda s: 2 * s, " times the scatter"),
        ("a third", lambda s: s / 3, "is 1/"),
        ("off by 40 %", lambda s: 1.4 * s, " times"),
    ],
)
def test_wrong_maps_are_said(name, sigma, words, scatter):
    rng = np.random.default_rng(3)
    light = galaxy() * scatter
    noise = noise_of(light + rng.normal(0, scatter, light.shape), sigma(scatter))
    assert noise.flags == Flag.NOISE_MISMATCH
    assert any(words in note for note in noise.notes), noise.notes
    assert noise.ratio == pytest.approx(sigma(scatter) / scatter, rel=0.06)


def test_a_relative_weight_is_said():
    rng = np.random.default_rng(4)
    light = galaxy(15.0)
    weight = np.ones(light.shape)
    weight[:, :12] = 0.0
    cutout = from_arrays(
        [light + rng.normal(0, 0.3, light.shape)], sigma=[weight], psf=PSF, zeropoint=25.0, pixel_scale=1.0
    )[0]
    assert cutout.flags & Flag.NOISE_MISMATCH and "relative weight" in " ".join(cutout.notes)


def test_maps_of_drizzled_images_are_right_for_large_areas():
    noise, factor = correlated(np.random.default_rng(6), (128, 128), 0.6)
    found = noise_of(noise, factor)
    assert (
        found.flags == Flag.NOISE_CORRELATED
        and "between that of one pixel and that of sums" in found.notes[0]
    )
    assert noise_of(noise, 4 * factor).flags == NOISE
    assert noise_of(noise, 1.0).flags == Flag.NOISE_CORRELATED


@pytest.mark.parametrize("width", [0.45, 0.7, 1.0, 1.6])
@pytest.mark.parametrize("side", [64, 128])
def test_correlated_noise_is_said_with_its_factor(width, side):
    rng, factors = np.random.default_rng(8), []
    for _ in range(5):
        noise, factor = correlated(rng, (side, side), width)
        found = noise_of(noise + galaxy(18.0, 4.0, side=side), 1.0)
        assert found.flags == Flag.NOISE_CORRELATED, found.notes
        factors.append(found.correlation.factor)
    assert np.median(factors) == pytest.approx(factor, rel=0.15)


def test_power_of_the_correlation():
    noise, factor = correlated(np.random.default_rng(2), (200, 200), 0.8)
    found = correlation(noise, np.ones(noise.shape, bool))
    power = power_spectrum(torch.from_numpy(found.trimmed)[None], (48, 64))[0].numpy()
    assert power.shape == (48, 33) and power.min() >= 0
    assert power[0, 0] == pytest.approx(factor**2, rel=0.15)
    k = 2 * np.pi * 8 / 64
    assert power[0, 8] == pytest.approx(factor**2 * np.exp(-(k**2) * 0.64), rel=0.2)
    assert power[24, 32] < 0.1
    assert correlation(noise, np.zeros(noise.shape, bool)) is None


def test_what_is_allowed_for_is_the_noise_that_there_is():
    """The sum over all lags is the variance of large areas, in units of the map's."""
    drawn = [correlated(np.random.default_rng(seed), (128, 128), 0.6) for seed in range(8)]
    factor = drawn[0][1]
    for width, expected in (
        (1.0, factor**2),
        (factor, 1.0),
    ):  # a map that is right for pixels, and one for large areas
        found = [noise_of(noise, width).covariance.sum() for noise, _ in drawn]
        assert np.mean(found) == pytest.approx(expected, rel=0.2)
    white = np.random.default_rng(7).normal(size=(128, 128))
    assert noise_of(white, 1.0).covariance is None and noise_of(white, 1.0).reach == 0
    assert 2 <= noise_of(drawn[0][0], 1.0).reach <= 6


def test_no_noise_is_seen_and_little_noise_is_noise():
    rng = np.random.default_rng(9)
    for n, r_eff, side in ((1.0, 3.0, 64), (1.5, 6.0, 96), (4.0, 12.0, 96), (2.5, 20.0, 64)):
        light = galaxy(15.0, r_eff, n, side=side)
        for level in (0.0, 50.0):
            smooth = (light + level).astype(np.float32)
            assert has_no_noise(smooth, np.zeros(smooth.shape, bool), find_sky(smooth))
            for scatter in (light.max() / 3e4, light.max() / 300):
                noisy = smooth + rng.normal(0, scatter, smooth.shape)
                assert not has_no_noise(noisy, np.zeros(smooth.shape, bool), find_sky(noisy))
        strongly = light + light.max() / 1e3 * correlated(rng, light.shape, 1.8)[0]
        assert not has_no_noise(strongly, np.zeros(light.shape, bool), find_sky(strongly))


def test_fits_of_images_without_noise():
    light = galaxy(15.0, 5.0)
    start = dict(x=[48.8], y=[46.9], mag=[15.1], r_eff=[5.5], n=[1.3], q=[0.7], pa=[120.0], sky=[0.0])
    fit = lambda **given: autogal.fit(
        [light], psf=PSF, start=start, zeropoint=25.0, pixel_scale=1.0, **given
    ).table[0]
    row = fit()
    assert row["status"] == "converged" and row["flags"] & Flag.NOISE_MISMATCH
    assert row["r_eff"] == pytest.approx(5.0, abs=0.02) and row["n"] == pytest.approx(1.5, abs=0.01)
    assert all(np.isnan(float(row[name])) for name in ("mag_err", "r_eff_err", "n_err", "snr", "chi2_dof"))
    given = fit(sigma=1.0)
    assert given["flags"] & Flag.NOISE_MISMATCH and given["chi2_dof"] < 0.01 and given["r_eff_err"] > 0.005
    photons = fit(gain=1.0)
    assert photons["flags"] & Flag.NOISE_MISMATCH and 0.005 < photons["r_eff_err"] < 0.2
    assert photons["r_eff"] == pytest.approx(5.0, abs=2 * photons["r_eff_err"])


def test_targets_are_found_whatever_their_map_says():
    rng = np.random.default_rng(12)
    scatter = 0.01
    light = galaxy(17.0, 5.0) * 5e-3
    image = light + rng.normal(0, scatter, light.shape)
    maps = [np.full(light.shape, value) for value in (scatter**-2, scatter**2, scatter)]
    table = autogal.fit(
        [image] * 3,
        sigma=maps,
        psf=PSF,
        zeropoint=25.0,
        pixel_scale=1.0,
        segment="sep",
        initialise="moments",
        neighbours="mask",
    ).table
    assert list(table["status"]) == ["converged"] * 3
    assert [bool(flags & Flag.NOISE_MISMATCH) for flags in table["flags"]] == [True, True, False]
    assert np.hypot(table["x"] - 48.8, table["y"] - 46.9).max() < 0.5
    # and noise is no source because its map is too small
    empty = autogal.fit(
        [image - light],
        sigma=[maps[1]],
        psf=PSF,
        zeropoint=25.0,
        pixel_scale=1.0,
        segment="sep",
        initialise="moments",
    ).table
    assert empty["flags"][0] & Flag.NO_TARGET


def test_inverted_mask_is_said():
    image = galaxy() + np.random.default_rng(0).normal(size=(96, 96))
    good = np.ones((96, 96), np.uint8)
    good[5:9] = 0
    cutouts = from_arrays(
        [image] * 2, sigma=1.0, psf=PSF, mask=[good, 1 - good], zeropoint=25.0, pixel_scale=1.0
    )
    assert ["inverted" in " ".join(cutout.notes) for cutout in cutouts] == [True, False]


@pytest.mark.parametrize("gain, mag", [(0.3, 13.5), (1.0, 13.5), (30.0, 11.0)])
def test_photon_noise_is_bounded_without_a_gain(gain, mag):
    rng, found = np.random.default_rng(14), []
    for n in (1.0, 2.0, 4.0):
        for width in (None, 0.6):
            light = galaxy(mag, 7.0, n)
            white = rng.normal(size=light.shape) if width is None else correlated(rng, light.shape, width)[0]
            image = light + white * np.sqrt(4.0 + light / gain)
            found.append(photon_variance(image, np.zeros(image.shape, bool), find_sky(image)))
    assert 0.5 < np.median(found) * gain < 2 and max(found) * gain < 10
    faint = rng.normal(size=(64, 64)) + galaxy(23.0, side=64)
    assert photon_variance(faint, np.zeros(faint.shape, bool), find_sky(faint)) is None


def test_a_bright_galaxy_without_gain_has_errors_that_hold_the_truth():
    rng, deviations = np.random.default_rng(15), []
    images = []
    for _ in range(12):
        light = galaxy(12.5, 4.0, 2.5)
        images.append(light + rng.normal(size=light.shape) * np.sqrt(1.0 + light / 2.0))
    one = dict(x=48.8, y=46.9, mag=12.5, r_eff=4.0, n=2.5, q=0.6, pa=130.0, sky=0.0)
    start = {name: [value] * len(images) for name, value in one.items()}
    table = autogal.fit(images, psf=PSF, start=start, zeropoint=25.0, pixel_scale=1.0).table
    assert all(flags & Flag.GAIN_ESTIMATED and flags & Flag.SIGMA_ESTIMATED for flags in table["flags"])
    for name in ("mag", "r_eff", "n", "q"):
        deviations.append((table[name] - one[name]) / table[f"{name}_err"])
    assert 0.3 < np.std(deviations) < 1.6


@pytest.mark.parametrize("power, is_said", [(-1.0, True), (-2.0, True), (1.0, False)])
def test_a_weight_is_said_though_its_sky_is_like_the_noise(power, is_said):
    """Where the noise of the sky is 1, maps of every kind are 1 there, and differ where there is light."""
    y, x = np.indices((80, 80))
    light = 60.0 * np.exp(-np.hypot(x - 40.3, y - 39.6) / 5.0)
    sigma = np.sqrt(1.0 + light / 5)
    image = light + sigma * np.random.default_rng(8).normal(size=light.shape)
    flags = measure_noise(image, find_sky(image), sigma**power).flags
    assert bool(flags & Flag.NOISE_MISMATCH) == is_said
