"""What is fitted: the components of a galaxy on a flat sky, as astronomers write them and as the solver moves them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from autogal.errors import AutogalError
from autogal.model.component import MAG, Component
from autogal.model.constraints import Prior
from autogal.model.inclined import InclinedComponent
from autogal.model.layout import Layout
from autogal.model.plane import SLOPES, PlaneComponent
from autogal.model.point import PointComponent
from autogal.model.pulls import Pull, block_rows, fading, own_pulls, size_pull
from autogal.model.units import Units
from autogal.profiles import Sersic
from autogal.profiles.exponential import FixedIndex

__all__ = ["Model"]


@dataclass(frozen=True)
class Model(Layout):
    """Components that may share parameters, and a flat sky.

    Three vectors describe a galaxy. Its *values* are the catalogue's. Its *blocks* are every component's free
    parameters one after the other, and the sky. The *free* vector is what the solver moves: the blocks less what is
    fixed or shared.

    Attributes
    ----------
    components : tuple of Component, PointComponent and PlaneComponent
        With different names; the name is empty where there is one.
    shared : dict of str to str
        Parameters that take another's value, by catalogue name: ``{"disk_x": "bulge_x"}``. Coordinates of centres, and
        own parameters of profiles.
    holds_sky : bool
        Whether the sky keeps the value that it starts at instead of being fitted.
    sky : dict of str to float
        Where it starts, and the slopes of a tilted one, image units; by default where it is measured, and flat.
    size_ratio : Prior, optional
        Log-normal, on the first component's circularised half-light radius over the second's.
    """

    sky: dict[str, float] = field(default_factory=dict, kw_only=True)
    size_ratio: Prior | None = field(default=None, kw_only=True)

    def __post_init__(self):
        names = [c.name for c in self.components]
        if len(set(names)) < len(names) or (len(self._lit) > 1 and "" in names):
            raise AutogalError(f"The components are called {names}.", "Give every component a name of its own.")
        if not self._lit:
            raise AutogalError("No component of the model is a source of light.", "Add one with a profile, as sersic or point_source.")
        for one, other in self.shared.items():
            for name in (one, other):
                if name not in self._places:
                    remedy = f"These can: {', '.join(self._places)}."
                    if name in self.parameters:
                        remedy = f"Write it in ties, as ties: {{{one}: {other}}}. {remedy}"
                    raise AutogalError(f"{name!r} cannot be shared.", remedy)
            if other in self.shared:
                raise AutogalError(f"{one} takes {other}, which takes {self.shared[other]}.", "Let both take the same parameter.")
        if self.size_ratio is not None:
            size_pull(self.components, self._starts, self.size_ratio)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the catalogue's parameters, in the order of every array of values and covariances."""
        own = tuple(name for c in self.components for name in c.parameters) + ("sky",)
        return own + self._sums

    @property
    def _sums(self) -> tuple[str, ...]:
        """What the catalogue says of several components together: total magnitude, and the bulge's share of the light."""
        lit = self._lit
        if len(lit) == 1 or any(not c.parameters[c.flux].endswith("mag") for c in lit):
            return ()
        return ("mag", "bt") if "bulge" in (c.name for c in lit) else ("mag",)

    @property
    def unfixed(self) -> Model:
        """The same model with nothing fixed: for values that are all known."""
        return Model(tuple(replace(c, fixed={}) if isinstance(c, Component) else c for c in self.components), self.shared)

    @property
    def is_anchored(self) -> bool:
        """Whether it speaks of certain pixels of the image, so that positions cannot be counted from another one."""
        return False

    @property
    def like_sersic(self) -> bool:
        """Whether the values of a single Sersic profile are its own, but for an index that it lacks."""
        return len(self._lit) == 1 and isinstance(self._lit[0].profile, Sersic | FixedIndex)

    @property
    def single_bounds(self) -> dict[str, tuple[float, float]]:
        """Bounds of the values of the single Sersic profile that the fit starts from, whatever the image."""
        component = self._lit[0] if self.like_sersic else Component()
        return component.limits | component.bounds

    @property
    def _lit(self) -> tuple[Component | PointComponent, ...]:
        """The components that have a flux."""
        return tuple(c for c in self.components if c.flux is not None)

    @property
    def measured(self) -> tuple[Component | PointComponent | PlaneComponent, ...]:
        """The components whose values the catalogue holds: all of them."""
        return self.components

    @property
    def ellipses(self) -> tuple[Component, ...]:
        """The measured components whose axis ratio and angle follow nothing else, nor anything else them."""
        return tuple(c for c in self.components if isinstance(c, Component))

    @cached_property
    def bodies(self) -> tuple[tuple[InclinedComponent, tuple[int, int]], ...]:
        """The components of which inclination and angle move together, and where in the free vector their (w1, w2) are."""
        return tuple((c, self._vector(i)) for i, c in enumerate(self.components) if isinstance(c, InclinedComponent) and self._vector(i))

    def _vector(self, number: int) -> tuple[int, ...]:
        """Places in the free vector of the (w1, w2) of a component; none where it has none."""
        first = self._starts[number] + self.components[number].size - 2
        return self._kept.index(first), self._kept.index(first + 1)

    def vector_of(self, component: Component) -> tuple[int, int]:
        """Places in the free vector of the (w1, w2) of a component whose axis ratio and angle follow nothing else."""
        return self._vector(self.components.index(component))

    @property
    def solves_sky(self) -> bool:
        """Whether the sky is last among `linear`."""
        return not self.holds_sky

    @cached_property
    def slopes(self) -> tuple[int, ...]:
        """Places in the free vector of the slopes of a tilted sky; none of a flat one."""
        return tuple(self._kept.index(start + i) for start, c in zip(self._starts, self.components) if c.parameters == SLOPES
                     for i in range(c.size))

    @property
    def states_level(self) -> bool:
        """Whether the level of its tilted sky is that at the centre of the whole image, where what the user says of it holds.

        Any other is that at the centre of the stamp, where it hangs on the slopes least.
        """
        return False

    @cached_property
    def linear(self) -> tuple[int, ...]:
        """Places in the free vector of what the image is linear in, and nothing keeps from its optimum.

        Of the components, in their order, and of the sky.
        """
        places = tuple(self._kept.index(start + place) for start, c in zip(self._starts, self.components) for place in c.linear)
        return (*places, self.size - 1) if self.solves_sky else places

    @cached_property
    def linear_rows(self) -> tuple[int, ...]:
        """The drawn images (rows of `lift`) that add up to the model: of the components, in their order, and of the sky."""
        return tuple(start + row for start, c in zip(self._starts, self.components) for row in c.linear.values()) + (len(self._source) - 1,)

    @cached_property
    def fluxes(self) -> tuple[int, ...]:
        """Places in the free vector of the fluxes, in the order of the components that have one."""
        return tuple(self._kept.index(start + c.flux) for start, c in zip(self._starts, self.components) if c.flux is not None)

    def linear_places(self, like: Tensor) -> Tensor:
        """`linear` as an index of tensors on the device of `like`."""
        return self._tensor("linear", like, lambda: self.linear, torch.long)

    def drawn_places(self, like: Tensor) -> Tensor:
        """The rows of `linear_rows` that `linear` multiplies, as an index of tensors on the device of `like`."""
        return self._tensor("drawn", like, lambda: self.linear_rows[: len(self.linear)], torch.long)

    def flux_places(self, like: Tensor) -> Tensor:
        """`fluxes` as an index of tensors on the device of `like`."""
        return self._tensor("fluxes", like, lambda: self.fluxes, torch.long)

    @cached_property
    def growing(self) -> tuple[int, ...]:
        """Places in the free vector of what can grow without end."""
        places = {begin + place for begin, c in zip(self._starts, self.components) if isinstance(c, Component) for place in c.growing}
        return tuple(i for i, place in enumerate(self._kept) if place in places)

    def multipliers(self, free: Tensor) -> Tensor:
        """What multiplies each of the drawn images at `linear_rows`, [B, L]."""
        linear = free[:, self.linear_places(free)]
        return linear if self.solves_sky else torch.cat([linear, free[:, -1:]], 1)

    def brightening(self, free: Tensor) -> Tensor:
        """The direction, along `fluxes`, in which all light grows in proportion, [B, L]."""
        return free[:, list(self.fluxes)]

    def amplitudes(self, free: Tensor) -> list[Tensor]:
        """What multiplies the image of each component, [B] each: its flux, or 1 where it has none."""
        return [block[:, c.flux] if c.flux is not None else torch.ones_like(block[:, 0]) for c, block in zip(self.components, self.blocks(free))]

    def begin(self, values: Tensor, single: Tensor) -> list[Tensor]:
        """Starting values that the components chose, [B, V], with those of the user, of which there may be several.

        `single` is a Sersic fit, [B, 8].
        """
        return [values]

    def free(self, values: Tensor, zeropoint: Tensor) -> Tensor:
        """Free vectors of catalogue values.

        Parameters
        ----------
        values : Tensor, [B, V] float64
            In the order of `parameters`; what is fixed or shared takes its value from the model, not from here.
        zeropoint : Tensor, [B]
            Magnitude of unit flux.

        Returns
        -------
        Tensor, [B, P] float64
        """
        parts = [c.block(part, zeropoint) for c, part in zip(self.components, self._split(values))]
        sky = len(self._source) - 1
        return torch.cat([*parts, values[:, sky : sky + 1]], dim=1)[:, self._tensor("kept", values, lambda: self._kept, torch.long)]

    def values(self, free: Tensor, zeropoint: Tensor) -> Tensor:
        """Catalogue values of free vectors, [B, V] float64."""
        blocks = self.blocks(free)
        parts = [c.values(block, zeropoint) for c, block in zip(self.components, blocks)]
        flux = torch.stack([block[:, c.flux] for c, block in zip(self.components, blocks) if c.flux is not None], -1)
        total = flux.sum(-1)
        sums = {"mag": lambda: zeropoint + MAG * torch.log(total), "bt": lambda: flux[:, self._bulge] / total}
        return torch.cat([*parts, free[:, -1:], *(sums[name]()[:, None] for name in self._sums)], dim=1)

    def values_jacobian(self, free: Tensor) -> Tensor:
        """Derivatives of `values` by the free vector, [B, V, P] float64."""
        return self._values_by_blocks(free) @ self._spread(free)

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
        return self._split(free @ self._spread(free).mT + self._tensor("constant", free, lambda: self._constant))

    def native(self, free: Tensor) -> list[Tensor]:
        """What the renderer of each component draws from, [B, size - 1] each."""
        return [c.native(block) for c, block in zip(self.components, self.blocks(free))]

    def lift(self, free: Tensor) -> Tensor:
        """How the model image follows the free vector, [B, R, P].

        Its rows stand for the drawn images: of every component the unit-flux image and its derivatives by what the
        renderer draws from; last the sky's, which is 1 everywhere.
        """
        return self._assemble([c.lift(b) for c, b in zip(self.components, self.blocks(free))]) @ self._spread(free)

    def box(self, shape: tuple[int, int], like: Tensor, units: Units | None = None) -> tuple[Tensor, Tensor]:
        """Bounds of the free vector for stamps of `shape`, two [P] tensors, or [N, P] where they hang on the stamps' `units`."""
        pairs = [pair for c in self.components for pair in c.box(shape)] + [(-math.inf, math.inf)]
        return like.new_tensor([pairs[i] for i in self._kept]).unbind(1)

    def prior(self, free: Tensor, units: Units | None = None, items: Tensor | None = None,
              moved: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """What the Gaussian priors add to chi-square, [B], half its slope, [B, P], and half its curvature, [P, P] or [B, P, P].

        `units` are those of all stamps, and `items` [B] the stamps of `free`, where magnitudes or the sky have priors.
        `moved` [B, R] is how far the means of `pulls` lie from where they are written, in standard deviations.
        """
        rows = self._tensor("prior", free, lambda: block_rows(self.pulls, len(self._source))).reshape(-1, len(self._source) + 2)
        by_blocks, mean, precision = rows[:, :-2], rows[:, -2], rows[:, -1:]
        slope = by_blocks @ self._spread(free)
        off = free @ slope.mT + by_blocks @ self._tensor("constant", free, lambda: self._constant) - mean
        if moved is not None:
            off = off - moved / precision[:, 0].sqrt()
        square, kept = fading(self.pulls, off)
        if kept is None:
            return (square @ precision)[:, 0], off @ (slope * precision), slope.mT @ (slope * precision)
        return (square @ precision)[:, 0], (off * kept) @ (slope * precision), slope.mT @ (kept[:, :, None] * precision * slope)

    def step_limit(self, like: Tensor) -> Tensor:
        """Largest move of each free parameter in one step, [P]."""
        limits = [limit for c in self.components for limit in c.step_limit()] + [math.inf]
        return like.new_tensor([limits[i] for i in self._kept])

    def restarts(self, start: Tensor) -> list[Tensor]:
        """Free vectors from which to try again, each like `start`, [B, P], with own parameters typical of other galaxies."""
        out = []
        for begin, component, block in zip(self._starts, self.components, self.blocks(start)):
            for values in component.restarts(block):
                moved = start.clone()
                for place, value in values.items():
                    if begin + place in self._kept:
                        moved[:, self._kept.index(begin + place)] = value
                out.append(moved)
        return out

    @property
    def _bulge(self) -> int:
        return [c.name for c in self._lit].index("bulge")

    @cached_property
    def pulls(self) -> list[Pull]:
        """The priors; a component's own on what is fixed or shared are none."""
        own = [pull for c, start in zip(self.components, self._starts) for pull in own_pulls(c, start, {}) if pull.which[0] in self._kept]
        return own + self._ratios

    @cached_property
    def _ratios(self) -> list[Pull]:
        return [size_pull(self.components, self._starts, self.size_ratio)] if self.size_ratio else []
