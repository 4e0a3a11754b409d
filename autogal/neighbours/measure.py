"""What each neighbour looks like by itself, many of them at a time."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from autogal.images import Cutout
from autogal.initialise.photometry.photometry import measure_sources
from autogal.initialise.photometry.seeing import measure_psfs
from autogal.initialise.photometry.stamps import extent
from autogal.initialise.start import rounded
from autogal.neighbours.neighbour_map import Neighbour, Surroundings, overlap, psf_width
from autogal.parameters import SHAPE, magnitude_of

__all__ = ["look"]

_SIDES = 24  # px: windows are that large, or a multiple
_SMALLEST = 2.5  # px, of a radius
_LARGEST = 4.0  # radii of the footprint: a half-light radius beyond is light of something else
_AROUND = 1.5  # px; by so much a centre may leave the footprint
_AT_ONCE = 2**20  # pixels


def look(
    cutouts: Sequence[Cutout],
    around: Sequence[Surroundings],
    lights: Sequence[np.ndarray],
    labels: Sequence[Sequence[int]],
    device: torch.device,
) -> list[list[Neighbour]]:
    """Neighbours by themselves, each in a window of its own.

    Parameters
    ----------
    cutouts : sequence of Cutout
    around : sequence of Surroundings
        Of each cutout, all unusable pixels among the bad ones.
    lights : sequence of ndarray, shape (H, W) each
        The images less target and sky; 0 where there is nothing to be seen.
    labels : sequence of sequence of int
        Whom to look at, in each: neighbours of which at least a pixel is not bad.
    device : torch.device

    Returns
    -------
    list of list of Neighbour
        Of each cutout, without those of which there is too little to start from.
    """
    known: dict[int, Tensor] = {}
    measure_psfs([cutout for cutout, some in zip(cutouts, labels) if some], known, device)
    groups: dict[int, list[tuple[int, int, tuple]]] = defaultdict(list)
    for place, some in enumerate(labels):
        if some:
            noise = float(np.median(cutouts[place].sigma[~around[place].bad]))
            for label in some:
                side, *planes = _window(around[place], lights[place] / noise, label)
                groups[side].append((place, label, noise, planes))
    found: dict[tuple[int, int], Neighbour] = {}
    for side, members in groups.items():
        count = max(1, _AT_ONCE // side**2)
        for first in range(0, len(members), count):
            some = members[first : first + count]
            light, free, own = (
                torch.from_numpy(np.stack(part)).to(device)
                for part in zip(*(planes[:3] for *_, planes in some))
            )
            psf = torch.stack([known[id(cutouts[place].psf)] for place, *_ in some])
            for (place, label, noise, (_, _, footprint, corner, ends)), one in zip(
                some, _measured(light, free, own, psf)
            ):
                if one is not None:
                    found[place, label] = _neighbour(
                        cutouts[place], label, one, noise, corner, ends, np.count_nonzero(footprint)
                    )
    return [
        [found[place, label] for label in some if (place, label) in found]
        for place, some in enumerate(labels)
    ]


def _window(around: Surroundings, light: np.ndarray, label: int) -> tuple:
    """Side of the window of one neighbour, what is in it (light, what is known of it, footprint), its
    corner, and the footprint's ends."""
    own = (around.labels == label) & ~around.bad
    rows, columns = (np.flatnonzero(own.any(axis)) for axis in (1, 0))
    ends = [(int(side[0]), int(side[-1]) + 1) for side in (rows, columns)]
    side = _SIDES * math.ceil(2 * max(end - begin for begin, end in ends) / _SIDES)
    corner = [(begin + end - side) // 2 for begin, end in ends]
    box, there = overlap(corner, side, own.shape)
    free = around.alone(label)[box]
    for axis, ((begin, end), first) in enumerate(zip(ends, corner)):
        if (begin + end - side) % 2 and first == box[
            axis
        ].start:  # as much on both sides, or a mirror image is not measured as the image is
            free[(slice(None),) * axis + (0,)] = False
    planes = [np.zeros((side, side), kind) for kind in (np.float32, bool, bool)]
    for plane, part in zip(planes, (np.where(free, light[box], 0.0), free, own[box])):
        plane[there] = part
    return side, *planes, corner, ends


def _measured(light: Tensor, known: Tensor, own: Tensor, psf: Tensor) -> list[dict[str, float] | None]:
    """Values of each source as its window [S, S] has it, flux in units of the noise of a pixel; None for
    those without light."""
    x, y, radius = extent(light.double(), own)
    radius = torch.maximum(radius, psf[:, 0].double()).clamp(min=_SMALLEST)
    values = measure_sources(light, known, x, y, radius, psf)
    lit = (light * own).clamp(min=0).sum((1, 2)) > 0
    # less light than the noise of a single pixel is none
    sound = torch.stack([*(torch.isfinite(value) for value in values.values()), values["flux"] > 1, lit]).all(
        0
    )
    columns = {name: value.tolist() for name, value in values.items()}
    return [
        {name: column[i] for name, column in columns.items()} if good else None
        for i, good in enumerate(sound.tolist())
    ]


def _neighbour(
    cutout: Cutout,
    label: int,
    found: Mapping[str, float],
    noise: float,
    corner: Sequence[int],
    ends: Sequence[tuple[int, int]],
    area: int,
) -> Neighbour:
    """A neighbour in the pixels and units of its cutout."""
    (top, bottom), (left, right) = ends
    found = rounded(found)
    low, high = (left - _AROUND, top - _AROUND), (right - 1 + _AROUND, bottom - 1 + _AROUND)
    values = {name: found[name] for name in SHAPE}
    for axis, (name, begin) in enumerate(zip("xy", reversed(corner))):
        values[name] = float(np.clip(found[name] + begin, low[axis] + 0.5, high[axis] - 0.5))
    values["mag"] = magnitude_of(found["flux"] * noise, cutout.zeropoint)
    return Neighbour(label, values, low, high, _LARGEST * max(np.sqrt(area / np.pi), psf_width(cutout)))
