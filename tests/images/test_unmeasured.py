"""Pixels without a measurement are found whatever their value, share and shape; what is measured never is
taken for one."""

import galsim
import numpy as np
import pytest
from scipy import ndimage

from autogal.images import Options, from_arrays, load, moffat
from autogal.images.entry import Entry
from autogal.images.unmeasured import suspect, unmeasured


def galaxy(rng, side=96, flux=2e4, r_eff=6.0, n=1.5, noise=1.0, sky=0.0):
    light = galsim.Convolve(
        galsim.Sersic(n, half_light_radius=r_eff, flux=flux).shear(q=0.6, beta=0.5 * galsim.radians),
        galsim.Moffat(3, fwhm=3.0),
    )
    image = light.drawImage(nx=side, ny=side, scale=1.0).array.astype(float) + sky
    return image + rng.normal(0.0, noise, image.shape) if noise else image


def wedge(rng, side, share):
    y, x = np.mgrid[:side, :side]
    angle = rng.uniform(0, 2 * np.pi)
    along = x * np.cos(angle) + y * np.sin(angle)
    return along > np.quantile(along, 1 - share)


@pytest.mark.parametrize("kind", ["f4", "f8", "i2"])
@pytest.mark.parametrize("sky", [0.0, 50.0, -6.0, 1e4])
def test_areas_of_one_value(kind, sky):
    rng = np.random.default_rng(11)
    for share in (0.1, 0.3, 0.5, 0.7):
        for side, value in ((48, 0), (96, -99), (130, 7)):
            image = galaxy(rng, side, side**2, side / 14, sky=sky, noise=3.0 if kind == "i2" else 1.0).round(
                0 if kind == "i2" else 9
            )
            empty = wedge(rng, side, share)
            image = np.where(empty, value, image).astype(kind)
            mask, notes = unmeasured(image)
            assert not (empty & ~mask).any() and np.count_nonzero(mask & ~empty) < 0.005 * side**2
            assert len(notes) == 1 and notes[0].split()[0] == str(mask.sum())


@pytest.mark.parametrize("value", [0.0, -999.0, 99.0, 65535.0, 1e30, -1e30])
@pytest.mark.parametrize("width", [1, 2, 5])
def test_gaps_and_columns(value, width):
    rng = np.random.default_rng(width)
    image = galaxy(rng).astype(np.float32)
    gap = np.zeros(image.shape, bool)
    gap[:, 45 : 45 + width] = gap[70 : 70 + width] = True
    image[gap] = value
    np.testing.assert_array_equal(unmeasured(image)[0], gap)


def test_scattered_sentinels_and_two_values_at_once():
    rng = np.random.default_rng(3)
    image = galaxy(rng, sky=20.0).astype(np.float32)
    bad = rng.random(image.shape) < 0.01
    border = np.zeros_like(bad)
    border[:, :9] = True
    image[bad], image[border] = -9999.0, 0.0
    np.testing.assert_array_equal(unmeasured(image)[0], bad | border)
    assert len(unmeasured(image)[1]) == 2


@pytest.mark.parametrize("blank", [-32768.0, -9.223372036854775808e18, 0.1])
def test_blank_of_a_float_image(blank):
    image = galaxy(np.random.default_rng(1)).astype(np.float32)
    image[5, 7] = image[50, 60] = blank
    mask, notes = unmeasured(image, blank)
    assert mask.sum() == 2 and mask[5, 7] and mask[50, 60] and "BLANK" in notes[0]
    assert not unmeasured(galaxy(np.random.default_rng(1)), blank)[0].any()


@pytest.mark.parametrize("rate", [1e-4, 1e-3, 0.01, 0.05, 0.3, 1.0, 4.0])
def test_few_counts_are_measurements(rate):
    rng = np.random.default_rng(5)
    for flux in (0.0, 300.0, 3e4):
        counts = rng.poisson(np.maximum(galaxy(rng, flux=flux, noise=0), 0) + rate)
        for image in (counts.astype(np.int32), counts * np.float32(0.37)):
            assert not unmeasured(image)[0].any()


@pytest.mark.parametrize("sky", [0.0, 50.0, 1000.0])
def test_noise_free_simulations_are_left_alone(sky):
    rng = np.random.default_rng(6)
    for kind in (np.float32, np.float64):
        for r_eff, n, side in ((1.5, 0.5, 48), (3.0, 4.0, 200), (8.0, 1.0, 96)):
            image = galaxy(rng, side, 1e5, r_eff, n, noise=0, sky=sky)
            cut = np.where(image - sky < 1e-3 * np.ptp(image), sky, image)
            assert not unmeasured(image.astype(kind))[0].any() and not unmeasured(cut.astype(kind))[0].any()


