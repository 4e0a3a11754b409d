"""The coordinates in which the solver moves the parameters of a constrained model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from enum import Enum, auto
from typing import NamedTuple

import torch
from torch import Tensor

from autogal.model.component import FAINTEST, MAG, Component
from autogal.model.constraints import Constraints
from autogal.model.deformed import DeformedComponent, mode_coefficients
from autogal.model.inclined import InclinedComponent
from autogal.model.plane import PlaneComponent
from autogal.model.units import Units

__all__ = ["Coordinate", "Kind", "bounded", "coordinates_of", "from_value", "reach", "span", "squashed", "to_value", "unsquashed"]

# Where a start may be between two limits, and how far from a single one: not on the limit, from where it might not leave
_INSIDE, _OFF = (0.05, 0.95), 0.05
_THINNEST = 1e-4  # in ln q, from the bound beyond which the vector of a component has no length
_FAINTEST = 0.01  # amplitude of a mode from which its phase can start
_NARROWEST = 1e-6  # between limits, relative
_TINY = 1e-12
_CIRCLE = 1e-17  # length of the vector of an axis ratio of 1, so that its angle is not lost


class Kind(Enum):
    """What a coordinate is of the value of its parameter."""

    LINEAR = auto()  # itself
    SKY = auto()  # of the sky or its slopes: itself, and the image is linear in it
    LEVEL = auto()  # of a sky that something keeps from its optimum: itself
    SLOPE = auto()  # and of a slope of it
    LOG = auto()  # its logarithm
    ROUND = auto()  # of a size along the major axis: the logarithm of that of a circle of the same area
    FLUX = auto()  # of a magnitude: the flux, in which the image is linear
    LN_FLUX = auto()  # of a magnitude that others follow, or something keeps from its optimum: the logarithm of the flux
    ANGLE = auto()  # twice the angle, in radians
    VECTOR = auto()  # of axis ratio and angle together: one component of (w1, w2), as in `Component`
    MODE = auto()  # of amplitude and phase of a Fourier mode together: a coefficient, as in `DeformedComponent`
    SHARE = auto()  # of what lies between two limits: the place between them, from 0 to 1
    OVER = auto()  # how far above its lower limit, in its logarithm where it is positive
    UNDER = auto()  # how far below its upper limit


_STEPS = {Kind.LINEAR: 4.0, Kind.SKY: math.inf, Kind.LEVEL: 10.0, Kind.SLOPE: 0.1, Kind.LOG: 0.7, Kind.ROUND: 0.7, Kind.FLUX: math.inf,
          Kind.LN_FLUX: 1.0, Kind.ANGLE: 0.7, Kind.VECTOR: 0.7, Kind.MODE: 0.2, Kind.SHARE: 0.25, Kind.OVER: 0.7,
          Kind.UNDER: 0.7}  # fmt: skip


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
        return _STEPS[self.kind]


def coordinates_of(number: int, component, tied: Set[str], said: Constraints, read: Set[str]) -> list[Coordinate]:
    """The coordinates of one component's parameters that follow no other; `read` are those that others follow."""
    names = component.parameters
    if isinstance(component, PlaneComponent):
        return [Coordinate(name, Kind.SLOPE if name in said.kept else Kind.SKY, number, place) for place, name in enumerate(names)]
    limits = {limit.name: set() for limit in said.limits}
    for limit in said.limits:
        limits[limit.name].add(limit.is_upper)
    touched = tied | set(limits) | set(said.bounds) | set(said.fixed)
    is_solved = (touched | read | set(said.priors)).isdisjoint(names[2:3])
    kinds = {0: Kind.LINEAR, 1: Kind.LINEAR, 2: Kind.FLUX if is_solved else Kind.LN_FLUX}
    if isinstance(component, Component):
        lengths = {3, *(4 + i for i, s in enumerate(component.profile.shape) if s.length)}
        polar = not touched.isdisjoint(names[-2:])
        is_open = polar or not touched.isdisjoint(names[place] for place in lengths)
        kinds |= {place: Kind.LOG if is_open or place not in lengths else Kind.ROUND for place in range(3, component.size - 2)}
        if isinstance(component, DeformedComponent):
            kinds |= {place: Kind.LINEAR for place in component.contour}
            for place in component.modes:
                is_free = (touched | read | set(said.priors)).isdisjoint(names[place : place + 2])
                kinds |= {place: Kind.MODE, place + 1: Kind.MODE} if is_free else {place + 1: Kind.ANGLE}
        kinds |= {component.size - 2: _ratio_kind(component) if polar else Kind.VECTOR, component.size - 1: Kind.ANGLE if polar else Kind.VECTOR}
    out = []
    for place, name in enumerate(names):
        if name in tied:
            continue
        if name in limits:
            least, most = _own_bounds(component, place, said)
            above, below = True in limits[name] or math.isfinite(most), False in limits[name] or math.isfinite(least)
            kind = Kind.SHARE if above and below else Kind.UNDER if above else Kind.OVER
            # face-on is 0, and contours have either sign
            is_signed = isinstance(component, InclinedComponent) and place == component.size - 2 or place in getattr(component, "contour", ())
            is_positive = place > 2 and not is_signed
            out.append(Coordinate(name, kind, number, place, least, most, is_positive))
        else:
            out.append(Coordinate(name, kinds[place], number, place))
    return out


