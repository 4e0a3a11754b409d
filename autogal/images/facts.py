"""What a FITS header says about its image: zero point, pixel scale, gain, exposure, saturation, WCS.

Only what is certain is taken. A zero point that a keyword gives holds for the
stored pixel values, mag = zeropoint - 2.5 log10(sum), whatever EXPTIME says;
the exposure time enters only where the unit of the image says that it must.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from astropy import units
from astropy.io.fits import Header
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_area

from autogal.images.silence import silenced

__all__ = ["Facts", "header_facts"]

_ZEROPOINT = ("MAGZERO", "MAGZPT", "MAGZP", "PHOTZP", "ZEROPNT", "ZEROPOINT", "ZPMAG", "MAG_ZP", "ZP")
_PIXEL_SCALE = ("PIXSCALE", "PIXSCAL1", "PIXELSCL", "SCALE")
_EXPOSURE = ("EXPTIME", "TEXPTIME", "EXPOSURE", "XPOSURE")
_SATURATION = ("SATURATE", "SATLEVEL", "SATURAT", "SATUR_LV")
_GAIN = ("GAIN", "EGAIN")
# Magnitudes outside this range are a typing error or a placeholder, not a zero point.
_ZEROPOINT_RANGE = (-30.0, 60.0)
_SCALE_RANGE = (1e-4, 60.0)  # arcsec per pixel
_AB_JANSKY = 8.9  # AB magnitude of 1 Jy: 2.5 log10(3631)

_MAGGIES = re.compile(r"^\s*(nano)?(maggy|maggies|nmgy|mgy)\s*$", re.IGNORECASE)
_COUNTS = re.compile(r"\b(electrons?|e-?|elec|counts?|cts?|adu|dn|data numbers?)(?![a-z])", re.IGNORECASE)
_ELECTRONS = re.compile(r"\b(electrons?|elec|e-?)(?![a-z])", re.IGNORECASE)
_PER_SECOND = re.compile(r"/\s*(s|sec|second)s?\b|\b(s|sec)\s*(\*\*|\^)?\s*-1\b|\bcps\b|per\s+sec", re.IGNORECASE)


@dataclass(slots=True)
class Facts:
    """What is known of one image; None where nothing is.

    ``uncertain`` says that the zero point follows from an assumption, which
    the notes name. ``counts`` says that the pixels are counts of a whole
    exposure, by their unit.
    """

    zeropoint: float | None = None
    pixel_scale: float | None = None
    gain: float | None = None
    exposure_time: float | None = None
    saturation: float | None = None
    wcs: WCS | None = None
    uncertain: bool = False
    counts: bool = False
    notes: list[str] = field(default_factory=list)


def header_facts(header: Header, primary: Header | None = None) -> Facts:
    """Collect what the headers of an image say.

    Zero point, the first found of: a keyword in magnitudes (MAGZERO, MAGZPT,
    MAGZP, PHOTZP, ...); FLUXMAG0; a calibrated unit (nanomaggies, Jy and its
    multiples, MJy/sr with a known pixel area); PHOTFLAM with PHOTPLAM.

    Gain, in electrons per image unit, the first found of: GAINEFF; the unit,
    where it is electrons; GAIN or EGAIN where the unit is counts or unknown,
    times the exposure time where it is counts a second.

    Parameters
    ----------
    header : astropy.io.fits.Header
        Of the extension with the image.
    primary : astropy.io.fits.Header, optional
        Of the file; asked where the first is silent, but never for the WCS.

    Returns
    -------
    Facts
    """
    look = _Look(header, primary)
    facts = Facts()
    facts.wcs = _celestial(header, facts.notes)
    facts.pixel_scale = _pixel_scale(look, facts)
    facts.exposure_time = look.number(*_EXPOSURE, low=0.0)
    facts.saturation = look.number(*_SATURATION, low=0.0)
    unit = look.text("BUNIT")
    per_second = bool(_PER_SECOND.search(unit))
    counts = bool(_COUNTS.search(unit))
    facts.counts = counts and not per_second
    facts.zeropoint = _zeropoint(look, facts, unit, per_second)
    facts.gain = _gain(look, facts, unit, per_second)
    return facts


class _Look:
    """Keywords in the order: extension, primary header."""

    def __init__(self, header: Header, primary: Header | None):
        self._headers = [header] if primary is None else [header, primary]

    def number(self, *keys: str, low: float = -math.inf, high: float = math.inf) -> float | None:
        """The first of the keywords that holds a finite number between the limits, exclusive."""
        for key in keys:
            for header in self._headers:
                try:
                    value = float(header[key])
                except (KeyError, TypeError, ValueError):
                    continue
                if math.isfinite(value) and low < value < high:
                    return value
        return None

    def text(self, key: str) -> str:
        for header in self._headers:
            value = header.get(key)
            if isinstance(value, str) and value.strip():
                return value.strip()
        return ""


def _celestial(header: Header, notes: list[str]) -> WCS | None:
    if "CTYPE1" not in header:
        return None
    try:
        # What astropy warns of (SIP without -SIP, CDELT beside CD) does not change the pixel's sky position.
        with silenced():
            wcs = WCS(header, fix=False)
        if not wcs.has_celestial:
            return None
        wcs = wcs.celestial
        if _SCALE_RANGE[0] < _wcs_scale(wcs) < _SCALE_RANGE[1]:
            return wcs
        notes.append(f"WCS ignored: its pixels would be {_wcs_scale(wcs):.3g} arcsec wide.")
    except Exception as error:  # wcslib and its wrapper raise many kinds on a broken header
        notes.append(f"WCS ignored: {' '.join(str(error).split())[:120]}.")
    return None


def _wcs_scale(wcs: WCS) -> float:
    """arcsec per pixel: the root of the pixel's area (degrees squared) at the reference point."""
    return 3600.0 * math.sqrt(abs(float(proj_plane_pixel_area(wcs))))


