"""A target and its neighbours, drawn and fitted together; the catalogue's parameters are the target's
alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from autogal.model.component import Component
from autogal.model.fit_model import FitModel
from autogal.model.model import Model
from autogal.model.priors import PriorTerm
from autogal.model.units import Units

__all__ = ["Blend"]


@dataclass(frozen=True)
class Blend(FitModel):
    """A model with neighbours beside it, on one sky.

    Its free vector is the target's without the sky, the neighbours', and the sky. Values and their
    derivatives are the target's: a covariance made with them is marginalised over the neighbours.

    Attributes
    ----------
    target : Model
    neighbours : tuple of Component
        Each with a name of its own.
    """

    target: Model
    neighbours: tuple[Component, ...]

    has_neighbours: ClassVar[bool] = True

    @cached_property
    def beside(self) -> Model:
        """The neighbours and the sky as a model of their own."""
        return Model(self.neighbours, holds_sky=not self.target.solves_sky)

    @cached_property
    def components(self) -> tuple:
        return self.target.components + self.neighbours

    @property
    def measured(self) -> tuple:
        return self.target.components

    @property
    def ellipses(self) -> tuple[Component, ...]:
        return self.target.ellipses

    @property
    def lights(self) -> tuple[int, ...]:
        return self.target.lights

    @property
    def slopes(self) -> tuple[int, ...]:
        return self.target.slopes

    @property
    def bodies(self) -> tuple:
        return self.target.bodies

    @property
    def parameters(self) -> tuple[str, ...]:
        return self.target.parameters

    @property
    def size(self) -> int:
        return self._own + self.beside.size

    @property
    def own(self) -> tuple[int, ...]:
        return self.target.own

    @property
    def fixed(self) -> tuple[int, ...]:
        return tuple(place if place < self._own else self.size - 1 for place in self.target.fixed)

    @cached_property
    def places(self) -> tuple[int, ...]:
        """First place of each neighbour in the free vector."""
        return tuple(
            self._own + sum(c.size for c in self.neighbours[:k]) for k in range(len(self.neighbours))
        )

    @property
    def _own(self) -> int:
        """Free parameters of the target without the sky."""
        return self.target.size - 1

    def vector_of(self, component: Component) -> tuple[int, int]:
        return self.target.vector_of(component)

    @property
    def _solved(self) -> int:
        """What is linear of the target without the sky."""
        return len(self.target.linear) - self.target.solves_sky

    @property
    def _drawn_rows(self) -> int:
        """Images drawn of the target without the sky."""
        return sum(c.size for c in self.target.components)

    @property
    def solves_sky(self) -> bool:
        return self.target.solves_sky

    @property
    def states_level(self) -> bool:
        return self.target.states_level

    @cached_property
    def linear(self) -> tuple[int, ...]:
        return self.target.linear[: self._solved] + tuple(self._own + place for place in self.beside.linear)

    @cached_property
    def linear_rows(self) -> tuple[int, ...]:
        return self.target.linear_rows[:-1] + tuple(self._drawn_rows + row for row in self.beside.linear_rows)

    @property
    def fluxes(self) -> tuple[int, ...]:
        return self.target.fluxes

    @cached_property
    def solved_fluxes(self) -> tuple[int, ...]:
        return self.target.solved_fluxes + tuple(self._own + place for place in self.beside.solved_fluxes)

    @cached_property
    def drawn(self) -> tuple[int, ...]:
        return self.target.drawn[: self._solved] + tuple(self._drawn_rows + row for row in self.beside.drawn)

    @property
    def size_like(self) -> tuple[int, ...]:
        return self.target.size_like

    def multipliers(self, free: Tensor) -> Tensor:
        target, beside = self.split(free)
        return torch.cat([self.target.multipliers(target)[:, :-1], self.beside.multipliers(beside)], 1)

    def flux_direction(self, free: Tensor) -> Tensor:
        return self.target.flux_direction(self.split(free)[0])

    def amplitudes(self, free: Tensor) -> list[Tensor]:
        target, beside = self.split(free)
        return self.target.amplitudes(target) + self.beside.amplitudes(beside)

    def split(self, free: Tensor) -> tuple[Tensor, Tensor]:
        """Free vectors of the target and of the neighbours, each with the sky."""
        return torch.cat([free[:, : self._own], free[:, -1:]], 1), free[:, self._own :]

    def join(self, target: Tensor, beside: Tensor) -> Tensor:
        """Free vectors of both together; the sky is the target's."""
        return torch.cat([target[:, :-1], beside[:, :-1], target[:, -1:]], 1)

    def values(self, free: Tensor, zeropoint: Tensor) -> Tensor:
        return self.target.values(self.split(free)[0], zeropoint)

    def values_jacobian(self, free: Tensor) -> Tensor:
        """Derivatives of `values` by the free vector, [B, V, P]; nothing depends on the neighbours."""
        own = self.target.values_jacobian(self.split(free)[0])
        none = own.new_zeros(*own.shape[:2], self.beside.size - 1)
        return torch.cat([own[..., :-1], none, own[..., -1:]], -1)

    def native(self, free: Tensor) -> list[Tensor]:
        target, beside = self.split(free)
        return self.target.native(target) + self.beside.native(beside)

    def image_jacobian(self, free: Tensor) -> Tensor:
        parts = [
            model.image_jacobian(part) for model, part in zip((self.target, self.beside), self.split(free))
        ]
        out = free.new_zeros(len(free), self._drawn_rows + parts[1].shape[1], self.size)
        out[:, : self._drawn_rows, : self._own] = parts[0][:, :-1, :-1]
        out[:, self._drawn_rows :, self._own :] = parts[1]
        return out

    def bounds(
        self, shape: tuple[int, int], like: Tensor, units: Units | None = None
    ) -> tuple[Tensor, Tensor]:
        own, other = self.target.bounds(shape, like, units), self.beside.bounds(shape, like)
        return tuple(self._with_neighbours(*pair) for pair in zip(own, other))

    @cached_property
    def prior_terms(self) -> list[PriorTerm]:
        return self.target.prior_terms + self.beside.prior_terms

    def prior(
        self,
        free: Tensor,
        units: Units | None = None,
        items: Tensor | None = None,
        moved: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        shares = (None, None) if moved is None else moved.tensor_split([len(self.target.prior_terms)], 1)
        priors = [
            model.prior(part, units, items, share)
            for model, part, share in zip((self.target, self.beside), self.split(free), shares)
        ]
        (penalty, slope, own), (more, steeper, other) = priors
        curvature = free.new_zeros(len(free), self.size, self.size)
        curvature[:, self._own :, self._own :] = other
        places = torch.arange(self.target.size, device=free.device)
        places[-1] = self.size - 1
        curvature[:, places[:, None], places] += own
        return penalty + more, self.join(slope, steeper), curvature

    def step_limit(self, like: Tensor) -> Tensor:
        return self._with_neighbours(self.target.step_limit(like), self.beside.step_limit(like))

    @staticmethod
    def _with_neighbours(target: Tensor, beside: Tensor) -> Tensor:
        """Numbers [..., P] of the target with those [P] of the neighbours before the sky, which is the
        target's."""
        return torch.cat([target[..., :-1], beside[:-1].expand(*target.shape[:-1], -1), target[..., -1:]], -1)

    def restarts(self, start: Tensor) -> list[Tensor]:
        """None: it starts from a fit in which all that were tried already."""
        return []
