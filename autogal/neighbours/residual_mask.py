"""What the profiles of fitted neighbours miss: other sources on top of them, arms, cores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from autogal.batch.bucket import Bucket
from autogal.batch.stamps import Stamps
from autogal.fitting.context import FitContext
from autogal.images import Cutout
from autogal.model.blend import Blend
from autogal.neighbours.neighbour_map import Neighbour, Surroundings
from autogal.segment.neighbours import union_of

__all__ = ["Missed", "find_missed"]

_WIDTH = 1.0  # px, of the smoothing: near that of a PSF
_ABOVE = 5.0  # standard deviations of the smoothed noise
_GROWN = 3  # px
_MOST = 0.5  # of a footprint


@dataclass(frozen=True)
class Missed:
    """Pixels [H, W] bool that do not follow the model, and the labels of the neighbours of whose
    footprints they are most."""

    pixels: np.ndarray
    unlike: frozenset[int]


def find_missed(
    blend: Blend,
    stamps: Stamps,
    free: Tensor,
    how: FitContext,
    cutouts: Sequence[Cutout],
    around: Sequence[Surroundings],
    fitted: Sequence[Sequence[Neighbour]],
) -> dict[int, Missed]:
    """Where the light of fitted neighbours is not as the model has it; the target's own footprint is left
    alone.

    Parameters
    ----------
    blend : Blend
    stamps : Stamps
        N of them.
    free : Tensor, [N, P] float64
        Best fits.
    how : FitContext
    cutouts, around, fitted : sequences of length N
        What was fitted, what lies around, and the neighbours that are part of the model.

    Returns
    -------
    dict of int to Missed
        By row; without those where nothing is missed.
    """
    bucket = Bucket(blend, stamps, how.solver, how.threads)
    sound = torch.isfinite(free).all(-1).nonzero()[:, 0]
    residuals = bucket.residuals(free[sound], sound, bucket.grid_level(free[sound], sound)).cpu().numpy()
    unit = 1 / np.sqrt(4 * np.pi * _WIDTH**2)  # what the smoothing leaves of white noise
    found = {}
    # stamps of counts are not in units of the noise
    weights = (stamps.weight / stamps.scale[:, None, None])[sound].cpu().numpy().astype(float)
    for row, residual, weight in zip(sound.tolist(), residuals, weights):
        height, width = cutouts[row].shape
        with np.errstate(invalid="ignore", divide="ignore"):
            known = np.where(
                weight[:height, :width] > 0,
                residual[:height, :width] / weight[:height, :width] / cutouts[row].sigma,
                0.0,
            )
        smooth = ndimage.gaussian_filter(known, _WIDTH) / unit
        place = around[row]
        labels = [one.label for one in fitted[row]]
        off = (
            (np.abs(smooth) > _ABOVE)
            & union_of({label: place.reaches[label] for label in labels}, (height, width))
            & (place.labels != 1)
        )
        if off.any():
            pixels = ndimage.binary_dilation(off, iterations=_GROWN) & (place.labels != 1)
            found[row] = Missed(
                pixels, frozenset(label for label in labels if pixels[place.labels == label].mean() > _MOST)
            )
    return found
