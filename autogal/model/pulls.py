"""How far a model's parameters are from where priors have them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import NamedTuple

import torch
from torch import Tensor

from autogal.model.component import Component
from autogal.model.constraints import Prior, is_magnitude
from autogal.model.units import Units

__all__ = ["Pull", "Scale", "in_catalogue_units", "own_pulls", "said_pulls"]


class Scale(Enum):
    """On what a prior is Gaussian."""

    BLOCK = auto()  # a component's free parameter
    LINEAR = auto()  # a value
    LOG = auto()  # its logarithm
    ANGLE = auto()  # its angle, the same after half a turn
    IMAGE = auto()  # a magnitude or the sky, as the catalogue has them


class Pull(NamedTuple):
    """One prior: the parameter's name, or its place in the blocks, and mean and inverse variance on a scale."""

    which: str | int
    scale: Scale
    mean: float
    precision: float

    def missed(self, at: Mapping[str, Tensor], blocks: Tensor) -> Tensor:
        """How far the mean is missed, [B], of values by name and blocks [B, F]; on `Scale.IMAGE` the value itself."""
        match self.scale:
            case Scale.BLOCK:
                return blocks[:, self.which] - self.mean
            case Scale.IMAGE:
                return at[self.which]
            case Scale.LOG:
                return torch.log(at[self.which]) - self.mean
            case Scale.ANGLE:
                return torch.remainder(at[self.which] - self.mean + 90, 180) - 90
        return at[self.which] - self.mean


def own_pulls(component, start: int, tied: Mapping[str, object]) -> list[Pull]:
    """Those that a component, whose block begins at `start`, has of its own; of nothing that is tied."""
    out = []
    for place, (mean, precision) in enumerate(component.prior()):
        is_vector = isinstance(component, Component) and place >= component.size - 2
        name = component.parameters[-2 if is_vector else place]
        if precision > 0 and name not in tied:
            out.append(Pull(start + place, Scale.BLOCK, mean, precision))
    return out


def said_pulls(priors: Mapping[str, Prior], bare: Mapping[str, str]) -> list[Pull]:
    """Those that the user gave; `bare` has each name without its component's, but not the sky's."""
    out = []
    for name, prior in priors.items():
        if prior.is_logarithmic:
            out.append(Pull(name, Scale.LOG, math.log(prior.mean), (prior.width * math.log(10)) ** -2))
        else:
            is_image = name == "sky" or is_magnitude(bare[name])
            scale = Scale.IMAGE if is_image else Scale.ANGLE if bare[name] == "pa" else Scale.LINEAR
            out.append(Pull(name, scale, prior.mean, prior.width**-2))
    return out


def in_catalogue_units(pulls: Sequence[Pull], off: Tensor, slope: Tensor, units: Units | None,
                       items: Tensor | None) -> tuple[Tensor, Tensor]:
    """How far each mean is missed, [B, R], and its derivatives, [B, R, P], with magnitudes and the sky as the catalogue has them.

    Before, these are in the units of the stamps; `items` [B] are the stamps among those of `units`.
    """
    rows = [row for row, pull in enumerate(pulls) if pull.scale is Scale.IMAGE]
    if rows:
        off, slope = off.clone(), slope.clone()
    for row in rows:
        factor, offset = (number[items] for number in units.of(pulls[row].which != "sky"))
        off[:, row] = factor * off[:, row] + offset - pulls[row].mean
        slope[:, row] *= factor[:, None]
    return off, slope
