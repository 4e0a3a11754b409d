"""A component whose isophotes are ellipses, or follow them: between catalogue values, free parameters and
what the renderer draws."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from autogal.errors import AutogalError
from autogal.model.component import FAINTEST, Component
from autogal.model.constraints import Constraints
from autogal.model.coordinate_kinds import Kind
from autogal.model.ellipse_vector import THINNEST, squash, unsquashed
from autogal.parameters import MAG, flux_of, magnitude_of, position_angle, spin
from autogal.profiles import Light, Sersic, ShapeParameter

__all__ = ["EllipticalComponent"]

# In units of the stamp's longer side: where light that leaves the stamp ends or turns cannot be told
_FARTHEST = 2.0
_NEAR_BOUND = 1.5  # times the bound of q, beyond which an axis ratio is badly known, but not for the bound
_ROUNDER = 0.5  # an inner component's ln q, in units of the single profile's
_NO_HALF_LIGHT = math.log(
    3.0
)  # where the profile has no half-light radius, its size is a third of the Sersic profile's


@dataclass(frozen=True)
class EllipticalComponent(Component):
    """A radial profile with a centre, a flux, a size, an axis ratio and an angle.

    Its block of free parameters is (x, y, flux, ln R, ln shape..., w1, w2): R is the circularised size, of an
    ellipse of the same area, lengths among the shape are circularised too, and (w1, w2) a vector of angle 2
    (pa + 90 deg) whose length grows with -ln q and never lets q pass its bound.
    Every direction is smooth, also through q = 1, where the position angle has no value, and across pa = 0 =
    180 deg.

    Attributes
    ----------
    profile : Light
        One with a size and a shape, as `RadialProfile`.
    name : str
        Prefix of its columns; empty where it is the only component.
    bounds : dict of str to (float, float)
        By catalogue name, in catalogue units; at least ``q``. The profile's own hold where there are none.
    priors : dict of str to (float, float)
        Log-normal priors on own parameters of the profile: median, and standard deviation in dex. That of
        ``q`` must have the median 1 and is a Gaussian of that width in both components of ln q.
    fixed : dict of str to float
        Own parameters of the profile that are not fitted, and their values; not its lengths.
    """

    profile: Light = field(default_factory=Sersic)
    name: str = ""
    bounds: dict = field(default_factory=lambda: {"q": (0.01, 1.0)})
    priors: dict = field(default_factory=dict)
    fixed: dict = field(default_factory=dict)
    #: Largest -ln q of a start, over that of its bound: on the bound itself the direction outward has no
    #: slope left
    closest: ClassVar[float] = 0.995
    has_ellipse: ClassVar[bool] = True
    _ratio_kind: ClassVar[Kind] = Kind.LOG

    def __post_init__(self):
        profile = self.profile
        own = {s.name for s in profile.shape if not s.length}
        limits = self.limits
        for name, (low, high) in self.bounds.items():
            if name not in limits:
                raise AutogalError(
                    f"There are bounds on {name!r}, which the profile {profile.name} does not have.",
                    f"It has {', '.join(limits)}.",
                )
            least, most = limits[name]
            if (
                not low < high
                or (math.isfinite(low) and low < least)
                or (math.isfinite(high) and high > most)
            ):
                raise AutogalError(
                    f"The bounds of {name} are [{low}, {high}].",
                    f"Give a lower and an upper one, within {least} to {most}.",
                )
        for name, (median, dex) in self.priors.items():
            if name not in own | {"q"}:
                raise AutogalError(
                    f"There is a prior on {name!r}, which the model does not have or cannot take.",
                    f"Priors are possible on {', '.join(sorted(own | {'q'}))}.",
                )
            if not (median > 0 and dex > 0) or (name == "q" and median != 1):
                raise AutogalError(
                    f"The prior on {name} is [{median}, {dex}].",
                    "Give a positive median (1 for q) and a positive width in dex.",
                )
        for name, value in self.fixed.items():
            if name not in own or not value > 0:
                raise AutogalError(
                    f"{name} cannot be fixed at {value}.",
                    f"Positive values of {', '.join(sorted(own)) or 'nothing'} can be fixed.",
                )

    @property
    def limits(self) -> dict[str, tuple[float, float]]:
        profile = self.profile
        return {"q": (0.0, 1.0), profile.size.name: (0.0, math.inf)} | {
            s.name: (s.lower, s.upper) for s in profile.shape
        }

    @property
    def bare_parameters(self) -> tuple[str, ...]:
        profile = self.profile
        return "x", "y", profile.brightness, profile.size.name, *(s.name for s in profile.shape), "q", "pa"

    @property
    def own_parameters(self) -> tuple[ShapeParameter, ...]:
        return self.profile.size, *self.profile.shape

    @property
    def size(self) -> int:
        return 6 + len(self.profile.shape)

    @property
    def plain(self) -> tuple[int, ...]:
        return (0, 1, *(4 + i for i, s in enumerate(self.profile.shape) if not s.length))

    @property
    def constants(self) -> dict[int, float]:
        return {
            4 + i: math.log(self.fixed[s.name])
            for i, s in enumerate(self.profile.shape)
            if s.name in self.fixed
        }

    @property
    def turns(self) -> dict[int, float]:
        return {self.size - 1: 180.0}

    @property
    def vector_places(self) -> tuple[int, int]:
        return self.size - 2, self.size - 1

    @property
    def size_like(self) -> list[int]:
        return [3, *(4 + i for i, s in enumerate(self.profile.shape) if s.grows)]

    @property
    def has_circles(self) -> bool:
        return self.profile.is_radial

    @property
    def like_sersic(self) -> bool:
        return self.profile.like_sersic

    @property
    def start_kinds(self) -> int:
        return max(1, len(self.profile.typical))

    @property
    def unfixed(self) -> EllipticalComponent:
        return replace(self, fixed={})

    def limited(self, bounds: Mapping, fixed: Mapping, priors: Mapping) -> EllipticalComponent:
        return replace(self, bounds=bounds, fixed=fixed, priors=priors)

    @property
    def lengths(self) -> list[int]:
        return [3, *self._lengths]

    @cached_property
    def _lengths(self) -> list[int]:
        """Places in its block of lengths among the shape."""
        return [4 + i for i, s in enumerate(self.profile.shape) if s.length]

    def block(self, values: Tensor, zeropoint: Tensor) -> Tensor:
        x, y, mag, size, *shape, q, pa = values.unbind(-1)
        eta = -torch.log(q.clamp(max=1.0))
        length = self._eta_max * torch.atanh((eta / self._eta_max).clamp(max=self.closest))
        out = torch.stack(
            [
                x,
                y,
                flux_of(mag, zeropoint),
                torch.log(size) - eta / 2,
                *(s.log() for s in shape),
                *spin(length, pa),
            ],
            dim=-1,
        )
        for place in self._lengths:
            out[:, place] -= eta / 2
        return out

    def values(self, block: Tensor, zeropoint: Tensor) -> Tensor:
        x, y, flux, log_r, *shape, w1, w2 = block.unbind(-1)
        length = torch.hypot(w1, w2)
        eta = length * squash(length / self._eta_max)
        out = torch.stack(
            [
                x,
                y,
                magnitude_of(flux, zeropoint),
                torch.exp(log_r + eta / 2),
                *(s.exp() for s in shape),
                torch.exp(-eta),
                position_angle(w1, w2),
            ],
            dim=-1,
        )
        for place in self._lengths:
            out[:, place] *= torch.exp(eta / 2)
        return out

    def values_jacobian(self, block: Tensor) -> Tensor:
        flux, log_r = block[:, 2], block[:, 3]
        length, unit, slope = self._squash_slope(block[:, -2:])
        eta = self._eta_max * torch.tanh(length / self._eta_max)
        size, q = torch.exp(log_r + eta / 2), torch.exp(-eta)
        out = torch.zeros(len(block), self.size, self.size, dtype=block.dtype, device=block.device)
        out[:, 0, 0] = out[:, 1, 1] = 1.0
        out[:, 2, 2] = MAG / flux
        out[:, 3, 3] = size
        for place in range(4, self.size - 2):
            out[:, place, place] = block[:, place].exp()
        by_eta = slope[:, None] * unit
        out[:, 3, -2:] = size[:, None] / 2 * by_eta
        for place in self._lengths:
            out[:, place, place] *= torch.exp(eta / 2)
            out[:, place, -2:] = out[:, place, place, None] / 2 * by_eta
        out[:, -2, -2:] = -q[:, None] * by_eta
        turned = torch.stack([-unit[:, 1], unit[:, 0]], -1)
        out[:, -1, -2:] = math.degrees(0.5) * turned / length[:, None]
        return out

    def native(self, block: Tensor) -> Tensor:
        """What the renderer draws: x, y, ln R, ln shape (lengths in units of R), e1, e2, [B, size - 1]."""
        w = block[:, -2:]
        ratio = squash(w.norm(dim=-1) / self._eta_max)
        out = torch.cat([block[:, :2], block[:, 3:-2], w * ratio[:, None]], dim=1)
        for place in self._lengths:
            out[:, place - 1] -= block[:, 3]
        return out

    def image_jacobian(self, block: Tensor) -> Tensor:
        flux = block[:, 2]
        length, unit, slope = self._squash_slope(block[:, -2:])
        ratio = squash(length / self._eta_max)
        out = torch.zeros(len(block), self.size, self.size, dtype=block.dtype, device=block.device)
        out[:, 0, 2] = 1.0
        for row, column in zip(range(1, self.size - 2), (0, 1, *range(3, self.size - 2))):
            out[:, row, column] = flux
        for row in self._lengths:  # at fixed length, a larger size is a smaller ratio
            out[:, row, 3] = -flux
        eye = torch.eye(2, dtype=block.dtype, device=block.device)
        turn = (
            ratio[:, None, None] * eye + (slope - ratio)[:, None, None] * unit[:, :, None] * unit[:, None, :]
        )
        out[:, -2:, -2:] = flux[:, None, None] * turn
        return out

    def block_bounds(self, shape: tuple[int, int]) -> list[tuple[float, float]]:
        """Lower and upper bound of each place in its block, for stamps of `shape`.

        The centre may leave the stamp by a quarter of its size: a galaxy cut by the edge is still a galaxy.
        """
        height, width = shape

        def logs(parameter: ShapeParameter, largest: float) -> tuple[float, float]:
            low, high = self.bounds.get(parameter.name, (-math.inf, math.inf))
            low, high = low if low > 0 else parameter.lower, high if high < math.inf else parameter.upper
            return math.log(low), math.log(min(high, largest))

        own = [logs(s, _FARTHEST * max(shape) if s.length else math.inf) for s in self.profile.shape]
        free = (-math.inf, math.inf)
        return [
            (-0.25 * width, 1.25 * width),
            (-0.25 * height, 1.25 * height),
            (FAINTEST, math.inf),
            logs(self.profile.size, self.profile.largest * max(shape)),
            *own,
            free,
            free,
        ]

    def block_priors(self) -> list[tuple[float, float]]:
        out = [(0.0, 0.0)] * self.size
        names = {s.name: 4 + i for i, s in enumerate(self.profile.shape)}
        for name, (median, dex) in self.priors.items():
            weight = (dex * math.log(10.0)) ** -2
            if name == "q":  # round is the centre of the plane of ellipticities
                out[-2] = out[-1] = (0.0, weight)
            else:
                out[names[name]] = (math.log(median), weight)
        return out

    def step_limit(self) -> list[float]:
        return [4.0, 4.0, math.inf, 0.7, *[0.7] * len(self.profile.shape), 0.7, 0.7]

    def restarts(self, block: Tensor) -> list[dict[int, Tensor]]:
        if len(self.profile.typical) < 2:
            return []
        return [dict(enumerate(self._typical(block[:, 3], kind), 4)) for kind in self.profile.typical]

    def start(self, single: Tensor, share: float, scale: float, kind: int, rounder: bool = False) -> Tensor:
        x, y, mag, r_eff, _, q, pa, _ = single.unbind(-1)
        profile = self.profile
        own = dict(zip((s.name for s in profile.shape), profile.typical[kind])) if profile.typical else {}
        log_own = torch.tensor(
            [[math.log(v) for v in own.values()]], dtype=single.dtype, device=single.device
        )
        half = self._in_sizes(log_own)
        low, high = self.bounds.get(profile.size.name, (-math.inf, math.inf))
        low = max(2 * low, 2 * profile.size.lower, 0.3)
        size = (r_eff * scale / half).clamp(low, max(low, high / 2))
        shape = [
            torch.full_like(x, self.fixed.get(s.name, own[s.name])) * (size if s.length else 1.0)
            for s in profile.shape
        ]
        return torch.stack(
            [
                x,
                y,
                mag + magnitude_of(share),
                size,
                *shape,
                (q**_ROUNDER if rounder else q).clamp(0.1, 0.95),
                pa,
            ],
            dim=-1,
        )

    def like_single(self, single: Tensor) -> Tensor:
        index = [4] if self.profile.shape else []
        return single[:, [0, 1, 2, 3, *index, 5, 6]] if self.like_sersic else self.start(single, 1.0, 1.0, 0)

    def half_light(self, values: Tensor) -> Tensor:
        """About its half-light radius along the major axis, [B], of catalogue values [B, size]."""
        size, shape = values[:, 3], values[:, 4 : 4 + len(self.profile.shape)].log()
        for place in self._lengths:
            shape[:, place - 4] -= size.log()
        return size * self._in_sizes(shape)

    def _in_sizes(self, log_own: Tensor) -> Tensor:
        """The half-light radius in units of the size, or about as much where there is none, of ln of the
        own parameters, [B, S]."""
        return self.profile.half_light(log_own).nan_to_num(_NO_HALF_LIGHT).exp()

    def _typical(self, log_size: Tensor, kind: tuple[float, ...]) -> list[Tensor]:
        """ln of a typical galaxy's own parameters, [B] each, of ln size [B]."""
        return [
            math.log(v) + (log_size if s.length else torch.zeros_like(log_size))
            for s, v in zip(self.profile.shape, kind)
        ]

    # -- as coordinates of a constrained model ---------------------------------------------------------------

    def coordinate_kinds(
        self, constraints: Constraints, tied: Set[str], followed: Set[str]
    ) -> dict[int, Kind]:
        names, touched = self.parameters, constraints.touched(tied)
        polar = not touched.isdisjoint(names[-2:])
        is_open = polar or not touched.isdisjoint(names[place] for place in self.lengths)
        own = {
            place: Kind.LOG if is_open or place not in self.lengths else Kind.ROUND
            for place in range(3, self.size - 2)
        }
        last = (self._ratio_kind, Kind.ANGLE) if polar else (Kind.VECTOR, Kind.VECTOR)
        return (
            super().coordinate_kinds(constraints, tied, followed) | own | dict(zip(self.vector_places, last))
        )

    def coordinate_bounds(self, kind: Kind, place: int, shape: tuple[int, int]) -> tuple[float, float]:
        if kind is Kind.LOG and place == self.size - 2:
            least, most = self.roundness
            return math.log(least) + THINNEST, math.log(most)
        return super().coordinate_bounds(kind, place, shape)

    def value_bounds(self, place: int) -> tuple[float, float]:
        if place == self.size - 2:
            low, high = self.roundness
            return low * math.exp(THINNEST), high
        own = self.own_parameters[place - 3]
        low, high = self.bounds.get(own.name, (own.lower, own.upper))
        return max(low, own.lower), min(high, own.upper)

    def elements(
        self,
        values: Sequence[Tensor],
        flux: Tensor | None,
        vector: Sequence[Tensor] | None,
        modes: Mapping[int, Sequence[Tensor]],
    ) -> list[Tensor]:
        out = super().elements(values, flux, vector, modes)
        q = self.axis_ratio(values[-2])
        eta = -torch.log(q)
        for place in range(3, 4 + len(self.profile.shape)):
            out[place] = (
                torch.log(values[place]) - eta / 2 if place in self.lengths else torch.log(values[place])
            )
        out[-2:] = vector or unsquashed(q, values[-1], self.roundness[0])
        return out

    # -- axis ratio and angle --------------------------------------------------------------------------------

    @property
    def roundness(self) -> tuple[float, float]:
        """Bounds of the axis ratio."""
        return self.bounds["q"]

    def axis_ratio(self, value: Tensor) -> Tensor:
        """The axis ratio that the catalogue's value in its place stands for: that itself."""
        return value

    def of_axis_ratio(self, q: Tensor) -> Tensor:
        """The inverse of `axis_ratio`."""
        return q

    def at_thinnest(self, values: Tensor, error: Tensor) -> Tensor:
        """Where the axis ratio has run into its bound, or is within its `error` [B] of it, [B] bool, of
        catalogue values [B, size]."""
        q, bound = values[:, -2], self.roundness[0]
        return (q < 1.01 * bound) | ((q - error < bound) & (q < _NEAR_BOUND * bound))

    def drawn_back(self, w: Tensor, closest: float) -> tuple[Tensor, Tensor]:
        """Vectors (w1, w2) [B, 2] with -ln q at `closest` of its bound, and their derivatives by -ln q and
        across, [B, 2, 2]."""
        w = w * (self._eta_max * math.atanh(closest) / w.norm(dim=-1, keepdim=True).clamp(min=1e-18))
        _, unit, slope = self._squash_slope(w)
        return w, torch.stack([unit / slope[:, None], torch.stack([-unit[:, 1], unit[:, 0]], -1)], -1)

    @property
    def _eta_max(self) -> float:
        return -math.log(self.roundness[0])

    def _squash_slope(self, w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Length and direction of w, and the derivative of -ln q by the length."""
        length = w.norm(dim=-1).clamp(min=1e-18)
        return length, w / length[:, None], 1 - torch.tanh(length / self._eta_max) ** 2
