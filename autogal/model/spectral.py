"""Drawing radial profiles in Fourier space, with their derivatives."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from autogal.model.grid import Grid
from autogal.model.hankel import hankel_table
from autogal.profiles import RadialProfile

__all__ = ["SpectralRenderer"]

# The taper falls from 1 to 0 between 1/1.6 of its end radius and that radius: 2.2 widths on either side of the middle
_TAPER_SPAN = math.log(1.6)
_TAPER_WIDTH = _TAPER_SPAN / 2 / 2.2


@dataclass(frozen=True)
class SpectralRenderer:
    r"""Draws a PSF-convolved radial profile and its derivatives on one grid.

    The galaxy of unit flux at :math:`(x_0, y_0)` has the transform
    :math:`H(\kappa R)\,\exp(-i k\cdot x_0)\,P(k)` with :math:`\kappa^2 = k^T e^{E} k`, where
    E = ((e1, e2), (e2, -e1)), :math:`(e_1, e_2) = -\ln q\,(\cos 2\phi, \sin 2\phi)`, :math:`\phi` the major axis
    from +x, and :math:`R = r_{eff}\sqrt q` the circularised half-light radius: smooth everywhere, also where the
    galaxy is round and its angle undefined. No cusp is ever sampled, for the PSF ends before Nyquist.

    Light that would wrap round the periodic grid is taken out of the transform by a taper in ln(radius) and added
    where it belongs, the far wing, in real space, without the PSF: it is smooth on the PSF's scale.

    Attributes
    ----------
    profile : RadialProfile
    grid : Grid
    """

    profile: RadialProfile
    grid: Grid

    def taper_radius(self, x: Tensor, y: Tensor) -> Tensor:
        """Semi-major radius [px] beyond which the periodic copies of a source could reach the stamp, [B]."""
        (height, width), (rows, columns) = self.grid.shape, self.grid.period
        far_y = torch.maximum(y, height - 1 - y)
        far_x = torch.maximum(x, width - 1 - x)
        return torch.minimum(rows - far_y, columns - far_x).clamp(min=4.0) - 2.0

    def draw(self, native: Tensor, psf: Tensor) -> Tensor:
        """Unit-flux images and their derivatives.

        Parameters
        ----------
        native : Tensor, [B, 5 + S] float64
            x, y, ln R (circularised half-light radius, px), ln of the own parameters, e1, e2.
        psf : Tensor, [B, Ky, Kx] complex
            Transfer functions from `Grid.psf_transform`.

        Returns
        -------
        Tensor, [B, 6 + S, H, W]
            The image (flux per pixel), then its derivatives by each column of `native`.
        """
        grid, n_shape = self.grid, len(self.profile.shape)
        x, y, log_r, e1, e2 = native[:, 0], native[:, 1], native[:, 2], native[:, -2], native[:, -1]
        shape = native[:, 3 : 3 + n_shape]
        eta = torch.hypot(e1, e2)
        # taper in circularised radius: along the major axis it ends at `taper_radius`
        log_mid = self.taper_radius(x, y).log() - eta / 2 - _TAPER_SPAN / 2

        tables = self._tables(log_r, shape, log_mid)
        squares, by_e = _ellipse(e1, e2, grid.square)
        squares[:, 0] = 1e-12  # k = 0: the first entry of every table
        log_kappa_r = 0.5 * squares.log() + log_r.to(grid.dtype)[:, None]
        values = self._look_up(tables, log_kappa_r)

        (px, px_slope), (py, py_slope) = grid.phase(x, "x"), grid.phase(y, "y")
        base = psf * py[:, :, None]
        area = (len(native), *base.shape[-2:])
        half = (0.5 / squares).mul_(values[1])
        factors = [v.view(area) for v in (values[0], values[2], *values[3:], by_e[0].mul_(half), by_e[1].mul_(half))]
        spectra = torch.empty((len(native), 6 + n_shape, *base.shape[-2:]), dtype=base.dtype, device=base.device)
        torch.mul(base * factors[0], px_slope[:, None, :], out=spectra[:, 1])
        base *= px[:, None, :]
        torch.mul(base, factors[0], out=spectra[:, 0])
        torch.mul((psf * factors[0]).mul_(px[:, None, :]), py_slope[:, :, None], out=spectra[:, 2])
        for i, factor in enumerate(factors[1:]):
            torch.mul(base, factor, out=spectra[:, 3 + i])
        images = grid.to_images(spectra)
        self._add_wing(images, x, y, log_r, shape, e1, e2, log_mid)
        return images

    def wing_error(self, native: Tensor, fwhm: Tensor) -> tuple[Tensor, Tensor]:
        """What leaving the far wing W unconvolved costs: half the PSF's variance times the Laplacian of W.

        Parameters
        ----------
        native : Tensor, [B, 5 + S]
        fwhm : Tensor, [B]
            PSF FWHM, native pixels.

        Returns
        -------
        largest : Tensor, [B]
            Largest error as a fraction of the brightest pixel.
        total : Tensor, [B]
            Sum of absolute errors over the stamp as a fraction of the flux.
        """
        hankel = hankel_table(self.grid.device, self.grid.dtype)
        x, y, log_r, e1, e2 = native[:, 0], native[:, 1], native[:, 2], native[:, -2], native[:, -1]
        eta = torch.hypot(e1, e2)
        log_mid = self.taper_radius(x, y).log() - eta / 2 - _TAPER_SPAN / 2
        log_t = hankel.log_t.expand(len(native), -1)
        g = self.profile.evaluate(log_t, native[:, 3 : 3 + len(self.profile.shape)])[0]
        log_rho = log_t + log_r[:, None]
        wing = g * (1 - _taper(log_rho - log_mid[:, None])[0])
        spacing = hankel.log_t[1] - hankel.log_t[0]
        curvature = torch.zeros_like(wing)  # by ln(radius): a Laplacian is this over the radius squared
        curvature[:, 1:-1] = (wing[:, 2:] - 2 * wing[:, 1:-1] + wing[:, :-2]).abs() / spacing**2
        height, width = self.grid.shape
        corner = torch.hypot(torch.maximum(x, width - 1 - x), torch.maximum(y, height - 1 - y))
        curvature = torch.where(log_rho < (corner.log() + eta / 2)[:, None], curvature, 0.0)
        variance, stretch = (fwhm / 2) ** 2, torch.exp(eta)  # the minor axis curves 1 / q more than the mean one
        relative = variance * (-2 * log_r).exp()
        largest = 0.5 * relative * stretch * (curvature * (-2 * log_t).exp()).amax(-1)
        # the brightest pixel: light within the seeing disk, of Gaussian area, over that area
        seeing = 0.5 * torch.log(2 * variance) - log_r
        inside = (g * torch.where(log_t < seeing[:, None], (2 * log_t).exp(), 0.0)).sum(-1) * 2 * math.pi * spacing
        peak = inside / (math.pi * (2 * seeing).exp())
        total = 0.5 * relative * torch.cosh(eta) * curvature.sum(-1) * spacing * 2 * math.pi
        return largest / peak, total

    def _tables(self, log_r: Tensor, shape: Tensor, log_mid: Tensor) -> Tensor:
        """H, dH/d ln k, dH/d ln R and dH/d ln shape over ln z of each item: [3 + S, B, Z]."""
        hankel = hankel_table(self.grid.device, self.grid.dtype)
        log_t = hankel.log_t.expand(len(log_r), -1)
        g, g_log_t, g_shape = self.profile.evaluate(log_t, shape)
        taper, taper_log_t = _taper(log_t + (log_r - log_mid)[:, None])
        by_size = -(2 * g + g_log_t) * taper
        rows = torch.stack([g * taper, by_size - g * taper_log_t, by_size, *(g_shape * taper)])
        return rows.to(self.grid.dtype) @ hankel.matrix

    def _look_up(self, tables: Tensor, log_z: Tensor) -> list[Tensor]:
        """Linear interpolation of every table at ln z [B, N]; `log_z` is used up."""
        hankel = hankel_table(self.grid.device, self.grid.dtype)
        batch, points = log_z.shape
        position = log_z.sub_(hankel.log_z0).mul_(1 / hankel.step).clamp_(0, hankel.size - 1.001)
        index = position.to(torch.int32)
        position -= index
        index += torch.arange(0, batch * hankel.size, hankel.size, dtype=torch.int32, device=index.device)[:, None]
        index = index.view(-1)
        flat = tables.reshape(len(tables), -1)
        ahead = torch.diff(flat, dim=1, append=flat[:, -1:])
        fraction = position.view(-1)
        out = [torch.addcmul(flat[i].index_select(0, index), ahead[i].index_select(0, index), fraction) for i in range(len(flat))]
        return [v.view(batch, points) for v in out]

    def _add_wing(self, images, x, y, log_r, shape, e1, e2, log_mid) -> None:
        """Add the light beyond the taper, unconvolved, in place."""
        grid = self.grid
        # where no light is left outside the taper there is nothing to add
        start = (log_mid - _TAPER_SPAN / 2 - log_r)[:, None]
        brightness = self.profile.evaluate(start, shape)[0][:, 0] * (-2 * log_r).exp()
        keep = (brightness > 1e-9).nonzero()[:, 0]
        if not len(keep):
            return
        x, y, log_r, shape, e1, e2, log_mid = (v[keep] for v in (x, y, log_r, shape, e1, e2, log_mid))
        col = lambda v: v.to(grid.dtype)[:, None, None]  # noqa: E731
        dx, dy = grid.x - col(x), grid.y[:, None] - col(y)
        plane = torch.stack([(dx * dx + dy * dy).flatten(1), (dx * dx - dy * dy).flatten(1), (2 * dx * dy).flatten(1)], dim=1)
        squares, (s1, s2) = _ellipse(-e1, -e2, plane)
        area = (len(keep), *grid.out_shape)
        squares = squares.view(area).clamp_(min=1e-6)
        log_rho = 0.5 * squares.log()
        taper, slope = _taper(log_rho - col(log_mid))
        g, g_log_t, g_shape = self.profile.evaluate(log_rho - col(log_r), shape)
        # at fixed taper: the size moves the intensity alone, the radius the intensity and the taper
        per_area = col((-2 * log_r).exp())
        outside = (1 - taper).mul_(per_area)
        half = (g_log_t * outside).sub_(g * slope * per_area).mul_(0.5 / squares)
        g, g_log_t, g_shape = g * outside, g_log_t * outside, g_shape * outside
        c, s = torch.cosh(torch.hypot(e1, e2)), _sinhc(torch.hypot(e1, e2))
        xx, yy, xy = col(c - s * e1), col(c + s * e1), col(-s * e2)
        parts = [g, half * (-2 * (xx * dx + xy * dy)), half * (-2 * (yy * dy + xy * dx)), -(2 * g + g_log_t), *g_shape,
                 -half * s1.view(area), -half * s2.view(area)]
        images[keep] += torch.stack(parts, dim=1)


def _taper(u: Tensor) -> tuple[Tensor, Tensor]:
    """Smooth step from 1 to 0 around ln(radius) = 0, and its derivative."""
    v = u / _TAPER_WIDTH
    return 0.5 * torch.special.erfc(v), torch.exp(-v * v) / (-_TAPER_WIDTH * math.sqrt(math.pi))


def _sinhc(eta: Tensor) -> Tensor:
    return torch.where(eta < 1e-4, 1 + eta * eta / 6, torch.sinh(eta) / eta.clamp(min=1e-4))


def _ellipse(e1: Tensor, e2: Tensor, plane: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """v^T exp(E) v and its derivatives by e1 and e2.

    `plane` holds x^2 + y^2, x^2 - y^2 and 2 x y, [3, N] or [B, 3, N]; returns [B, N] each.
    """
    eta = torch.hypot(e1, e2)
    cosh, sinhc = torch.cosh(eta), _sinhc(eta)
    tau = torch.where(eta < 1e-2, 1 / 3 + eta * eta / 30, (cosh - sinhc) / eta.clamp(min=1e-2) ** 2)
    rows = torch.stack([
        torch.stack([cosh, sinhc * e1, sinhc * e2], -1),
        torch.stack([e1 * sinhc, sinhc + tau * e1 * e1, tau * e1 * e2], -1),
        torch.stack([e2 * sinhc, tau * e1 * e2, sinhc + tau * e2 * e2], -1),
    ], dim=1).to(plane.dtype)
    out = (rows.view(-1, 3) @ plane).view(len(e1), 3, -1) if plane.ndim == 2 else rows @ plane
    return out[:, 0].contiguous(), (out[:, 1].contiguous(), out[:, 2].contiguous())
