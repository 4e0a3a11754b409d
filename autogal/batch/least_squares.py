"""Chi-square of a bucket of stamps and its normal equations: all that a least-squares solver asks of the
images."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from autogal.batch.best_move import best_move
from autogal.batch.correlated import (
    bartlett,
    inverse_power,
    padded_shape,
    power_spectrum,
    score_covariance,
    weighted,
)
from autogal.model.fit_model import FitModel
from autogal.model.units import Units
from autogal.rendering.renderer import Drawing, Renderer
from autogal.solvers import Linearisation

__all__ = ["StampProblem"]

_log = logging.getLogger(__name__)


@lru_cache(maxsize=4)
def _pool(threads: int) -> ThreadPoolExecutor:
    # small tensors gain nothing from threads inside an operation: one core a chunk
    return ThreadPoolExecutor(
        threads, thread_name_prefix="autogal", initializer=torch.set_num_threads, initargs=(1,)
    )


@dataclass
class StampProblem:
    """Equal-sized stamps with their weights and PSFs, as a least-squares problem.

    Attributes
    ----------
    model : FitModel
    renderers : tuple of Renderer
        One for each component, on one grid.
    data : Tensor, [N, H, W]
        Images in units of their noise, sky pedestal taken off.
    weight : Tensor, [N, H, W]
        1 / sigma in the same units, 0 where a pixel is excluded.
    psf : Tensor, [M, Kx, Ky] complex
        Transfer functions, one for each different PSF.
    psf_index : Tensor, [N] int
        Which PSF each stamp has.
    chunk : int
        Stamps drawn at once: as many as the cache (CPU) or the memory (GPU) holds.
    threads : int
        Chunks drawn at the same time, each on one core.
    units : Units, optional
        Those of the stamps, where the model asks for them.
    moved : Tensor, [N, R], optional
        How far the means of the model's priors are moved, in standard deviations.
    correlation : Tensor, [N, L, L], optional
        Covariance of pixels by lag, where chi-square is that of correlated noise: its frequencies are weighed
        by the inverse of their power. Excluded pixels are then zero, which costs a little of the gain beside
        them and biases nothing.
    """

    model: FitModel
    renderers: tuple[Renderer, ...]
    data: Tensor
    weight: Tensor
    psf: Tensor
    psf_index: Tensor
    chunk: int
    threads: int = 1
    units: Units | None = None
    moved: Tensor | None = None
    correlation: Tensor | None = None

    def linearise(self, free: Tensor, items: Tensor) -> Linearisation:
        """Chi-square, gradient and Gauss-Newton matrix at `free`, all that it is linear in solved for
        exactly.

        Parameters
        ----------
        free : Tensor, [B, P] float64
        items : Tensor, [B] int
            Rows of `data`.

        Returns
        -------
        Linearisation
            Its `theta` is `free` with the best values of the model's `linear` for the other parameters
            (variable projection, Golub & Pereyra 1973), which the same sums give at no further cost.
        """
        pieces = self._pieces_at(free, items)
        if self.threads > 1 and len(pieces) > 1:
            parts = list(_pool(self.threads).map(lambda piece: self._sums(*piece), pieces))
        else:
            parts = [self._sums_or_halves(*piece) for piece in pieces]
        return self._with_prior(
            Linearisation(*self._project(free, *(torch.cat(p) for p in zip(*parts)))), items
        )

    def evaluate(self, free: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """As `linearise`, without derivatives: the images alone are drawn, at a part of the price.

        Light that would be negative at the optimum is taken away here, which `linearise` leaves as it was.

        Returns
        -------
        free : Tensor, [B, P]
            With the best values of the model's `linear`.
        chi2 : Tensor, [B]
        """
        native, linear = self._native(free, items), self.model.multipliers(free)
        pieces = list(
            zip(
                zip(*(drawn.split(self.chunk) for drawn in native)),
                linear.split(self.chunk),
                items.split(self.chunk),
            )
        )
        several = self.threads > 1 and len(pieces) > 1
        parts = (_pool(self.threads).map if several else map)(
            lambda piece: self._best_of_images(*piece), pieces
        )
        move, chi2 = (torch.cat(part) for part in zip(*parts))
        free = free.clone()
        free[:, self.model.linear_places(free)] += move
        return free, chi2 + self.penalty(free, items)

    def residuals(self, free: Tensor, items: Tensor) -> Tensor:
        """(data - model) / sigma of the `items` [B] at `free` [B, P], [B, H, W]."""
        native, amplitudes, out = self._native(free, items), self.model.amplitudes(free), self.data[items]
        out -= free[:, -1, None, None].to(out.dtype)
        for some in self._some(len(items)):
            psf = self.psf[self.psf_index[items[some]]]
            for renderer, drawn, bright in zip(self.renderers, native, amplitudes):
                out[some] -= renderer.image(drawn[some], psf) * bright[some, None, None].to(out.dtype)
        return out.mul_(self.weight[items])

    def light_and_model(self, free: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """The target's light alone, and the whole model with its sky, of the `items` [B] at `free` [B, P],
        [B, H, W] each."""
        native, amplitudes, light = (
            self._native(free, items),
            self.model.amplitudes(free),
            torch.zeros_like(self.data[items]),
        )
        other = free[:, -1, None, None].to(light.dtype).expand_as(light).clone()
        for some in self._some(len(items)):
            psf = self.psf[self.psf_index[items[some]]]
            for number, (renderer, drawn, bright) in enumerate(zip(self.renderers, native, amplitudes)):
                image = renderer.image(drawn[some], psf) * bright[some, None, None].to(light.dtype)
                (light if number in self.model.lights else other)[some] += image
        return light, other.add_(light)

    def _some(self, number: int) -> list[slice]:
        """Pieces of so many stamps to draw without derivatives: they take less memory, and each piece
        costs its Hankel transforms."""
        size = self.chunk * max(1, max(c.size for c in self.model.components) // 2)
        return [slice(first, first + size) for first in range(0, number, size)]

    def response(self, free: Tensor, items: Tensor, light: Tensor, owner: Tensor) -> tuple[Tensor, Tensor]:
        """How light that is added to stamps moves their models.

        Parameters
        ----------
        free : Tensor, [B, P] float64
        items : Tensor, [B] int
        light : Tensor, [L, H, W]
            Over sigma.
        owner : Tensor, [L] int
            Which of the B stamps each is added to.

        Returns
        -------
        slope : Tensor, [L, P] float64
            The light's part of the gradient, J^T light.
        hessian : Tensor, [B, P, P] float64
            The Gauss-Newton matrix.
        """
        grams, slopes, first = [], None, 0
        for piece in self._pieces_at(free, items):
            rows = self._rows(*piece)[:, :-1].flatten(2)
            grams.append(torch.bmm(rows, rows.mT).double())
            here = ((owner >= first) & (owner < first + len(rows))).nonzero()[:, 0]
            slopes = light.new_zeros(len(light), rows.shape[1]) if slopes is None else slopes
            slopes[here] = torch.bmm(rows[owner[here] - first], light[here].flatten(1)[:, :, None])[..., 0]
            first += len(rows)
        jacobian = self.model.image_jacobian(free)
        curvature = self.prior(free, items)[2]
        return (jacobian[owner].mT @ slopes.double()[:, :, None])[..., 0], jacobian.mT @ torch.cat(
            grams
        ) @ jacobian + curvature

    def score_covariance(self, free: Tensor, items: Tensor, correlation: Tensor) -> Tensor:
        """Covariance of the gradient of chi-square under correlated noise, [B, P, P] float64.

        Parameters
        ----------
        free : Tensor, [B, P] float64
        items : Tensor, [B] int
        correlation : Tensor, [B, L, L]
            Covariance of pixels by lag, in units of their variance. A prior's mean scatters by its own width.
        """
        shape, out, first = self._padded(correlation), [], 0
        for piece in self._pieces_at(free, items):
            rows = self._estimating(self._rows(*piece)[:, :-1], piece[-1])
            power = power_spectrum(correlation[first : first + len(rows)], shape)
            out.append(score_covariance(rows, power).double())
            first += len(rows)
        jacobian = self.model.image_jacobian(free)
        return jacobian.mT @ torch.cat(out) @ jacobian + self.prior(free, items)[2]

    def misfit_covariance(self, free: Tensor, items: Tensor, width: Tensor) -> Tensor:
        """Covariance of the gradient of chi-square as the residuals themselves have it, [B, P, P] float64.

        Parameters
        ----------
        free : Tensor, [B, P] float64
            Best fits.
        items : Tensor, [B] int
        width : Tensor, [B]
            Lag, in pixels, from which residuals are taken for independent.

        Notes
        -----
        The products of gradients of pixels, weighed by a Bartlett window of their lag (Conley 1999, J.
        Econometrics 92, 1): what a model that is not true scatters by, where what it misses is coherent over
        no more than the width.
        """
        reach = int(width.max().ceil())
        shape, out, first = padded_shape(self.data.shape[1:], reach), [], 0
        for piece in self._pieces_at(free, items):
            rows = self._rows(*piece)
            window = power_spectrum(bartlett(width[first : first + len(rows)], reach), shape)
            gradients = self._estimating(rows[:, :-1], piece[-1]) * rows[:, -1:]
            out.append(score_covariance(gradients, window).double())
            first += len(rows)
        jacobian = self.model.image_jacobian(free)
        return jacobian.mT @ torch.cat(out) @ jacobian

    def _estimating(self, rows: Tensor, items: Tensor) -> Tensor:
        """What residuals over sigma are multiplied with for the gradient of chi-square, [B, R, H, W].

        The derivatives over sigma themselves, or with each frequency weighed by the noise's power there.
        """
        if self.correlation is None:
            return rows
        weight = inverse_power(self.correlation[items], self._padded(self.correlation))
        return weighted(rows, weight) * (self.weight[items] > 0)[:, None]

    def _padded(self, correlation: Tensor) -> tuple[int, int]:
        return padded_shape(self.data.shape[1:], correlation.shape[-1] // 2)

    def _pieces_at(self, free: Tensor, items: Tensor) -> list[tuple]:
        outlines = [
            renderer.outline(drawn) for renderer, drawn in zip(self.renderers, self._native(free, items))
        ]
        return self._pieces(outlines, self.model.multipliers(free), items)

    def _native(self, free: Tensor, items: Tensor) -> list[Tensor]:
        """What the renderer of each component draws from."""
        native = self.model.native(free)
        if not self.model.states_level:
            return native
        return [
            c.zero_at(drawn, self.units.to_centre[items]) for c, drawn in zip(self.model.components, native)
        ]

    def _pieces(self, outlines: Sequence[Drawing], linear: Tensor, items: Tensor) -> list[tuple]:
        return list(
            zip(
                zip(*(o.split(self.chunk) for o in outlines)),
                linear.split(self.chunk),
                items.split(self.chunk),
            )
        )

    def penalty(self, free: Tensor, items: Tensor) -> Tensor:
        """What the prior adds to chi-square of the `items` [B] at `free` [B, P], [B]."""
        return self.prior(free, items)[0]

    def prior(self, free: Tensor, items: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As the model has it, of the `items` [B] at `free` [B, P]."""
        return self.model.prior(free, self.units, items, None if self.moved is None else self.moved[items])

    def _with_prior(self, state: Linearisation, items: Tensor) -> Linearisation:
        penalty, slope, curvature = self.prior(state.theta, items)
        return Linearisation(
            state.theta, state.chi2 + penalty, state.gradient - slope, state.hessian + curvature
        )

    def _sums_or_halves(
        self, outlines: Sequence[Drawing], linear: Tensor, items: Tensor
    ) -> tuple[Tensor, Tensor]:
        try:
            return self._sums(outlines, linear, items)
        except torch.cuda.OutOfMemoryError:
            if len(items) == 1:
                raise
        # the exception must be gone, and its frames with it, before the memory they hold is free
        torch.cuda.empty_cache()
        self.chunk = max(1, len(items) // 2)
        _log.info("out of GPU memory: going on with %d stamps at a time", self.chunk)
        halves = [self._sums_or_halves(*piece) for piece in self._pieces(outlines, linear, items)]
        return tuple(torch.cat(p) for p in zip(*halves))

    def _sums(self, outlines: Sequence[Drawing], linear: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Inner products over all pixels of `_rows`, [B, R + 1, R + 1], and chi-square."""
        rows = self._rows(outlines, linear, items)
        if self.correlation is not None:
            gram = score_covariance(
                rows, inverse_power(self.correlation[items], self._padded(self.correlation))
            ).double()
            return gram, gram[:, -1, -1]
        rows = rows.flatten(2)
        return torch.bmm(rows, rows.mT).double(), rows[:, -1].square().sum(-1, dtype=torch.float64)

    def _rows(self, outlines: Sequence[Drawing], linear: Tensor, items: Tensor) -> Tensor:
        """Every component's unit-flux image and derivatives, the sky and the residual, all over sigma, [B,
        R + 1, H, W]."""
        psf, weight = self.psf[self.psf_index[items]], self.weight[items]
        linear, linear_rows = linear.to(weight.dtype), self.model.linear_rows
        residual = (self.data[items] - linear[:, -1, None, None]).mul_(weight)
        rows = weight.new_empty(
            (len(items), sum(c.size for c in self.model.components) + 2, *weight.shape[1:])
        )
        first = 0
        for renderer, outline in zip(self.renderers, outlines):
            images = renderer.fill(outline, psf)
            last = first + images.shape[1]
            torch.mul(images, weight[:, None], out=rows[:, first:last])
            first = last
        for i, row in enumerate(linear_rows[:-1]):
            residual.addcmul_(rows[:, row], linear[:, i, None, None], value=-1)
        rows[:, -2], rows[:, -1] = weight, residual
        return rows

    def _linear_images(self, native: Sequence[Tensor], items: Tensor) -> Tensor:
        """The images at the model's `linear_rows`, [B, L, H, W]: those of the components and the sky."""
        psf = self.psf[self.psf_index[items]]
        images = [renderer.linear_images(drawn, psf) for renderer, drawn in zip(self.renderers, native)]
        return torch.cat([*images, torch.ones_like(images[0][:, :1])], dim=1)

    def _best_of_images(
        self, native: Sequence[Tensor], linear: Tensor, items: Tensor
    ) -> tuple[Tensor, Tensor]:
        """How far what the model is linear in is to move to its optimum, [B, L], and chi-square there,
        [B]."""
        rows, weight = self._linear_images(native, items), self.weight[items]
        residual = self.data[items] - torch.einsum("blhw,bl->bhw", rows, linear.to(rows.dtype))
        rows = torch.cat([rows, residual[:, None]], dim=1).mul_(weight[:, None])
        if self.correlation is not None:
            gram = score_covariance(
                rows, inverse_power(self.correlation[items], self._padded(self.correlation))
            ).double()
            chi2 = gram[:, -1, -1]
        else:
            gram, chi2 = (
                torch.bmm(rows.flatten(2), rows.flatten(2).mT).double(),
                rows[:, -1].square().sum((1, 2), dtype=torch.float64),
            )
        places = self._which_drawn
        lit = torch.isin(self.model.linear_places(linear), self.model.flux_places(linear))
        move, gain = best_move(gram[:, places][:, :, places], gram[:, places, -1], linear[:, places], lit)
        return move, chi2 - gain

    @cached_property
    def _which_drawn(self) -> Tensor:
        """Which of the `linear_rows` are free to be brighter or fainter on their own."""
        rows = torch.tensor(self.model.linear_rows, device=self.data.device)
        return (self.model.drawn_places(self.data)[:, None] == rows).nonzero()[:, 1]

    def _project(self, free: Tensor, gram: Tensor, chi2: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Move what the model is linear in to its optimum, and carry the sums over to the free vector."""
        model, linear = self.model, self.model.linear_places(free)
        places = model.drawn_places(gram)
        a, right = gram[:, places][:, :, places], gram[:, places, -1]
        scale = a.diagonal(dim1=-2, dim2=-1).clamp(min=1e-300).rsqrt()
        scaled = a * scale[:, :, None] * scale[:, None, :]
        move = torch.linalg.solve_ex(scaled, (right * scale)[..., None])[0][..., 0] * scale
        # no negative light, and nothing solved where two cannot be told apart
        moved = free.clone()
        moved[:, linear] += move
        good = (
            (torch.linalg.det(scaled) > 1e-9)
            & (moved[:, model.flux_places(free)] > 0).all(-1)
            & torch.isfinite(move).all(-1)
        )
        move = torch.where(good[:, None], move, 0.0)
        free = torch.where(good[:, None], moved, free)
        chi2 = chi2 - 2 * (move * right).sum(-1) + torch.einsum("bi,bij,bj->b", move, a, move)
        jacobian = model.image_jacobian(free)
        gradient = gram[:, :-1, -1] - (gram[:, :-1][:, :, places] @ move[:, :, None])[..., 0]
        return (
            free,
            chi2,
            (jacobian.mT @ gradient[:, :, None])[..., 0],
            jacobian.mT @ gram[:, :-1, :-1] @ jacobian,
        )
