"""Zero points for one count a second and for stored pixels, units in all spellings, and headers that
contradict themselves."""

import math

import numpy as np
import pytest
from astropy.io import fits

from autogal.images import Options, load
from autogal.images.entry import Entry
from autogal.images.header.facts import header_facts


def facts(primary=None, **keywords):
    return header_facts(fits.Header(keywords), None if primary is None else fits.Header(primary), "HDU 1")


def wcs(scale, **more):
    return {
        "CTYPE1": "RA---TAN",
        "CTYPE2": "DEC--TAN",
        "CRVAL1": 150.0,
        "CRVAL2": 2.0,
        "CRPIX1": 48.0,
        "CRPIX2": 48.0,
        "CDELT1": -scale / 3600,
        "CDELT2": scale / 3600,
        **more,
    }


@pytest.mark.parametrize("seconds, zeropoint", [(10.0, 22.5), (40.0, 23.9), (600.0, 25.6), (0.5, 24.0)])
@pytest.mark.parametrize(
    "more", [{"BUNIT": "ADU"}, {"BUNIT": "counts"}, {"APCOR3": 0.1, "NUMZPT": 120}, {"EXTINCT": 0.05}]
)
def test_magzpt_holds_for_one_count_a_second(seconds, zeropoint, more):
    found = facts({"EXPTIME": seconds}, MAGZPT=zeropoint, **more)
    assert (
        found.zeropoint == pytest.approx(zeropoint + 2.5 * math.log10(seconds))
        and not found.uncertain
        and not found.warnings
    )
    assert found.sources["zeropoint"] == "MAGZPT of HDU 1" and any(
        "one count a second" in note for note in found.notes
    )


def test_magzpt_without_a_unit_is_said_to_be_in_doubt():
    found = facts(MAGZPT=24.0, EXPTIME=100.0)
    assert found.zeropoint == pytest.approx(29.0) and found.uncertain
    found = facts(MAGZPT=24.0, CASUVERS="vircam_1.3")
    assert (
        found.zeropoint == 24.0
        and found.uncertain
        and any("no exposure time" in note for note in found.notes)
    )


@pytest.mark.parametrize(
    "keywords",
    [
        {"BUNIT": "ADU/s"},
        {"BUNIT": "nJy", "MAGZPT": 31.4},
        {"BUNIT": "counts (ZP 27)"},
        {"BUNIT": "electrons in 1040 s", "MAGZPT": 34.1},
        {"EXPTIME": 1.0},
        {"BUNIT": "nanomaggies", "MAGZPT": 22.5},
    ],
)
def test_magzpt_of_the_stored_pixels(keywords):
    found = facts(**{"MAGZPT": 27.0, "EXPTIME": 1040.0} | keywords)
    assert found.zeropoint == keywords.get("MAGZPT", 27.0) and not found.uncertain and not found.warnings


def test_airmass_of_casu():
    found = facts(MAGZPT=24.0, EXPTIME=100.0, EXTINCT=0.1, AMSTART=1.4, AMEND=1.6)
    assert found.zeropoint == pytest.approx(29.0 - 0.05)


def test_keyword_of_stored_pixels_wins_and_explains_the_other():
    # NOAO: MAGZERO of the image, MAGZPT of one second; LSST: FLUXMAG0 of the image, MAGZERO of one second.
    found = facts(MAGZERO=30.27, MAGZPT=24.713, EXPTIME=167.0, BUNIT="adu")
    assert found.zeropoint == 30.27 and not found.warnings
    found = facts(FLUXMAG0=104525881029524.0, MAGZERO=28.345, EXPTIME=480.0)
    assert found.zeropoint == pytest.approx(35.048, abs=1e-3) and not found.warnings
    # IGAPS: PHOTZP with all corrections, MAGZPT of the night
    found = facts(PHOTZP=27.9, MAGZPT=23.9, EXPTIME=30.0, BUNIT="adu")
    assert found.zeropoint == 27.9 and "MAGZPT" in found.warnings[0]


def test_pan_starrs():
    header = fits.Header({"EXPTIME": 1000.0})
    header["HIERARCH FPA.ZP"] = 25.0
    found = header_facts(header)
    assert (
        found.zeropoint == pytest.approx(32.5)
        and not found.uncertain
        and found.sources["zeropoint"] == "FPA.ZP of HDU 0"
    )


@pytest.mark.parametrize(
    "first, second",
    [
        ({"MAGZERO": 25.0}, {"PHOTZP": 26.0}),
        ({"MAGZERO": 27.0}, {"BUNIT": "nJy"}),
        ({"ZP": 25.0}, {"FLUXMAG0": 1e9}),
    ],
)
def test_zero_points_that_disagree_are_a_warning(first, second):
    found = facts(**first, **second)
    assert len(found.warnings) == 1 and found.warnings[0] in found.notes
    assert all(any(key in found.warnings[0] for key in keys) for keys in (first, second))


