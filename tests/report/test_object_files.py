"""One FITS file per object, and its name."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from autogal.images.cutout import Cutout
from autogal.report.object_files import file_names, write_object_fits
from autogal.results import Catalogue

from ..results.scenes import ERRORS, PARAMETERS, VALUES, make_cutout, make_fit, make_model, sky_wcs

AWKWARD = [
    "plain_1.2+3-4",
    "a/b",
    "a b",
    "a\\b",
    "../../etc/passwd",
    "a.fits[SCI,1]",
    "",
    ".",
    "..",
    ".hidden",
    "星",
    "Ångström",
    "x" * 400,
    "x" * 401,
    "new\nline",
    "a=1",
    "a:b",
    "A",
    "a",
    "same",
    "same",
    "same-2",
    "\udcff",
]


def test_any_id_gives_a_name_of_its_own():
    names = file_names(AWKWARD)
    assert len({name.casefold() for name in names}) == len(AWKWARD)
    for name in names:
        assert name.isascii() and len(name) < 140 and not name.startswith(".")
        assert not set(name) - set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.")
    assert names[0] == AWKWARD[0], "a name that is safe stays as it is"
    assert names[-4:-1] == ["same", "same-2", "same-2-2"]
    assert file_names(AWKWARD) == names


def test_the_names_can_be_written(tmp_path):
    for name in file_names(AWKWARD):
        (tmp_path / f"{name}.fits").touch()
    assert len(list(tmp_path.iterdir())) == len(AWKWARD)


@pytest.fixture
def written(tmp_path):
    cutout = make_cutout("SDSS Å", wcs=sky_wcs(rotation=30), path="a.fits[SCI,1]")
    row = Catalogue.from_fitted([cutout], make_fit(1)).table[0]
    components = {"bulge": make_model() - 0.2, "sigma": make_model() * 0}
    return cutout, write_object_fits(tmp_path / "o.fits", cutout, make_model(), row, components)


@pytest.mark.filterwarnings("error")
def test_all_images_are_there_with_their_wcs(written):
    cutout, path = written
    with fits.open(path) as hdus:
        hdus.verify("exception")
        names = [hdu.name for hdu in hdus]
        assert names == ["PRIMARY", "IMAGE", "MODEL", "RESIDUAL", "MASK", "SIGMA", "BULGE", "COMPONENT_SIGMA"]
        np.testing.assert_array_equal(hdus["IMAGE"].data, cutout.image)
        np.testing.assert_array_equal(hdus["RESIDUAL"].data, cutout.image - make_model())
        np.testing.assert_array_equal(hdus["MASK"].data, cutout.mask)
        assert hdus["MASK"].data.dtype == np.uint8 and hdus["MODEL"].data.dtype == ">f4"
        for hdu in hdus[1:]:
            there = WCS(hdu.header).pixel_to_world_values([10, 50], [20, 1])
            np.testing.assert_allclose(there, cutout.wcs.pixel_to_world_values([10, 50], [20, 1]), atol=1e-10)


def test_the_primary_header_holds_the_row(written):
    header = fits.getheader(written[1])
    names = {header[f"PAR{k}"]: (header[f"VAL{k}"], header[f"ERR{k}"]) for k in range(1, 9)}
    for name, value, error in zip(PARAMETERS, VALUES, ERRORS, strict=True):
        assert names[name] == (pytest.approx(value), pytest.approx(error))
    assert header.comments["VAL4"] == "[pix]" and header["STATUS"] == "converged"
    assert header["RA"] == pytest.approx(150, abs=0.01) and header["ZEROPT"] == 25
    assert all(len(keyword) <= 8 for keyword in header)


def test_an_object_without_a_result(tmp_path):
    cutout = make_cutout()
    row = Catalogue.from_fitted([cutout], make_fit(1, status=["failed"])).table[0]
    with fits.open(write_object_fits(tmp_path / "o.fits", cutout, None, row)) as hdus:
        assert np.isnan(hdus["MODEL"].data).all() and np.isnan(hdus["RESIDUAL"].data).all()
        assert hdus[0].header["VAL1"] is None, "headers know no NaN, but a value that is not defined"
        assert hdus[0].header["STATUS"] == "failed"


def test_an_object_that_could_not_be_read(tmp_path):
    cutout = Cutout.failed("x", "There is no file x.fits – sorry.")
    row = Catalogue.from_fitted([cutout], make_fit(1)).table[0]
    with fits.open(write_object_fits(tmp_path / "o.fits", cutout, None, row)) as hdus:
        hdus.verify("exception")
        assert len(hdus) == 1 and hdus[0].header["MESSAGE"].startswith("There is no file x.fits")
