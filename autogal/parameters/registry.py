"""Every parameter that a catalogue can have, once: what it is, its unit, how it is printed, what it can
be."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["HIGHEST_MODE", "PARAMETERS", "Parameter", "is_magnitude", "split_name"]

#: The highest Fourier mode that can be asked for
HIGHEST_MODE = 10


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a model, by its name without a component's.

    Attributes
    ----------
    name : str
        In columns, bounds, ties and starts.
    unit : str
        As astropy reads it; empty: a number without one.
    text : str
        What it is, in one sentence without its full stop.
    format : str
        How to print it.
    kind : str
        ``position``, ``magnitude``, ``length``, ``ratio``, ``index`` (an exponent or another pure number),
        ``angle`` or ``sky``.
    low, high : float
        What it can be at all; a profile may allow less.
    turn : float, optional
        Of an angle that comes round, degrees after which it is the same.
    tried : (float, float)
        Usual values, in which ties and limits are tried out.
    """

    name: str
    unit: str
    text: str
    format: str = ".4f"
    kind: str = "index"
    low: float = -math.inf
    high: float = math.inf
    turn: float | None = None
    tried: tuple[float, float] = (1.0, 3.0)


def _length(name: str, text: str, tried: tuple[float, float] = (1.0, 3.0)) -> Parameter:
    return Parameter(name, "pix", text, ".4f", "length", 0.0, tried=tried)


def _number(name: str, text: str, tried: tuple[float, float] = (1.0, 3.0)) -> Parameter:
    return Parameter(name, "", text, low=0.0, tried=tried)


_FIRST = (
    Parameter(
        "x",
        "pix",
        "Centre along the columns of the image; 0 is the centre of the first pixel",
        ".3f",
        "position",
        tried=(20.0, 40.0),
    ),
    Parameter(
        "y",
        "pix",
        "Centre along the rows of the image; 0 is the centre of the first pixel",
        ".3f",
        "position",
        tried=(20.0, 40.0),
    ),
    Parameter(
        "mag",
        "mag",
        "Total magnitude, integrated to infinity: zeropoint - 2.5 log10(flux)",
        kind="magnitude",
        tried=(-9.0, -6.0),
    ),
    _length("r_eff", "Half-light radius along the major axis", (2.0, 8.0)),
    _length("fwhm", "Full width at half maximum along the major axis"),
    _length("r_core", "Core radius along the major axis"),
    _length("r_tidal", "Tidal radius along the major axis, where the light ends"),
    _length("r_out", "Radius along the major axis where the light ends"),
    _length("r_break", "Break radius along the major axis"),
    _length("r_trunc", "Radius along the major axis where half of the light is cut off"),
    _length("r_sersic", "Half-light radius, along the major axis, of the Sersic profile outside the core"),
    _length("h", "Scale length along the major axis"),
    _length("h_in", "Inner scale length along the major axis"),
    _length("h_out", "Outer scale length along the major axis"),
    Parameter(
        "mag_break",
        "mag",
        "Magnitude of the break ellipse's area at the surface brightness of the break",
        kind="magnitude",
        tried=(-9.0, -6.0),
    ),
    _number("n", "Sersic index", (0.6, 4.0)),
    _number("alpha", "Exponent alpha of the profile: how sharply it turns or ends"),
    _number(
        "beta", "Exponent beta of the profile: Moffat's, the Nuker law's outer slope, Ferrer's central one"
    ),
    _number("gamma", "Inner slope of the profile"),
    _number("softness", "Width of the truncation, in units of its radius"),
    _number("sharpness", "Sharpness of the break, times the inner scale length"),
    Parameter(
        "c0", "", "Boxiness of the isophotes: above 0 boxy, below disky, 0 ellipses", tried=(-0.5, 0.5)
    ),
)

_MODES = tuple(
    parameter
    for m in range(1, HIGHEST_MODE + 1)
    for parameter in (
        Parameter(
            f"am{m}",
            "",
            f"Amplitude of the Fourier mode {m} of the isophotes, in units of the radius",
            low=0.0,
        ),
        Parameter(
            f"pm{m}",
            "deg",
            f"Phase of the Fourier mode {m} of the isophotes, from the major axis, in [-180 / {m}, 180 / "
            f"{m})",
            ".3f",
            "angle",
            -180 / m,
            180 / m,
            360 / m,
        ),
    )
)

_LAST = (
    Parameter(
        "q",
        "",
        "Axis ratio b/a, in (0, 1]; of an edge-on disk, scale height over scale length",
        ".4f",
        "ratio",
        0.0,
        1.0,
        tried=(0.3, 0.9),
    ),
    _length("z0", "Scale height, of light that falls as sech^2(z / z0)"),
    Parameter("b_a", "", "Second axis of the ellipsoid over the first", ".4f", "ratio", 0.0),
    Parameter("c_a", "", "Polar axis of the ellipsoid over the first", ".4f", "ratio", 0.0),
    Parameter(
        "azimuth",
        "deg",
        "Angle, in the plane of the body, from the line of nodes to its first axis",
        ".3f",
        "angle",
    ),
    Parameter(
        "inclination",
        "deg",
        "Angle between the line of sight and the pole: 0 is face-on, 90 edge-on",
        ".3f",
        "angle",
        0.0,
        90.0,
    ),
    Parameter(
        "pa",
        "deg",
        "Position angle of the major axis, counter-clockwise from +y, in [0, 180)",
        ".3f",
        "angle",
        0.0,
        180.0,
        180.0,
        (5.0, 175.0),
    ),
    Parameter(
        "sky",
        "pix-1",
        "Sky, in image units per pixel; of a tilted one, at the centre of the image",
        ".5g",
        "sky",
    ),
    Parameter("sky_dx", "pix-2", "Slope of the sky along the columns of the image", ".5g", "sky"),
    Parameter("sky_dy", "pix-2", "Slope of the sky along the rows of the image", ".5g", "sky"),
    Parameter("bt", "", "The bulge's share of the total flux", ".4f", "ratio", 0.0, 1.0),
)

#: All of them by name, in the order of a catalogue's columns
PARAMETERS: dict[str, Parameter] = {one.name: one for one in (*_FIRST, *_MODES, *_LAST)}


def is_magnitude(name: str) -> bool:
    """Whether the name, without a component's, is that of a magnitude, total or that of a break."""
    return name in PARAMETERS and PARAMETERS[name].kind == "magnitude"


def split_name(name: str) -> tuple[str, str]:
    """A parameter's name as its component's and its own.

    Parameters
    ----------
    name : str
        ``"mag"``, ``"bulge_mag"``, ``"disk_r_eff"``.

    Returns
    -------
    component, bare : str
        ``("", "mag")``, ``("bulge", "mag")``, ``("disk", "r_eff")``: the longest name that there is. One that
        ends in none is its own.
    """
    parts = name.split("_")
    for first in range(len(parts)):
        if (bare := "_".join(parts[first:])) in PARAMETERS:
            return "_".join(parts[:first]), bare
    return "", name
