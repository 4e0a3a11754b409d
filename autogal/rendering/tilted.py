"""Drawing bodies at an inclination, with their derivatives."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from autogal.profiles import Ellipsoid, Sersic, ThickDisk
from autogal.profiles.radial import value_and_slope
from autogal.rendering.grid import Grid
from autogal.rendering.inclination import cos2_of_log_ratio
from autogal.rendering.placed import TransformRenderer
from autogal.rendering.renderer import Renderer
from autogal.rendering.spectral import Outline, SpectralRenderer

__all__ = ["DiskRenderer", "EllipsoidRenderer", "View", "view_of"]

_SMALL = 1e-6
# Where it is all but face-on the angle of a body that is not round hardly matters, and its derivative must
# not grow without end
_ROUND = 1e-2


class View(NamedTuple):
    """From where bodies are seen, [B] each.

    Attributes
    ----------
    eta : Tensor
        -ln of the axis ratio that stands for the inclination.
    psi : Tensor
        The line of nodes from +x.
    cos2, by_eta : Tensor
        Squared cosine of the inclination, and its derivative.
    """

    eta: Tensor
    psi: Tensor
    cos2: Tensor
    by_eta: Tensor


def view_of(native: Tensor) -> View:
    """The view in the last two columns, e1 and e2, of `native` [B, 5 + S]."""
    eta = torch.hypot(native[:, -2], native[:, -1])
    return View(eta, torch.atan2(native[:, -1], native[:, -2]) / 2, *cos2_of_log_ratio(eta))


@dataclass(frozen=True)
class DiskRenderer(TransformRenderer):
    """Draws a thick disk from its transform in closed form, with derivatives by x, y, ln R, ln z0 / h, e1
    and e2."""

    profile: ThickDisk
    grid: Grid

    def wing_error(self, native: Tensor, fwhm: Tensor) -> tuple[Tensor, Tensor]:
        """The light that comes round the periodic grid, over that of the centre: `largest` and `total`,
        [B] each."""
        half = native[:, 3].exp() / 2  # of sech^2 in exponentials
        t = self.reach(native) / (torch.exp(native[:, 2] + view_of(native).eta / 2) * half.clamp(min=1.0))
        there = torch.sqrt(math.pi / 2 * t) * torch.exp(-t)
        return there, there

    def transform(self, native: Tensor, derivatives: bool = True) -> tuple[Tensor, ...]:
        column = lambda v: v.to(self.grid.dtype)[:, None, None]
        kx, ky = (
            self.grid.kx.to(self.grid.dtype)[None, :, None],
            self.grid.ky.to(self.grid.dtype)[None, None, :],
        )
        view = view_of(native)
        length = torch.exp(native[:, 2] + view.eta / 2)
        cos, sin = column(length * view.psi.cos()), column(length * view.psi.sin())
        seen = self.profile.transform(
            kx * cos + ky * sin, ky * cos - kx * sin, column(view.cos2), native[:, 3:4]
        )
        by_eta = seen.by_size / 2 + seen.by_cos2 * column(view.by_eta)
        small = view.eta.clamp(min=_SMALL)  # sin^2 i over 2 eta has a limit where both are zero
        by_turn = seen.by_turn * column((1 - cos2_of_log_ratio(small)[0]) / (2 * small))
        cos, sin = column(torch.cos(2 * view.psi)), column(torch.sin(2 * view.psi))
        return (
            seen.value,
            seen.by_size,
            *seen.by_shape,
            by_eta * cos - by_turn * sin,
            by_eta * sin + by_turn * cos,
        )


class _Ellipses(NamedTuple):
    """Ellipses to be drawn, and how they follow from the bodies, [B, 6, 5 + S]."""

    outline: Outline
    slopes: Tensor

    def split(self, size: int) -> list[_Ellipses]:
        return [_Ellipses(*piece) for piece in zip(self.outline.split(size), self.slopes.split(size))]


@dataclass(frozen=True)
class EllipsoidRenderer(Renderer):
    """Draws an ellipsoid as the Sersic profile that it projects to."""

    profile: Ellipsoid
    grid: Grid

    @cached_property
    def _seen(self) -> SpectralRenderer:
        return SpectralRenderer(Sersic(), self.grid)

    def image(self, native: Tensor, psf: Tensor) -> Tensor:
        return self._seen.image(self._project(native), psf)

    def outline(self, native: Tensor) -> _Ellipses:
        return _Ellipses(self._seen.outline(self._project(native)), self._slopes(native))

    def fill(self, outline: _Ellipses, psf: Tensor) -> Tensor:
        drawn = self._seen.fill(outline.outline, psf)
        slopes = torch.einsum("brp,brhw->bphw", outline.slopes.to(drawn.dtype), drawn[:, 1:])
        return torch.cat([drawn[:, :1], slopes], dim=1)

    def wing_error(self, native: Tensor, fwhm: Tensor) -> tuple[Tensor, Tensor]:
        return self._seen.wing_error(self._project(native), fwhm)

    def _project(self, native: Tensor) -> Tensor:
        """What the renderer of the Sersic profile draws, [B, 6]."""
        view = view_of(native)
        return self._ellipse(torch.cat([native[:, :-2], view.eta[:, None], view.psi[:, None]], 1))

    def _ellipse(self, seen: Tensor) -> Tensor:
        """The same of x, y, ln R, ln of the own parameters, eta and psi."""
        eta, psi = seen[:, -2], seen[:, -1]
        log_r, e1, e2 = self.profile.project(seen[:, 2] + eta / 2, cos2_of_log_ratio(eta)[0], seen[:, 3:-2])
        cos, sin = torch.cos(2 * psi), torch.sin(2 * psi)
        return torch.stack(
            [seen[:, 0], seen[:, 1], log_r, seen[:, 3], e1 * cos - e2 * sin, e1 * sin + e2 * cos], 1
        )

    def _slopes(self, native: Tensor) -> Tensor:
        """Derivatives of `_project`, [B, 6, 5 + S]."""
        view = view_of(native)
        seen = torch.cat([native[:, :-2], view.eta[:, None], view.psi[:, None]], 1)
        by_seen = torch.stack([value_and_slope(self._ellipse, seen, i)[1] for i in range(seen.shape[1])], -1)
        cos, sin = torch.cos(2 * view.psi)[:, None], torch.sin(2 * view.psi)[:, None]
        by_eta, by_turn = by_seen[..., -2], by_seen[..., -1] / (2 * view.eta.clamp(min=_ROUND))[:, None]
        return torch.cat(
            [
                by_seen[..., :-2],
                (by_eta * cos - by_turn * sin)[..., None],
                (by_eta * sin + by_turn * cos)[..., None],
            ],
            -1,
        )
