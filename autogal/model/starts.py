"""Where the components of a galaxy start: from its single Sersic fit."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from autogal.model.model import Model

__all__ = ["component_starts"]

# Sizes of an inner and of an outer component, in units of the single profile's; the best of the pairs is taken
_INNER = (0.1, 0.25, 0.5)
_OUTER = (0.9, 1.3)
_SHARE = 0.3
_ROUNDER = 0.5  # an inner component's ln q, in units of the single profile's
_INDEX = (4.0, 1.0)


def component_starts(model: Model, single: Tensor, zeropoint: Tensor) -> list[Tensor]:
    """Free vectors of several components from the values of one Sersic profile.

    Fluxes hardly matter, for the solver sets them at once; sizes do, so several are given.

    Parameters
    ----------
    model : Model
        The first component is the inner one; all others are taken as outer ones, each larger than the last.
    single : Tensor, [B, 8] float64
        x, y, mag, r_eff, n, q, pa, sky.
    zeropoint : Tensor, [B]

    Returns
    -------
    list of Tensor, [B, P]
    """
    x, y, mag, r_eff, n, q, pa, sky = single.unbind(-1)
    out = []
    for inner, outer in itertools.product(_INNER, _OUTER):
        columns = []
        for i, component in enumerate(model.components):
            share, size = (_SHARE, inner) if i == 0 else ((1 - _SHARE) / (len(model.components) - 1), outer * 1.5 ** (i - 1))
            own = [torch.full_like(x, component.fixed.get(s.name, _INDEX[min(i, 1)])) for s in component.profile.shape]
            low, high = component.bounds["r_eff"]
            columns += [x, y, mag - 2.5 * torch.log10(torch.full_like(x, share)), (r_eff * size).clamp(max(2 * low, 0.3), high / 2), *own,
                        (q**_ROUNDER if i == 0 else q).clamp(0.1, 0.95), pa]
        columns.append(sky)
        values = torch.stack(columns, -1)
        out.append(model.free(values, zeropoint))
    return out
