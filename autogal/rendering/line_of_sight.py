"""Drawing bodies of any emissivity, summed along the line of sight, with their derivatives."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from autogal.profiles import Emissivity
from autogal.profiles.radial import value_and_slope
from autogal.rendering.grid import Grid
from autogal.rendering.hankel import MultipoleTable, multipole_table
from autogal.rendering.inclination import cos2_of_log_ratio
from autogal.rendering.placed import TransformRenderer
from autogal.rendering.tilted import view_of

__all__ = ["LineOfSightRenderer"]

_ORDERS = tuple(range(0, 30, 2))  # multipoles: an image that is the same after half a turn has no odd ones
_SAMPLES = 32  # angles in half a turn at which light is sampled
_ANGLES = 192  # angles in half a turn of the transform, between which it is interpolated
_RINGS = (5e-3, 200.0)  # radii, in units of the size, between which light is sampled; it is even inside
_REACH = 1e4  # px, of the table of multipoles
_STRETCH = math.exp(1.5)  # of wave numbers, in the frame in which the thinnest body is round
_AT_ONCE = {"cpu": 2, "cuda": 32}  # bodies
_ROUND = 1e-2  # as in `autogal.rendering.tilted`


@dataclass(frozen=True)
class LineOfSightRenderer(TransformRenderer):
    r"""Draws the image of an `Emissivity`, with derivatives by x, y, ln R, ln of the own parameters, e1 and
    e2.

    The light is summed along lines of sight on rings, in a frame in which the body looks about round, and
    expanded in multipoles, :math:`\sum_m c_m(\rho) \cos m\theta + s_m(\rho) \sin m\theta`, whose transforms
    are Hankel's of order m. Their sum is tabulated over (ln k, :math:`\theta_k`) and looked up at every wave
    number. The frame is no function of what is derived by.
    """

    profile: Emissivity
    grid: Grid

    def transform(self, native: Tensor, derivatives: bool = True) -> list[Tensor]:
        value, *slopes = torch.cat(
            [self._looked_up(some, derivatives) for some in native.split(_AT_ONCE[self.grid.device.type])]
        ).unbind(1)
        if not derivatives:
            return [value]
        by_size, by_psi, *own, by_eta = slopes
        view = view_of(native)
        col = lambda v: v.to(self.grid.dtype)[:, None, None]
        by_eta, by_turn = by_eta + by_size / 2, by_psi * col(0.5 / view.eta.clamp(min=_ROUND))
        cos, sin = col(torch.cos(2 * view.psi)), col(torch.sin(2 * view.psi))
        return [value, by_size, *own, by_eta * cos - by_turn * sin, by_eta * sin + by_turn * cos]

    def wing_error(self, native: Tensor, fwhm: Tensor) -> tuple[Tensor, Tensor]:
        """The light that comes round the periodic grid, over that of the centre: `largest` and `total`,
        [B] each."""
        reach = self.reach(native)
        view, shape = view_of(native), native[:, 3:-2]
        at = torch.stack([reach, fwhm.to(reach) / 2], 1) / torch.exp(native[:, 2] + view.eta / 2)[:, None]
        none, flattening = torch.zeros_like(at), self.profile.flattening(shape)
        along, across = (
            self.profile.project(*place, view.cos2, shape, flattening) for place in ((at, none), (none, at))
        )
        there = (
            torch.maximum(along[:, 0], across[:, 0]) / torch.minimum(along[:, 1], across[:, 1])
        ).nan_to_num(0.0)
        return there, there

    # -- the transform ---------------------------------------------------------------------------------------

    @property
    def _table(self) -> MultipoleTable:
        grid = self.grid
        lowest = 2 * math.pi / max(grid.period) / _STRETCH
        highest = math.sqrt(2) * math.pi * grid.oversample / grid.binning * _STRETCH
        return multipole_table(grid.device, grid.dtype, _ORDERS, (lowest / 1.02, highest), _REACH)

    @cached_property
    def _waves(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Angles of the samples [J], from samples to multipoles [J, 2 M], and from transformed ones to
        angles and to slopes [2 M, A + 1]."""
        orders = torch.tensor(_ORDERS, device=self.grid.device, dtype=torch.float64)

        def waves(theta: Tensor) -> tuple[Tensor, Tensor]:
            cos, sin = torch.cos(theta[:, None] * orders), torch.sin(theta[:, None] * orders)
            return torch.stack([cos, sin], -1).flatten(1), torch.stack(
                [-orders * sin, orders * cos], -1
            ).flatten(1)

        sampled = torch.arange(_SAMPLES, device=self.grid.device, dtype=torch.float64) * (math.pi / _SAMPLES)
        analysis = waves(sampled)[0] * (2 / _SAMPLES)
        analysis[:, :2] /= 2
        angles = torch.linspace(0, math.pi, _ANGLES + 1, device=self.grid.device, dtype=torch.float64)
        sign = torch.cos(orders * (math.pi / 2)).repeat_interleave(2)[:, None]
        return sampled, analysis, *((w.mT * sign).to(self.grid.dtype) for w in waves(angles))

    def _looked_up(self, native: Tensor, derivatives: bool) -> Tensor:
        """The transform, and its derivatives by ln of the size, psi, the own parameters and eta, [B, D,
        Kx, Ky]."""
        grid, table, view = self.grid, self._table, view_of(native)
        flattening = self.profile.flattening(native[:, 3:-2])
        frame = (
            torch.sqrt(view.cos2 + flattening**2 * (1 - view.cos2)).clamp(_STRETCH**-2, _STRETCH**2).sqrt()
        )
        _, analysis, synthesis, slope = self._waves
        col = lambda v: v.to(grid.dtype)[:, None, None]
        kx, ky = grid.kx.to(grid.dtype)[None, :, None], grid.ky.to(grid.dtype)[None, None, :]
        cos, sin, wide = col(view.psi.cos()), col(view.psi.sin()), col(frame)
        u, v = (kx * cos + ky * sin) / wide, (ky * cos - kx * sin) * wide
        squares = (u * u + v * v).clamp(min=1e-12)
        poles = table.transforms(self._samples(native, flattening, frame, derivatives), analysis)
        tables = poles @ synthesis
        if derivatives:  # a size and an angle move what is there along ln k and theta
            tables = torch.cat(
                [tables[:, :1], table.slope(poles[:, :1]) @ synthesis, poles[:, :1] @ slope, tables[:, 1:]], 1
            )
        found = table.look_up(tables, squares.log() / 2, torch.atan2(v, u), math.pi)
        if not derivatives:
            return found
        value, by_log_k, by_theta, *rest = found.unbind(1)
        by_psi = (
            by_log_k * (u * v) * (wide**-2 - wide**2) - by_theta * ((u * wide) ** 2 + (v / wide) ** 2)
        ) / squares
        return torch.stack([value, by_log_k, by_psi, *rest], 1)

    def _samples(self, native: Tensor, flattening: Tensor, frame: Tensor, derivatives: bool) -> Tensor:
        """Light on all rings of the table, of a total of 1, and its derivatives by the own parameters and
        eta, [B, D, T, J] float64."""
        log_rho = self._table.log_rho
        view, shape = view_of(native), native[:, 3:-2]
        log_size = native[:, 2] + view.eta / 2
        spacing = log_rho[1] - log_rho[0]
        count = min(len(log_rho), math.ceil(math.log(_RINGS[1] / _RINGS[0]) / float(spacing)))
        first = (
            ((log_size + math.log(_RINGS[0]) - log_rho[0]) / spacing).long().clamp(0, len(log_rho) - count)
        )
        rings = first[:, None] + torch.arange(count, device=first.device)
        # half a turn, or where all is the same around the pole a quarter, of which the rest is the mirror
        # image
        once = _SAMPLES // 2 + 1 if self.profile.axisymmetric else _SAMPLES
        theta = self._waves[0][:once]
        rho = torch.exp(log_rho[rings] - log_size[:, None])[:, :, None]
        x = (rho * (theta.cos() / frame[:, None, None])).flatten(1)
        y = (rho * (theta.sin() * frame[:, None, None])).flatten(1)

        def light(p: Tensor) -> Tensor:
            """Of the own parameters and eta."""
            return self.profile.project(
                x, y, cos2_of_log_ratio(p[:, -1])[0], p[:, :-1], flattening
            ).unflatten(1, (count, -1))

        p = torch.cat([shape, view.eta[:, None]], 1)
        parts = [light(p)] if not derivatives else []
        for i in range(p.shape[1] if derivatives else 0):
            value, slope = value_and_slope(light, p, i)
            parts += [slope] if i else [value, slope]
        seen = torch.stack(parts, 1)
        if once < _SAMPLES:
            seen = torch.cat([seen, seen[..., 1:-1].flip(-1)], -1)
        area = torch.exp(2 * log_rho[rings]) * (2 * math.pi * spacing / _SAMPLES)
        # the inner rings, all alike, are a disk of the radius of the first
        area[:, 0] += math.pi * torch.exp(2 * log_rho[first] - spacing) / _SAMPLES
        sums = (seen.sum(-1) * area[:, None]).sum(-1)[:, :, None, None]
        seen = seen / sums[:, :1]
        seen[:, 1:] -= seen[:, :1] * (sums[:, 1:] / sums[:, :1])
        return self._on_table(seen, first, len(log_rho))

    @staticmethod
    def _on_table(parts: Tensor, first: Tensor, size: int) -> Tensor:
        """Rings [B, D, N, J] where they stand among all; the first inside of it, nothing outside."""
        place = torch.arange(size, device=first.device) - first[:, None]
        outside = place >= parts.shape[2]
        place = place.clamp(0, parts.shape[2] - 1)[:, None, :, None].expand(
            -1, parts.shape[1], -1, parts.shape[3]
        )
        return parts.gather(2, place).masked_fill(outside[:, None, :, None], 0.0)
