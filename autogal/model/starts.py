"""Where a model starts: from a single Sersic profile, or from values of its own."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from autogal.model.model import Model
from autogal.model.plane import SLOPES
from autogal.model.units import Units

__all__ = ["component_starts", "given_start", "sky_start"]

# Sizes of an inner and of an outer component, in units of the single profile's; the best of the pairs is
# taken
_INNER = (0.1, 0.25, 0.5)
_OUTER = (0.9, 1.3)
_SHARE = 0.3


def component_starts(model: Model, single: Tensor, zeropoint: Tensor) -> list[Tensor]:
    """Free vectors of a model from the values of one Sersic profile.

    Fluxes hardly matter, for the solver sets them at once; sizes do, so several are given, and of a single
    profile that is not Sersic's one for each kind of galaxy that is typical of it.

    Parameters
    ----------
    model : Model
        Of several components the first is the inner one; all others are taken as outer ones, each larger than
        the last.
    single : Tensor, [B, 8] float64
        x, y, mag, r_eff, n, q, pa, sky.
    zeropoint : Tensor, [B]

    Returns
    -------
    list of Tensor, [B, P]
    """
    sky, light = single[:, -1:], [c for c in model.components if c.flux is not None]
    if model.like_sersic:
        columns = [c.like_single(single) for c in model.components]
        return [model.free(begun, zeropoint) for begun in model.begin(torch.cat([*columns, sky], 1), single)]
    out = []
    if len(light) == 1:
        for kind in range(light[0].start_kinds):
            out.append([c.start(single, 1.0, 1.0, kind) for c in model.components])
    else:
        rest = 1 / (len(light) - 1)
        inners = _INNER if light[0].has_ellipse else (1.0,)
        outers = _OUTER if any(c.has_ellipse for c in light[1:]) else (1.0,)
        for inner, outer in itertools.product(inners, outers):
            out.append(
                [
                    c.start(single, _SHARE, inner, -1, rounder=True)
                    if c is light[0]
                    else c.start(
                        single,
                        (1 - _SHARE) * rest,
                        outer * 1.5 ** (light.index(c) - 1 if c in light else 0),
                        0,
                    )
                    for c in model.components
                ]
            )
    return [
        model.free(begun, zeropoint)
        for columns in out
        for begun in model.begin(torch.cat([*columns, sky], 1), single)
    ]


def given_start(model: Model, values: Tensor, sky: Tensor, scale: Tensor, zeropoint: Tensor) -> Tensor:
    """Free vectors of values of the model's own parameters.

    Parameters
    ----------
    model : Model
    values : Tensor, [B, V] float64
        In image units.
    sky : Tensor, [B]
        In units of the stamps, which takes the place of that among the values.
    scale : Tensor, [B]
        Image units in one unit of the stamps.
    zeropoint : Tensor, [B]
        Magnitude of one unit of the stamps.

    Returns
    -------
    Tensor, [B, P]
    """
    values = values.clone()
    values[:, model.parameters.index("sky")] = sky
    for name in filter(model.parameters.__contains__, SLOPES):
        values[:, model.parameters.index(name)] /= scale
    return model.free(values, zeropoint)


def sky_start(model: Model, free: Tensor, units: Units, far: Sequence[tuple[float, float]]) -> Tensor:
    """Free vectors [N, P] with a tilted sky where the user has it start; a level that nothing holds is solved
    for at once.

    Before, the level is that of another place; `far` is how far from there the centre of the whole image is,
    x and y, N pairs.
    """
    if not model.slopes:
        return free
    free, slopes = free.clone(), list(model.slopes)
    for name, place in zip(SLOPES, slopes):
        if name in model.sky:
            free[:, place] = model.sky[name] / units.scale
    if model.states_level and "sky" in model.sky:
        free[:, -1] = (model.sky["sky"] - units.pedestal) / units.scale
    elif model.states_level:
        free[:, -1] += (free[:, slopes] * free.new_tensor(far)).sum(-1)
    return free