def _ratio_kind(component: Component) -> Kind:
    """Of an axis ratio, or an inclination, whose angle is a coordinate of its own."""
    return Kind.LINEAR if isinstance(component, InclinedComponent) else Kind.LOG


def _axis_ratio(c: Coordinate, at: Mapping[str, Tensor], components: Sequence) -> Tensor:
    component = components[c.component]
    return component.axis_ratio(at[component.parameters[-2]])


def _own_bounds(component, place: int, said: Constraints) -> tuple[float, float]:
    """Bounds of a parameter whatever the image, in catalogue units."""
    name = component.parameters[place]
    if name in said.bounds or place < 3:
        return said.bounds.get(name, (-math.inf, math.inf))
    if place == component.size - 2 and isinstance(component, InclinedComponent):
        return component.bounds.get("inclination", component.limits["inclination"])
    if place == component.size - 2:
        low, high = component.roundness
        return low * math.exp(_THINNEST), high
    if isinstance(component, DeformedComponent) and place in component.contour:
        return component.box((1, 1))[place]
    own = component.profile.size if place == 3 else component.profile.shape[place - 4]
    low, high = component.bounds.get(own.name, (own.lower, own.upper))
    return max(low, own.lower), min(high, own.upper)


def reach(c: Coordinate, component, shape: tuple[int, int], said: Constraints) -> tuple[float, float]:
    """Bounds of a coordinate for stamps of `shape`; without those of the user for a magnitude and the sky, which hang on the image."""
    low, high = said.bounds.get(c.name, (-math.inf, math.inf))
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
        case Kind.LOG if isinstance(component, Component) and c.place == component.size - 2:
            least, most = component.roundness
            return math.log(least) + _THINNEST, math.log(most)
    if isinstance(component, InclinedComponent) and c.kind is Kind.LINEAR and c.place == component.size - 2:
        least, most = component.limits["inclination"]
    else:
        least, most = component.box(shape)[c.place]
    return max(least, low) if c.kind is Kind.LINEAR else least, min(most, high) if c.kind is Kind.LINEAR else most


def bounded(coordinates: Sequence[Coordinate], lower: Tensor, upper: Tensor, said: Constraints,
            units: Units | None) -> tuple[Tensor, Tensor]:
    """Bounds [P] with those of the user for magnitudes and the sky; where there are any, [N, P], for they hang on the image."""
    places = [i for i, c in enumerate(coordinates) if c.kind in (Kind.LN_FLUX, Kind.LEVEL, Kind.SLOPE) and c.name in said.bounds]
    if places:
        lower, upper = (bound.repeat(len(units.scale), 1) for bound in (lower, upper))
    for i in places:
        is_flux = coordinates[i].kind is Kind.LN_FLUX
        factor, offset = units.of(coordinates[i].name)
        low, high = ((end - offset) / factor for end in said.bounds[coordinates[i].name])
        low, high = (high / MAG, low / MAG) if is_flux else (low, high)  # the brighter, the lower
        lower[:, i], upper[:, i] = torch.maximum(lower[:, i], low), torch.minimum(upper[:, i], high)
    return lower, upper


