"""How a number with its error is written for people."""

from __future__ import annotations

import math

__all__ = ["measurement"]

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def measurement(value: float, error: float) -> str:
    """A number with its error, to two digits of the error.

    Parameters
    ----------
    value, error : float
        NaN where not measured.

    Returns
    -------
    str
        ``"17.231 ± 0.012"``, ``"(1.20 ± 0.31)×10⁻⁷"``, ``"8 ± –"``, ``"–"``.
    """
    if not math.isfinite(value):
        return "–"
    if not (math.isfinite(error) and error > 0):
        return f"{value:.5g} ± –"
    power = math.floor(math.log10(max(abs(value), error)))
    if -4 < power < 7:
        power = 0
    value, error = value / 10.0**power, error / 10.0**power
    digits = min(max(0, 1 - math.floor(math.log10(error))), 12)
    value = round(value, digits) + 0.0  # no minus in front of a zero
    text = f"{value:.{digits}f} ± {error:.{digits}f}"
    return text if not power else f"({text})×10{str(power).translate(_SUPERSCRIPT)}"
