"""Entries made into cutouts: each bad input costs its own row, and no other."""

import logging

import numpy as np
import pytest
from astropy.io import fits

from autogal.errors import AutogalError
from autogal.flags import Flag
from autogal.images import Entry, Options, Survey, from_arrays, fwhm, load, moffat

SDSS = Survey(
    "sdss", "r", pixel_scale=0.4, zeropoint=22.5, psf_fwhm=1.4, psf_beta=3.0, gain=900.0, sky_sigma=0.03
)


@pytest.fixture
def scene(tmp_path):
    """Write FITS files from arrays and give the entry of them."""
    rng = np.random.default_rng(3)
    y, x = np.indices((40, 48))
    image = 100 * np.exp(-np.hypot(x - 24, y - 20) / 4) + rng.normal(10, 1, y.shape)

    def write(image=image, header=None, entry=(), **companions):
        files = {"image": image, **companions}
        paths = {}
        for kind, array in files.items():
            if isinstance(array, str):
                paths[kind] = array
                continue
            paths[kind] = str(tmp_path / f"{kind}.fits")
            hdu = fits.PrimaryHDU(array, header=fits.Header(header) if kind == "image" and header else None)
            hdu.writeto(paths[kind], overwrite=True)
        return Entry("a", **paths, **dict(entry))

    write.image = image
    write.folder = tmp_path
    return write


def test_everything_given(scene):
    sigma = np.full((40, 48), 1.0)
    mask = np.zeros((40, 48), np.uint8)
    mask[2, 3] = 4
    header = {"MAGZERO": 27.0, "PIXSCALE": 0.2, "GAIN": 3.0, "EXPTIME": 30.0, "SATURATE": 5e4}
    cutout = load(scene(header=header, sigma=sigma, mask=mask, psf=moffat(3.0)))
    assert cutout.error is None and cutout.flags == Flag(0) and not cutout.warnings
    assert cutout.notes == [
        "Header: pixel scale 0.2 arcsec from PIXSCALE of HDU 0, zero point 27 from MAGZERO of HDU 0, "
        "gain 3 from GAIN of HDU 0."
    ]
    assert (cutout.zeropoint, cutout.pixel_scale, cutout.gain) == (27.0, 0.2, 3.0)
    assert (cutout.exposure_time, cutout.saturation) == (30.0, 5e4)
    np.testing.assert_allclose(cutout.image, scene.image, rtol=1e-6)
    assert cutout.image.dtype == cutout.sigma.dtype == np.float32 and cutout.psf.dtype == np.float64
    assert np.argwhere(cutout.mask).tolist() == [[2, 3]]


def test_nothing_given(scene):
    cutout = load(scene())
    expected = Flag.SIGMA_ESTIMATED | Flag.PSF_DEFAULT | Flag.ZEROPOINT_DEFAULT | Flag.PIXEL_SCALE_DEFAULT
    assert cutout.error is None and cutout.flags == expected
    assert np.median(cutout.sigma) == pytest.approx(1.0, rel=0.1)
    assert cutout.psf.sum() == pytest.approx(1.0) and all(side % 2 for side in cutout.psf.shape)
    assert len(cutout.notes) >= 4


def test_survey_stands_in_for_what_is_missing(scene):
    cutout = load(scene(), Options(survey=SDSS, psf_kind="optical", psf_oversample=3))
    assert (cutout.zeropoint, cutout.pixel_scale, cutout.gain) == (22.5, 0.4, 900.0)
    assert fwhm(cutout.psf) == pytest.approx(1.4 / 0.4, rel=0.03)
    assert (cutout.psf_kind, cutout.psf_oversample) == ("effective", 1)
    assert cutout.flags == Flag.SIGMA_ESTIMATED | Flag.PSF_DEFAULT


def test_survey_gain_follows_the_zero_point_of_the_image(scene):
    # One unit at zero point 27.5 is a hundredth of one at 22.5.
    cutout = load(scene(header={"MAGZERO": 27.5}), Options(survey=SDSS))
    assert cutout.gain == pytest.approx(9.0)


def test_survey_zero_point_of_counts_is_flagged(scene):
    cutout = load(scene(header={"BUNIT": "DN"}), Options(survey=SDSS))
    assert cutout.zeropoint == 22.5 and cutout.flags & Flag.ZEROPOINT_DEFAULT
    assert cutout.gain is None


def test_settings_before_entry_before_header_before_survey(scene):
    header = {"MAGZERO": 27.0, "GAIN": 3.0, "PIXSCALE": 0.2}
    cutout = load(
        scene(header=header, entry={"zeropoint": 28.0, "gain": 5.0}), Options(zeropoint=29.0, survey=SDSS)
    )
    assert (cutout.zeropoint, cutout.gain, cutout.pixel_scale) == (29.0, 5.0, 0.2)