def test_clipped_cores_clipped_noise_and_whole_numbers_are_left_alone():
    rng = np.random.default_rng(7)
    for top in (0.97, 0.99, 0.998):
        image = galaxy(rng, flux=1e6, n=4.0)
        assert not unmeasured(np.minimum(image, np.quantile(image, top)))[0].any()
    for width in (0.0, 0.7, 1.5):
        noise = ndimage.gaussian_filter(rng.normal(0, 1, (96, 96)), width)
        assert not unmeasured(np.maximum(galaxy(rng, noise=0) + 3 * noise / noise.std(), 0.0))[0].any()
    for noise in (0.3, 0.6, 1.0, 3.0):
        assert not unmeasured(galaxy(rng, noise=noise, sky=100.0).round().astype(np.int16))[0].any()


def test_plain_noise_is_not_even_suspected():
    rng = np.random.default_rng(8)
    assert not any(suspect(galaxy(rng, side).astype(np.float32)) for side in (48, 96, 128))
    flat = np.zeros((40, 40))
    assert suspect(flat) and not unmeasured(flat)[0].any()
    assert not unmeasured(np.full((40, 40), np.nan))[0].any()


def test_as_with_nan_in_their_place(tmp_path):
    from astropy.io import fits

    rng = np.random.default_rng(9)
    image = galaxy(rng, sky=30.0).astype(np.float32)
    empty = wedge(rng, 96, 0.4)
    fits.writeto(tmp_path / "zeros.fits", np.where(empty, np.float32(0), image))
    fits.writeto(tmp_path / "nan.fits", np.where(empty, np.float32(np.nan), image))
    zeros, nan = (load(Entry(name, str(tmp_path / f"{name}.fits"))) for name in ("zeros", "nan"))
    np.testing.assert_array_equal(zeros.mask, nan.mask)
    np.testing.assert_array_equal(zeros.image, nan.image)
    np.testing.assert_array_equal(zeros.sigma, nan.sigma)
    assert any("hold no measurement" in note for note in zeros.notes)


@pytest.mark.parametrize("sigma", [None, 1.0])
def test_arrays_too_and_unchanged(sigma):
    rng = np.random.default_rng(10)
    images = np.stack([galaxy(rng).astype(np.float32) for _ in range(3)])
    images[1, :, :20] = 0.0
    before = images.copy()
    cutouts = from_arrays(
        images,
        sigma=None if sigma is None else np.full_like(images, sigma),
        psf=moffat(3.0),
        settings=Options(),
    )
    assert [cutout.mask.sum() for cutout in cutouts] == [0, 20 * 96, 0]
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize(
    ("value", "sky", "share"),
    [(0.0, 0.0, 0.15), (0.0, 0.0, 0.01), (-1.0, 10.0, 0.02), (1e38, 3.0, 0.01), (-1e30, 10.0, 0.01)],
)
def test_scattered_pixels_amid_noise_and_beyond_all_scales(value, sky, share):
    rng = np.random.default_rng(5)
    image = galaxy(rng, sky=sky).astype(np.float32)
    bad = rng.random(image.shape) < share
    image[bad] = value
    np.testing.assert_array_equal(unmeasured(image)[0], bad)


@pytest.mark.parametrize(("side", "left"), [(96, 20), (128, 20), (64, 16)])
def test_a_small_piece_with_noise_on_both_sides_of_zero(side, left):
    image, empty = galaxy(np.random.default_rng(6), side, 2500.0), np.ones((side, side), bool)
    low = (side - left) // 2
    empty[low : low + left, low : low + left] = False
    np.testing.assert_array_equal(unmeasured(np.where(empty, 0, image).astype("f4"))[0], empty)


@pytest.mark.parametrize("mean", [0.5, 1.0, 2.0, 4.0])
def test_counts_divided_by_an_exposure_map_and_clipped_noise_are_measurements(mean):
    rng = np.random.default_rng(7)
    counts = rng.poisson(galaxy(rng, noise=0, sky=mean)) / np.linspace(0.8, 1.2, 96)
    assert not unmeasured(counts)[0].any()
    assert not unmeasured(np.maximum(galaxy(rng), -1.5))[0].any()


@pytest.mark.parametrize("radius", [2, 3])
def test_a_dead_core_of_zeros_within_ten_sigma_of_the_sky(radius):
    image = galaxy(np.random.default_rng(8), sky=10.0).astype(np.float32)
    y, x = np.mgrid[:96, :96]
    dead = np.hypot(x - 47.5, y - 47.5) < radius
    image[dead] = 0
    np.testing.assert_array_equal(unmeasured(image)[0], dead)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_image_without_a_number_has_nothing_to_look_at(value):
    mask, notes = unmeasured(np.full((32, 32), value))
    assert not mask.any() and not notes


def test_an_image_that_is_blank_all_over_is_excluded_all_over():
    mask, notes = unmeasured(np.full((32, 32), -7.0), blank=-7.0)
    assert mask.all() and len(notes) == 1
