"""Which reading of a header's gain holds: the photon noise that it implies is looked for in the image."""

import galsim
import numpy as np
import pytest
from astropy.io import fits
from scipy import ndimage

from autogal.flags import Flag
from autogal.images import load
from autogal.images.entry import Entry


@pytest.fixture
def read(tmp_path):
    def make(flux, gain, header, seed=1, noise=1.0, smooth=0.0, side=96, r_eff=6.0, sky=0.0, entry=None):
        light = (
            galsim.Convolve(
                galsim.Sersic(1.5, half_light_radius=r_eff, flux=flux).shear(
                    q=0.6, beta=0.5 * galsim.radians
                ),
                galsim.Moffat(3, fwhm=3.0),
            )
            .drawImage(nx=side, ny=side, scale=1.0)
            .array.astype(float)
        )
        rng = np.random.default_rng(seed)
        image = rng.poisson(np.maximum(light, 0) * gain) / gain + sky
        error = rng.normal(0, 1, light.shape)
        if smooth:
            error = ndimage.gaussian_filter(error, smooth)
            image = ndimage.gaussian_filter(image, smooth)
        fits.writeto(
            tmp_path / "a.fits",
            (image + noise * error / error.std()).astype(np.float32),
            fits.Header(header),
            overwrite=True,
        )
        return load(Entry("a", str(tmp_path / "a.fits"), **(entry or {})))

    return make


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("seconds, camera", [(1000.0, 2.0), (300.0, 1.1), (54.0, 4.7), (5400.0, 1.55)])
@pytest.mark.parametrize("sky", [0.0, 30.0])
def test_counts_a_second_without_a_unit(read, seconds, camera, seed, sky):
    cutout = read(1e5, camera * seconds, {"GAIN": camera, "EXPTIME": seconds}, seed, sky=sky)
    assert cutout.gain == pytest.approx(camera * seconds)
    assert (
        len(cutout.warnings) == 1
        and "times EXPTIME" in cutout.warnings[0]
        and not cutout.flags & Flag.NOISE_MISMATCH
    )
    # The map is right to 10 % where the source is bright, and where there is sky.
    assert np.median(cutout.sigma) == pytest.approx(1.0, rel=0.05)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("gain, flux", [(2.0, 1e5), (4.7, 3e4), (1.0, 2e6), (0.5, 1e3)])
@pytest.mark.parametrize("unit", [{}, {"BUNIT": "ADU"}])
def test_counts_of_the_exposure_keep_their_gain(read, gain, flux, seed, unit):
    cutout = read(flux, gain, {"GAIN": gain, "EXPTIME": 300.0, "NCOMBINE": 5, **unit}, seed)
    assert cutout.gain == gain and not cutout.warnings and not cutout.flags & Flag.NOISE_MISMATCH


@pytest.mark.parametrize("smooth", [0.6, 1.0])
def test_correlated_noise_keeps_it_too(read, smooth):
    cutout = read(
        1e5,
        2.0 / (4 * np.pi * smooth**2 + 1),
        {"GAIN": 2.0 / (4 * np.pi * smooth**2 + 1), "EXPTIME": 300.0},
        smooth=smooth,
    )
    assert not cutout.flags & Flag.NOISE_MISMATCH


@pytest.mark.parametrize("number", [4, 20])
def test_mean_of_several_exposures(read, number):
    cutout = read(3e5, 2.5 * number, {"GAIN": 2.5, "NCOMBINE": number, "BUNIT": "adu", "EXPTIME": 1.0})
    assert cutout.gain == pytest.approx(2.5 * number) and "NCOMBINE" in cutout.warnings[0]


def test_a_gain_that_no_reading_explains_is_flagged(read):
    cutout = read(1e5, 500.0, {"GAIN": 1.0, "BUNIT": "adu"})
    assert (
        cutout.flags & Flag.NOISE_MISMATCH and cutout.flags & Flag.GAIN_ESTIMATED and 40 < cutout.gain < 1500
    )
    cutout = read(1e5, 500.0, {}, entry={"gain": 1.0})
    assert cutout.flags & Flag.NOISE_MISMATCH and cutout.gain == 1.0 and "given" in cutout.warnings[0]


def test_a_faint_source_tells_nothing_and_costs_nothing(read):
    cutout = read(300.0, 2000.0, {"GAIN": 2.0, "EXPTIME": 1000.0})
    assert cutout.gain == 2.0 and not cutout.warnings


def test_a_sloped_sky_has_no_photons_of_sources(read, tmp_path):
    """Sigma is that of the image without its slope, and no gain is doubted for it."""
    read(1e5, 4.0, {}, side=96)
    image = fits.getdata(tmp_path / "a.fits").astype(float)
    y, x = np.indices(image.shape)
    fits.writeto(
        tmp_path / "b.fits",
        (image + 0.8 * (x - 48) - 0.5 * (y - 48)).astype(np.float32),
        fits.Header({"GAIN": 4.0, "BUNIT": "ADU"}),
    )
    cutout = load(Entry("b", str(tmp_path / "b.fits")))
    assert cutout.gain == 4.0 and not cutout.flags & Flag.NOISE_MISMATCH
    far = np.hypot(x - 48, y - 48) > 40
    assert np.median(cutout.sigma[far]) == pytest.approx(1.0, rel=0.05)
