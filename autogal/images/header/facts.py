"""What a FITS header says about its image: zero point, pixel scale, gain, exposure, saturation, WCS.

Only what is certain is taken, and of what decided, the keyword is kept. Which zero points hold for the stored
pixels and which for one count a second is told in :mod:`autogal.images.header.zeropoint`.
"""

from __future__ import annotations

import math
import re

import numpy as np
from astropy.io.fits import Header
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_area

from autogal.images.header.keywords import Facts, Look
from autogal.images.header.units import ImageUnit
from autogal.images.header.zeropoint import find_zeropoint
from autogal.runtime.warnings import silenced

__all__ = ["SCALE_RANGE", "celestial", "header_facts"]

_PIXEL_SCALE = ("PIXSCALE", "PIXSCAL1", "PIXELSCL", "SCALE")
_EXPOSURE = ("EXPTIME", "TEXPTIME", "EXPOSURE", "XPOSURE")
_SATURATION = ("SATURATE", "SATLEVEL", "SATURAT", "SATUR_LV")
_SURFACE_BRIGHTNESS = re.compile(r"\s*MJy\s*/\s*sr\s*$", re.IGNORECASE)
_WEBB_GAIN = 1.9  # electrons a count, within a tenth that of NIRCam's detectors (JWST User Documentation)
_GAIN = ("GAIN", "EGAIN")
SCALE_RANGE = (1e-4, 60.0)
"""Pixels of a smaller or larger side [arcsec] are a typing error or a placeholder."""
_AGREE = 0.02  # two scales within this part of each other are the same, rounded
# An image whose pixels are so much larger or smaller than at the reference point lies where its distortion
# does not hold
_DISTORTED = 0.3


def header_facts(header: Header, primary: Header | None = None, hdu: str = "HDU 0") -> Facts:
    """Collect what the headers of an image say.

    Zero point: see :func:`autogal.images.header.zeropoint.find_zeropoint`.

    Gain, in electrons per image unit, the first found of: GAINEFF; the unit,
    where it is electrons; PHOTMJSR, MJy/sr for one count a second of Webb's,
    with XPOSURE where it is MJy/sr; GAIN or EGAIN where the unit is counts or unknown,
    times the exposure time where it is counts a second. What else GAIN can
    mean, of a mean of NCOMBINE exposures or of counts a second, is in ``gains``.

    Pixel scale: that of the WCS, its distortion included, in the middle of the
    image; else a keyword.

    Parameters
    ----------
    header : astropy.io.fits.Header
        Of the extension with the image.
    primary : astropy.io.fits.Header, optional
        Of the file; asked where the first is silent, but never for the WCS.
    hdu : str
        What the extension is called in notes.

    Returns
    -------
    Facts
    """
    facts = Facts()
    look = Look(header, primary, hdu, facts.notes)
    facts.wcs = celestial(header, facts.notes)
    facts.pixel_scale = _pixel_scale(look, facts, header)
    facts.exposure_time = look.number(*_EXPOSURE, low=0.0)
    facts.saturation = look.number(*_SATURATION, low=0.0)
    unit = ImageUnit(look.text("BUNIT"))
    facts.counts = unit.counts and not unit.per_second
    facts.blank = look.number("BLANK")
    facts.zeropoint = find_zeropoint(look, facts, unit)
    facts.gain = _gain(look, facts, unit)
    for name in ("zeropoint", "pixel_scale", "gain", "exposure_time", "saturation", "blank"):
        if (value := getattr(facts, name)) is not None:
            setattr(facts, name, float(value))
    return facts


def celestial(header: Header, notes: list[str]) -> WCS | None:
    """The celestial WCS of a header; None, with a note, for one that cannot be used.

    Parameters
    ----------
    header : astropy.io.fits.Header
    notes : list of str
        Appended to.

    Returns
    -------
    astropy.wcs.WCS or None
    """
    if "CTYPE1" not in header:
        return None
    try:
        # What astropy warns of (SIP without -SIP, CDELT beside CD) does not change the pixel's sky position.
        with silenced():
            wcs = WCS(header, fix=False)
        if not wcs.has_celestial:
            return None
        wcs = wcs.celestial
        if SCALE_RANGE[0] < _wcs_scale(wcs) < SCALE_RANGE[1]:
            return wcs
        notes.append(f"WCS ignored: its pixels would be {_wcs_scale(wcs):.3g} arcsec wide.")
    except Exception as error:  # wcslib and its wrapper raise many kinds on a broken header
        notes.append(f"WCS ignored: {' '.join(str(error).split())[:120]}.")
    return None


