"""Drawing profiles whose isophotes are no ellipses in Fourier space, with their derivatives."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from autogal.profiles import Deformed
from autogal.rendering.ellipse import elliptical_form
from autogal.rendering.grid import Grid
from autogal.rendering.hankel import MultipoleTable, multipole_table
from autogal.rendering.placed import Placed, PlacedRenderer
from autogal.rendering.spectral import SpectralRenderer
from autogal.rendering.wing import is_lit_beyond, taper

__all__ = ["MultipoleRenderer"]

# Highest multipole of boxes, whose corners are sharp, and of Fourier modes, in units of the highest mode and
# at least
_BOX, _MODES, _LEAST = 32, 4, 16
_SAMPLES = 4  # angles at which light is sampled, for each multipole
_ANGLES = 256  # angles of the transform in a turn, between which it is interpolated
_AT_ONCE = 64  # tables made together
# Wave numbers of the deprojected galaxy reach beyond the grid's by 1 / sqrt(q); beyond the thinnest they are
# cut short
_STRETCH = math.exp(1.5)
_FADED = 1.6  # times the period of the grid: where the taper has left nothing
# Where it is all but round the angle of a box hardly matters, and its derivative must not grow without end
_ROUND = 1e-2


@dataclass(frozen=True)
class MultipoleRenderer(PlacedRenderer):
    r"""Draws a deformed profile and its derivatives on one grid.

    In the frame in which its ellipse is a circle, the galaxy's light is :math:`g(\rho\,s(\theta))`. It is
    sampled on rings and expanded in multipoles,
    :math:`\sum_m c_m(\rho) \cos m\theta + s_m(\rho) \sin m\theta`, whose transforms are Hankel's of order m:
    :math:`\sum_m (-i)^m [C_m(k) \cos m\theta_k + S_m(k) \sin m\theta_k]`. Their sum is tabulated over (ln k,
    :math:`\theta_k`), for the light and for its derivatives, and looked up at every wave number.

    The far wing is taken out and added in real space as `SpectralRenderer` does it.

    Attributes
    ----------
    profile : Deformed
    grid : Grid

    Notes
    -----
    `native` is x, y, ln R (circularised size, px), ln of the own parameters, those of the contour, e1, e2,
    [B, 5 + S + K].
    """

    profile: Deformed
    grid: Grid

    def image(self, native: Tensor, psf: Tensor) -> Tensor:
        place = self.outline(native)
        factor = self._looked_up(native, self._wave_numbers(native)[0], derivatives=False)[0]
        images = self.grid.to_images(psf * place.px[:, :, None] * place.py[:, None, :] * factor)[:, None]
        self._add_wing(images, native)
        return images[:, 0]

    def fill(self, outline: Placed, psf: Tensor) -> Tensor:
        native, px, px_slope, py, py_slope = outline
        px, px_slope, py, py_slope = (
            px[:, :, None],
            px_slope[:, :, None],
            py[:, None, :],
            py_slope[:, None, :],
        )
        where, turns = self._wave_numbers(native)
        factor, by_log_k, by_theta, by_psi, *own = self._looked_up(native, where)
        spectra = torch.empty(
            (len(native), 1 + native.shape[1], *factor.shape[1:]), dtype=psf.dtype, device=psf.device
        )
        base = psf * px
        torch.mul(base * factor, py_slope, out=spectra[:, 2])
        base *= py
        torch.mul(base, factor, out=spectra[:, 0])
        torch.mul((psf * factor).mul_(py), px_slope, out=spectra[:, 1])
        for i, slope in enumerate(own):
            torch.mul(base, slope, out=spectra[:, 3 + i])
        for i, (log_k, theta, psi) in enumerate(zip(*turns, self._turn(native))):
            torch.mul(
                base,
                by_log_k * log_k + by_theta * theta + by_psi * psi.to(theta.dtype)[:, None, None],
                out=spectra[:, i - 2],
            )
        images = self.grid.to_images(spectra)
        self._add_wing(images, native)
        return images

    def wing_error(self, native: Tensor, fwhm: Tensor) -> tuple[Tensor, Tensor]:
        """As `autogal.rendering.wing.wing_error`, with the curvature along the contour added."""
        largest, total = self._plain.wing_error(self._undeformed(native), fwhm)
        own = self._own(native)
        bent = own[:, 0].abs() if self.profile.boxiness else torch.zeros_like(largest)
        for m, pair in zip(self.profile.modes, own[:, int(self.profile.boxiness) :].split(2, dim=-1)):
            bent = bent + m * m * pair.norm(dim=-1)
        return largest * (1 + bent), total * (1 + bent)

    # -- between parameters ----------------------------------------------------------------------------------

    @property
    def _plain(self) -> SpectralRenderer:
        return SpectralRenderer(self.profile.profile, self.grid)

    def _undeformed(self, native: Tensor) -> Tensor:
        return torch.cat([native[:, : 3 + len(self.profile.shape)], native[:, -2:]], dim=1)

    def _own(self, native: Tensor) -> Tensor:
        return native[:, 3 + len(self.profile.shape) : -2]

    @staticmethod
    def _psi(native: Tensor) -> Tensor:
        return torch.atan2(native[:, -1], native[:, -2]) / 2

    @staticmethod
    def _turn(native: Tensor) -> tuple[Tensor, Tensor]:
        """Derivatives of the angle of the major axis by e1 and e2, [B] each."""
        e1, e2 = native[:, -2], native[:, -1]
        eta = torch.hypot(e1, e2).clamp(min=1e-12)
        per = 0.5 / (eta * eta.clamp(min=_ROUND))
        return -e2 * per, e1 * per

    # -- the transform ---------------------------------------------------------------------------------------

    @cached_property
    def _orders(self) -> tuple[int, ...]:
        profile = self.profile
        highest = max(_LEAST, _MODES * max(profile.modes, default=0), _BOX * profile.boxiness)
        return tuple(range(0, highest + 1, profile.period))

    @property
    def _table(self) -> MultipoleTable:
        grid = self.grid
        lowest = 2 * math.pi / max(grid.period) / _STRETCH
        highest = math.sqrt(2) * math.pi * grid.oversample / grid.binning * _STRETCH
        reach = _FADED * max(grid.period)
        return multipole_table(
            grid.device, grid.dtype, self._orders, (lowest / 1.02, highest), reach, self.profile.sharp
        )

    @cached_property
    def _angles(self) -> Tensor:
        """Where light is sampled in one period of the contour, [J] float64."""
        count = math.ceil(_SAMPLES * (self._orders[-1] + 1) / self.profile.period)
        return torch.arange(count, device=self.grid.device, dtype=torch.float64) * (
            2 * math.pi / self.profile.period / count
        )

    @cached_property
    def _analysis(self) -> Tensor:
        """From samples to cosine and sine multipoles, [J, 2 M]."""
        waves = self._waves(self._angles) * (2 / len(self._angles))
        waves[:, :2] /= 2
        return waves.to(self.grid.dtype)

    @cached_property
    def _synthesis(self) -> tuple[Tensor, ...]:
        """From transformed multipoles to the real and, where there is one, the imaginary part over the angle,
        [2 M', A + 1] each.

        Even orders make the real part, odd ones the imaginary part. The angles span half a turn, or one
        period of an image that is the same after half a turn.
        """
        orders = torch.tensor(self._orders, device=self.grid.device).repeat_interleave(2)
        count = round(_ANGLES * self._span / (2 * math.pi)) + 1
        angles = torch.linspace(0, self._span, count, device=self.grid.device, dtype=torch.float64)
        waves = (
            self._waves(angles).mT
            * torch.tensor([1, -1, -1, 1], device=self.grid.device)[orders % 4][:, None]
        )
        return tuple(waves[orders % 2 == odd].to(self.grid.dtype) for odd in range(1 if self._is_even else 2))

    def _waves(self, theta: Tensor) -> Tensor:
        """Cosine and sine of every order, [J, 2 M]."""
        turns = theta[:, None] * torch.tensor(self._orders, device=theta.device)
        return torch.stack([turns.cos(), turns.sin()], -1).flatten(1)

    @property
    def _is_even(self) -> bool:
        return self.profile.period % 2 == 0

    @property
    def _span(self) -> float:
        return 2 * math.pi / self.profile.period if self._is_even else math.pi

    def _wave_numbers(self, native: Tensor) -> tuple[tuple[Tensor, Tensor], tuple]:
        """Deprojected wave numbers: (ln k, theta), and the derivatives of either by e1 and e2, [B, Kx, Ky]
        each."""
        grid = self.grid
        kx, ky = grid.kx.to(grid.dtype)[None, :, None], grid.ky.to(grid.dtype)[None, None, :]
        forms = elliptical_form(native[:, -2] / 2, native[:, -1] / 2)
        (u, v), *slopes = (self._apply(form, kx, ky) for form in forms)
        squares = (u * u + v * v).clamp_(min=1e-12)
        turns = [((u * du + v * dv) / (2 * squares), (u * dv - v * du) / (2 * squares)) for du, dv in slopes]
        return (squares.log().mul_(0.5), torch.atan2(v, u)), tuple(zip(*turns))

    @staticmethod
    def _apply(form: tuple[Tensor, Tensor, Tensor], x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The product of a symmetric matrix, a form [B] of `EllipticalForm`, with vectors."""
        xx, yy, xy = (v.to(x.dtype)[:, None, None] for v in form)
        return xx * x + xy / 2 * y, xy / 2 * x + yy * y

    def _looked_up(
        self, native: Tensor, where: tuple[Tensor, Tensor], derivatives: bool = True
    ) -> list[Tensor]:
        """The transform, and its derivatives by ln k, theta, psi, ln R and all own parameters, [B, Kx, Ky]
        each."""
        pieces = zip(*(v.split(_AT_ONCE) for v in (native, *where)))
        found = torch.cat(
            [
                self._table.look_up(self._tables(some, derivatives), *place, self._span)
                for some, *place in pieces
            ]
        )
        if self._is_even:
            return list(found.unbind(1))
        real, imaginary = found.unflatten(1, (2, -1)).unbind(1)
        # odd orders change their sign after half a turn
        sign = torch.where(where[1] < 0, -1.0, 1.0).to(real.dtype)[:, None]
        return list(torch.complex(real, imaginary * sign).unbind(1))

    def _tables(self, native: Tensor, derivatives: bool) -> Tensor:
        """The transform over (ln k, theta) and its derivatives, [B, parts D, Z, A + 1]."""
        table, synthesis = self._table, self._synthesis
        samples = self._samples(native, table.log_rho, derivatives)
        transforms = table.transforms(samples, self._analysis).unflatten(-1, (-1, 2))
        parts = [
            transforms[..., i :: len(synthesis), :].flatten(3) @ waves for i, waves in enumerate(synthesis)
        ]
        return torch.cat(parts, dim=1)

    def _samples(self, native: Tensor, log_rho: Tensor, derivatives: bool) -> Tensor:
        """Light on rings, as far as the taper lets it through, and its derivatives, [B, D, T, J]."""
        profile, log_r = self.profile, native[:, 2]
        own, psi, shape = self._own(native), self._psi(native), native[:, 3 : 3 + len(self.profile.shape)]
        contour = profile.contour(self._angles.expand(len(native), -1), own, psi)
        log_area, area_by_psi, area_by_own = profile.log_area(own, psi)
        log_mid = self._plain._taper_middle(native)
        inside, slope = (v[:, :, None] for v in taper(log_rho - log_mid[:, None]))
        unit = torch.exp(-2 * log_r - log_area)[:, None, None]
        inside, slope = inside * unit, slope * unit
        dtype = self.grid.dtype
        log_t = (log_rho[:, None] - log_r[:, None, None] + contour.log_s[:, None, :]).to(dtype)
        g, g_log_t, g_shape = profile.profile.evaluate(log_t, shape)
        inside, slope = inside.to(dtype), slope.to(dtype)
        light = g * inside
        if not derivatives:
            return light[:, None]
        steep = g_log_t * inside
        by_size = -(2 * light + steep)
        turn = lambda v: v[:, None, :].to(dtype)
        by_psi, *by_own = (
            steep * turn(s) - light * turn(a[:, None])
            for s, a in zip((contour.by_psi, *contour.by_own), (area_by_psi, *area_by_own))
        )
        by_log_k, by_theta = by_size - g * slope, steep * turn(contour.by_theta)
        return torch.stack([light, by_log_k, by_theta, by_psi, by_size, *(g_shape * inside), *by_own], dim=1)

    # -- the far wing ----------------------------------------------------------------------------------------

    def _add_wing(self, images: Tensor, native: Tensor) -> None:
        """Add light beyond the taper and its derivatives, in place, as `autogal.rendering.wing.add_wing`
        does."""
        log_mid = self._plain._taper_middle(native)
        keep = is_lit_beyond(
            self.profile.profile, self._undeformed(native), log_mid - math.log(2.0)
        )  # modes may push light out
        if not len(keep):
            return
        native, log_mid, profile, grid = native[keep], log_mid[keep], self.profile, self.grid
        own, psi, log_r, shape = (
            self._own(native),
            self._psi(native),
            native[:, 2],
            native[:, 3 : 3 + len(self.profile.shape)],
        )
        col = lambda v: v.to(grid.dtype)[:, None, None]
        x, y = grid.x - col(native[:, 0]), grid.y[:, None] - col(native[:, 1])
        forms = elliptical_form(-native[:, -2] / 2, -native[:, -1] / 2)
        (u, v), by_e1, by_e2 = (self._apply(form, x, y) for form in forms)
        squares = (u * u + v * v).clamp_(min=1e-6)
        log_rho = squares.log() / 2
        inside, slope = taper(log_rho - col(log_mid))
        contour = profile.contour(torch.atan2(v, u), own, psi)
        log_area, area_by_psi, area_by_own = profile.log_area(own, psi)
        g, g_log_t, g_shape = profile.profile.evaluate(log_rho - col(log_r) + contour.log_s, shape)
        unit = col(torch.exp(-2 * log_r - log_area))
        outside = (1 - inside) * unit
        light, steep = g * outside, g_log_t * outside
        if images.shape[1] == 1:
            images[:, 0].index_add_(0, keep, light)
            return
        by_log_rho, by_theta = steep - g * slope * unit, steep * contour.by_theta

        def along(du: Tensor, dv: Tensor) -> Tensor:
            return ((u * du + v * dv) * by_log_rho + (u * dv - v * du) * by_theta) / squares

        xx, yy, xy = (col(w) for w in forms.radius)
        by_psi, *by_own = (
            steep * s - light * col(a)
            for s, a in zip((contour.by_psi, *contour.by_own), (area_by_psi, *area_by_own))
        )
        parts = [
            light,
            along(-xx, -xy / 2),
            along(-xy / 2, -yy),
            -(2 * light + steep),
            *(g_shape * outside),
            *by_own,
            *(
                along(-du / 2, -dv / 2) + by_psi * col(turn)
                for (du, dv), turn in zip((by_e1, by_e2), self._turn(native))
            ),
        ]
        for i, part in enumerate(parts):
            images[:, i].index_add_(0, keep, part)
