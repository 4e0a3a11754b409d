"""The Gaussian priors of a model, each a term of chi-square: how far its parameters are from where they
have them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import NamedTuple

import torch
from torch import Tensor

from autogal.errors import AutogalError
from autogal.model.component import Component
from autogal.model.constraints import Prior
from autogal.model.plane import SKY
from autogal.model.units import Units
from autogal.parameters import angle_difference, is_magnitude

__all__ = [
    "PriorTerm",
    "Scale",
    "block_rows",
    "component_terms",
    "constraint_terms",
    "fading",
    "in_catalogue_units",
    "size_term",
]

#: -ln q beyond which the prior on an axis ratio lets go. Disks are seen at any angle, and of those at their
#: edge the thin are no rarer than the less thin; a Gaussian in ln q would thicken them all, by several of
#: their errors.
_LETS_GO = math.log(10.0)


class Scale(Enum):
    """On what a prior is Gaussian."""

    BLOCK = auto()  # a component's free parameter
    LINEAR = auto()  # a value
    LOG = auto()  # its logarithm
    ANGLE = auto()  # its angle, the same after half a turn
    IMAGE = auto()  # a magnitude, the sky or a slope of it, as the catalogue has them


class PriorTerm(NamedTuple):
    """One prior: mean and inverse variance on a scale, of a parameter by name, or by place in the blocks; of
    two places, their difference.

    Those on the two components of an ellipticity stand next to each other.
    """

    which: str | tuple[int, ...]
    scale: Scale
    mean: float
    precision: float
    is_ellipticity: bool = False

    def missed(self, at: Mapping[str, Tensor], blocks: Tensor) -> Tensor:
        """How far the mean is missed, [B], of values by name and blocks [B, F]; on `Scale.IMAGE` the value
        itself."""
        match self.scale:
            case Scale.BLOCK:
                return (
                    blocks[:, self.which[0]] - sum(blocks[:, other] for other in self.which[1:]) - self.mean
                )
            case Scale.IMAGE:
                return at[self.which]
            case Scale.LOG:
                return torch.log(at[self.which]) - self.mean
            case Scale.ANGLE:
                return angle_difference(at[self.which] - self.mean)
        return at[self.which] - self.mean


def component_terms(component: Component, start: int, tied: Mapping[str, object]) -> list[PriorTerm]:
    """Those that a component, whose block begins at `start`, has of its own; of nothing that is tied."""
    out = []
    for place, (mean, precision) in enumerate(component.block_priors()):
        is_vector = place in component.vector_places
        name = component.parameters[-2 if is_vector else place]
        if precision > 0 and name not in tied:
            out.append(PriorTerm((start + place,), Scale.BLOCK, mean, precision, is_vector))
    return out


def size_term(components: Sequence[Component], starts: Sequence[int], ratio: Prior) -> PriorTerm:
    """That on the ratio of the first component's circularised half-light radius to the second's; their blocks
    begin at `starts`.

    Raises
    ------
    AutogalError
        Where they do not have such radii.
    """
    places = [
        start + component.bare_parameters.index("r_eff")
        for component, start in zip(components[:2], starts)
        if component.name and "r_eff" in component.bare_parameters
    ]
    if len(places) < 2:
        raise AutogalError(
            "There is a prior on size_ratio, but not two components of a half-light radius.",
            "It is on that of the first over that of the second; leave it out, or put those first.",
        )
    return PriorTerm(tuple(places), Scale.BLOCK, *_in_logarithms(ratio))


def constraint_terms(priors: Mapping[str, Prior], bare: Mapping[str, str]) -> list[PriorTerm]:
    """Those that the user gave; `bare` has each name without its component's, but not the sky's."""
    out = []
    for name, prior in priors.items():
        if prior.is_logarithmic:
            out.append(PriorTerm(name, Scale.LOG, *_in_logarithms(prior)))
        else:
            is_image = name in SKY or is_magnitude(bare[name])
            scale = Scale.IMAGE if is_image else Scale.ANGLE if bare[name] == "pa" else Scale.LINEAR
            out.append(PriorTerm(name, scale, prior.mean, prior.width**-2))
    return out


def fading(terms: Sequence[PriorTerm], off: Tensor) -> tuple[Tensor, Tensor | None]:
    """Squares of how far means are missed, [B, R], and the part of its weight that each prior keeps, [B, R];
    None for all of it.

    Priors on ellipticities let go of thin galaxies: their squares of length L become c^2 atan(L^2 / c^2),
    whose slope has the weight 1 / (1 + (L / c)^4).
    """
    square = off.square()
    if not any(term.is_ellipticity for term in terms):
        return square, None
    length = square.clone()
    for row, term in enumerate(terms):
        if term.is_ellipticity:
            both = [
                other
                for other in (row - 1, row, row + 1)
                if 0 <= other < len(terms)
                and terms[other].is_ellipticity
                and abs(terms[other].which[0] - term.which[0]) <= 1
            ]
            length[:, row] = square[:, both].sum(-1)
    among = off.new_tensor([term.is_ellipticity for term in terms]) > 0
    ratio = length / _LETS_GO**2
    weight = torch.where(among, torch.atan(ratio) / ratio.clamp(min=1e-12), 1.0)
    weight = torch.where(among & (ratio < 1e-4), 1.0, weight)
    return square * weight, torch.where(among, 1 / (1 + ratio.square()), 1.0)


def _in_logarithms(prior: Prior) -> tuple[float, float]:
    """Mean and inverse variance of the natural logarithm."""
    return math.log(prior.mean), (prior.width * math.log(10)) ** -2


def block_rows(terms: Sequence[PriorTerm], size: int) -> list[list[float]]:
    """What each term on the blocks takes of them, [R, size + 2], and mean and inverse variance."""
    rows = []
    for term in terms:
        row = [0.0] * size
        for place, sign in zip(term.which, (1.0, -1.0)):
            row[place] = sign
        rows.append([*row, term.mean, term.precision])
    return rows


def in_catalogue_units(
    terms: Sequence[PriorTerm], off: Tensor, slope: Tensor, units: Units | None, items: Tensor | None
) -> tuple[Tensor, Tensor]:
    """How far each mean is missed, [B, R], and its derivatives, [B, R, P], with magnitudes and the sky as the
    catalogue has them.

    Before, these are in the units of the stamps; `items` [B] are the stamps among those of `units`.
    """
    rows = [row for row, term in enumerate(terms) if term.scale is Scale.IMAGE]
    if rows:
        off, slope = off.clone(), slope.clone()
    for row in rows:
        factor, offset = (number[items] for number in units.of(terms[row].which))
        off[:, row] = factor * off[:, row] + offset - terms[row].mean
        slope[:, row] *= factor[:, None]
    return off, slope
