"""What headers say: zero points, gains and scales that are certain, and only those."""

import numpy as np
import pytest
from astropy.io import fits

from autogal.images.header.facts import header_facts


def facts(primary=None, **keywords):
    return header_facts(fits.Header(keywords), None if primary is None else fits.Header(primary))


@pytest.mark.parametrize("key", ["MAGZERO", "MAGZP", "PHOTZP", "ZP"])
def test_zero_point_of_a_keyword_holds_whatever_the_exposure(key):
    found = facts(**{key: 27.5, "EXPTIME": 1040.0, "BUNIT": "electrons"})
    assert found.zeropoint == 27.5 and not found.uncertain
    assert found.exposure_time == 1040.0


@pytest.mark.parametrize("value", ["n/a", -999.0, np.inf, True])
def test_placeholder_is_no_zero_point(value):
    header = fits.Header()
    header["MAGZERO"] = "inf" if value is np.inf else value
    assert header_facts(header).zeropoint is None


def test_fluxmag0():
    assert facts(FLUXMAG0=63095734448.0).zeropoint == pytest.approx(27.0)


@pytest.mark.parametrize(
    "unit, zeropoint",
    [
        ("nanomaggy", 22.5),
        ("nanomaggies", 22.5),
        ("maggies", 0.0),
        ("nmgy", 22.5),
        ("Jy", 8.9),
        ("uJy", 23.9),
        ("nJy", 31.4),
        ("mJy/pix", 16.4),
        ("adu", None),
        ("Jy/beam", None),
        ("erg/s/cm2/A", None),
        ("furlongs", None),
    ],
)
def test_zero_point_of_a_calibrated_unit(unit, zeropoint):
    found = facts(BUNIT=unit).zeropoint
    assert found == (None if zeropoint is None else pytest.approx(zeropoint, abs=1e-6))


def test_surface_brightness_unit():
    # NIRCam mosaics of 0.02 arcsec: 28.967 (published with the CEERS images).
    assert facts(BUNIT="MJy/sr", PIXSCALE=0.02).zeropoint == pytest.approx(28.967, abs=2e-3)
    assert facts(BUNIT="MJy/sr", PIXAR_SR=(0.04 / 206264.806) ** 2).zeropoint == pytest.approx(
        27.462, abs=2e-3
    )
    assert facts(BUNIT="MJy/sr").zeropoint is None


ACS_F814W = {"PHOTFLAM": 7.0331885e-20, "PHOTPLAM": 8045.0}  # AB 25.947, the COSMOS zero point


def test_hubble_zero_point():
    found = facts(BUNIT="ELECTRONS/S", **ACS_F814W)
    assert found.zeropoint == pytest.approx(25.947, abs=2e-3) and not found.uncertain


def test_hubble_zero_point_of_counts_needs_the_exposure_time():
    found = facts(BUNIT="ELECTRONS", primary={"EXPTIME": 100.0}, **ACS_F814W)
    assert found.zeropoint == pytest.approx(25.947 + 5.0, abs=2e-3) and not found.uncertain
    assert any("EXPTIME" in note for note in found.notes)


@pytest.mark.parametrize("keywords", [{"BUNIT": "ELECTRONS"}, {"EXPTIME": 100.0}])
def test_hubble_zero_point_is_never_silently_assumed(keywords):
    found = facts(**keywords, **ACS_F814W)
    assert found.uncertain and any("counts a second" in note for note in found.notes)


@pytest.mark.parametrize(
    "keywords, gain",
    [
        ({"GAINEFF": 2028.0, "GAIN": 2.0}, 2028.0),
        ({"BUNIT": "ELECTRONS", "CCDGAIN": 2.0}, 1.0),
        ({"BUNIT": "e-/s", "EXPTIME": 507.0, "GAIN": 2.0}, 507.0),
        ({"BUNIT": "e-/s", "GAIN": 2.0}, None),
        ({"BUNIT": "ADU", "GAIN": 4.5, "EXPTIME": 54.0}, 4.5),
        ({"BUNIT": "DN/s", "EGAIN": 4.0, "EXPTIME": 10.0}, 40.0),
        ({"GAIN": 4.5}, 4.5),
        ({"BUNIT": "nanomaggy", "GAIN": 4.5}, None),
        ({"GAIN": 0.0}, None),
        ({}, None),
    ],
)
def test_gain_per_image_unit(keywords, gain):
    assert facts(**keywords).gain == gain


def wcs(scale=0.4, **more):
    step = scale / 3600
    return {
        "CTYPE1": "RA---TAN",
        "CTYPE2": "DEC--TAN",
        "CRVAL1": 10.0,
        "CRVAL2": -5.0,
        "CRPIX1": 5.0,
        "CRPIX2": 6.0,
        "CD1_1": -step * 0.8,
        "CD1_2": step * 0.6,
        "CD2_1": step * 0.6,
        "CD2_2": step * 0.8,
        **more,
    }


def test_pixel_scale_and_position_of_the_wcs():
    found = facts(**wcs())
    assert found.pixel_scale == pytest.approx(0.4)
    sky = found.wcs.pixel_to_world(4.0, 5.0)
    assert (sky.ra.deg, sky.dec.deg) == pytest.approx((10.0, -5.0))


def test_pixel_scale_keyword_that_disagrees_is_said():
    found = facts(**wcs(), PIXSCALE=0.26)
    assert found.pixel_scale == pytest.approx(0.4)
    assert any("0.26" in note for note in found.notes)
    assert facts(**wcs(), PIXSCALE=0.4).notes == []


@pytest.mark.parametrize(
    "broken", [wcs(1e6), wcs(0.4, CTYPE2="RA---TAN"), {"CTYPE1": "LINEAR", "CTYPE2": "LINEAR", "CDELT1": 1.0}]
)
def test_wcs_that_is_none(broken):
    found = facts(**broken, PIXSCALE=0.2)
    assert found.wcs is None and found.pixel_scale == 0.2


def test_cube_of_one_plane_has_a_celestial_wcs():
    found = facts(NAXIS=3, CTYPE3="FREQ", CRVAL3=1e9, CD3_3=1e6, CRPIX3=1.0, **wcs())
    assert found.wcs.naxis == 2 and found.pixel_scale == pytest.approx(0.4)


def test_extension_before_primary():
    found = facts(primary={"GAIN": 1.0, "EXPTIME": 30.0, "SATURATE": 6e4}, GAIN=2.0)
    assert (found.gain, found.exposure_time, found.saturation) == (2.0, 30.0, 6e4)


def test_gain_of_webb_s_images():
    header = fits.Header({"BUNIT": "MJy/sr", "PHOTMJSR": 0.4, "XPOSURE": 2000.0})
    assert header_facts(header).gain == pytest.approx(1.9 * 2000 / 0.4)
    for key in ("PHOTMJSR", "XPOSURE"):
        assert (
            header_facts(fits.Header({name: value for name, value in header.items() if name != key})).gain
            is None
        )
