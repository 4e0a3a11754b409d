"""From pixels to the sky: coordinates and position angles from a local WCS."""

from __future__ import annotations

import logging

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS
from astropy.wcs.utils import wcs_to_celestial_frame

from autogal.images.position import is_icrs

__all__ = ["local_sky", "position_angle", "scale_along"]

log = logging.getLogger(__name__)

# Half the baseline of the local derivatives [px]: far above the rounding of an
# angle in float64, far below the scale on which a distortion changes.
_HALF_STEP = 0.5


def local_sky(wcs: WCS | None, x: float, y: float) -> tuple[float, float, np.ndarray]:
    """Sky coordinates of a pixel position, and the sky around it.

    Parameters
    ----------
    wcs : astropy.wcs.WCS or None
        World coordinates of the image; extra, non-celestial axes are dropped.
    x, y : float
        0-indexed pixel position.

    Returns
    -------
    ra, dec : float
        ICRS [deg]; FK5 at equinox 2000 is taken as ICRS (they agree to some
        20 mas), every other frame is transformed. NaN without a celestial
        WCS, or where it has no solution.
    jacobian : ndarray, shape (2, 2)
        Step to the east and to the north (rows) [arcsec] for a step of one
        pixel along x and along y (columns). It holds rotation, flips,
        non-square pixels and distortion at this position.
    """
    unknown = np.nan, np.nan, np.full((2, 2), np.nan)
    if wcs is None or not np.isfinite([x, y]).all():
        return unknown
    steps = np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]], float) * _HALF_STEP
    try:
        if wcs.naxis != 2:
            wcs = wcs.celestial
        axes = wcs.wcs  # type: ignore[union-attr]  # of an image with a sky, celestial is none other
        axes.set()
        if axes.lng < 0 or axes.lat < 0:
            return unknown
        world = wcs.all_pix2world(steps + (x, y), 0)  # type: ignore[union-attr]
        lon, lat = np.deg2rad(_icrs(wcs, world[:, axes.lng], world[:, axes.lat]))
    except Exception as problem:  # wcslib raises a family of its own; none may cost a row
        log.warning("no sky position for pixel (%.2f, %.2f): %s", x, y, problem)
        return unknown
    # Differences of unit vectors know neither 0h/24h nor the poles.
    points = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)
    east = np.array([-np.sin(lon[0]), np.cos(lon[0]), 0.0])
    north = np.array([-np.sin(lat[0]) * np.cos(lon[0]), -np.sin(lat[0]) * np.sin(lon[0]), np.cos(lat[0])])
    along = np.stack([points[1] - points[2], points[3] - points[4]], axis=-1) / (2 * _HALF_STEP)
    jacobian = np.rad2deg(np.stack([east, north]) @ along) * 3600
    return float(np.rad2deg(lon[0]) % 360), float(np.rad2deg(lat[0])), jacobian


def position_angle(jacobian: np.ndarray, pa: float, pa_err: float = np.nan) -> tuple[float, float]:
    """Position angle on the sky of a direction in the image.

    Parameters
    ----------
    jacobian : ndarray, shape (2, 2)
        From :func:`local_sky`.
    pa, pa_err : float
        Angle in the image and its 1-sigma error, counter-clockwise from +y [deg].

    Returns
    -------
    pa_sky, pa_sky_err : float
        From north through east, in [0, 180), and its 1-sigma error [deg].
    """
    angle = np.deg2rad(pa)
    east, north = jacobian @ (-np.sin(angle), np.cos(angle))
    if not np.isfinite([east, north]).all() or east == north == 0:
        return np.nan, np.nan
    pa_sky = float(np.rad2deg(np.arctan2(east, north)) % 180)
    # d(pa_sky) / d(pa): 1 for square pixels, whatever their rotation.
    turn = abs(np.linalg.det(jacobian)) / (east**2 + north**2)
    return (0.0 if pa_sky >= 180 else pa_sky), float(turn * pa_err)


def scale_along(jacobian: np.ndarray, pa: float) -> tuple[float, float]:
    """Scale of the sky along a direction in the image, and how it changes with the direction.

    Parameters
    ----------
    jacobian : ndarray, shape (2, 2)
        From :func:`local_sky`.
    pa : float
        Angle in the image, counter-clockwise from +y [deg].

    Returns
    -------
    scale : float
        arcsec per pixel; of square pixels the same in all directions.
    slope : float
        Its derivative by `pa` [arcsec per pixel and degree].
    """
    angle = np.deg2rad(pa)
    along = jacobian @ (-np.sin(angle), np.cos(angle))
    turned = jacobian @ (-np.cos(angle), -np.sin(angle))
    scale = float(np.hypot(*along))
    return scale, float(np.deg2rad(along @ turned / scale)) if scale > 0 else np.nan


def _icrs(wcs: WCS, lon: np.ndarray, lat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Longitude and latitude of the WCS's own frame as ICRS [deg]."""
    if is_icrs(wcs):
        return lon, lat
    sky = SkyCoord(lon * u.deg, lat * u.deg, frame=wcs_to_celestial_frame(wcs)).icrs
    return sky.ra.deg, sky.dec.deg
