"""Keywords of a FITS header with what they say and where they stand, and the facts that come of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from astropy.io.fits import Header
from astropy.io.fits.card import Undefined
from astropy.wcs import WCS

from autogal.runtime.warnings import silenced

__all__ = ["Facts", "Found", "Look"]


class Found(float):
    """A number of a header, with the keyword that says it and the place of the keyword.

    Attributes
    ----------
    key, where : str
        ``"MAGZERO"``, ``"HDU 1"``.
    """

    key: str
    where: str

    def __new__(cls, value: float, key: str, where: str):
        found = super().__new__(cls, value)
        found.key, found.where = key, where
        return found

    @property
    def source(self) -> str:
        return f"{self.key} of {self.where}"


@dataclass(slots=True)
class Facts:
    """What is known of one image; None where nothing is.

    ``uncertain`` says that the zero point follows from an assumption, which
    the notes name. ``counts`` says that the pixels are counts of a whole
    exposure, by their unit. ``sources`` names, for a fact, what decided it,
    and ``warnings`` are the notes of which two sources contradict each other.
    ``gains`` are other readings of the header's gain, each with its words.
    ``wcs_scale``: the pixel scale is that of the WCS. ``blank``: the value of
    pixels that hold no measurement.
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
    warnings: list[str] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)
    gains: list[tuple[float, str]] = field(default_factory=list)
    wcs_scale: bool = False
    blank: float | None = None

    def warn(self, note: str) -> None:
        """Note a contradiction."""
        self.notes.append(note)
        self.warnings.append(note)

    def given(self, **values: float) -> None:
        """Take what the user says of an image in place of what its header says."""
        for name, value in values.items():
            setattr(self, name, value)
            self.sources.pop(name, None)
            if name == "zeropoint":
                self.uncertain = False
            elif name == "pixel_scale":
                self.wcs_scale = False
            elif name == "gain":
                self.gains = []


class Look:
    """Keywords in the order: extension, primary header."""

    def __init__(
        self, header: Header, primary: Header | None, hdu: str = "HDU 0", notes: list[str] | None = None
    ):
        self._headers = [(header, hdu)] if primary is None else [(header, hdu), (primary, "HDU 0")]
        self._notes = [] if notes is None else notes

    def number(
        self, *keys: str, low: float = -math.inf, high: float = math.inf, notes: list[str] | None = None
    ) -> Found | None:
        """The first of the keywords that holds a finite number between the limits, exclusive; others are
        noted."""
        for key in keys:
            for header, where in self._headers:
                value = self._number(header, key)
                if value is None or not math.isfinite(value):
                    continue
                if low < value < high:
                    return Found(value, key, where)
                if notes is not None:
                    note = f"{key} = {value:g} of {where} ignored: no such value is possible."
                    notes += [note] if note not in notes else []
        return None

    def _number(self, header: Header, key: str) -> float | None:
        """The number of one card; None where there is none, with a note where something else stands there."""
        said = self._value(header, key)
        if said is None or isinstance(said, Undefined) or (isinstance(said, str) and not said.strip()):
            return None
        try:
            if not isinstance(said, bool):
                return float(said)
        except (TypeError, ValueError, OverflowError):
            pass
        self._not_read(key, f"{said}")
        return None

    def text(self, key: str) -> str:
        for header, _ in self._headers:
            value = self._value(header, key)
            if isinstance(value, str) and value.strip():
                return value.strip()
        return ""

    def has(self, *keys: str) -> bool:
        """Whether any of the keywords stands in a header."""
        return any(key in header for key in keys for header, _ in self._headers)

    def _value(self, header: Header, key: str):
        """What a card says; None where there is none, or one that breaks the rules of FITS, with a note."""
        if key not in header:
            return None
        try:
            return header[key]
        except Exception:  # astropy parses a card when it is asked for, and raises nearly anything
            self._not_read(key, _image_of(header, key)[10:].partition("/")[0])
            return None

    def _not_read(self, key: str, said: str) -> None:
        shown = " ".join("".join(one if one.isprintable() else "?" for one in said).split())[:40]
        note = f"The header's {key} = {shown} was not read: it is not a value of the kind that belongs there."
        if note not in self._notes:
            self._notes.append(note)


def _image_of(header: Header, key: str) -> str:
    try:
        with silenced():  # astropy tells how it would put the card right
            return header.cards[key].image
    except Exception:
        return ""
