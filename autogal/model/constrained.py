"""A model whose parameters are tied, limited, bounded or held by priors as its components do not know."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from autogal.errors import AutogalError
from autogal.model.component import Component
from autogal.model.consistency import validate_constraints
from autogal.model.constraints import Constraints, bare, constant, in_order
from autogal.model.coordinate_kinds import Kind
from autogal.model.coordinates import (
    Coordinate,
    bounded,
    coordinates_of,
    from_value,
    reach,
    span,
    to_value,
    turn_precisions,
)
from autogal.model.ellipse_vector import squashed
from autogal.model.expression import Expression
from autogal.model.model import Model
from autogal.model.plane import SLOPES
from autogal.model.priors import PriorTerm, component_terms, constraint_terms, fading, in_catalogue_units
from autogal.model.units import Units
from autogal.parameters import SINGLE
from autogal.profiles.radial import value_and_slope

__all__ = ["ConstrainedModel"]

_ROUNDING = 1e-12


@dataclass(frozen=True)
class ConstrainedModel(Model):
    """A `Model` with `Constraints`.

    The solver moves a vector of coordinates: of every parameter that follows no other, and of every limited
    one the place that it has within its limits, from 0 to 1, or how far it is from its only one. A limit is
    thus a bound of one coordinate, which the solver keeps to and freezes at as at any other, and what is
    fitted inside is not slowed down. Values follow from coordinates, and blocks from values; the derivatives
    of all of it by forward-mode differentiation.

    Auxiliary parameters, which ties read and no profile has, come last in the catalogue.
    """

    constraints: Constraints = field(default_factory=Constraints)

    def __post_init__(self):
        super().__post_init__()
        sky = {"sky", *(name for c in self.components if c.parameters == SLOPES for name in SLOPES)}
        validate_constraints(self.constraints, self._bare, self._ties, self._followed, self._auxiliaries, sky)
        if not any(c.kind in (Kind.FLUX, Kind.LN_FLUX) for c in self._coordinates):
            raise AutogalError("No component of the model has a free magnitude.", "Leave one of them untied.")

    @property
    def parameters(self) -> tuple[str, ...]:
        return super().parameters + self._auxiliaries

    @property
    def unfixed(self) -> Model:
        return Model(tuple(c.unfixed for c in self.components))

    @property
    def single_bounds(self) -> dict[str, tuple[float, float]]:
        own = self.constraints.bounds if self.like_sersic else {}
        return super().single_bounds | {
            name: pair for name, pair in own.items() if name in SINGLE and name != "pa"
        }  # angles come round

    @property
    def is_anchored(self) -> bool:
        constraints = self.constraints
        numbers = {name for name, relation in constraints.relations() if not relation.names}
        numbers |= {
            name
            for name, several in constraints.starts.items()
            if not all(relation.names for relation in several)
        }
        return any(
            self._bare.get(name) in ("x", "y")
            for name in (*numbers, *constraints.bounds, *constraints.priors)
        )

    @cached_property
    def _auxiliaries(self) -> tuple[str, ...]:
        own = {name for c in self.components for name in c.parameters}
        return tuple(name for name in self.constraints.bounds if name not in own and name != "sky")

    @cached_property
    def _bare(self) -> dict[str, str]:
        """Names of all parameters that can be tied, and each without its component's."""
        names = [name for c in self.components if c.flux is not None for name in c.parameters]
        return {name: bare(name, [c.name for c in self.components]) for name in (*names, *self._auxiliaries)}

    @cached_property
    def _ties(self) -> dict[str, Expression]:
        """Those of the user, what is shared, what is fixed in components, and the angles of circles: 0
        where nothing is said of them."""
        shared = {one: Expression.parse(other) for one, other in self.shared.items()}
        fixed = {
            f"{c.name}_{name}" if c.name else name: Expression.parse(value)
            for c in self.components
            for name, value in c.fixed.items()
        }
        ties = shared | fixed | self.constraints.ties
        constraints = self.constraints
        touched = {
            *ties,
            *constraints.starts,
            *constraints.restricted,
            *(name for _, relation in constraints.relations() for name in relation.names),
        }
        circles = [c for c in self.components if c.has_circles and constant(c.parameters[-2], ties) == 1.0]
        return ties | {
            c.parameters[-1]: Expression.parse(0) for c in circles if c.parameters[-1] not in touched
        }

    @cached_property
    def _followed(self) -> dict[str, list[str]]:
        out = {name: list(relation.names) for name, relation in self._ties.items()}
        for limit in self.constraints.limits:
            out.setdefault(limit.name, []).extend(limit.by.names)
        return out

    @property
    def ellipses(self) -> tuple[Component, ...]:
        touched = (
            {name for names in self._followed.values() for name in names}
            | set(self._followed)
            | set(self.constraints.bounds)
        )
        return tuple(c for c in super().ellipses if touched.isdisjoint(c.parameters[-2:]))

    def _vector(self, number: int) -> tuple[int, ...]:
        return tuple(
            i for i, c in enumerate(self._coordinates) if c.component == number and c.kind is Kind.VECTOR
        )

    @cached_property
    def _order(self) -> list[str]:
        return in_order(self._followed)

    @cached_property
    def _coordinates(self) -> tuple[Coordinate, ...]:
        read = {name for names in self._followed.values() for name in names}
        out = [
            c
            for i, component in enumerate(self.components)
            for c in coordinates_of(i, component, set(self._ties), self.constraints, read)
        ]
        kinds = {
            name: Kind.LOG if self.constraints.bounds[name][0] > 0 else Kind.LINEAR
            for name in self._auxiliaries
        }
        out += [Coordinate(name, kind, -1, -1) for name, kind in kinds.items() if name not in self._ties]
        return (
            *out,
            Coordinate(
                "sky",
                Kind.LEVEL if self.holds_sky or "sky" in self.constraints.restricted else Kind.SKY,
                -1,
                -1,
            ),
        )

    @property
    def size(self) -> int:
        return len(self._coordinates)

    def _where(self, *kinds: Kind) -> tuple[int, ...]:
        return tuple(i for i, c in enumerate(self._coordinates) if c.kind in kinds)

    @cached_property
    def fixed(self) -> tuple[int, ...]:
        return (
            *(i for i, c in enumerate(self._coordinates) if c.name in self.constraints.fixed),
            *super().fixed,
        )

    @property
    def solves_sky(self) -> bool:
        return self._coordinates[-1].kind is Kind.SKY

    @cached_property
    def slopes(self) -> tuple[int, ...]:
        return tuple(i for i, c in enumerate(self._coordinates) if c.name in SLOPES)

    @property
    def states_level(self) -> bool:
        return bool(self.slopes) and "sky" in self.constraints.restricted and not self.holds_sky

    @cached_property
    def linear(self) -> tuple[int, ...]:
        return self._where(Kind.FLUX, Kind.SKY)

    @cached_property
    def fluxes(self) -> tuple[int, ...]:
        return self._where(Kind.FLUX, Kind.LN_FLUX)

    @cached_property
    def size_like(self) -> tuple[int, ...]:
        def grows(c: Coordinate) -> bool:
            return (
                c.place in self.components[c.component].size_like
                if c.component >= 0
                else self._bare[c.name] not in ("x", "y", "q", "pa")
            )

        return tuple(
            i
            for i in self._where(Kind.LOG, Kind.ROUND)
            if (c := self._coordinates[i]).name not in self.constraints.bounds and grows(c)
        )

    @property
    def solved_fluxes(self) -> tuple[int, ...]:
        return self._where(Kind.FLUX)

    @cached_property
    def drawn(self) -> tuple[int, ...]:
        return tuple(
            self._starts[c.component] + self.components[c.component].linear[c.place]
            if c.component >= 0
            else len(self._source) - 1
            for c in (self._coordinates[i] for i in self.linear)
        )

    def multipliers(self, free: Tensor) -> Tensor:
        places = [start + place for start, c in zip(self._starts, self.components) for place in c.linear]
        return torch.cat([torch.cat(self.blocks(free), 1)[:, places], free[:, -1:]], 1)

    def flux_direction(self, free: Tensor) -> Tensor:
        linear = self._tensor(
            "is linear",
            free,
            lambda: [self._coordinates[i].kind is Kind.FLUX for i in self.fluxes],
            torch.bool,
        )
        return torch.where(linear, free[:, list(self.fluxes)], 1.0)

    def blocks(self, free: Tensor) -> list[Tensor]:
        return self._split(self._followed_by(free)[:, : len(self._source)])

    def bounds(
        self, shape: tuple[int, int], like: Tensor, units: Units | None = None
    ) -> tuple[Tensor, Tensor]:
        pairs = [
            reach(c, self.components[c.component] if c.component >= 0 else None, shape, self.constraints)
            for c in self._coordinates
        ]
        lower, upper = like.new_tensor(pairs).unbind(1)
        return bounded(self._coordinates, lower, upper, self.constraints, units)

    def step_limit(self, like: Tensor) -> Tensor:
        return like.new_tensor([c.step for c in self._coordinates])

    def prior(
        self,
        free: Tensor,
        units: Units | None = None,
        items: Tensor | None = None,
        moved: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        first = len(self._source) + len(self._auxiliaries)
        off, slope = self._followed_by(free)[:, first:], self._slopes(free)[:, first:]
        off, slope = in_catalogue_units(self.prior_terms, off, slope, units, items)
        weight = self._tensor("precision", free, lambda: [term.precision for term in self.prior_terms])
        off = off if moved is None else off - moved / weight.sqrt()
        square, share = fading(self.prior_terms, off)
        weighted = slope.mT * (weight if share is None else (share * weight)[:, None])
        curvature = weighted @ slope + self._turns(free)
        return (square * weight).sum(-1), (weighted @ off[:, :, None])[..., 0], curvature

    def _turns(self, like: Tensor) -> Tensor:
        return self._tensor("turns", like, lambda: turn_precisions(self.components, self._coordinates))

    def restarts(self, start: Tensor) -> list[Tensor]:
        places = {
            (c.component, c.place): i
            for i, c in enumerate(self._coordinates)
            if c.kind in (Kind.LOG, Kind.ROUND)
        }
        out = []
        for number, (component, block) in enumerate(zip(self.components, self.blocks(start))):
            for values in component.restarts(block):
                moved = start.clone()
                for place, value in values.items():
                    if (number, place) in places:
                        moved[:, places[number, place]] = value
                out.append(moved)
        return out

    def _selection(self, like: Tensor) -> Tensor:
        """Derivatives of the blocks by the coordinates, [B, F, P]."""
        return self._slopes(like)[:, : len(self._source)]

    def begin(self, values: Tensor, single: Tensor) -> list[Tensor]:
        given = dict(zip(SINGLE, single.unbind(-1)))
        columns = dict(
            zip((*(name for c in self.components for name in c.parameters), "sky"), values.unbind(-1))
        )
        unknown, out = torch.full_like(values[:, 0], math.nan), []
        for chosen in itertools.product(*self.constraints.starts.values()):
            begun = columns | {
                name: relation(given) for name, relation in zip(self.constraints.starts, chosen)
            }
            out.append(torch.stack([begun.get(name, unknown) for name in self.parameters], 1))
        return out

    def free(self, values: Tensor, zeropoint: Tensor) -> Tensor:
        at = dict(zip(self.parameters, values.unbind(-1)))
        for component in self.components:
            if component.flux is not None:
                at[component.parameters[component.flux]] = (
                    at[component.parameters[component.flux]] - zeropoint
                )
        limited = {c.name: c for c in self._coordinates if c.kind in (Kind.SHARE, Kind.OVER, Kind.UNDER)}
        spans, places = {}, {}
        at |= {name: value - zeropoint for name, value in self.constraints.fixed.items() if value is not None}
        for name in self._order:
            if name in self._ties:
                at[name] = self._ties[name](at)
            else:
                spans[name] = span(limited[name], at, self.constraints)
                places[name] = from_value(limited[name], at, self.components, spans[name])
                at[name] = to_value(limited[name], places[name], None, spans[name])
        return torch.stack(
            [
                places[c.name]
                if c.name in places
                else from_value(c, at, self.components, self.constraints.bounds.get(c.name))
                for c in self._coordinates
            ],
            1,
        )

    def values(self, free: Tensor, zeropoint: Tensor) -> Tensor:
        first = len(self._source)
        return torch.cat(
            [
                super().values(free, zeropoint),
                self._followed_by(free)[:, first : first + len(self._auxiliaries)],
            ],
            1,
        )

    def values_jacobian(self, free: Tensor) -> Tensor:
        by_blocks, selection = self._values_by_blocks(free), self._selection(free)
        slope = by_blocks @ selection
        # what ties hold constant must not depend on its parameters by rounding
        slope = torch.where(slope.abs() > _ROUNDING * (by_blocks.abs() @ selection.abs()), slope, 0.0)
        first = len(self._source)
        return torch.cat([slope, self._slopes(free)[:, first : first + len(self._auxiliaries)]], 1)

    def _follow(self, free: Tensor) -> Tensor:
        """All that follows from the coordinates, [B, F + A + R]: the blocks, auxiliary parameters, and how
        far priors are missed."""
        z = dict(zip(self._coordinates, free.unbind(-1)))
        at: dict[str, Tensor] = {}
        vectors = {}
        for i, component in enumerate(self.components):
            pair = [v for c, v in z.items() if c.component == i and c.kind is Kind.VECTOR]
            if pair:
                vectors[i] = pair
                eta, angle = squashed(*pair, component.roundness[0])
                at[component.parameters[-2]], at[component.parameters[-1]] = (
                    component.of_axis_ratio(torch.exp(-eta)),
                    angle,
                )
        for c, v in z.items():
            if c.kind not in (Kind.SHARE, Kind.OVER, Kind.UNDER, Kind.VECTOR, Kind.MODE):
                at[c.name] = to_value(c, v, at, None, self.components)
        limited = {c.name: (c, v) for c, v in z.items() if c.kind in (Kind.SHARE, Kind.OVER, Kind.UNDER)}
        for name in self._order:
            if name in self._ties:
                at[name] = self._ties[name](at)
            else:
                c, v = limited[name]
                at[name] = to_value(c, v, at, span(c, at, self.constraints), self.components)
        blocks = [
            block
            for i, component in enumerate(self.components)
            for block in self._block(component, at, vectors.get(i), z)
        ]
        blocks.append(at["sky"])
        own = torch.stack(blocks, 1)
        missed = [term.missed(at, own) for term in self.prior_terms]
        return torch.cat(
            [own, *(v[:, None] for v in (*(at[name] for name in self._auxiliaries), *missed))], 1
        )

    def _block(
        self,
        component: Component,
        at: Mapping[str, Tensor],
        vector: list[Tensor] | None,
        z: Mapping[Coordinate, Tensor],
    ) -> list[Tensor]:
        names = component.parameters
        flux = None if component.flux is None else names[component.flux]
        linear = next((v for c, v in z.items() if c.name == flux and c.kind is Kind.FLUX), None)
        modes = {
            place: [v for c, v in z.items() if c.kind is Kind.MODE and c.name in names[place : place + 2]]
            for place in component.modes
        }
        # free modes have no values of their own here
        return component.elements([at.get(name) for name in names], linear, vector, modes)

    @cached_property
    def prior_terms(self) -> list[PriorTerm]:
        pairs = zip(self.components, self._starts)
        own = [term for one, start in pairs for term in component_terms(one, start, self._ties)]
        return own + self._ratios + constraint_terms(self.constraints.priors, self._bare)

    def _followed_by(self, free: Tensor) -> Tensor:
        return self._remembered(self._follow, free)

    def _slopes(self, free: Tensor) -> Tensor:
        """Derivatives of what `_follow` gives, [B, F + A + R, P]."""
        return self._remembered(self._derive, free)

    def _derive(self, free: Tensor) -> Tensor:
        """One pass for every coordinate of every item at once."""
        count = free.shape[1]
        directions = torch.eye(count, dtype=free.dtype, device=free.device).repeat(len(free), 1)
        slope = value_and_slope(self._follow, free.repeat_interleave(count, 0), direction=directions)[1]
        return slope.reshape(len(free), count, slope.shape[1]).mT

    @cached_property
    def _memory(self) -> dict:
        return {}

    def _remembered(self, function: Callable[[Tensor], Tensor], free: Tensor) -> Tensor:
        """What a function gave last, where it is asked for the same again, as blocks, derivatives and
        priors of one point are."""
        last, version, result = self._memory.get(function.__name__, (None, 0, None))
        if last is not free or version != free._version:
            result = function(free)
            self._memory[function.__name__] = free, free._version, result
        return result
