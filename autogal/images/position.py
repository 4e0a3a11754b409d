"""Which source of an image is meant, where the user names it by its place on the sky."""

from __future__ import annotations

import math

import numpy as np
from astropy import units as u
from astropy.coordinates import Angle, SkyCoord
from astropy.wcs import WCS
from astropy.wcs.utils import wcs_to_celestial_frame

from autogal.errors import AutogalError
from autogal.images.cutout import Cutout
from autogal.runtime.warnings import silenced

__all__ = ["aim", "is_icrs", "pixel_of", "sky_angle"]

_APART = 1.5  # px; x, y and ra, dec that are farther apart name two places
_ROUND = 0.1  # px; from which the way back from a pixel to the sky must end where it began
_HIGHEST = {"ra": 360.0, "dec": 90.0}


def sky_angle(text: str, name: str) -> float:
    """Degrees from what a table says: a number, or ``12:34:56.7``, ``12h34m56.7s``, ``-1d02m03s``, where a
    right ascension is in hours.

    Parameters
    ----------
    text : str
    name : str
        ``ra`` or ``dec``.

    Raises
    ------
    AutogalError
        Where it is no angle, or one that does not exist on the sky.
    """
    try:
        try:
            angle = float(text)
        except ValueError:
            with silenced():
                angle = float(Angle(text, unit=u.hourangle if name == "ra" else u.deg).deg)
    except Exception:  # the parser of angles raises several kinds
        raise AutogalError(
            f"{name} = {text[:40]!r} is not an angle.", "Give degrees, or sexagesimal numbers as 12:34:56.7."
        ) from None
    if not math.isnan(angle) and not abs(angle) <= _HIGHEST[name]:
        raise AutogalError(f"{name} = {angle:g} is not possible.", "Give degrees.")
    return angle


def aim(cutout: Cutout) -> None:
    """Turn the ``ra`` and ``dec`` of a cutout's starting values into ``x`` and ``y``, by its WCS.

    Where both are given and do not agree, the sky counts, and a note says so. A cutout without a WCS, or with
    its target outside, fails: any other source in it would be another galaxy.

    Parameters
    ----------
    cutout : Cutout
        Its ``start`` comes out without ``ra`` and ``dec``.
    """
    start = cutout.start
    if not start or not ("ra" in start or "dec" in start):
        return
    ra, dec = start.get("ra"), start.get("dec")
    cutout.start = start = {name: value for name, value in start.items() if name not in ("ra", "dec")}
    own = [start.get("x", math.nan), start.get("y", math.nan)]
    placed = bool(np.isfinite(own).all())
    if cutout.error is not None:
        return
    lacking = (
        "one of the two is missing"
        if ra is None or dec is None
        else "the image has no WCS"
        if cutout.wcs is None
        else ""
    )
    if lacking and placed:
        cutout.notes.append(f"ra and dec were not used, because {lacking}; x and y were.")
        return
    if lacking:
        cutout.fail(f"ra and dec cannot say which source is meant: {lacking}.")
        return
    x, y = pixel_of(cutout.wcs, ra, dec)
    height, width = cutout.shape
    if not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5):
        at = f"at x = {x:.1f}, y = {y:.1f}, outside" if math.isfinite(x + y) else "nowhere in"
        cutout.fail(f"ra = {ra:.6f}, dec = {dec:.6f} is {at} the image of {width} x {height} pixels.")
        return
    apart = math.hypot(x - own[0], y - own[1])
    if placed and apart <= _APART:
        return
    if placed:
        cutout.warn(
            f"ra, dec and x, y are {apart:.1f} pixels apart: x = {x:.2f}, y = {y:.2f} of the sky position "
            f"was taken."
        )
    cutout.start = {**start, "x": x, "y": y}


def pixel_of(wcs: WCS, ra: float, dec: float) -> tuple[float, float]:
    """Pixel position of a place on the sky.

    Parameters
    ----------
    wcs : astropy.wcs.WCS
    ra, dec : float
        ICRS [deg].

    Returns
    -------
    x, y : float
        0-indexed; NaN where the WCS does not show that part of the sky.
    """
    try:
        with silenced():
            wcs.wcs.set()
            lon, lat = ra, dec
            if not is_icrs(wcs):
                there = SkyCoord(ra * u.deg, dec * u.deg, frame="icrs").transform_to(
                    wcs_to_celestial_frame(wcs)
                )
                lon, lat = there.spherical.lon.deg, there.spherical.lat.deg
            world = np.empty((1, 2))
            world[0, wcs.wcs.lng], world[0, wcs.wcs.lat] = lon, lat
            pixel = wcs.all_world2pix(world, 0)
            # some projections put the other side of the sky on the same pixels; so does a distortion far
            # outside
            back = wcs.wcs_world2pix(wcs.all_pix2world(pixel, 0), 0) - wcs.wcs_world2pix(world, 0)
            again = wcs.all_pix2world(pixel, 0)
    except Exception:  # wcslib raises a family of its own
        return math.nan, math.nan
    turned = (again[0, wcs.wcs.lng] - lon + 180) % 360 - 180
    far = abs(turned) * math.cos(math.radians(lat)) + abs(again[0, wcs.wcs.lat] - lat)
    if not (np.isfinite(pixel).all() and np.abs(back).max() < _ROUND and far < 90):
        return math.nan, math.nan
    return float(pixel[0, 0]), float(pixel[0, 1])


def is_icrs(wcs: WCS) -> bool:
    """Whether the coordinates of a WCS are ICRS; FK5 at equinox 2000 is taken as ICRS (they agree to some
    20 mas)."""
    header = wcs.wcs
    return (
        header.lngtyp == "RA"
        and header.radesys in ("", "ICRS", "FK5")
        and (np.isnan(header.equinox) or header.equinox == 2000)
    )
