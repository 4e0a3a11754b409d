"""What every component of a model owes: its parameters as the catalogue has them, as the solver moves
them, and as they are drawn."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence, Set
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from torch import Tensor

from autogal.model.constraints import Constraints
from autogal.model.coordinate_kinds import Kind
from autogal.parameters import flux_of
from autogal.profiles.light import Light
from autogal.runtime.references import load_reference

__all__ = ["FAINTEST", "Component", "component_for"]

#: Least flux of a component, units of the stamp: none that shows
FAINTEST = 1e-12

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_FORM = "Write component = MODULE:CLASS, or the class itself, in the class of the profile."


class Component(ABC):
    """One kind of light in a model, or the slopes of the sky, under a name.

    Three forms of its parameters: the catalogue's *values*, the *block* of numbers that the solver moves, as
    many, and what a renderer draws from, `native`. Where nothing else is said, the first three values are x,
    y and a magnitude, the block has the flux in the place of that, and nothing is known of axes, sizes and
    shapes.

    Attributes
    ----------
    profile : Light
    name : str
        Prefix of its columns; empty where it is the only component.
    flux : int or None
        Place in its block of its flux; None: it has none, being no source of light.
    plain : tuple of int
        Places in its block of what has the same value in the catalogue, or its logarithm.
    bounds, priors, fixed : mapping
        What it keeps to by itself, by catalogue name without its own; see `EllipticalComponent`.
    limits : mapping of str to (float, float)
        The widest bounds that there can be, of all that it can bound by itself.
    turns : mapping of int to float
        Places of its angles, and the degrees after which each is the same; the others are counted from the
        first.
    modes : mapping of int to int
        The first place of each Fourier mode of its isophotes, and which it is.
    contour : sequence of int
        Places of what makes its isophotes other than ellipses.
    vector_places : tuple of int
        Places of the (w1, w2) of an axis ratio, or inclination, and an angle, which are its last two values.
    signed_places : sequence of int
        Places, beside those of x, y and the magnitude, of what may be zero or negative.
    size_like : list of int
        Places of what makes a galaxy without end where it has none.
    lengths : list of int
        Places of its size and of lengths among the shape.
    start_kinds : int
        How many kinds of galaxies `start` knows.
    has_ellipse, has_circles : bool
        Whether it has an axis ratio, or inclination, and an angle; and whether nothing depends on that angle
        where the ratio is 1.
    is_body : bool
        Whether it is a body seen at an inclination.
    like_sersic : bool
        Whether its values are those of a Sersic profile, but for an index that is part of its name.
    """

    profile: Light
    name: str

    flux: int | None = 2
    plain: tuple[int, ...] = (0, 1)
    bounds: Mapping[str, tuple[float, float]] = _NOTHING
    priors: Mapping[str, tuple[float, float]] = _NOTHING
    fixed: Mapping[str, float] = _NOTHING
    limits: Mapping[str, tuple[float, float]] = _NOTHING
    turns: Mapping[int, float] = _NOTHING
    modes: Mapping[int, int] = _NOTHING
    contour: Sequence[int] = ()
    vector_places: tuple[int, ...] = ()
    signed_places: Sequence[int] = ()
    size_like: Sequence[int] = ()
    lengths: Sequence[int] = ()
    own_parameters: Sequence = ()
    start_kinds: int = 1
    has_ellipse = has_circles = is_body = like_sersic = False

    # -- what it has -----------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def bare_parameters(self) -> tuple[str, ...]:
        """Catalogue names of its values without its own, in order."""

    @property
    def parameters(self) -> tuple[str, ...]:
        """Catalogue names of its values, in order."""
        return tuple(f"{self.name}_{name}" if self.name else name for name in self.bare_parameters)

    @property
    def size(self) -> int:
        """Length of its block, and number of images drawn for it."""
        return len(self.bare_parameters)

    @property
    def linear(self) -> Mapping[int, int]:
        """Places in its block of what its light is linear in, and the drawn image that each multiplies."""
        return {2: 0}

    @property
    def constants(self) -> Mapping[int, float]:
        """Places in its block of what is fixed, and the values there."""
        return {}

    @property
    def unfixed(self) -> Component:
        """The same with nothing fixed."""
        return self

    def limited(self, bounds: Mapping, fixed: Mapping, priors: Mapping) -> Component:
        """The same with bounds, fixed values and priors of its own, as far as it can keep to any."""
        return self

    # -- between values, block and what is drawn -------------------------------------------------------------

    @abstractmethod
    def block(self, values: Tensor, zeropoint: Tensor) -> Tensor:
        """Free parameters of catalogue values, both [B, size] float64; `zeropoint` [B] is the magnitude of
        unit flux."""

    @abstractmethod
    def values(self, block: Tensor, zeropoint: Tensor) -> Tensor:
        """Catalogue values of free parameters, both [B, size] float64; the inverse of `block`."""

    @abstractmethod
    def values_jacobian(self, block: Tensor) -> Tensor:
        """Derivatives of `values` by the block, [B, size, size] float64."""

    @abstractmethod
    def native(self, block: Tensor) -> Tensor:
        """What its renderer draws from, [B, D]; in general `size` - 1 columns, x and y first."""

    def zero_at(self, native: Tensor, place: Tensor) -> Tensor:
        """The same [B, D] of a sky whose slopes are zero at another place than the centre of the stamp,
        [B, 2]; of light as it is."""
        return native

    @abstractmethod
    def image_jacobian(self, block: Tensor) -> Tensor:
        """How its light follows its block, [B, size, size].

        Row i, column j: the share of drawn image i (unit flux, then its derivatives by `native`) in the
        derivative of the light by free parameter j.
        """

    def elements(
        self,
        values: Sequence[Tensor],
        flux: Tensor | None,
        vector: Sequence[Tensor] | None,
        modes: Mapping[int, Sequence[Tensor]],
    ) -> list[Tensor]:
        """The block of values, one [B] each, of which some may be coordinates of the solver already, and are
        taken as they are.

        Parameters
        ----------
        values : sequence of Tensor
            Catalogue values, magnitudes for unit flux of magnitude 0. Of Fourier modes in `modes` they are
            not asked for.
        flux : Tensor, optional
            Its flux, in place of that of the magnitude.
        vector : sequence of Tensor, optional
            Its (w1, w2).
        modes : mapping of int to sequence of Tensor
            The two coefficients of Fourier modes, by first place.
        """
        out = list(values)
        out[self.flux] = flux_of(values[self.flux]) if flux is None else flux
        return out

    # -- what the solver is told -----------------------------------------------------------------------------

    @abstractmethod
    def block_bounds(self, shape: tuple[int, int]) -> list[tuple[float, float]]:
        """Lower and upper bound of each place in its block, for stamps of `shape`."""

    def block_priors(self) -> list[tuple[float, float]]:
        """Mean and inverse variance of the Gaussian prior on each place in its block; (0, 0) where there
        is none."""
        return [(0.0, 0.0)] * self.size

    @abstractmethod
    def step_limit(self) -> list[float]:
        """Largest move of each place in its block in one step; the problem is far from linear beyond."""

    def value_bounds(self, place: int) -> tuple[float, float]:
        """Bounds of the value at a place whatever the image, in catalogue units."""
        return -math.inf, math.inf

    def coordinate_kinds(
        self, constraints: Constraints, tied: Set[str], followed: Set[str]
    ) -> dict[int, Kind]:
        """In what the solver moves each value of a constrained model that is neither tied nor limited, by
        place.

        Parameters
        ----------
        constraints : Constraints
        tied : set of str
            Catalogue names of what is tied, shared or fixed by a component.
        followed : set of str
            Of what others follow.
        """
        is_solved = self._is_untouched(self.parameters[2:3], constraints, tied, followed)
        return {0: Kind.LINEAR, 1: Kind.LINEAR, 2: Kind.FLUX if is_solved else Kind.LN_FLUX}

    def coordinate_bounds(self, kind: Kind, place: int, shape: tuple[int, int]) -> tuple[float, float]:
        """Bounds of a coordinate of this kind at a place, for stamps of `shape`."""
        return self.block_bounds(shape)[place]

    @staticmethod
    def _is_untouched(
        names: Sequence[str], constraints: Constraints, tied: Set[str], followed: Set[str]
    ) -> bool:
        """Whether nothing but its own profile is said of any of these parameters."""
        return (constraints.touched(tied) | followed | set(constraints.priors)).isdisjoint(names)

    # -- where it starts -------------------------------------------------------------------------------------

    @abstractmethod
    def start(self, single: Tensor, share: float, scale: float, kind: int, rounder: bool = False) -> Tensor:
        """Starting values from those of one Sersic profile.

        Parameters
        ----------
        single : Tensor, [B, 8] float64
            x, y, mag, r_eff, n, q, pa, sky.
        share : float
            Of its light.
        scale : float
            Half-light radius in units of its own.
        kind : int
            Which of the profile's typical galaxies.
        rounder : bool
            Whether it is rounder than the whole, as bulges are.

        Returns
        -------
        Tensor, [B, size] float64
        """

    def like_single(self, single: Tensor) -> Tensor:
        """Values [B, size] of the whole of one Sersic profile [B, 8], those themselves where they are its
        own."""
        return self.start(single, 1.0, 1.0, 0)

    def restarts(self, block: Tensor) -> list[dict[int, Tensor]]:
        """Own parameters of galaxies of other kinds, by place in the block: where to start again."""
        return []


def component_for(profile: Light, name: str = "") -> Component:
    """The component that has the parameters of a kind of light, with nothing said of them yet.

    Raises
    ------
    AutogalError
        Where what `profile` names is none.
    """
    return _loaded(profile.component)(profile=profile, name=name)


@lru_cache
def _loaded(named: str | type) -> type[Component]:
    return load_reference(named, "a component", _is_component, _FORM) if isinstance(named, str) else named


def _is_component(thing: object) -> bool:
    return isinstance(thing, type) and issubclass(thing, Component)
