"""Cutouts of arrays: the input of the Python API."""

import numpy as np
import pytest
from astropy import units
from astropy.io import fits
from astropy.table import Table

from autogal.errors import AutogalError
from autogal.flags import Flag
from autogal.images import from_arrays, moffat

RNG = np.random.default_rng(5)
IMAGES = RNG.normal(3, 1, (4, 20, 24)) + 50 * np.exp(
    -np.hypot(*(np.indices((20, 24)) - np.array([10, 12])[:, None, None])) / 3
)
PSF = moffat(3.0, size=31)


def test_one_cutout_each_and_nothing_changed_in_place():
    given = {
        "images": IMAGES.copy(),
        "sigma": np.ones_like(IMAGES),
        "psf": PSF * 3,
        "mask": np.zeros(IMAGES.shape, bool),
    }
    given["images"][1, 2, 3] = np.nan
    given["sigma"][2, 4, 5] = -1
    before = {name: array.copy() for name, array in given.items()}
    cutouts = from_arrays(**given, zeropoint=25.0, pixel_scale=0.4, settings={"dtype": "float64"})
    assert [cutout.id for cutout in cutouts] == ["0", "1", "2", "3"]
    assert all(cutout.error is None and cutout.flags == Flag.PSF_CORRECTED for cutout in cutouts)
    assert [cutout.mask.sum() for cutout in cutouts] == [0, 1, 1, 0]
    assert cutouts[0].psf is cutouts[3].psf  # prepared once
    for name, array in given.items():
        np.testing.assert_array_equal(array, before[name])


def test_lists_of_different_sizes_and_companions_one_each():
    images = [IMAGES[0], IMAGES[1][:15, :11].astype(">f4"), (100 * IMAGES[2]).astype(np.int16)]
    psfs = [PSF, moffat(4.0, 5.0, size=21), moffat(2.5, 5.0, size=14 + 1)]
    cutouts = from_arrays(
        images,
        [None, 0.5, np.ones((20, 24))],
        psfs,
        zeropoint=[1.0, 2.0, 3.0],
        pixel_scale=1.0,
        ids=["p", "q", "q"],
    )
    assert [cutout.shape for cutout in cutouts] == [(20, 24), (15, 11), (20, 24)]
    assert [cutout.id for cutout in cutouts] == ["p", "q", "q_2"]
    assert [cutout.zeropoint for cutout in cutouts] == [1.0, 2.0, 3.0]
    assert [bool(cutout.flags & Flag.SIGMA_ESTIMATED) for cutout in cutouts] == [True, False, False]
    assert np.all(cutouts[1].sigma == 0.5)
    assert cutouts[1].psf.shape == (21, 21)
    assert cutouts[2].image.dtype == np.float32


def test_masked_arrays_are_understood():
    image = np.ma.masked_greater(IMAGES[0], 20.0)
    cutout = from_arrays([image])[0]
    np.testing.assert_array_equal(cutout.mask, IMAGES[0] > 20.0)


@pytest.mark.parametrize("form", ["table", "mapping", "rows", "quantities"])
def test_start(form):
    columns = {"x": [1.0, 2.0, np.nan, 4.0], "y": [5, 6, np.nan, 8], "mag": [20.0, 21, np.nan, 22]}
    start = {
        "table": Table(columns),
        "mapping": columns,
        "rows": [dict(zip(columns, row)) for row in zip(*columns.values())],
        "quantities": Table({name: np.array(column, float) * (units.mag if name == "mag" else units.pix)
                             for name, column in columns.items()}),
    }[form]  # fmt: skip
    cutouts = from_arrays(IMAGES, start=start)
    assert cutouts[0].start == {"x": 1.0, "y": 5.0, "mag": 20.0}
    assert cutouts[2].start is None
    assert cutouts[3].start == {"x": 4.0, "y": 8.0, "mag": 22.0}


def test_bad_items_fail_alone():
    sigma = [np.ones((20, 24)), np.ones((24, 20)), None, None]
    psf = [PSF, PSF, np.zeros((9, 9)), PSF]
    cutouts = from_arrays([IMAGES[0], IMAGES[1], IMAGES[2], None], sigma, psf)
    assert cutouts[0].error is None
    for cutout, words in zip(cutouts[1:], ("sigma map is 24 x 20", "PSF cannot be used", "not real numbers")):
        assert words in cutout.error and cutout.flags & Flag.BAD_INPUT


def test_shared_psf_that_cannot_be_used_is_one_error():
    with pytest.raises(AutogalError, match="zero everywhere"):
        from_arrays(IMAGES, psf=np.zeros((9, 9)))
    assert "zero everywhere" in from_arrays(IMAGES[0], psf=np.zeros((9, 9)))[0].error


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"psf": np.ones((3, 9, 9))}, "4 images, but 3 PSFs"),
        ({"sigma": [1.0, 2.0]}, "4 images, but 2 sigma maps"),
        ({"mask": np.zeros((5, 20, 24))}, "4 images, but 5 masks"),
        ({"ids": ["a"]}, "4 images, but 1 ids"),
        ({"start": {"x": [1.0]}}, "4 images, but 1 rows"),
        ({"start": {"x": [1.0], "y": [1.0, 2.0]}}, "different lengths"),
        ({"start": Table({"colour": [1, 2, 3, 4]})}, "none of the columns"),
        ({"zeropoint": [25.0, 26.0]}, "4 images, but 2 values of zeropoint"),
    ],
)
def test_numbers_that_do_not_match(arguments, words):
    with pytest.raises(AutogalError, match=words):
        from_arrays(IMAGES, **arguments)


@pytest.mark.parametrize("images", [[], np.ones(5), np.ones((2, 3, 4, 5)), [IMAGES[0], "a.fits"]])
def test_images_that_are_none(images):
    with pytest.raises(AutogalError):
        from_arrays(images)


def test_file_names(tmp_path):
    for name, image in zip("ab", IMAGES):
        fits.PrimaryHDU(image, header=fits.Header({"MAGZERO": 30.0, "GAIN": 2.0})).writeto(
            tmp_path / f"{name}.fits"
        )
    fits.writeto(tmp_path / "a_psf.fits", PSF)
    own, other = from_arrays(
        [tmp_path / "a.fits", str(tmp_path / "b.fits")], start={"x": [1.0, 2.0]}, gain=3.0
    )
    assert (own.id, own.zeropoint, own.gain, own.start) == ("a", 30.0, 3.0, {"x": 1.0})
    assert own.psf.shape == (31, 31) and other.flags & Flag.PSF_DEFAULT
    own, other = from_arrays(
        str(tmp_path / "?.fits"), psf=moffat(2.5, 8.0, size=9), sigma=2.0, zeropoint=[1.0, 2.0]
    )
    assert (own.psf.shape, other.psf.shape, other.zeropoint) == ((9, 9), (9, 9), 2.0)
    assert np.all(own.sigma == 2.0)


def test_psf_file_for_arrays(tmp_path):
    fits.writeto(tmp_path / "psf.fits", PSF)
    for arguments in (
        {"psf": str(tmp_path / "psf.fits")},
        {"settings": {"psf": {"path": str(tmp_path / "psf.fits")}}},
    ):
        cutouts = from_arrays(IMAGES, **arguments)
        assert all(cutout.psf.shape == (31, 31) and not cutout.flags & Flag.PSF_DEFAULT for cutout in cutouts)
