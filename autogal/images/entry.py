"""One object to fit, by the names of its files."""

from __future__ import annotations

import os
import re
import unicodedata
from dataclasses import dataclass

from autogal.images.fits import split_selection

__all__ = ["FITS_NAME", "IMAGE_SUFFIX", "Entry", "printable", "stem", "unique_ids"]

FITS_NAME = re.compile(r"\.(fits?|fts)(\.(gz|fz|bz2|xz))?$", re.IGNORECASE)
IMAGE_SUFFIX = "_image"


@dataclass(slots=True)
class Entry:
    """One object to fit, by the names of its files and what the user says of it.

    Paths are absolute and may select an extension, ``file.fits[SCI,1]``.

    Attributes
    ----------
    id : str
        Unique within a run.
    image : str
    psf, sigma, mask : str or None
    sigma_holds : str
        What its file does: ``sigma``, ``inverse variance`` or ``variance``.
    zeropoint, pixel_scale, gain : float or None
        AB magnitude of one image unit, arcsec per pixel, electrons per image unit.
    start : dict or None
        Starting values, any of x, y, mag, flux, r_eff, n, q, pa, sky; ra and dec [deg, ICRS] in place of x
        and y.
    note : str or None
        What the user should know about this entry.
    error : str or None
        Why it cannot be used.
    """

    id: str
    image: str
    psf: str | None = None
    sigma: str | None = None
    mask: str | None = None
    zeropoint: float | None = None
    pixel_scale: float | None = None
    gain: float | None = None
    start: dict[str, float] | None = None
    note: str | None = None
    error: str | None = None
    sigma_holds: str = "sigma"


def printable(text: str) -> str:
    """Text that every terminal, log and table takes: control characters, and bytes that are no character,
    become U+FFFD."""
    if text.isprintable():
        return text
    return "".join("\ufffd" if unicodedata.category(one) in ("Cc", "Cs") else one for one in text)


def stem(path: str) -> str:
    """A file's name without folder and FITS endings: the default id of an object."""
    file, hdu = split_selection(path)
    name = os.path.basename(file)
    short = FITS_NAME.sub("", name)
    if short == name:
        short = os.path.splitext(name)[0] or name
    if short.endswith(IMAGE_SUFFIX) and short != IMAGE_SUFFIX:
        short = short[: -len(IMAGE_SUFFIX)]
    return f"{short}_{re.sub('[^A-Za-z0-9]+', '_', hdu)}" if hdu else short


def unique_ids(ids: list[str]) -> list[str]:
    """Make ids unique: the second ``a`` becomes ``a_2``, or the next number that is free."""
    taken, seen = set(ids), set()
    count: dict[str, int] = {}
    unique = []
    for id in ids:
        own = id
        if own in seen:
            number = count.get(id, 1)
            while own in taken:
                number += 1
                own = f"{id}_{number}"
            count[id] = number
            taken.add(own)
        seen.add(own)
        unique.append(own)
    return unique
