"""A terminal that cannot show every character never ends a run: it gets the nearest it has."""

from __future__ import annotations

import codecs
import re
import sys

__all__ = ["ensure_printable"]

_NAME = "autogal.nearest"
# What stands for characters that are used here, where a terminal lacks them
_NEAREST = {
    "±": "+-",
    "–": "-",
    "—": "-",
    "…": "...",
    "·": "-",
    "×": "x",
    "σ": "sigma",
    "χ": "chi",
    "′": "'",
    "″": '"',
    "°": " deg",
    "━": "-",
    "╸": "-",
    "╺": "-",
    "’": "'",
    "‘": "'",
    "“": '"',
    "”": '"',
}
_RAISED, _FLAT = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-"


def ensure_printable() -> None:
    """Have standard output and error show the nearest of what their encoding lacks, rather than raise.

    ASCII terminals (``LC_ALL=C`` on older systems, ``PYTHONIOENCODING=ascii``) have no plus-minus sign, and
    no encoding has the bytes of a file's name that are no text.
    """
    codecs.register_error(_NAME, _nearest)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure") and stream.errors in ("strict", "backslashreplace"):
            stream.reconfigure(errors=_NAME)


def _nearest(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    text = re.sub(
        f"[{_RAISED}]+", lambda power: "^" + power[0].translate(str.maketrans(_RAISED, _FLAT)), text
    )
    return "".join(letter if letter.isascii() else _NEAREST.get(letter, "?") for letter in text), error.end
