"""The zero point that a header gives: which keywords hold for the stored pixels, and which for one count a
second.

Stored pixels, mag = zeropoint - 2.5 log10(sum): MAGZERO (DES, Euclid, NOAO), MAGZP (2MASS, ZTF, TERAPIX),
PHOTZP (ESO Phase 3, IGAPS), FLUXMAG0 (LSST, HSC) and calibrated units. One count a second, mag = zeropoint -
2.5 log10(sum / EXPTIME): MAGZPT (CASU: WFCAM, VISTA, INT/WFC; NOAO; GALFIT), FPA.ZP (Pan-STARRS: 25 for all
stacks and warps), PHOTFLAM (Hubble). Sources: the CASU and AstroGrid pages on WFS photometric calibration,
IGAPS image headers (PHOTZP against MAGZPT), the Pan-STARRS1 Data Archive at STScI ("PS1 Stack images"), the
ACS Data Handbook, 5.1.1.
"""

from __future__ import annotations

import math

from astropy import units

from autogal.images.header.keywords import Facts, Found, Look
from autogal.images.header.units import ImageUnit

__all__ = ["ZEROPOINT_RANGE", "find_zeropoint"]

ZEROPOINT_RANGE = (-30.0, 60.0)
"""Magnitudes outside it are a typing error or a placeholder, no zero point."""

_STORED = (
    "MAGZERO",
    "MAGZP",
    "PHOTZP",
    "ZEROPNT",
    "ZEROPOINT",
    "ZPMAG",
    "MAG_ZP",
    "ZP_AB",
    "ZPAB",
    "ABZP",
    "ABMAGZP",
    "IMAGEZPT",
    "ZP",
)
_PER_SECOND = ("MAGZPT", "FPA.ZP")
# Keywords of the CASU pipelines: beside them MAGZPT is theirs
_CASU = ("CASUVERS", "APCOR", "APCOR3", "EXTINCT", "NUMZPT", "MAGZRR", "NIGHTZPT", "PERCORR")
# No telescope sees one count a second at this magnitude (HSC with 8.2 m: 27 to 28.6); such a MAGZPT is of
# stored pixels
_DEEPEST = 29.0
_AGREE = 0.02  # mag
_AREAS_AGREE = 0.05  # a pixel's area differs by less over a camera


def find_zeropoint(look: Look, facts: Facts, unit: ImageUnit) -> float | None:
    """Magnitude of one unit of the stored pixels.

    The first found decides: FLUXMAG0; a keyword in magnitudes for stored
    pixels; one for counts a second, with the exposure time where the unit does
    not say that the pixels are so too; a calibrated unit; PHOTFLAM with
    PHOTPLAM. The others are compared with it.

    Parameters
    ----------
    look : Look
        The headers.
    facts : Facts
        Exposure time, pixel scale and WCS are read; notes, warnings, sources
        and ``uncertain`` are written.
    unit : ImageUnit

    Returns
    -------
    float or None
    """
    low, high = ZEROPOINT_RANGE
    found: list[tuple[float, str, str]] = []  # zero point, what says it, and the note if it decides
    flux = look.number("FLUXMAG0", low=0.0)
    if flux is not None:
        found.append((2.5 * math.log10(flux), flux.source, ""))
    stored = [
        key
        for key in (look.number(name, low=low, high=high, notes=facts.notes) for name in _STORED)
        if key is not None
    ]
    found += [(float(key), key.source, "") for key in stored]
    per_second = look.number(*_PER_SECOND, low=low, high=high, notes=facts.notes)
    calibrated = unit.zeropoint(_area(look, facts, unit) if unit.surface_brightness else None)
    doubtful = False
    if per_second is not None:
        value, note, doubtful = _of_one_second(per_second, look, facts, unit, calibrated is not None)
        doubtful = doubtful and not found
        found.append((value, per_second.source, note))
    if calibrated is not None:
        found.append((calibrated, f"BUNIT {unit.text}", ""))
    hubble = _hubble(look, facts, unit)
    if hubble is not None and not found:
        doubtful = hubble[-1]
    if hubble is not None and not (found and hubble[-1]):
        found.append(hubble[:-1])
    if not found:
        return None
    zeropoint, source, note = found[0]
    facts.sources["zeropoint"], facts.uncertain = source, doubtful
    facts.notes += [note] if note else []
    for other, says, _ in found[1:]:
        _compare(zeropoint, source, other, says, facts)
    return zeropoint


