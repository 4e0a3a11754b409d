"""Drawing radial profiles in Fourier space, with their derivatives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from autogal.profiles import RadialProfile
from autogal.rendering.ellipse import elliptical_form, evaluate_form
from autogal.rendering.grid import Grid
from autogal.rendering.hankel import hankel_table
from autogal.rendering.renderer import Renderer
from autogal.rendering.wing import TAPER_SPAN, add_wing, taper, wing_error

__all__ = ["Outline", "SpectralRenderer"]


class Outline(NamedTuple):
    """All of a drawing that has no pixels yet: cheap, and made for many galaxies at once.

    Attributes
    ----------
    native : Tensor, [B, 5 + S]
    log_mid : Tensor, [B]
        ln of the circularised radius where the taper is 1/2.
    tables : Tensor, [B, 3 + S, Z]
        H, dH / d ln k, dH / d ln R and dH / d ln shape over ln z.
    form : Tensor, [B, 3, 3]
        Rows: the elliptical wave number squared and its derivatives by e1 and e2; columns: as in
        `EllipticalForm`.
    px, px_slope : Tensor, [B, Kx]
    py, py_slope : Tensor, [B, Ky]
        Shifts to the centre and their derivatives.
    """

    native: Tensor
    log_mid: Tensor
    tables: Tensor
    form: Tensor
    px: Tensor
    px_slope: Tensor
    py: Tensor
    py_slope: Tensor

    def split(self, size: int) -> list[Outline]:
        """Pieces of at most `size` galaxies."""
        return [Outline(*piece) for piece in zip(*(v.split(size) for v in self))]


@dataclass(frozen=True)
class SpectralRenderer(Renderer):
    r"""Draws a PSF-convolved radial profile and its derivatives on one grid.

    The galaxy of unit flux at :math:`(x_0, y_0)` has the transform
    :math:`H(\kappa R)\,\exp(-i k\cdot x_0)\,P(k)` with :math:`\kappa^2 = k^T e^{E} k`, where
    E = ((e1, e2), (e2, -e1)), :math:`(e_1, e_2) = -\ln q\,(\cos 2\phi, \sin 2\phi)`, :math:`\phi` the major
    axis from +x, and :math:`R = r_{eff}\sqrt q` the circularised half-light radius: smooth everywhere, also
    where the galaxy is round and its angle undefined. No cusp is ever sampled, for the PSF ends before
    Nyquist.

    Light that would wrap round the periodic grid is taken out of the transform by a taper in ln(radius) and
    added where it belongs, the far wing, in real space, without the PSF: it is smooth on the PSF's scale.

    Attributes
    ----------
    profile : RadialProfile
    grid : Grid

    Notes
    -----
    `native` is x, y, ln R (circularised half-light radius, px), ln of the own parameters, e1, e2, [B, 5 + S].
    """

    profile: RadialProfile
    grid: Grid

    def image(self, native: Tensor, psf: Tensor) -> Tensor:
        """Unit-flux images alone, [B, H, W], at a third of the price of `draw`."""
        grid = self.grid
        outline = self.outline(native)
        squares = self._squares(outline.form[:, 0])
        transform, *_ = self._look_up(outline.tables[:, :1], squares, native[:, 2])
        spectra = (psf * outline.px[:, :, None]).mul_(outline.py[:, None, :]).mul_(transform)
        images = grid.to_images(spectra)[:, None]
        add_wing(images, grid, self.profile, native, outline.log_mid)
        return images[:, 0]

    def outline(self, native: Tensor) -> Outline:
        """The first half of `draw`."""
        x, y, e1, e2 = native[:, 0], native[:, 1], native[:, -2], native[:, -1]
        log_mid = self._taper_middle(native)
        form = torch.stack([torch.stack(row, -1) for row in elliptical_form(e1, e2)], dim=1)
        return Outline(
            native,
            log_mid,
            self._tables(native, log_mid),
            form,
            *self.grid.phase(x, "x"),
            *self.grid.phase(y, "y"),
        )

    def fill(self, outline: Outline, psf: Tensor) -> Tensor:
        """The second half of `draw`, on all pixels."""
        grid, native = self.grid, outline.native
        squares, by_e1, by_e2 = (self._squares(outline.form[:, i]) for i in range(3))
        transform, by_log_k, *own = self._look_up(outline.tables, squares, native[:, 2])
        half = by_log_k.div_(squares).mul_(0.5)

        px, px_slope = outline.px[:, :, None], outline.px_slope[:, :, None]
        py, py_slope = outline.py[:, None, :], outline.py_slope[:, None, :]
        spectra = torch.empty(
            (len(native), 1 + native.shape[1], *squares.shape[1:]), dtype=psf.dtype, device=psf.device
        )
        base = psf * px
        torch.mul(base * transform, py_slope, out=spectra[:, 2])
        base *= py
        torch.mul(base, transform, out=spectra[:, 0])
        torch.mul((psf * transform).mul_(py), px_slope, out=spectra[:, 1])
        for i, factor in enumerate([*own, by_e1.mul_(half), by_e2.mul_(half)]):
            torch.mul(base, factor, out=spectra[:, 3 + i])
        images = grid.to_images(spectra)
        add_wing(images, grid, self.profile, native, outline.log_mid)
        return images

    def wing_error(self, native: Tensor, fwhm: Tensor) -> tuple[Tensor, Tensor]:
        """Estimated errors of the far wing; see `autogal.rendering.wing.wing_error`."""
        return wing_error(self.grid, self.profile, native, self._taper_middle(native), fwhm)

    def _taper_middle(self, native: Tensor) -> Tensor:
        """ln of the circularised radius of half taper, [B].

        Along its major axis the taper ends where periodic copies of the source could reach the stamp.
        """
        (height, width), (rows, columns) = self.grid.shape, self.grid.period
        x, y = native[:, 0], native[:, 1]
        far_x, far_y = torch.maximum(x, width - 1 - x), torch.maximum(y, height - 1 - y)
        end = torch.minimum(rows - far_y, columns - far_x).clamp(min=4.0) - 2.0
        return end.log() - torch.hypot(native[:, -2], native[:, -1]) / 2 - TAPER_SPAN / 2

    def _tables(self, native: Tensor, log_mid: Tensor) -> Tensor:
        hankel = hankel_table(self.grid.device, self.grid.dtype, self.profile.sharp)
        log_t = hankel.log_t.expand(len(native), -1)
        g, g_log_t, g_shape = self.profile.evaluate(log_t, native[:, 3:-2])
        inside, slope = taper(log_t + (native[:, 2] - log_mid)[:, None])
        by_size = -(2 * g + g_log_t) * inside
        rows = torch.stack([g * inside, by_size - g * slope, by_size, *(g_shape * inside)], dim=1)
        return rows.to(self.grid.dtype) @ hankel.matrix

    def _squares(self, form: Tensor) -> Tensor:
        """A form [B, 3] at all wave numbers, [B, Kx, Ky]."""
        kx, ky = (
            self.grid.kx.to(self.grid.dtype)[None, :, None],
            self.grid.ky.to(self.grid.dtype)[None, None, :],
        )
        squares = evaluate_form(form.unbind(-1), kx, ky)
        squares[:, 0, 0] = 1e-12  # k = 0: the first entry of every table, and no direction
        return squares

    def _look_up(self, tables: Tensor, squares: Tensor, log_r: Tensor) -> list[Tensor]:
        """Linear interpolation of each table at ln(kappa R), for squares of kappa [B, Kx, Ky]."""
        hankel = hankel_table(self.grid.device, self.grid.dtype, self.profile.sharp)
        origin = ((log_r - hankel.log_z0) / hankel.step).to(squares.dtype)[:, None, None]
        position = squares.log().mul_(0.5 / hankel.step).add_(origin).clamp_(0, hankel.size - 1.001)
        index = position.to(torch.int32)
        fraction = position.sub_(index).view(-1)
        rows = tables.shape[0] * tables.shape[1]
        index += torch.arange(
            0, rows * hankel.size, hankel.size * tables.shape[1], dtype=torch.int32, device=index.device
        )[:, None, None]
        index = index.view(-1)
        flat = tables.reshape(-1)
        ahead = torch.diff(flat, append=flat[-1:])
        out = []
        for i in range(tables.shape[1]):
            if i:
                index += hankel.size
            out.append(
                torch.addcmul(flat.index_select(0, index), ahead.index_select(0, index), fraction).view(
                    squares.shape
                )
            )
        return out