def test_uncertain_zero_point_is_flagged(scene):
    header = {"PHOTFLAM": 7e-20, "PHOTPLAM": 8045.0}
    assert load(scene(header=header)).flags & Flag.ZEROPOINT_DEFAULT
    assert not load(scene(header=header), Options(zeropoint=25.9)).flags & Flag.ZEROPOINT_DEFAULT


def test_dtype_and_byte_order(scene):
    for given in (">f4", ">i2", ">f8"):
        cutout = load(scene(scene.image.astype(given)), Options(dtype="float64"))
        assert cutout.image.dtype == np.float64 and cutout.image.dtype.isnative
        np.testing.assert_array_equal(cutout.image, scene.image.astype(given))


def test_excluded_pixels(scene):
    image, sigma, mask = scene.image.copy(), np.ones((40, 48)), np.zeros((40, 48))
    image[0, 0], image[0, 1] = np.nan, np.inf
    sigma[1, 0], sigma[1, 1], sigma[1, 2], sigma[1, 3] = 0, -1, np.nan, np.inf
    mask[2, 0], mask[2, 1] = 1, np.nan
    cutout = load(scene(image, sigma=sigma, mask=mask, header={"SATURATE": 95.0}))
    bright = np.argwhere(image[3:] >= 95) + [3, 0]
    expected = {(0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (1, 3), (2, 0), (2, 1), *map(tuple, bright)}
    assert set(map(tuple, np.argwhere(cutout.mask))) == expected
    assert cutout.error is None and cutout.flags & Flag.SATURATED


def test_saturated_core_is_seen_without_a_level(scene):
    cutout = load(scene(np.minimum(scene.image, 60.0)))
    assert cutout.flags & Flag.SATURATED
    assert cutout.mask.sum() == np.count_nonzero(scene.image >= 60)


def test_four_equal_pixels_of_a_symmetric_core_are_not_saturated(scene):
    image = scene.image.copy()
    image[19:21, 23:25] = 200.0
    assert not load(scene(image)).flags & Flag.SATURATED


def test_saturation_level_in_other_units_is_ignored_and_said(scene):
    cutout = load(scene(header={"SATURATE": 2.0}))
    assert cutout.error is None and not cutout.mask.any() and cutout.saturation is None
    assert any("Saturation level" in note for note in cutout.notes)


@pytest.mark.parametrize("shape", [(8, 8), (40, 48), (41, 9)])
def test_small_and_odd_stamps_work(scene, shape):
    cutout = load(
        scene(
            scene.image[: shape[0], : shape[1]]
            if shape[0] < 41
            else np.pad(scene.image, ((0, 1), (0, 0)))[:, 20:29]
        )
    )
    assert cutout.error is None and cutout.shape == shape


def test_psf_larger_than_the_image_is_kept(scene):
    psf = moffat(3.0, size=101)
    np.testing.assert_allclose(load(scene(psf=psf)).psf, psf, rtol=1e-6)


def test_psf_put_right_is_flagged(scene):
    cutout = load(scene(psf=7 * moffat(3.0, size=25)[1:, :]))
    assert cutout.psf.shape == (25, 25) and cutout.flags & Flag.PSF_CORRECTED


FLAT = np.ones((40, 48))
BAD = {
    "No such file": {"image": "/nowhere/gone.fits"},
    "cube of 3 x 40 x 48": {"image": np.ones((3, 40, 48))},
    "NaN or infinite": {"image": np.full((40, 48), np.nan)},
    "constant": {"image": np.full((40, 48), 7.0)},
    "too small": {"image": np.arange(40.0)[None]},
    "masked": {"mask": FLAT},
    "mask is 48 x 40, the image 40 x 48": {"mask": np.zeros((48, 40))},
    "sigma map is 48 x 40, the image 40 x 48": {"sigma": np.ones((48, 40))},
    "no positive": {"sigma": -FLAT},
    "holds no positive": {"sigma": 0 * FLAT},
    "zero everywhere": {"psf": np.zeros((9, 9))},
    "pixels are NaN": {"psf": np.full((9, 9), np.nan)},
    "No such PSF file": {"psf": "/nowhere/psf.fits"},
    "zeropoint = nan": {"entry": {"zeropoint": np.nan}},
    "gain = -1": {"entry": {"gain": -1.0}},
    "pixel_scale = 0": {"entry": {"pixel_scale": 0.0}},
}


@pytest.mark.parametrize("words", BAD)
def test_bad_input_costs_its_own_row(scene, caplog, words):
    with caplog.at_level(logging.WARNING):
        cutout = load(scene(**BAD[words]))
    assert words in cutout.error
    assert cutout.flags & Flag.BAD_INPUT
    assert cutout.error in caplog.text
    assert load(scene()).error is None


def test_cube_of_one_plane_is_an_image(scene):
    cutout = load(scene(scene.image[None]))
    assert cutout.error is None and cutout.shape == (40, 48)


def test_image_without_noise_takes_the_survey_s_or_has_no_errors(scene):
    # A synthetic image: a galaxy on a sky of exactly zero.
    image = np.zeros((64, 64))
    image[28:36, 28:36] = np.arange(64).reshape(8, 8)
    cutout = load(scene(image))
    assert cutout.error is None and cutout.flags & Flag.NOISE_MISMATCH and not cutout.noise.tells_errors
    assert np.ptp(cutout.sigma) == 0 and cutout.sigma[0, 0] > 0
    cutout = load(scene(image), Options(survey=SDSS))
    assert cutout.error is None and cutout.flags & Flag.SIGMA_ESTIMATED and cutout.noise.tells_errors
    np.testing.assert_allclose(cutout.sigma[image == 0], 0.03, rtol=1e-6)


@pytest.mark.parametrize("kind", ["psf", "sigma", "mask"])
def test_shared_file_that_cannot_be_used_is_one_error(scene, kind):
    with pytest.raises(AutogalError, match="No such"):
        load(scene(), Options(**{kind: str(scene.folder / "gone.fits")}))


def test_shared_psf_is_used_and_read_again_when_it_changes(scene):
    entry = scene(psf=moffat(3.0, 9.0, size=15))
    shared = str(scene.folder / "shared.fits")
    for size in (11, 13):
        fits.writeto(shared, moffat(2.4, 9.0, size=size), overwrite=True)
        assert load(entry, Options(psf=shared)).psf.shape == (size, size)


def test_selected_extension(scene, tmp_path):
    path = tmp_path / "mef.fits"
    hdus = [
        fits.PrimaryHDU(),
        fits.ImageHDU(scene.image, name="SCI"),
        fits.ImageHDU(np.full((40, 48), 2.0), name="ERR"),
    ]
    fits.HDUList(hdus).writeto(path)
    cutout = load(Entry("a", f"{path}[SCI]", sigma=f"{path}[ERR]"))
    assert cutout.error is None and np.all(cutout.sigma == 2.0)
    assert "constant" in load(Entry("a", str(path)), Options(hdu="ERR")).error


@pytest.mark.parametrize("wrong", [{"dtype": "float16"}, {"psf_kind": "fuzzy"}, {"psf_oversample": 0}])
def test_wrong_options_are_refused(wrong):
    with pytest.raises(AutogalError):
        Options(**wrong)


def test_options_from_the_composed_configuration():
    from autogal.configuration.composing import compose

    options = Options.from_settings(
        compose(overrides=["survey=sdss", "psf.kind=optical", "zeropoint=24", "psf.path=p.fits"])
    )
    assert options.survey.name == "sdss" and options.survey.pixel_scale == 0.396
    assert options.psf_kind == "optical" and options.zeropoint == 24.0
    assert options.psf.endswith("/p.fits") and options.psf.startswith("/")
    assert Options.from_settings(options) is options


def test_every_survey_of_the_configuration_is_usable():
    from autogal.configuration.composing import compose

    for name in ("sdss", "desi", "hst_acs", "euclid_vis", "hsc", "lsst"):
        survey = Options.from_settings(compose(overrides=[f"survey={name}"])).survey
        assert (
            survey.name == name
            and survey.pixel_scale > 0
            and survey.psf_fwhm > 0
            and survey.zeropoint is not None
        )


@pytest.mark.parametrize("kind", ["f8", "i4", "u4"])
@pytest.mark.parametrize("ratio, kept", [(1e2, "float32"), (3e4, "float64"), (1e6, "float64")])
def test_pixels_on_a_large_pedestal_keep_their_digits(scene, tmp_path, kind, ratio, kept):
    entry = scene()
    noise = 3.0 if kind == "f8" else 60.0
    image = np.random.default_rng(4).normal(0, noise, (50, 50)) + ratio * noise
    fits.writeto(entry.image, image.astype(kind), overwrite=True)
    for cutout in (
        load(entry),
        *from_arrays(image[None].astype(kind), sigma=np.full((1, 50, 50), noise), psf=moffat(3.0)),
    ):
        assert cutout.image.dtype == kept
        np.testing.assert_allclose(
            cutout.image - ratio * noise, image - ratio * noise, atol=max(2e-5 * noise * ratio / 1e2, 1.0)
        )
    assert load(entry, Options(dtype="float64")).image.dtype == "float64"


def test_single_precision_stays_where_the_file_has_no_more(scene):
    entry = scene()
    fits.writeto(
        entry.image,
        (np.random.default_rng(4).normal(0, 1, (50, 50)) + 1e6).astype(np.float32),
        overwrite=True,
    )
    assert load(entry).image.dtype == "float32"
