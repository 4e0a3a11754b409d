"""The unit of an image's pixels: counts or calibrated fluxes, in all the spellings of BUNIT."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from astropy import units

from autogal.runtime.warnings import silenced

__all__ = ["ImageUnit"]

_AB_JANSKY = 8.9  # AB magnitude of 1 Jy: 2.5 log10(3631)
_MAGGIES = re.compile(r"^\s*(nano)?(maggy|maggies|nmgy|mgy)\s*$", re.IGNORECASE)
_COUNTS = re.compile(r"\b(electrons?|e-?|elec|counts?|cts?|adu|dn|data numbers?)(?![a-z])", re.IGNORECASE)
_ELECTRONS = re.compile(r"\b(electrons?|elec|e-?)(?![a-z])", re.IGNORECASE)
_PER_SECOND = re.compile(
    r"/\s*(s|sec|second)s?\b|\b(s|sec)\s*(\*\*|\^)?\s*-1\b|\bcps\b|per\s+sec", re.IGNORECASE
)
_PER_PIXEL = re.compile(r"\s*(/\s*pix(el)?|pix(el)?\s*(\*\*|\^)?\s*\(?-1\)?)\s*$", re.IGNORECASE)
# 10.0*nanoJansky, 3.631e-6 Jy, 10**-8 Jy, 10^(-8) x Jy, 1E-9 maggies
_MULTIPLE = re.compile(
    r"^\s*(?:10\s*(?:\*\*|\^)\s*\(?\s*(?P<power>[-+]?\d+)\s*\)?|"
    r"(?P<number>\d*\.?\d+(?:[eEdD][-+]?\d+)?|\d+\.))"
    r"\s*[*x.]?\s*(?P<unit>[A-Za-z(].*)$"
)
_NAMED_ZEROPOINT = re.compile(r"\b(?:zp|zero\s?point)\s*[:=]?\s*(?P<zeropoint>\d+(\.\d+)?)", re.IGNORECASE)


@dataclass(frozen=True)
class ImageUnit:
    """What BUNIT says.

    Attributes
    ----------
    text : str
        Empty where there is none.
    """

    text: str

    @property
    def per_second(self) -> bool:
        return bool(_PER_SECOND.search(self.text))

    @property
    def counts(self) -> bool:
        return bool(_COUNTS.search(self.text))

    @property
    def electrons(self) -> bool:
        return bool(_ELECTRONS.search(self.text))

    @property
    def named_zeropoint(self) -> float | None:
        """The zero point that the text itself names: ``"counts (ZP 27)"``."""
        named = _NAMED_ZEROPOINT.search(self.text)
        return float(named["zeropoint"]) if named else None

    def zeropoint(self, area: float | None = None) -> float | None:
        """AB magnitude of one unit.

        Parameters
        ----------
        area : float, optional
            Of a pixel [sr], which a surface brightness needs.

        Returns
        -------
        float or None
            None for counts, and for what is no unit of flux.
        """
        text, factor = self.text, 1.0
        many = _MULTIPLE.match(text)
        if many:
            factor = (
                10.0 ** int(many["power"])
                if many["power"]
                else float(many["number"].upper().replace("D", "E"))
            )
            text = many["unit"]
        if not factor > 0:
            return None
        maggies = _MAGGIES.match(text)
        if maggies:
            return (22.5 if text.lower().lstrip().startswith("n") else 0.0) - 2.5 * math.log10(factor)
        plain = _PER_PIXEL.sub("", text)
        try:
            with silenced():  # discouraged spellings
                parsed = units.Unit(plain, parse_strict="silent") if plain else None
        except Exception:  # numbers that no unit can have make astropy's parser raise what it likes
            return None
        if parsed is None or isinstance(parsed, units.UnrecognizedUnit):
            return None
        if parsed.is_equivalent(units.Jy):
            return _AB_JANSKY - 2.5 * math.log10(factor * parsed.to(units.Jy))
        if area is not None and parsed.is_equivalent(units.Jy / units.sr):
            return _AB_JANSKY - 2.5 * math.log10(factor * parsed.to(units.Jy / units.sr) * area)
        return None

    @property
    def surface_brightness(self) -> bool:
        """Whether it is a flux density per solid angle."""
        return self.zeropoint() is None and self.zeropoint(1.0) is not None
