"""What every model owes to those who fit it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from torch import Tensor

from autogal.model.component import Component
from autogal.model.priors import PriorTerm
from autogal.model.units import Units

__all__ = ["FitModel"]


class FitModel(ABC):
    """Components on one sky, as a batch of stamps is fitted with them.

    A galaxy's *values* are the catalogue's, in the order of `parameters`. Its *free vector* is what the
    solver moves; the sky is its last element. B galaxies have values [B, V] and free vectors [B, P], float64.

    Attributes
    ----------
    components : tuple of Component
        All that is drawn, in the order of the renderers.
    """

    components: tuple[Component, ...]

    # -- what there is ---------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def measured(self) -> tuple[Component, ...]:
        """The components whose values the catalogue holds."""

    @property
    @abstractmethod
    def ellipses(self) -> tuple[Component, ...]:
        """The measured components whose axis ratio and angle follow nothing else, nor anything else them."""

    @property
    @abstractmethod
    def bodies(self) -> tuple[tuple[Component, tuple[int, int]], ...]:
        """The components of which inclination and angle move together, and where in the free vector their
        (w1, w2) are."""

    @property
    @abstractmethod
    def lights(self) -> tuple[int, ...]:
        """Numbers of the components that are light of the target, not its sky."""

    @property
    @abstractmethod
    def parameters(self) -> tuple[str, ...]:
        """Names of the catalogue's parameters, in the order of every array of values and covariances."""

    @property
    def has_neighbours(self) -> bool:
        """Whether some of the components are of other galaxies."""
        return False

    # -- places in the free vector ---------------------------------------------------------------------------

    @property
    @abstractmethod
    def size(self) -> int:
        """Length of the free vector."""

    @property
    @abstractmethod
    def own(self) -> tuple[int, ...]:
        """Of what is fitted and the catalogue's values depend on, without the sky."""

    @property
    @abstractmethod
    def fixed(self) -> tuple[int, ...]:
        """Of what keeps the value that each galaxy starts at."""

    @property
    def fitted(self) -> tuple[int, ...]:
        """Of all else."""
        return tuple(i for i in range(self.size) if i not in self.fixed)

    @property
    @abstractmethod
    def slopes(self) -> tuple[int, ...]:
        """Of the slopes of a tilted sky; none of a flat one."""

    @property
    @abstractmethod
    def fluxes(self) -> tuple[int, ...]:
        """Of the fluxes of the target, in the order of the components that have one."""

    @property
    @abstractmethod
    def size_like(self) -> tuple[int, ...]:
        """Of what can grow without end."""

    @abstractmethod
    def vector_of(self, component: Component) -> tuple[int, int]:
        """Of the (w1, w2) of a component whose axis ratio and angle follow nothing else."""

    @property
    @abstractmethod
    def linear(self) -> tuple[int, ...]:
        """Of what the image is linear in, and nothing keeps from its optimum: of the components, in their
        order, and of the sky."""

    @property
    @abstractmethod
    def solved_fluxes(self) -> tuple[int, ...]:
        """Of the fluxes among `linear`, and of all that must be above zero with them."""

    @property
    @abstractmethod
    def linear_rows(self) -> tuple[int, ...]:
        """The drawn images (rows of `image_jacobian`) that add up to the model: of the components, in
        their order, and of the sky."""

    @property
    @abstractmethod
    def drawn(self) -> tuple[int, ...]:
        """The rows of `linear_rows` that `linear` multiplies."""

    def linear_places(self, like: Tensor) -> Tensor:
        """`linear` as an index of tensors on the device of `like`."""
        return self._tensor("linear", like, lambda: self.linear, torch.long)

    def drawn_places(self, like: Tensor) -> Tensor:
        """`drawn` as an index of tensors on the device of `like`."""
        return self._tensor("drawn", like, lambda: self.drawn, torch.long)

    def flux_places(self, like: Tensor) -> Tensor:
        """`solved_fluxes` as an index of tensors on the device of `like`."""
        return self._tensor("fluxes", like, lambda: self.solved_fluxes, torch.long)

    # -- the sky ---------------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def solves_sky(self) -> bool:
        """Whether the sky is last among `linear`."""

    @property
    @abstractmethod
    def states_level(self) -> bool:
        """Whether the level of its tilted sky is that at the centre of the whole image, where what the user
        says of it holds.

        Any other is that at the centre of the stamp, where it depends on the slopes least.
        """

    # -- between free vectors, values and images -------------------------------------------------------------

    @abstractmethod
    def values(self, free: Tensor, zeropoint: Tensor) -> Tensor:
        """Catalogue values of free vectors, [B, V] float64; `zeropoint` [B] is the magnitude of unit flux."""

    @abstractmethod
    def values_jacobian(self, free: Tensor) -> Tensor:
        """Derivatives of `values` by the free vector, [B, V, P] float64."""

    @abstractmethod
    def native(self, free: Tensor) -> list[Tensor]:
        """What the renderer of each component draws from, [B, D] each."""

    @abstractmethod
    def amplitudes(self, free: Tensor) -> list[Tensor]:
        """What multiplies the image of each component, [B] each: its flux, or 1 where it has none."""

    @abstractmethod
    def multipliers(self, free: Tensor) -> Tensor:
        """What multiplies each of the drawn images at `linear_rows`, [B, L]."""

    @abstractmethod
    def flux_direction(self, free: Tensor) -> Tensor:
        """The direction, along `fluxes`, in which all light grows in proportion, [B, L]."""

    @abstractmethod
    def image_jacobian(self, free: Tensor) -> Tensor:
        """How the model image follows the free vector, [B, R, P].

        Its rows stand for the drawn images: of every component the unit-flux image and its derivatives by
        what the renderer draws from; last the sky's, which is 1 everywhere.
        """

    # -- what the solver is told -----------------------------------------------------------------------------

    @abstractmethod
    def bounds(
        self, shape: tuple[int, int], like: Tensor, units: Units | None = None
    ) -> tuple[Tensor, Tensor]:
        """Bounds of the free vector for stamps of `shape`, two [P] tensors, or [N, P] where they depend on
        the stamps' `units`."""

    @abstractmethod
    def step_limit(self, like: Tensor) -> Tensor:
        """Largest move of each free parameter in one step, [P]."""

    @property
    @abstractmethod
    def prior_terms(self) -> Sequence[PriorTerm]:
        """The priors; a component's own on what is fixed or shared are none."""

    @abstractmethod
    def prior(
        self,
        free: Tensor,
        units: Units | None = None,
        items: Tensor | None = None,
        moved: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What the Gaussian priors add to chi-square, [B], half its slope, [B, P], and half its curvature,
        [P, P] or [B, P, P].

        `units` are those of all stamps, and `items` [B] the stamps of `free`, where magnitudes or the sky
        have priors. `moved` [B, R] is how far the means of `prior_terms` lie from where they are written, in
        standard deviations.
        """

    @abstractmethod
    def restarts(self, start: Tensor) -> list[Tensor]:
        """Free vectors from which to try again, each like `start`, [B, P], with own parameters typical of
        other galaxies."""

    # -- numbers where they are used -------------------------------------------------------------------------

    @cached_property
    def _tensors(self) -> dict[tuple, Tensor]:
        return {}

    def _tensor(
        self, name: str, like: Tensor, numbers: Callable[[], Sequence], dtype: torch.dtype | None = None
    ) -> Tensor:
        """Numbers of the model where `like` is. They are taken there once: for every transfer a GPU is
        waited for."""
        key = name, like.device, dtype or like.dtype
        if key not in self._tensors:
            self._tensors[key] = torch.tensor(numbers(), dtype=key[-1], device=like.device)
        return self._tensors[key]
