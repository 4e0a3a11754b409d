"""The correlation of the noise that the user gives: of a mosaic's pixels, measured once for all its
stamps."""

from __future__ import annotations

import functools
import math
import os
from dataclasses import dataclass, replace

import numpy as np

from autogal.errors import AutogalError
from autogal.flags import Flag
from autogal.images.cutout import Cutout
from autogal.images.fits import read
from autogal.images.header.facts import header_facts

__all__ = ["GivenCorrelation", "apply_correlation", "read_correlation"]

_SAME_SCALE = 0.01  # relative difference of pixel scales up to which lags are the same
_NEGATIVE = 0.02  # power, of that of independent pixels, below which it is no rounding
_REMEDY = (
    "Give the covariance of pixels by lag in y and in x: odd sides, 1 in the middle, the same for opposite "
    "lags."
)


@dataclass(frozen=True)
class GivenCorrelation:
    """Covariance of pixels by lag.

    Attributes
    ----------
    matrix : ndarray of float, shape (L, M)
        Odd sides, 1 in the middle.
    pixel_scale : float or None
        Of its lags [arcsec], where its header says it.
    path : str
    """

    matrix: np.ndarray
    pixel_scale: float | None
    path: str


@functools.lru_cache(maxsize=8)
def read_correlation(path: str) -> GivenCorrelation:
    """Read the covariance of an image's pixels by lag.

    Parameters
    ----------
    path : str
        FITS image with odd sides and its largest value, which becomes 1, in the middle.

    Raises
    ------
    AutogalError
        Where there is none, or it is no covariance: even sides, values that are not finite or not the same at
        opposite lags, or a power that is negative at some frequency.
    """
    image = read(path)
    matrix = np.array(image.data, float)
    rows, columns = matrix.shape
    if rows % 2 == 0 or columns % 2 == 0 or not np.isfinite(matrix).all():
        raise AutogalError(
            f"{path} is no covariance of pixels by lag: it has {rows} x {columns} values, "
            + ("not all of them finite." if rows % 2 and columns % 2 else "and no middle."),
            _REMEDY,
        )
    middle = matrix[rows // 2, columns // 2]
    if (
        not middle > 0
        or np.abs(matrix).max() > middle * (1 + 1e-6)
        or not np.allclose(matrix, matrix[::-1, ::-1], atol=1e-3 * abs(middle))
    ):
        raise AutogalError(
            f"{path} is no covariance of pixels by lag: its middle is not its largest value, or opposite "
            f"lags differ.",
            _REMEDY,
        )
    matrix = (matrix + matrix[::-1, ::-1]) / (2 * middle)
    power = np.fft.fft2(np.fft.ifftshift(np.pad(matrix, [(rows, rows), (columns, columns)]))).real
    if power.min() < -_NEGATIVE:
        raise AutogalError(
            f"{path} has the negative power {power.min():.3g} at some frequency, which no noise has.", _REMEDY
        )
    return GivenCorrelation(matrix, header_facts(image.header).pixel_scale, os.fspath(path))


def apply_correlation(cutout: Cutout, wanted: str) -> None:
    """Take the correlation of the noise from where the user wants it.

    Parameters
    ----------
    cutout : Cutout
        With what its image says of its noise.
    wanted : str
        ``auto``, ``none``, or a FITS file.

    Raises
    ------
    AutogalError
        Where the file cannot be read, is no covariance, or is of pixels of another size.
    """
    if wanted == "auto":
        if not cutout.noise.absent and cutout.noise.covariance is None and math.isnan(cutout.noise.scatter):
            cutout.notes.append(
                "There is too little sky to tell whether the noise is correlated: errors are those of "
                "independent pixels "
                "(noise.correlation=FILE says more)."
            )
        return
    if wanted == "none":
        if cutout.noise.covariance is not None:
            cutout.noise = replace(cutout.noise, covariance=None)
            cutout.notes.append("Errors are those of independent pixels, as noise.correlation=none asks.")
        return
    given = read_correlation(wanted)
    scale = given.pixel_scale
    if (
        scale is not None
        and not cutout.flags & Flag.PIXEL_SCALE_DEFAULT
        and abs(scale / cutout.pixel_scale - 1) > _SAME_SCALE
    ):
        raise AutogalError(
            f"The noise's correlation in {given.path} is of pixels of {scale:.4g} arcsec, those of the "
            f"image have "
            f"{cutout.pixel_scale:.4g}.",
            "Give that of the image's own pixels, or noise.correlation=auto.",
        )
    cutout.noise = replace(cutout.noise, covariance=given.matrix)
    cutout.flags |= Flag.NOISE_CORRELATED
    cutout.notes.append(f"The correlation of the noise is that of {given.path}.")
