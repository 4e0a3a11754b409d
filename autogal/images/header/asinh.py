"""Pixels that are stored as asinh magnitudes: the stacks of Pan-STARRS."""

from __future__ import annotations

import math

import numpy as np
from astropy.io.fits import Header

from autogal.images.noise.sky import sky_statistics

__all__ = ["asinh_scale", "linear", "linear_sigma"]

_A = 2.5 / math.log(10.0)  # 1.0857362


def asinh_scale(header: Header) -> tuple[float, float] | None:
    """BSOFTEN and BOFFSET of a header, image units; None where the pixels are linear.

    Parameters
    ----------
    header : astropy.io.fits.Header
        Of the image itself.
    """
    try:
        soft, offset = float(header["BSOFTEN"]), float(header["BOFFSET"])
    except Exception:  # neither is there, or a card that cannot be read
        return None
    return (soft, offset) if math.isfinite(soft) and soft > 0 and math.isfinite(offset) else None


def linear(pixels: np.ndarray, scale: tuple[float, float]) -> np.ndarray:
    """Undo the asinh scaling: BOFFSET + BSOFTEN 2 sinh(x / 1.0857362).

    "PS1 Stack images" of the Pan-STARRS1 Data Archive: the presence of the two keywords decides.

    Parameters
    ----------
    pixels : ndarray
        As stored, BSCALE and BZERO applied.
    scale : (float, float)
        From :func:`asinh_scale`.

    Returns
    -------
    ndarray of float64
        Not finite where the stored number is none, or far too large.
    """
    soft, offset = scale
    with np.errstate(over="ignore", invalid="ignore"):
        return offset + 2.0 * soft * np.sinh(np.asarray(pixels, np.float64) / _A)


def linear_sigma(sigma: np.ndarray, scale: tuple[float, float], image: np.ndarray) -> tuple[np.ndarray, str]:
    """A noise map whose header has the keywords of the asinh scaling, which came with the image's or hold for
    it.

    The noise maps of Pan-STARRS are linear; headers are copied. Taken is the reading that is nearer to the
    image's own scatter.

    Parameters
    ----------
    sigma : ndarray, shape (H, W)
    scale : (float, float)
    image : ndarray, shape (H, W)
        Linear.

    Returns
    -------
    sigma : ndarray, shape (H, W)
    note : str
        Which reading was taken.
    """
    undone = linear(sigma, scale)
    _, scatter = sky_statistics(image)

    def distance(plane: np.ndarray) -> float:
        good = plane[np.isfinite(plane) & (plane > 0)]
        return abs(math.log(float(np.median(good)) / scatter)) if good.size and scatter > 0 else math.inf

    if distance(undone) < distance(np.asarray(sigma, np.float64)):
        return undone, "The sigma map's asinh scaling (BSOFTEN, BOFFSET) was undone too."
    return (
        sigma,
        "The sigma map has BSOFTEN and BOFFSET, but agrees with the image as it is: taken as linear.",
    )
