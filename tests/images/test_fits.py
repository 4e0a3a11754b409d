"""Reading FITS images of every kind, and refusing what is none."""

import gzip

import numpy as np
import pytest
from astropy.io import fits

from autogal.errors import AutogalError
from autogal.images.fits import read, split_selection

IMAGE = np.arange(35.0).reshape(5, 7) - 3


def native(data):
    return data.dtype.isnative and data.flags.c_contiguous


@pytest.mark.parametrize("kind", ["f4", "f8", "i2", "i4", "u1", "u2"])
def test_types(tmp_path, kind):
    image = np.abs(IMAGE).astype(kind)
    fits.writeto(tmp_path / "a.fits", image)  # FITS is big-endian; u2 is written with BZERO = 32768
    data = read(str(tmp_path / "a.fits")).data
    np.testing.assert_array_equal(data, image)
    assert native(data)


def test_bzero_bscale_and_blank(tmp_path):
    hdu = fits.PrimaryHDU(np.array([[1, 2, -99], [4, 5, 6]], np.int16))
    hdu.header["BZERO"], hdu.header["BSCALE"], hdu.header["BLANK"] = 1000.0, 0.5, -99
    hdu.writeto(tmp_path / "a.fits")
    # Keywords set by hand describe the stored integers.
    with fits.open(tmp_path / "a.fits", do_not_scale_image_data=True) as hdus:
        stored = np.array(hdus[0].data)
    expected = np.where(stored == -99, np.nan, stored * 0.5 + 1000.0)
    data = read(str(tmp_path / "a.fits")).data
    np.testing.assert_allclose(data, expected)
    assert np.isnan(data).any() == (stored == -99).any()


@pytest.mark.parametrize("ending", [".fits.gz", ".fits.bz2", ".fits.fz"])
def test_compressed(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    image = IMAGE.astype(np.int16)
    if ending.endswith("fz"):
        fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(image, compression_type="RICE_1")]).writeto(path)
    else:
        fits.writeto(path, image)
    np.testing.assert_array_equal(read(str(path)).data, image)


@pytest.fixture
def several(tmp_path):
    """Primary without data, a table, and SCI twice, ERR, a cube of one plane and a cube."""
    hdus = fits.HDUList([
        fits.PrimaryHDU(),
        fits.BinTableHDU.from_columns([fits.Column("a", "E", array=np.ones(3))]),
        fits.ImageHDU(IMAGE, name="SCI"),
        fits.ImageHDU(IMAGE + 1, name="ERR"),
        fits.ImageHDU(IMAGE + 2, name="SCI", ver=2),
        fits.ImageHDU(IMAGE[None, None], name="PLANE"),
        fits.ImageHDU(np.ones((3, 5, 7)), name="CUBE"),
    ])  # fmt: skip
    hdus[0].header["EXPTIME"] = 30.0
    path = tmp_path / "several.fits"
    hdus.writeto(path)
    return str(path)


@pytest.mark.parametrize(
    "selection, offset",
    [("", 0), ("[SCI]", 0), ("[sci,1]", 0), ("[SCI, 2]", 2), ("[ERR]", 1), ("[3]", 1), ("[PLANE]", 0)],
)
def test_extension(several, selection, offset):
    image = read(several + selection)
    np.testing.assert_array_equal(image.data, IMAGE + offset)
    assert image.primary["EXPTIME"] == 30.0


def test_extension_asked_for_apart_from_the_path(several):
    np.testing.assert_array_equal(read(several, "ERR").data, IMAGE + 1)
    np.testing.assert_array_equal(read(several, 3).data, IMAGE + 1)
    np.testing.assert_array_equal(read(several + "[SCI,2]", "ERR").data, IMAGE + 2)  # the path's own wins


@pytest.mark.parametrize(
    "selection, words",
    [
        ("[CUBE]", "cube of 3 x 5 x 7"),
        ("[1]", "no 2-D image"),
        ("[0]", "no 2-D image"),
        ("[DQ]", "no extension"),
        ("[99]", "no extension"),
        ("[SCI,9]", "no extension"),
    ],
)
def test_extension_that_is_not_there(several, selection, words):  # fmt: skip
    with pytest.raises(AutogalError, match=words) as caught:
        read(several + selection)
    if words == "no extension":
        assert "SCI,2" in caught.value.remedy


def test_a_file_may_have_brackets_in_its_name(tmp_path):
    path = str(tmp_path / "a.fits[SCI]")
    fits.writeto(path, IMAGE)
    assert split_selection(path) == (path, None)
    np.testing.assert_array_equal(read(path).data, IMAGE)


def test_missing_empty_and_folder(tmp_path):
    with pytest.raises(AutogalError, match="No such file"):
        read(str(tmp_path / "gone.fits"))
    (tmp_path / "empty.fits").touch()
    with pytest.raises(AutogalError, match="is empty"):
        read(str(tmp_path / "empty.fits"))
    with pytest.raises(AutogalError, match="is a folder"):
        read(str(tmp_path))


@pytest.mark.parametrize("content", [b"id,x\n1,2\n" * 2000, b"\x89PNG\r\n" * 1000, b"x"])
def test_not_fits(tmp_path, content):
    path = tmp_path / "a.fits"
    path.write_bytes(content)
    with pytest.raises(AutogalError, match="not a FITS file"):
        read(str(path))


@pytest.mark.parametrize("ending", ["fits", "fits.gz"])
@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_truncated(tmp_path, ending, kept):
    path = tmp_path / f"a.{ending}"
    fits.writeto(path, np.random.default_rng(0).normal(size=(100, 100)))
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(AutogalError, match="truncated or damaged"):
        read(str(path))


def test_truncated_tiles(tmp_path):
    path = tmp_path / "a.fits.fz"
    fits.HDUList(
        [
            fits.PrimaryHDU(),
            fits.CompImageHDU(np.random.default_rng(0).integers(0, 999, (100, 100), np.int32)),
        ]
    ).writeto(path)
    path.write_bytes(path.read_bytes()[:12000])
    with pytest.raises(AutogalError, match="truncated or damaged"):
        read(str(path))


def test_truncated_in_the_header(tmp_path):
    path = tmp_path / "a.fits"
    fits.writeto(path, IMAGE)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(AutogalError):
        read(str(path))


@pytest.mark.parametrize(
    "data, words", [(None, "no 2-D image"), (np.ones((4, 5, 6)), "cube of 4 x 5 x 6"), (np.ones(9), "no 2-D")]
)
def test_no_image(tmp_path, data, words):
    fits.PrimaryHDU(data).writeto(tmp_path / "a.fits")
    with pytest.raises(AutogalError, match=words):
        read(str(tmp_path / "a.fits"))


def test_gzip_that_is_cut_is_not_taken_for_an_image(tmp_path):
    path = tmp_path / "a.fits.gz"
    path.write_bytes(gzip.compress(b"SIMPLE  =                    T")[:20])
    with pytest.raises(AutogalError):
        read(str(path))
