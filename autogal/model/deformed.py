"""A component whose isophotes are no ellipses: its free parameters and its catalogue values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from autogal.model.constraints import Constraints
from autogal.model.coordinate_kinds import Kind
from autogal.model.elliptical import EllipticalComponent
from autogal.profiles import Deformed

__all__ = ["DeformedComponent", "mode_coefficients", "mode_values"]

# Of c0; a rhombus, and all but a rectangle. Of the two coefficients of a mode: more leaves no galaxy
_BOX = (-1.0, 2.0)
_MODE = 0.5
_STEP = 0.2
_TINY = 1e-12


@dataclass(frozen=True)
class DeformedComponent(EllipticalComponent):
    """An `EllipticalComponent` of a `Deformed` profile.

    In its block c0 and, for each mode, the coefficients of cos(m t) and sin(m t), t = theta + psi as in
    `Deformed`, stand between the own parameters of the profile and (w1, w2). In the catalogue they are
    ``c0``, ``am<m>`` and ``pm<m>``.
    """

    profile: Deformed

    @cached_property
    def _plain_ellipses(self) -> EllipticalComponent:
        """The same on ellipses."""
        own = {key: pair for key, pair in self.bounds.items() if key != "c0"}
        return EllipticalComponent(self.profile.profile, self.name, own, self.priors, self.fixed)

    @property
    def _first(self) -> int:
        """Place of the first parameter of the contour."""
        return 4 + len(self.profile.shape)

    @cached_property
    def _elliptical_places(self) -> list[int]:
        """Places of the parameters that it has on ellipses too."""
        return [*range(self._first), self.size - 2, self.size - 1]

    @property
    def contour(self) -> range:
        return range(self._first, self.size - 2)

    @cached_property
    def modes(self) -> dict[int, int]:
        return {self._first + self.profile.boxiness + 2 * i: m for i, m in enumerate(self.profile.modes)}

    @property
    def limits(self) -> dict[str, tuple[float, float]]:
        return super().limits | ({"c0": _BOX} if self.profile.boxiness else {})

    @property
    def bare_parameters(self) -> tuple[str, ...]:
        names = [
            *(["c0"] if self.profile.boxiness else []),
            *(f"{kind}m{m}" for m in self.profile.modes for kind in "ap"),
        ]
        known = super().bare_parameters
        return (*known[:-2], *names, *known[-2:])

    @property
    def signed_places(self) -> range:
        return self.contour

    @property
    def size(self) -> int:
        return super().size + self.profile.own

    @property
    def plain(self) -> tuple[int, ...]:
        return (*super().plain, *([self._first] if self.profile.boxiness else []))

    @property
    def turns(self) -> dict[int, float]:
        return super().turns | {place + 1: 360 / m for place, m in self.modes.items()}

    def block(self, values: Tensor, zeropoint: Tensor) -> Tensor:
        out = values.clone()
        out[:, self._elliptical_places] = self._plain_ellipses.block(
            values[:, self._elliptical_places], zeropoint
        )
        for place, m in self.modes.items():
            out[:, place : place + 2] = torch.stack(
                mode_coefficients(m, values[:, place], values[:, place + 1], values[:, -1]), -1
            )
        return out

    def values(self, block: Tensor, zeropoint: Tensor) -> Tensor:
        out = block.clone()
        out[:, self._elliptical_places] = self._plain_ellipses.values(
            block[:, self._elliptical_places], zeropoint
        )
        for place, m in self.modes.items():
            out[:, place : place + 2] = torch.stack(
                mode_values(m, block[:, place], block[:, place + 1], out[:, -1]), -1
            )
        return out

    def values_jacobian(self, block: Tensor) -> Tensor:
        out = self._embedded(
            self._plain_ellipses.values_jacobian(block[:, self._elliptical_places]),
            torch.ones_like(block[:, 0]),
        )
        for place, m in self.modes.items():
            cos, sin = block[:, place], block[:, place + 1]
            length = torch.hypot(cos, sin).clamp(min=_TINY)
            out[:, place, place : place + 2] = torch.stack(
                [torch.where(length > _TINY, cos / length, 1.0), sin / length], -1
            )
            turn = math.degrees(1 / m) / length**2
            out[:, place + 1, place : place + 2] = torch.stack([sin * turn, -cos * turn], -1)
            out[:, place + 1, -2:] = out[:, -1, -2:]  # counted from the major axis
        return out

    def native(self, block: Tensor) -> Tensor:
        """What the renderer draws: x, y, ln R, ln shape (lengths in units of R), the contour, e1, e2, [B,
        size - 1]."""
        bare = self._plain_ellipses.native(block[:, self._elliptical_places])
        return torch.cat([bare[:, :-2], block[:, self._first : -2], bare[:, -2:]], dim=1)

    def image_jacobian(self, block: Tensor) -> Tensor:
        return self._embedded(
            self._plain_ellipses.image_jacobian(block[:, self._elliptical_places]), block[:, 2]
        )

    def block_bounds(self, shape: tuple[int, int]) -> list[tuple[float, float]]:
        return self._with(
            self._plain_ellipses.block_bounds(shape), self.bounds.get("c0", _BOX), (-_MODE, _MODE)
        )

    def block_priors(self) -> list[tuple[float, float]]:
        return self._with(self._plain_ellipses.block_priors(), (0.0, 0.0), (0.0, 0.0))

    def step_limit(self) -> list[float]:
        return self._with(self._plain_ellipses.step_limit(), _STEP, _STEP)

    def coordinate_kinds(
        self, constraints: Constraints, tied: Set[str], followed: Set[str]
    ) -> dict[int, Kind]:
        names, out = self.parameters, super().coordinate_kinds(constraints, tied, followed)
        out |= dict.fromkeys(self.contour, Kind.LINEAR)
        for place in self.modes:
            is_free = self._is_untouched(names[place : place + 2], constraints, tied, followed)
            out |= {place: Kind.MODE, place + 1: Kind.MODE} if is_free else {place + 1: Kind.ANGLE}
        return out

    def value_bounds(self, place: int) -> tuple[float, float]:
        return self.block_bounds((1, 1))[place] if place in self.contour else super().value_bounds(place)

    def elements(
        self,
        values: Sequence[Tensor],
        flux: Tensor | None,
        vector: Sequence[Tensor] | None,
        modes: Mapping[int, Sequence[Tensor]],
    ) -> list[Tensor]:
        out = super().elements(values, flux, vector, modes)
        for place, m in self.modes.items():
            out[place : place + 2] = modes.get(place) or mode_coefficients(
                m, values[place], values[place + 1], values[-1]
            )
        return out

    def start(self, single: Tensor, share: float, scale: float, kind: int, rounder: bool = False) -> Tensor:
        """Starting values from those of one Sersic profile, on ellipses: its own where it is one."""
        out = single.new_zeros(len(single), self.size)
        out[:, self._elliptical_places] = self._plain_ellipses.start(single, share, scale, kind, rounder)
        if (
            share == 1.0
            and kind == 0
            and self._plain_ellipses.like_sersic
            and self.profile.shape
            and not self.fixed
        ):
            out[:, self._elliptical_places] = self._plain_ellipses.like_single(single)
        return out

    def _with(self, bare: list, of_c0, of_mode) -> list:
        """A list of what is said of each place, from that of the same on ellipses."""
        return [
            *bare[:-2],
            *([of_c0] if self.profile.boxiness else []),
            *[of_mode] * (2 * len(self.profile.modes)),
            *bare[-2:],
        ]

    def _embedded(self, bare: Tensor, diagonal: Tensor) -> Tensor:
        """A matrix of the whole block, from that of the same on ellipses and what the contour has on its
        diagonal."""
        out = torch.zeros(len(bare), self.size, self.size, dtype=bare.dtype, device=bare.device)
        places = torch.tensor(self._elliptical_places, device=bare.device)
        out[:, places[:, None], places] = bare
        out.diagonal(dim1=-2, dim2=-1)[:, self._first : -2] = diagonal[:, None]
        return out


def mode_coefficients(m: int, amplitude: Tensor, phase: Tensor, pa: Tensor) -> tuple[Tensor, Tensor]:
    """Coefficients of cos(m t) and sin(m t) of a mode of given amplitude and phase [deg]; `pa` is the
    position angle [deg]."""
    angle = m * torch.deg2rad(phase - pa - 90)
    return amplitude * torch.cos(angle), -amplitude * torch.sin(angle)


def mode_values(m: int, cos: Tensor, sin: Tensor, pa: Tensor) -> tuple[Tensor, Tensor]:
    """Amplitude and phase [deg], from -180 / m to 180 / m, of a mode; derivatives exist at amplitude zero
    too."""
    phase = pa + 90 + torch.rad2deg(torch.atan2(-sin, cos + _TINY)) / m
    return torch.sqrt(cos * cos + sin * sin + _TINY**2), torch.remainder(phase + 180 / m, 360 / m) - 180 / m