def _pixel_scale(look: _Look, facts: Facts) -> float | None:
    keyword = look.number(*_PIXEL_SCALE, low=_SCALE_RANGE[0], high=_SCALE_RANGE[1])
    if facts.wcs is None:
        return keyword
    scale = _wcs_scale(facts.wcs)
    if keyword is not None and abs(keyword / scale - 1) > 0.02:
        facts.notes.append(f"Pixel scale {scale:.4g} arcsec from the WCS; the header's keyword says {keyword:.4g}.")
    return scale


def _zeropoint(look: _Look, facts: Facts, unit: str, per_second: bool) -> float | None:
    low, high = _ZEROPOINT_RANGE
    zeropoint = look.number(*_ZEROPOINT, low=low, high=high)
    if zeropoint is not None:
        return zeropoint
    fluxmag0 = look.number("FLUXMAG0", low=0.0)
    if fluxmag0 is not None:
        return 2.5 * math.log10(fluxmag0)
    zeropoint = _of_unit(unit, look, facts.pixel_scale)
    return zeropoint if zeropoint is not None else _hubble(look, facts, unit, per_second)


def _of_unit(unit: str, look: _Look, pixel_scale: float | None) -> float | None:
    """AB zero point of a calibrated unit, None for any other."""
    maggies = _MAGGIES.match(unit)
    if maggies:
        return 22.5 if unit.lower().lstrip().startswith("n") else 0.0
    plain = re.sub(r"\s*(/\s*pix(el)?|pix(el)?\s*(\*\*|\^)?\s*-1)\s*$", "", unit, flags=re.IGNORECASE)
    with silenced():  # discouraged spellings
        parsed = units.Unit(plain, parse_strict="silent") if plain else None
    if parsed is None or isinstance(parsed, units.UnrecognizedUnit):
        return None
    if parsed.is_equivalent(units.Jy):
        return _AB_JANSKY - 2.5 * math.log10(parsed.to(units.Jy))
    if parsed.is_equivalent(units.Jy / units.sr):
        area = look.number("PIXAR_SR", low=0.0)
        if area is None and pixel_scale is not None:
            area = (pixel_scale * units.arcsec**2).to_value(units.sr) * pixel_scale
        if area is not None:
            return _AB_JANSKY - 2.5 * math.log10(parsed.to(units.Jy / units.sr) * area)
    return None


def _hubble(look: _Look, facts: Facts, unit: str, per_second: bool) -> float | None:
    """AB zero point of Hubble images, which give PHOTFLAM for counts a second.

    -2.5 log10(PHOTFLAM) - 5 log10(PHOTPLAM) - 2.408 (ACS Data Handbook, 5.1.1).
    """
    flam, plam = look.number("PHOTFLAM", low=0.0), look.number("PHOTPLAM", low=0.0)
    if flam is None or plam is None:
        return None
    zeropoint = -2.5 * math.log10(flam) - 5.0 * math.log10(plam) - 2.408
    if per_second:
        return zeropoint
    if facts.counts and facts.exposure_time:
        facts.notes.append(f"Zero point from PHOTFLAM for the {facts.exposure_time:g} s of EXPTIME (unit {unit}).")
        return zeropoint + 2.5 * math.log10(facts.exposure_time)
    facts.uncertain = True
    facts.notes.append(f"Zero point from PHOTFLAM, if the pixels are counts a second (unit {unit or 'not given'}).")
    return zeropoint


def _gain(look: _Look, facts: Facts, unit: str, per_second: bool) -> float | None:
    effective = look.number("GAINEFF", low=0.0)
    if effective is not None:
        return effective
    if _ELECTRONS.search(unit):
        return facts.exposure_time if per_second else 1.0
    gain = look.number(*_GAIN, low=0.0)
    if gain is None or (unit and not _COUNTS.search(unit)):
        return None  # the gain of the camera says nothing about a calibrated unit
    if not per_second:
        return gain
    return gain * facts.exposure_time if facts.exposure_time else None
