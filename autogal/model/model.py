"""What is fitted: the components of a galaxy on a flat sky, as astronomers write them and as the solver
moves them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from autogal.errors import AutogalError
from autogal.model.component import Component
from autogal.model.constraints import Prior
from autogal.model.elliptical import EllipticalComponent
from autogal.model.layout import Layout
from autogal.model.plane import SLOPES
from autogal.model.priors import PriorTerm, block_rows, component_terms, fading, size_term
from autogal.model.units import Units
from autogal.parameters import MAG, magnitude_of

__all__ = ["Model"]


@dataclass(frozen=True)
class Model(Layout):
    """Components that may share parameters, and a flat sky.

    Three vectors describe a galaxy. Its *values* are the catalogue's. Its *blocks* are every component's free
    parameters one after the other, and the sky. The *free* vector is what the solver moves: the blocks less
    what is fixed or shared.

    Attributes
    ----------
    components : tuple of Component
        With different names; the name is empty where there is one.
    shared : dict of str to str
        Parameters that take another's value, by catalogue name: ``{"disk_x": "bulge_x"}``. Coordinates of
        centres, and own parameters of profiles.
    holds_sky : bool
        Whether the sky keeps the value that it starts at instead of being fitted.
    sky : dict of str to float
        Where it starts, and the slopes of a tilted one, image units; by default where it is measured, and
        flat.
    size_ratio : Prior, optional
        Log-normal, on the first component's circularised half-light radius over the second's.
    """

    sky: dict[str, float] = field(default_factory=dict, kw_only=True)
    size_ratio: Prior | None = field(default=None, kw_only=True)

    def __post_init__(self):
        names = [c.name for c in self.components]
        if len(set(names)) < len(names) or (len(self._lit) > 1 and "" in names):
            raise AutogalError(
                f"The components are called {names}.", "Give every component a name of its own."
            )
        if not self._lit:
            raise AutogalError(
                "No component of the model is a source of light.",
                "Add one with a profile, as sersic or point_source.",
            )
        for one, other in self.shared.items():
            for name in (one, other):
                if name not in self._places:
                    remedy = f"These can: {', '.join(self._places)}."
                    if name in self.parameters:
                        remedy = f"Write it in ties, as ties: {{{one}: {other}}}. {remedy}"
                    raise AutogalError(f"{name!r} cannot be shared.", remedy)
            if other in self.shared:
                raise AutogalError(
                    f"{one} takes {other}, which takes {self.shared[other]}.",
                    "Let both take the same parameter.",
                )
        if self.size_ratio is not None:
            size_term(self.components, self._starts, self.size_ratio)

    @property
    def parameters(self) -> tuple[str, ...]:
        own = tuple(name for c in self.components for name in c.parameters) + ("sky",)
        return own + self._sums

    @property
    def _sums(self) -> tuple[str, ...]:
        """What the catalogue says of several components together: total magnitude, and the bulge's share
        of the light."""
        lit = self._lit
        if len(lit) == 1 or any(c.bare_parameters[c.flux] != "mag" for c in lit):
            return ()
        return ("mag", "bt") if "bulge" in (c.name for c in lit) else ("mag",)

    @property
    def unfixed(self) -> Model:
        """The same model with nothing fixed: for values that are all known."""
        return Model(tuple(c.unfixed for c in self.components), self.shared)

    @property
    def is_anchored(self) -> bool:
        """Whether it speaks of certain pixels of the image, so that positions cannot be counted from
        another one."""
        return False

    @property
    def like_sersic(self) -> bool:
        """Whether the values of a single Sersic profile are its own, but for an index that it lacks."""
        return len(self._lit) == 1 and self._lit[0].like_sersic

    @property
    def single_bounds(self) -> dict[str, tuple[float, float]]:
        """Bounds of the values of the single Sersic profile that the fit starts from, whatever the image."""
        component = self._lit[0] if self.like_sersic else EllipticalComponent()
        return component.limits | component.bounds

    @property
    def _lit(self) -> tuple[Component, ...]:
        """The components that have a flux."""
        return tuple(c for c in self.components if c.flux is not None)

    @property
    def measured(self) -> tuple[Component, ...]:
        return self.components

    @property
    def ellipses(self) -> tuple[Component, ...]:
        return tuple(c for c in self.components if c.has_ellipse)

    @cached_property
    def bodies(self) -> tuple[tuple[Component, tuple[int, int]], ...]:
        return tuple(
            (c, self._vector(i)) for i, c in enumerate(self.components) if c.is_body and self._vector(i)
        )

    def _vector(self, number: int) -> tuple[int, ...]:
        """Places in the free vector of the (w1, w2) of a component; none where it has none."""
        first = self._starts[number] + self.components[number].size - 2
        return self._free_places.index(first), self._free_places.index(first + 1)

    def vector_of(self, component: Component) -> tuple[int, int]:
        return self._vector(self.components.index(component))

    @property
    def solves_sky(self) -> bool:
        return not self.holds_sky

    @cached_property
    def slopes(self) -> tuple[int, ...]:
        return tuple(
            self._free_places.index(start + i)
            for start, c in zip(self._starts, self.components)
            if c.parameters == SLOPES
            for i in range(c.size)
        )

    @property
    def states_level(self) -> bool:
        return False

    @cached_property
    def linear(self) -> tuple[int, ...]:
        places = tuple(
            self._free_places.index(start + place)
            for start, c in zip(self._starts, self.components)
            for place in c.linear
        )
        return (*places, self.size - 1) if self.solves_sky else places

    @cached_property
    def linear_rows(self) -> tuple[int, ...]:
        return tuple(
            start + row for start, c in zip(self._starts, self.components) for row in c.linear.values()
        ) + (len(self._source) - 1,)

    @cached_property
    def fluxes(self) -> tuple[int, ...]:
        return tuple(
            self._free_places.index(start + c.flux)
            for start, c in zip(self._starts, self.components)
            if c.flux is not None
        )

    @property
    def solved_fluxes(self) -> tuple[int, ...]:
        return self.fluxes

    @property
    def drawn(self) -> tuple[int, ...]:
        return self.linear_rows[: len(self.linear)]

    @cached_property
    def size_like(self) -> tuple[int, ...]:
        places = {begin + place for begin, c in zip(self._starts, self.components) for place in c.size_like}
        return tuple(i for i, place in enumerate(self._free_places) if place in places)

    def multipliers(self, free: Tensor) -> Tensor:
        linear = free[:, self.linear_places(free)]
        return linear if self.solves_sky else torch.cat([linear, free[:, -1:]], 1)

    def flux_direction(self, free: Tensor) -> Tensor:
        return free[:, list(self.fluxes)]

    def amplitudes(self, free: Tensor) -> list[Tensor]:
        return [
            block[:, c.flux] if c.flux is not None else torch.ones_like(block[:, 0])
            for c, block in zip(self.components, self.blocks(free))
        ]

    def begin(self, values: Tensor, single: Tensor) -> list[Tensor]:
        """Starting values that the components chose, [B, V], with those of the user, of which there may be
        several.

        `single` is a Sersic fit, [B, 8].
        """
        return [values]

    def free(self, values: Tensor, zeropoint: Tensor) -> Tensor:
        """Free vectors of catalogue values.

        Parameters
        ----------
        values : Tensor, [B, V] float64
            In the order of `parameters`; what is fixed or shared takes its value from the model, not from
            here.
        zeropoint : Tensor, [B]
            Magnitude of unit flux.

        Returns
        -------
        Tensor, [B, P] float64
        """
        parts = [c.block(part, zeropoint) for c, part in zip(self.components, self._split(values))]
        sky = len(self._source) - 1
        return torch.cat([*parts, values[:, sky : sky + 1]], dim=1)[
            :, self._tensor("free", values, lambda: self._free_places, torch.long)
        ]

    def values(self, free: Tensor, zeropoint: Tensor) -> Tensor:
        blocks = self.blocks(free)
        parts = [c.values(block, zeropoint) for c, block in zip(self.components, blocks)]
        flux = torch.stack(
            [block[:, c.flux] for c, block in zip(self.components, blocks) if c.flux is not None], -1
        )
        total = flux.sum(-1)
        sums = {"mag": lambda: magnitude_of(total, zeropoint), "bt": lambda: flux[:, self._bulge] / total}
        return torch.cat([*parts, free[:, -1:], *(sums[name]()[:, None] for name in self._sums)], dim=1)

    def values_jacobian(self, free: Tensor) -> Tensor:
        return self._values_by_blocks(free) @ self._selection(free)

    def _values_by_blocks(self, free: Tensor) -> Tensor:
        """Derivatives of `values` by the blocks, [B, V, F]."""
        blocks = self.blocks(free)
        own = self._assemble([c.values_jacobian(block) for c, block in zip(self.components, blocks)])
        fluxes = [start + c.flux for start, c in zip(self._starts, self.components) if c.flux is not None]
        flux = torch.cat(blocks, 1)[:, fluxes]
        total = flux.sum(-1, keepdim=True)
        rows = []
        for name in self._sums:
            row = torch.zeros_like(own[:, 0])
            if name == "mag":
                row[:, fluxes] = (MAG / total).expand_as(flux)
            else:
                row[:, fluxes] = -(flux[:, self._bulge : self._bulge + 1] / total**2).expand_as(flux)
                row[:, fluxes[self._bulge]] += 1 / total[:, 0]
            rows.append(row[:, None])
        return torch.cat([own, *rows], dim=1)

    def blocks(self, free: Tensor) -> list[Tensor]:
        """Every component's free parameters, [B, size] each."""
        return self._split(
            free @ self._selection(free).mT + self._tensor("constant", free, lambda: self._constant)
        )

    def native(self, free: Tensor) -> list[Tensor]:
        return [c.native(block) for c, block in zip(self.components, self.blocks(free))]

    def image_jacobian(self, free: Tensor) -> Tensor:
        return self._assemble(
            [c.image_jacobian(b) for c, b in zip(self.components, self.blocks(free))]
        ) @ self._selection(free)

    def bounds(
        self, shape: tuple[int, int], like: Tensor, units: Units | None = None
    ) -> tuple[Tensor, Tensor]:
        pairs = [pair for c in self.components for pair in c.block_bounds(shape)] + [(-math.inf, math.inf)]
        return like.new_tensor([pairs[i] for i in self._free_places]).unbind(1)

    def prior(
        self,
        free: Tensor,
        units: Units | None = None,
        items: Tensor | None = None,
        moved: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        rows = self._tensor("prior", free, lambda: block_rows(self.prior_terms, len(self._source))).reshape(
            -1, len(self._source) + 2
        )
        by_blocks, mean, precision = rows[:, :-2], rows[:, -2], rows[:, -1:]
        slope = by_blocks @ self._selection(free)
        off = free @ slope.mT + by_blocks @ self._tensor("constant", free, lambda: self._constant) - mean
        if moved is not None:
            off = off - moved / precision[:, 0].sqrt()
        square, share = fading(self.prior_terms, off)
        if share is None:
            return (square @ precision)[:, 0], off @ (slope * precision), slope.mT @ (slope * precision)
        return (
            (square @ precision)[:, 0],
            (off * share) @ (slope * precision),
            slope.mT @ (share[:, :, None] * precision * slope),
        )

    def step_limit(self, like: Tensor) -> Tensor:
        limits = [limit for c in self.components for limit in c.step_limit()] + [math.inf]
        return like.new_tensor([limits[i] for i in self._free_places])

    def restarts(self, start: Tensor) -> list[Tensor]:
        out = []
        for begin, component, block in zip(self._starts, self.components, self.blocks(start)):
            for values in component.restarts(block):
                moved = start.clone()
                for place, value in values.items():
                    if begin + place in self._free_places:
                        moved[:, self._free_places.index(begin + place)] = value
                out.append(moved)
        return out

    @property
    def _bulge(self) -> int:
        return [c.name for c in self._lit].index("bulge")

    @cached_property
    def prior_terms(self) -> list[PriorTerm]:
        own = [
            term
            for c, start in zip(self.components, self._starts)
            for term in component_terms(c, start, {})
            if term.which[0] in self._free_places
        ]
        return own + self._ratios

    @cached_property
    def _ratios(self) -> list[PriorTerm]:
        return [size_term(self.components, self._starts, self.size_ratio)] if self.size_ratio else []
