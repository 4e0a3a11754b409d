"""Whether a neighbour is larger than the PSF."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch

from autogal.batch.render import render_images
from autogal.fitting.context import FitContext
from autogal.images import Cutout
from autogal.model.model import Model
from autogal.model.point import PointComponent
from autogal.neighbours.neighbour_map import Neighbour, Surroundings, overlap, psf_width

__all__ = ["TRIAL", "are_points", "is_point"]

#: Half-light radius of the larger image that `is_point` takes, in standard deviations of the PSF
TRIAL = 0.5

_NEAR = 6.0  # standard deviations of the PSF: where a neighbour is looked at
_SIDES = 8  # px: images are that large, or a multiple
_SIGNIFICANT = 3.0  # standard deviations
_LARGER = 0.3  # as much larger as the trial, in square: below, no model tells a galaxy from a star


def are_points(
    neighbours: Sequence[Neighbour],
    cutouts: Sequence[Cutout],
    lights: Sequence[np.ndarray],
    around: Sequence[Surroundings],
    how: FitContext,
) -> list[bool]:
    """Which neighbours are no larger than the PSF.

    Parameters
    ----------
    neighbours : sequence of Neighbour
    cutouts, lights, around : sequences of the same length
        The cutout of each, its image less target and sky, and what lies around the target.
    how : FitContext
    """
    groups: dict[tuple, list[int]] = defaultdict(list)
    for i, cutout in enumerate(cutouts):
        side = _SIDES * math.ceil((2 * _NEAR * psf_width(cutout) + 4) / _SIDES)
        groups[side, cutout.psf.shape, cutout.psf_kind, cutout.psf_oversample].append(i)
    out = [False] * len(cutouts)
    for (side, _, kind, oversample), members in groups.items():
        centre = np.array([[neighbours[i].start[name] for name in "xy"] for i in members])
        corner = centre.astype(int) - side // 2
        psf = torch.from_numpy(np.stack([cutouts[i].psf for i in members])).to(how.device)
        unit = torch.zeros(len(members), dtype=torch.float64, device=how.device)
        values = np.zeros((len(members), 8))
        values[:, :2] = centre - corner
        values[:, 3:6] = np.array([[TRIAL * psf_width(cutouts[i]), 1.0, 1.0] for i in members])
        models = (Model((PointComponent(),)), [0, 1, 2, 7]), (Model(), list(range(8)))
        drawn = [
            render_images(
                model,
                torch.from_numpy(values[:, columns]).to(how.device),
                unit,
                psf,
                (side, side),
                kind == "optical",
                oversample,
                how.dtype,
            )
            .cpu()
            .numpy()
            for model, columns in models
        ]
        for i, (x, y), *pair in zip(members, corner.tolist(), *drawn):
            box, there = overlap((y, x), side, cutouts[i].shape)
            rows, columns = np.ogrid[box]
            near = np.hypot(
                columns - neighbours[i].start["x"], rows - neighbours[i].start["y"]
            ) < _NEAR * psf_width(cutouts[i])
            use = near & around[i].alone(neighbours[i].label)[box]
            out[i] = is_point(lights[i][box], cutouts[i].sigma[box], use, *(image[there] for image in pair))
    return out


def is_point(
    image: np.ndarray, sigma: np.ndarray, use: np.ndarray, point: np.ndarray, larger: np.ndarray
) -> bool:
    """Whether an image is that of a point, as far as it tells.

    Its light is taken as a point's, the difference between a slightly larger source and a point, and a
    constant, as in the SPREAD_MODEL of SExtractor (Desai et al. 2012): the share of the second grows with the
    square of the size.

    Parameters
    ----------
    image, sigma : ndarray, shape (H, W)
    use : ndarray of bool, shape (H, W)
        Pixels to look at.
    point, larger : ndarray, shape (H, W)
        Images of unit flux: of a point there, and of a round exponential disk of the size `TRIAL`.
    """
    rows = np.stack([point, larger - point, np.ones_like(point)])[:, use] / sigma[use]
    matrix, right = rows @ rows.T, rows @ (image / sigma)[use]
    if not np.linalg.cond(matrix) < 1e12:  # too few pixels: what a star can look like, a small galaxy can too
        return False
    covariance = np.linalg.inv(matrix)
    flux, excess, _ = covariance @ right
    return not (excess > _SIGNIFICANT * np.sqrt(covariance[1, 1]) and excess > _LARGER * flux)