def span(c: Coordinate, at: Mapping[str, Tensor], said: Constraints) -> tuple[Tensor | float, Tensor | float]:
    """What a limited parameter lies between just now, in its logarithm where it is positive."""
    low, high = c.least, c.most
    for limit in said.limits:
        if limit.name == c.name and limit.is_upper:
            high = limit.by(at).clamp(max=high)
        elif limit.name == c.name:
            low = limit.by(at).clamp(min=low)
    if not c.is_positive:
        return low, high
    logs = [torch.log(v.clamp(min=_TINY)) if isinstance(v, Tensor) else math.log(v) if v > 0 else -math.inf for v in (low, high)]
    return tuple(logs)


def to_value(c: Coordinate, z: Tensor, at: Mapping[str, Tensor] | None, between=None, components: Sequence = ()) -> Tensor:
    """The value of a parameter, magnitudes for unit flux of magnitude 0, from its coordinate [B].

    Of a limited one `between` is what `span` gives; of a `Kind.ROUND` one the component's axis ratio is in `at`.
    """
    match c.kind:
        case Kind.LOG:
            return torch.exp(z)
        case Kind.ROUND:
            return torch.exp(z) / _axis_ratio(c, at, components).sqrt()
        case Kind.FLUX:
            return MAG * torch.log(z)
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


def from_value(c: Coordinate, at: Mapping[str, Tensor], components: Sequence, between=None) -> Tensor:
    """The coordinate [B] of a parameter's value: the inverse of `to_value`, kept inside what limits it."""
    v = at[c.name]
    match c.kind:
        case Kind.LINEAR if c.component >= 0 and c.place in getattr(components[c.component], "modes", ()):
            return torch.where(v == 0, _FAINTEST, v)  # without an amplitude a phase has no slope
        case Kind.LOG:
            return torch.log(v)
        case Kind.ROUND:
            return torch.log(v) + _axis_ratio(c, at, components).log() / 2
        case Kind.FLUX:
            return torch.exp(v / MAG)
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
            pair = unsquashed(_axis_ratio(c, at, components), at[component.parameters[-1]], component, component.closest)
            return pair[c.place - component.size + 2]
        case Kind.SHARE | Kind.OVER | Kind.UNDER:
            low, high = between
            v = torch.log(v) if c.is_positive else v
            if c.kind is Kind.SHARE:
                return ((v - low) / _width(low, high)).clamp(*_INSIDE)
            return (v - low if c.kind is Kind.OVER else high - v).clamp(min=_OFF)
    return v


def _width(low, high) -> Tensor | float:
    return (high - low).clamp(min=_NARROWEST) if isinstance(high, Tensor) or isinstance(low, Tensor) else high - low


def squashed(w1: Tensor, w2: Tensor, component: Component) -> tuple[Tensor, Tensor]:
    """-ln q and the position angle [deg] of a vector, as in `Component`, with derivatives at the origin too."""
    most = -math.log(component.roundness[0])
    length = torch.sqrt(w1 * w1 + w2 * w2 + _TINY**2)
    return most * torch.tanh(length / most), torch.remainder(torch.rad2deg(torch.atan2(w2, w1)) / 2 - 90, 180.0)


def unsquashed(q: Tensor, pa: Tensor, component: Component, most: float = 1 - 1e-9) -> list[Tensor]:
    """The vector (w1, w2) of an axis ratio and a position angle [deg]; -ln q at most the fraction `most` of its bound."""
    bound = -math.log(component.roundness[0])
    thin = -torch.log(torch.where(q > 1, 1.0, q))  # no clamp: on the bound itself that has no slope
    length = bound * torch.atanh((thin / bound).clamp(max=most)) + _CIRCLE
    angle = 2 * torch.deg2rad(pa + 90)
    return [length * torch.cos(angle), length * torch.sin(angle)]
