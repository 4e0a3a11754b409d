"""The coordinates in which the solver moves the parameters of a constrained model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from typing import NamedTuple

import torch
from torch import Tensor

from autogal.model.component import FAINTEST, Component
from autogal.model.constraints import Constraints
from autogal.model.coordinate_kinds import STEPS, Kind
from autogal.model.deformed import mode_coefficients
from autogal.model.ellipse_vector import unsquashed
from autogal.model.units import Units
from autogal.parameters import MAG, flux_of, magnitude_of

__all__ = [
    "Coordinate",
    "bounded",
    "coordinates_of",
    "from_value",
    "reach",
    "span",
    "to_value",
    "turn_precisions",
]

# Where a start may be between two limits, and how far from a single one: not on the limit, from where it
# might not leave
_INSIDE, _OFF = (0.05, 0.95), 0.05
_FAINTEST = 0.01  # amplitude of a mode from which its phase can start
_NARROWEST = 1e-6  # between limits, relative
_TINY = 1e-12


class Coordinate(NamedTuple):
    """One element of the solver's vector.

    Attributes
    ----------
    name : str
        Catalogue name of the parameter.
    kind : Kind
    component, place : int
        The component that it belongs to, and its place in the block of that; -1 where it belongs to none.
    least, most : float
        Of a limited one, its own bounds.
    is_positive : bool
        Of a limited one, whether distances are taken in its logarithm.
    """

    name: str
    kind: Kind
    component: int
    place: int
    least: float = -math.inf
    most: float = math.inf
    is_positive: bool = False

    @property
    def step(self) -> float:
        """Largest move in one step; the problem is far from linear beyond."""
        return STEPS[self.kind]


def coordinates_of(
    number: int, component: Component, tied: Set[str], constraints: Constraints, followed: Set[str]
) -> list[Coordinate]:
    """The coordinates of one component's parameters that follow no other; `followed` are those that others
    follow."""
    limits = {limit.name: set() for limit in constraints.limits}
    for limit in constraints.limits:
        limits[limit.name].add(limit.is_upper)
    kinds, out = component.coordinate_kinds(constraints, tied, followed), []
    for place, name in enumerate(component.parameters):
        if name in tied:
            continue
        if name in limits:
            least, most = _own_bounds(component, place, constraints)
            above, below = (
                True in limits[name] or math.isfinite(most),
                False in limits[name] or math.isfinite(least),
            )
            kind = Kind.SHARE if above and below else Kind.UNDER if above else Kind.OVER
            is_positive = place > 2 and place not in component.signed_places
            out.append(Coordinate(name, kind, number, place, least, most, is_positive))
        else:
            out.append(Coordinate(name, kinds[place], number, place))
    return out


def _axis_ratio(c: Coordinate, at: Mapping[str, Tensor], components: Sequence[Component]) -> Tensor:
    component = components[c.component]
    return component.axis_ratio(at[component.parameters[-2]])


def _own_bounds(component: Component, place: int, constraints: Constraints) -> tuple[float, float]:
    """Bounds of a parameter whatever the image, in catalogue units."""
    name = component.parameters[place]
    if name in constraints.bounds or place < 3:
        return constraints.bounds.get(name, (-math.inf, math.inf))
    return component.value_bounds(place)


def reach(
    c: Coordinate, component: Component | None, shape: tuple[int, int], constraints: Constraints
) -> tuple[float, float]:
    """Bounds of a coordinate for stamps of `shape`; without those of the user for a magnitude and the sky,
    which depend on the image."""
    low, high = constraints.bounds.get(c.name, (-math.inf, math.inf))
    match c.kind:
        case Kind.SHARE:
            return 0.0, 1.0
        case Kind.OVER | Kind.UNDER:
            return 0.0, math.inf
        case Kind.LN_FLUX:
            return math.log(FAINTEST), math.inf
        case Kind.ANGLE:
            return 2 * math.radians(low), 2 * math.radians(high)
        case Kind.VECTOR | Kind.SKY | Kind.LEVEL | Kind.SLOPE:
            return -math.inf, math.inf
        case Kind.LOG if component is None:
            return math.log(low), math.log(high)
        case Kind.LINEAR if component is None:
            return low, high
    least, most = component.coordinate_bounds(c.kind, c.place, shape)
    return max(least, low) if c.kind is Kind.LINEAR else least, min(
        most, high
    ) if c.kind is Kind.LINEAR else most


def bounded(
    coordinates: Sequence[Coordinate],
    lower: Tensor,
    upper: Tensor,
    constraints: Constraints,
    units: Units | None,
) -> tuple[Tensor, Tensor]:
    """Bounds [P] with those of the user for magnitudes and the sky; where there are any, [N, P], for they
    depend on the image."""
    places = [
        i
        for i, c in enumerate(coordinates)
        if c.kind in (Kind.LN_FLUX, Kind.LEVEL, Kind.SLOPE) and c.name in constraints.bounds
    ]
    if places:
        lower, upper = (bound.repeat(len(units.scale), 1) for bound in (lower, upper))
    for i in places:
        is_flux = coordinates[i].kind is Kind.LN_FLUX
        factor, offset = units.of(coordinates[i].name)
        low, high = ((end - offset) / factor for end in constraints.bounds[coordinates[i].name])
        low, high = (high / MAG, low / MAG) if is_flux else (low, high)  # the brighter, the lower
        lower[:, i], upper[:, i] = torch.maximum(lower[:, i], low), torch.minimum(upper[:, i], high)
    return lower, upper


def span(
    c: Coordinate, at: Mapping[str, Tensor], constraints: Constraints
) -> tuple[Tensor | float, Tensor | float]:
    """What a limited parameter lies between just now, in its logarithm where it is positive."""
    low, high = c.least, c.most
    for limit in constraints.limits:
        if limit.name == c.name and limit.is_upper:
            high = limit.by(at).clamp(max=high)
        elif limit.name == c.name:
            low = limit.by(at).clamp(min=low)
    if not c.is_positive:
        return low, high
    logs = [
        torch.log(v.clamp(min=_TINY)) if isinstance(v, Tensor) else math.log(v) if v > 0 else -math.inf
        for v in (low, high)
    ]
    return tuple(logs)


def to_value(
    c: Coordinate,
    z: Tensor,
    at: Mapping[str, Tensor] | None,
    between=None,
    components: Sequence[Component] = (),
) -> Tensor:
    """The value of a parameter, magnitudes for unit flux of magnitude 0, from its coordinate [B].

    Of a limited one `between` is what `span` gives; of a `Kind.ROUND` one the component's axis ratio is in
    `at`.
    """
    match c.kind:
        case Kind.LOG:
            return torch.exp(z)
        case Kind.ROUND:
            return torch.exp(z) / _axis_ratio(c, at, components).sqrt()
        case Kind.FLUX:
            return magnitude_of(z)
        case Kind.LN_FLUX:
            return MAG * z
        case Kind.ANGLE:
            return torch.rad2deg(z) / 2
        case Kind.SHARE | Kind.OVER | Kind.UNDER:
            low, high = between
            if c.kind is Kind.SHARE:
                inside = low + z * _width(low, high)
            else:
                inside = low + z if c.kind is Kind.OVER else high - z
            return torch.exp(inside) if c.is_positive else inside
    return z


def from_value(
    c: Coordinate, at: Mapping[str, Tensor], components: Sequence[Component], between=None
) -> Tensor:
    """The coordinate [B] of a parameter's value: the inverse of `to_value`, kept inside what limits it."""
    v = at[c.name]
    match c.kind:
        case Kind.LINEAR if c.component >= 0 and c.place in components[c.component].modes:
            return torch.where(v == 0, _FAINTEST, v)  # without an amplitude a phase has no slope
        case Kind.LOG:
            return torch.log(v)
        case Kind.ROUND:
            return torch.log(v) + _axis_ratio(c, at, components).log() / 2
        case Kind.FLUX:
            return flux_of(v)
        case Kind.LN_FLUX:
            return v / MAG
        case Kind.ANGLE:
            low, turn = between[0] if between else -math.inf, components[c.component].turns[c.place]
            return 2 * torch.deg2rad(low + torch.remainder(v - low, turn) if math.isfinite(low) else v)
        case Kind.MODE:
            component = components[c.component]
            place = c.place if c.place in component.modes else c.place - 1
            amplitude, phase, pa = (at[component.parameters[i]] for i in (place, place + 1, -1))
            return mode_coefficients(component.modes[place], amplitude, phase, pa)[c.place - place]
        case Kind.VECTOR:
            component = components[c.component]
            pair = unsquashed(
                _axis_ratio(c, at, components),
                at[component.parameters[-1]],
                component.roundness[0],
                component.closest,
            )
            return pair[c.place - component.size + 2]
        case Kind.SHARE | Kind.OVER | Kind.UNDER:
            low, high = between
            v = torch.log(v) if c.is_positive else v
            if c.kind is Kind.SHARE:
                return ((v - low) / _width(low, high)).clamp(*_INSIDE)
            return (v - low if c.kind is Kind.OVER else high - v).clamp(min=_OFF)
    return v


def _width(low, high) -> Tensor | float:
    return (
        (high - low).clamp(min=_NARROWEST)
        if isinstance(high, Tensor) or isinstance(low, Tensor)
        else high - low
    )


def turn_precisions(components: Sequence[Component], coordinates: Sequence[Coordinate]) -> list[list[float]]:
    """What is known of angles before: that each is somewhere in its turn, with the inverse variance of that,
    on the diagonal.

    It has no slope, being as likely everywhere. Near round, where the image tells nothing of an angle, the
    solver would turn it without end.

    Parameters
    ----------
    components : sequence of Component
    coordinates : sequence of Coordinate, length P

    Returns
    -------
    list of list of float, [P, P]
        0 for all that are no angles.
    """
    turns = (
        components[c.component].turns[c.place] if c.kind is Kind.ANGLE else math.inf for c in coordinates
    )
    return torch.tensor([3 / math.radians(turn) ** 2 for turn in turns], dtype=torch.float64).diag().tolist()