def _compare(zeropoint: float, source: str, other: float, says: str, facts: Facts) -> None:
    """Say of two zero points how they differ, unless by rounding."""
    if abs(other - zeropoint) <= _AGREE:
        return
    exposure = facts.exposure_time
    if exposure and abs(abs(other - zeropoint) - abs(2.5 * math.log10(exposure))) <= 2 * _AGREE:
        facts.notes.append(
            f"Zero point {zeropoint:.4g} from {source}; {says} holds for another second or exposure of "
            f"{exposure:g} s."
        )
    else:
        facts.warn(f"Zero point {zeropoint:.5g} from {source} taken, but {says} says {other:.5g}.")


def _of_one_second(
    key: Found, look: Look, facts: Facts, unit: ImageUnit, calibrated: bool
) -> tuple[float, str, bool]:
    """A zero point for one count a second, brought to the stored pixels; what to note, and whether that is
    in doubt."""
    value, exposure = float(key), facts.exposure_time
    named = unit.named_zeropoint
    casu = look.has(*_CASU)
    if unit.per_second or calibrated or (named is not None and abs(named - value) <= _AGREE):
        return value, "", False
    if value > _DEEPEST:
        return (
            value,
            f"{key.source} = {value:g} taken for the stored pixels: too faint for one count a second.",
            False,
        )
    if exposure is None:
        note = (
            f"{key.source} = {value:g} holds for one count a second, but no exposure time is given: taken "
            f"for the stored pixels."
        )
        return value, note if casu else "", casu
    if exposure == 1 and not casu:
        return value, "", False
    total = value + 2.5 * math.log10(exposure)
    note = (
        f"{key.source} = {value:g} holds for one count a second: with the {exposure:g} s of {exposure.key}, "
        f"zero point {total:.4f}"
    )
    extinction, airmass = look.number("EXTINCT", low=0.0, high=2.0), _airmass(look)
    if extinction is not None and airmass is not None:
        total -= extinction * (airmass - 1)
        note += f", {total:.4f} at airmass {airmass:.3g} (EXTINCT {extinction:g})"
    certain = casu or unit.counts or key.key != "MAGZPT"
    return (
        total,
        note + ("." if certain else ", if the pixels are counts of the whole exposure (no unit is given)."),
        not certain,
    )


def _airmass(look: Look) -> float | None:
    ends = [look.number(key, low=0.99, high=10.0) for key in ("AMSTART", "AMEND")]
    return sum(ends) / 2 if None not in ends else look.number("AIRMASS", low=0.99, high=10.0)


def _area(look: Look, facts: Facts, unit: ImageUnit) -> float | None:
    """Of a pixel [sr]: the header's, unless the WCS contradicts it."""
    keyword = look.number("PIXAR_SR", low=0.0)
    if keyword is None and (square := look.number("PIXAR_A2", low=0.0)) is not None:
        keyword = type(square)((square * units.arcsec**2).to_value(units.sr), square.key, square.where)
    scale = facts.pixel_scale
    of_scale = None if scale is None else (scale * units.arcsec**2).to_value(units.sr) * scale
    if keyword is None or of_scale is None:
        return of_scale if keyword is None else keyword
    if abs(keyword / of_scale - 1) <= _AREAS_AGREE:
        return keyword
    source = facts.sources.get("pixel_scale", "the pixel scale")
    chosen, words = (of_scale, source) if facts.wcs is not None else (keyword, keyword.source)
    facts.warn(
        f"{keyword.source} makes a pixel {math.sqrt(keyword / of_scale) * scale:.4g} arcsec wide, {source} "
        f"{scale:.4g}: "
        f"the area of {words} taken for the unit {unit.text}."
    )
    return chosen


def _hubble(look: Look, facts: Facts, unit: ImageUnit) -> tuple[float, str, str, bool] | None:
    """AB zero point of Hubble images, which give PHOTFLAM for counts a second; what says it, a note, and
    whether it is in doubt.

    -2.5 log10(PHOTFLAM) - 5 log10(PHOTPLAM) - 2.408 (ACS Data Handbook, 5.1.1).
    """
    flam, plam = look.number("PHOTFLAM", low=0.0), look.number("PHOTPLAM", low=0.0)
    if flam is None or plam is None:
        return None
    zeropoint = -2.5 * math.log10(flam) - 5.0 * math.log10(plam) - 2.408
    if unit.per_second:
        return zeropoint, flam.source, "", False
    if facts.counts and facts.exposure_time:
        note = f"Zero point from PHOTFLAM for the {facts.exposure_time:g} s of EXPTIME (unit {unit.text})."
        return zeropoint + 2.5 * math.log10(facts.exposure_time), flam.source, note, False
    note = f"Zero point from PHOTFLAM, if the pixels are counts a second (unit {unit.text or 'not given'})."
    return zeropoint, flam.source, note, True
