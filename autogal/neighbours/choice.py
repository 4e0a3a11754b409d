"""Which neighbours are fitted together with a target: those whose light, beyond their masks or under them,
matters to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from autogal.batch.bucket import Bucket
from autogal.batch.grid_levels import renderers_at
from autogal.batch.stamps import Stamps, buckets, held_at_once, usable_pixels
from autogal.configuration.composing import composed
from autogal.fitting.context import FitContext
from autogal.fitting.store import in_stamp_units
from autogal.images import Cutout
from autogal.model.fitted import NEIGHBOUR, Fitted
from autogal.model.model import Model
from autogal.model.plane import sky_image
from autogal.model.spec import build_model
from autogal.neighbours.measure import look
from autogal.neighbours.neighbour_map import Neighbour, Surroundings
from autogal.neighbours.points import are_points

__all__ = ["MOST", "choose_neighbours", "single_sersic"]

#: Neighbours of one target that are fitted, at most; the others stay masked
MOST = 3

_LOOKED_AT = 2 * MOST  # at most, of each target
_MOVED = 0.1  # of its error: a neighbour whose light moves any of the target's parameters by more is fitted
_HIDDEN = 0.01  # of the target's squared signal-to-noise ratio: so is one whose mask covers more
_BINNED_FROM = 64  # px: what is no more than an estimate needs no finer pixels
_AT_ONCE = 512  # stamps
_DRAWN = 8  # of the neighbours, at once


@dataclass
class _Candidate:
    """A neighbour of the `row`-th of some cutouts; one of importance above 1 matters."""

    row: int
    neighbour: Neighbour
    importance: float


def choose_neighbours(
    cutouts: Sequence[Cutout],
    around: Mapping[int, Surroundings],
    how: FitContext,
    fitted: Fitted,
    every: bool,
) -> dict[int, list[Neighbour]]:
    """The neighbours to be fitted with each target, the most important first.

    Each is drawn as it looks alone. What light it has in the pixels that were fitted would move the target's
    parameters; to first order by how much, in units of their errors, is its importance, together with how
    much of the target its mask hides.

    Parameters
    ----------
    cutouts : sequence of Cutout
        With the masks of the fit.
    around : mapping of int to Surroundings
        Of the cutouts at these places that have neighbours.
    how : FitContext
    fitted : Fitted
        The fit of ``how.model`` inside the masks.
    every : bool
        Choose all that can be fitted, whatever they matter.

    Returns
    -------
    dict of int to list of Neighbour
        Without those that have none to be fitted.
    """
    places, chosen = list(around), {}
    for key, members in buckets([cutouts[i] for i in places]).items():
        most = min(_AT_ONCE, held_at_once(key, how.device, how.dtype))
        for first in range(0, len(members), most):
            some = [places[k] for k in members[first : first + most]]
            chosen |= _choose(some, [cutouts[i] for i in some], [around[i] for i in some], how, fitted, every)
    return chosen


def _choose(
    places: Sequence[int],
    cutouts: Sequence[Cutout],
    around: Sequence[Surroundings],
    how: FitContext,
    fitted: Fitted,
    every: bool,
) -> dict[int, list[Neighbour]]:
    """Those of one bucket; its cutouts are at these `places` among all."""
    values = fitted.values[list(places)]
    bare = [replace(cutout, mask=one.bad) for cutout, one in zip(cutouts, around)]
    around = [replace(one, bad=~usable_pixels(cutout)) for cutout, one in zip(bare, around)]
    stamps = Stamps.from_cutouts(bare, values[:, fitted.parameters.index("sky")], how.device, how.dtype)
    free = how.model.free(in_stamp_units(how.model, values, stamps), stamps.zeropoint)
    seen = [
        _see(cutout, one, fitted, place, residual, every)
        for place, cutout, one, residual in zip(places, bare, around, _residuals(how, stamps, free))
    ]
    lights, hidden = zip(*seen)
    found = look(bare, around, lights, [list(some) for some in hidden], how.device)
    touching = [one.touching() for one in around]
    candidates = [
        _Candidate(row, one, max(hidden[row][one.label] / _HIDDEN, 2.0 * (one.label in touching[row])))
        for row, some in enumerate(found)
        for one in some
    ]
    if not candidates:
        return {}
    _measure(candidates, cutouts, how, stamps, free)
    best: dict[int, list[_Candidate]] = {}
    for one in candidates:
        if every or one.importance > 1:
            best.setdefault(one.row, []).append(one)
    best = {row: sorted(some, key=lambda one: -one.importance)[:MOST] for row, some in best.items()}
    flat = [one for some in best.values() for one in some]
    points = are_points(
        [one.neighbour for one in flat],
        [bare[one.row] for one in flat],
        [lights[one.row] for one in flat],
        [around[one.row] for one in flat],
        how,
    )
    told = iter(points)
    return {
        places[row]: [replace(one.neighbour, is_point=next(told)) for one in some]
        for row, some in best.items()
    }


def _see(
    cutout: Cutout, around: Surroundings, fitted: Fitted, place: int, residual: np.ndarray, every: bool
) -> tuple[np.ndarray, dict[int, float]]:
    """The image less target and sky, and neighbours that might matter, with what of the target their masks
    hide."""
    height, width = cutout.shape
    usable = ~around.bad
    sigma = np.where(usable, cutout.sigma, 1.0)
    light = np.where(usable, residual[:height, :width] * sigma, 0.0)
    sky = sky_image(fitted.parameters, fitted.values[place], cutout.shape, cutout.to_centre)
    signal = np.where(usable, (cutout.image - sky - light) / sigma, 0.0) ** 2
    # so faint a light, lay it all over the target's footprint, would not move it
    faintest = (
        0.0
        if every
        else _MOVED * float(np.median(sigma[usable])) / np.sqrt(np.count_nonzero(around.labels == 1))
    )
    labels = around.near(light, *fitted.centre(place), faintest)[:_LOOKED_AT]
    return light, {label: float(signal[around.reach(label)].sum() / signal.sum()) for label in labels}


def _residuals(how: FitContext, stamps: Stamps, free: Tensor) -> np.ndarray:
    """(data - model) / sigma, [N, H, W]."""
    bucket, everything = (
        Bucket(how.model, stamps, how.solver, how.threads),
        torch.arange(len(stamps), device=how.device),
    )
    return bucket.residuals(free, everything, bucket.grid_level(free, everything)).cpu().numpy()


def _measure(
    candidates: Sequence[_Candidate], cutouts: Sequence[Cutout], how: FitContext, stamps: Stamps, free: Tensor
) -> None:
    """Draw the candidates, and raise the importance of each to how far its light moves the target's
    parameters."""
    masked = torch.ones(stamps.weight.shape, dtype=torch.bool)
    for row, cutout in enumerate(cutouts):
        masked[row, : cutout.shape[0], : cutout.shape[1]] = torch.from_numpy(cutout.mask)
    stamps = replace(stamps, weight=stamps.weight.masked_fill(masked.to(how.device), 0.0))
    bucket, everything = (
        Bucket(how.model, stamps, how.solver, how.threads),
        torch.arange(len(stamps), device=how.device),
    )
    binning = 2 if min(stamps.shape) >= _BINNED_FROM else 1
    problem = bucket.problem(0, binning, everything)
    owner = torch.tensor([one.row for one in candidates], device=how.device)
    light = _drawn(candidates, how, stamps, owner, problem.psf[problem.psf_index], binning)
    slope, hessian = problem.response(free, everything, light * problem.weight[owner], owner)
    kept = list(how.model.fitted)
    slope, hessian = slope[:, kept], hessian[:, kept][:, :, kept]
    scale = hessian.diagonal(dim1=-2, dim2=-1).clamp(min=1e-300).rsqrt()
    inverse = torch.linalg.inv_ex(
        hessian * scale[:, :, None] * scale[:, None, :] + 1e-12 * torch.eye(len(kept), device=how.device)
    )[0]
    error = inverse.diagonal(dim1=-2, dim2=-1).clamp(min=1e-300).sqrt()
    moved = (inverse[owner] @ (slope * scale[owner])[:, :, None])[..., 0] / error[owner]
    own = moved[:, : len(how.model.own)].abs()
    far = (
        torch.nn.functional.pad(own, (1, 0)).amax(-1).nan_to_num(torch.inf)
    )  # where nothing is fitted, nothing moves
    # a quarter of the pixels is enough to say how bright it is
    light = (
        torch.nn.functional.interpolate(light[:, None], scale_factor=binning, mode="bilinear")[:, 0]
        if binning > 1
        else light
    )
    light = (light * stamps.scale[owner][:, None, None].to(light)).cpu().numpy()
    for one, how_far, image in zip(candidates, far.tolist(), light):
        height, width = cutouts[one.row].shape
        one.neighbour = replace(one.neighbour, light=image[:height, :width])
        one.importance = max(one.importance, how_far / _MOVED)


def _drawn(
    candidates: Sequence[_Candidate],
    how: FitContext,
    stamps: Stamps,
    owner: Tensor,
    psf: Tensor,
    binning: int,
) -> Tensor:
    """The candidates in the units of their stamps, [L, h, w], as the grid of PSFs [N, Kx, Ky] shows them."""
    galaxy = single_sersic()
    (renderer,) = renderers_at(
        0, galaxy, stamps.shape, 1 if binning > 1 else stamps.oversample, binning, how.device, how.dtype
    )
    values = torch.tensor(
        [[*(one.neighbour.start[name] for name in NEIGHBOUR), 0.0] for one in candidates], dtype=torch.float64
    )
    free = galaxy.free(values.to(how.device), stamps.zeropoint[owner])
    (native,), (amplitude,) = galaxy.native(free), galaxy.amplitudes(free)
    pieces = torch.arange(len(owner), device=how.device).split(_DRAWN)
    return torch.cat(
        [
            renderer.image(native[some], psf[owner[some]]) * amplitude[some].to(how.dtype)[:, None, None]
            for some in pieces
        ]
    )


@lru_cache(maxsize=1)
def single_sersic() -> Model:
    """The default model: what is asked of a galaxy that is not the target."""
    return build_model(composed().model)