@pytest.mark.parametrize(
    "unit, zeropoint",
    [
        ("10.0*nanoJansky", 31.4 - 2.5),
        ("10*nJy", 28.9),
        ("10.0 * nJy", 28.9),
        ("0.01*uJy", 28.9),
        ("10**-8 Jy", 28.9),
        ("10^(-8) Jy", 28.9),
        ("1e-8 Jy", 28.9),
        ("10**(-8)*Jy", 28.9),
        ("3.631E-6 Jy", 8.9 - 2.5 * math.log10(3.631e-6)),
        ("10 nanomaggies", 20.0),
        ("0.1 uJy/pix", 26.4),
        ("microJansky", 23.9),
        ("100 counts", None),
        ("0*Jy", None),
        ("10.0*furlongs", None),
    ],
)
def test_multiples_of_units(unit, zeropoint):
    found = facts(BUNIT=unit).zeropoint
    assert found == (None if zeropoint is None else pytest.approx(zeropoint, abs=1e-3))


@pytest.mark.parametrize("scale, said", [(0.04, 0.0312), (0.0307, 0.063), (0.11, 0.065)])
@pytest.mark.parametrize("key", ["PIXAR_SR", "PIXAR_A2"])
def test_area_of_the_wcs_where_the_header_contradicts_it(scale, said, key):
    area = said**2 * (1.0 if key == "PIXAR_A2" else 206264.806**-2)
    found = facts(**wcs(scale), BUNIT="MJy/sr", **{key: area})
    assert found.zeropoint == pytest.approx(8.9 - 2.5 * math.log10(1e6 * (scale / 206264.806) ** 2), abs=1e-3)
    assert len(found.warnings) == 1 and key in found.warnings[0]
    agreed = facts(**wcs(scale), BUNIT="MJy/sr", **{key: area * (scale / said) ** 2 * 1.01})
    assert not agreed.warnings and agreed.zeropoint == pytest.approx(found.zeropoint, abs=0.02)


@pytest.mark.parametrize(
    "keywords", [{"MAGZERO": 1e40}, {"PIXSCALE": 1e308}, {"MAGZERO": -999.0}, {"PIXSCALE": 3e-9}]
)
def test_what_no_image_can_have_is_ignored_and_said(keywords):
    found = facts(**keywords)
    assert found.zeropoint is None and found.pixel_scale is None and next(iter(keywords)) in found.notes[0]


@pytest.mark.parametrize(
    "given", [{"zeropoint": 1e40}, {"pixel_scale": 1e308}, {"pixel_scale": 0.0}, {"gain": -2.0}]
)
def test_what_no_image_can_have_is_refused_from_the_user(tmp_path, given):
    fits.writeto(tmp_path / "a.fits", np.random.default_rng(1).normal(size=(32, 32)).astype(np.float32))
    for cutout in (
        load(Entry("a", str(tmp_path / "a.fits"), **given)),
        load(Entry("a", str(tmp_path / "a.fits")), Options(**given)),
    ):
        assert cutout.error and next(iter(given)) in cutout.error


def test_contradictions_are_warnings_in_the_log(tmp_path, caplog):
    data = np.random.default_rng(1).normal(size=(32, 32)).astype(np.float32)
    fits.writeto(tmp_path / "a.fits", data, fits.Header(wcs(0.2, PIXSCALE=0.4, MAGZERO=25.0, PHOTZP=26.0)))
    with caplog.at_level("INFO"):
        cutout = load(Entry("a", str(tmp_path / "a.fits")))
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(cutout.warnings) == len(warned) == 2 and all(note in cutout.notes for note in cutout.warnings)
    assert any(
        note.startswith("Header: ") and "MAGZERO of HDU 0" in note and "the WCS" in note
        for note in cutout.notes
    )


def test_pixel_scale_of_a_distorted_camera_is_that_of_the_image():
    sip = {
        "CTYPE1": "RA---TAN-SIP",
        "CTYPE2": "DEC--TAN-SIP",
        "A_ORDER": 2,
        "B_ORDER": 2,
        "A_2_0": 2e-5,
        "B_0_2": 2e-5,
    }
    found = facts(
        **(wcs(0.05) | sip | {"CRPIX1": -900.0, "CRPIX2": 48.0, "NAXIS": 2, "NAXIS1": 96, "NAXIS2": 96})
    )
    assert (
        found.pixel_scale == pytest.approx(0.05 * math.sqrt(1 + 2 * 2e-5 * 948.5), rel=1e-3)
        and not found.warnings
    )