def _wcs_scale(wcs: WCS) -> float:
    """arcsec per pixel: the root of the pixel's area (degrees squared) at the reference point, without
    distortion."""
    return 3600.0 * math.sqrt(abs(float(proj_plane_pixel_area(wcs))))


def _scale_at(wcs: WCS, x: float, y: float) -> float:
    """arcsec per pixel: the root of the area on the sky of the pixel at a position, by its diagonals."""
    around = np.array([[-0.5, -0.5], [0.5, 0.5], [-0.5, 0.5], [0.5, -0.5]]) + (x, y)
    lon, lat = np.radians(wcs.all_pix2world(around, 0)).T
    points = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)
    area = np.linalg.norm(np.cross(points[1] - points[0], points[3] - points[2])) / 2
    return float(np.degrees(math.sqrt(area)) * 3600.0)


def _pixel_scale(look: Look, facts: Facts, header: Header) -> float | None:
    keyword = look.number(*_PIXEL_SCALE, low=SCALE_RANGE[0], high=SCALE_RANGE[1], notes=facts.notes)
    if facts.wcs is None:
        if keyword is not None:
            facts.sources["pixel_scale"] = keyword.source
        return keyword
    scale, facts.wcs_scale = _wcs_scale(facts.wcs), True
    facts.sources["pixel_scale"] = "the WCS"
    width, height = look.number("NAXIS1", low=0), look.number("NAXIS2", low=0)
    if width is not None and height is not None:
        try:
            here = _scale_at(facts.wcs, (width - 1) / 2, (height - 1) / 2)
        except Exception:  # wcslib raises many kinds where a projection has no solution
            here = math.nan
        if abs(here / scale - 1) < _DISTORTED:
            scale = here
        else:
            facts.warn(
                f"The WCS does not hold in the middle of the image ({here:.3g} arcsec a pixel there, "
                f"{scale:.4g} at its "
                "reference point): the latter taken."
            )
            facts.wcs_scale = False
    if keyword is not None and abs(keyword / scale - 1) > _AGREE:
        facts.warn(f"Pixel scale {scale:.4g} arcsec from the WCS; {keyword.source} says {keyword:.4g}.")
    return scale


def _gain(look: Look, facts: Facts, unit: ImageUnit) -> float | None:
    effective = look.number("GAINEFF", low=0.0)
    if effective is not None:
        facts.sources["gain"] = effective.source
        return effective
    exposure = facts.exposure_time
    if unit.electrons:
        facts.sources["gain"] = (
            "BUNIT" if not unit.per_second else f"BUNIT and {getattr(exposure, 'source', 'EXPTIME')}"
        )
        return exposure if unit.per_second else 1.0
    per_count, seconds = look.number("PHOTMJSR", low=0.0), look.number("XPOSURE", low=0.0)
    if per_count is not None and seconds is not None and _SURFACE_BRIGHTNESS.match(unit.text):
        facts.sources["gain"] = f"PHOTMJSR and XPOSURE, for {_WEBB_GAIN} electrons a count"
        return float(_WEBB_GAIN * seconds / per_count)
    gain = look.number(*_GAIN, low=0.0)
    if gain is None or (unit.text and not unit.counts):
        return None  # the gain of the camera says nothing about a calibrated unit
    if unit.per_second and exposure is None:
        return None
    combined = look.number("NCOMBINE", low=1.0)
    times = {"": 1.0}
    if exposure is not None and exposure != 1:
        times[f" times {exposure.key}"] = float(exposure)
    if combined is not None:
        times |= {f"{words} times {combined.key}": factor * combined for words, factor in times.items()}
    # The unit says whether the exposure time belongs to it; where there is none, what the keyword says is
    # tried first.
    first = f" times {exposure.key}" if unit.per_second and exposure != 1 else ""
    readings = [
        (float(gain * factor), f"{gain.source}{words}")
        for words, factor in times.items()
        if not unit.per_second or words.startswith(first)
    ]
    facts.gains = readings
    facts.sources["gain"] = readings[0][1]
    return readings[0][0]
