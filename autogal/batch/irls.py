"""A bucket of stamps under a likelihood other than the Gaussian: the same sums, with weights that follow
the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from autogal.batch.least_squares import StampProblem
from autogal.likelihood import Likelihood, Terms
from autogal.rendering.renderer import Drawing

__all__ = ["ReweightedProblem"]

# Steps towards the best fluxes and sky in each evaluation. A solver's own steps move them too, so few are
# enough
_STEPS = 4
# They are found when the next step would gain less than this in the deviance
_FOUND = 1e-7


@dataclass
class ReweightedProblem(StampProblem):
    """Equal-sized stamps and a likelihood, as a least-squares problem around each model.

    Its linearisations have the deviance in the place of chi-square, its exact gradient, and J^T W J with the
    weights of the likelihood's `terms` (iteratively reweighted least squares). What a solver accepts is
    decided by the deviance.

    Attributes
    ----------
    likelihood : Likelihood
    times : Tensor, [N, H, W], optional
        How often each pixel counts; once by default.
    """

    likelihood: Likelihood = field(kw_only=True)
    times: Tensor | None = None

    def judge(self, free: Tensor, items: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the likelihood makes of the fits `free` [B, P] of the `items` [B].

        Returns
        -------
        information : Tensor, [B, P, P]
            Fisher's matrix, with the prior's part: its inverse is the covariance.
        mean, variance : Tensor, [B]
            Of the deviance of data which the model describes.
        """
        parts = [self._judged(*piece) for piece in self._pieces_at(free, items)]
        gram, mean, variance = (torch.cat(p) for p in zip(*parts))
        jacobian = self.model.image_jacobian(free)
        return jacobian.mT @ gram @ jacobian + self.prior(free, items)[2], mean, variance

    def _judged(
        self, outlines: Sequence[Drawing], linear: Tensor, items: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        images, weight = self._images(outlines, items), self.weight[items]
        model = _combined(images[:, self._rows_drawn], linear)
        information = self.likelihood.information(model, weight)
        rows = (images * information.sqrt()[:, None]).flatten(2)
        moments = self.likelihood.expected(model, weight)
        return torch.bmm(rows, rows.mT).double(), *(
            moment.sum((-2, -1), dtype=torch.float64) for moment in moments
        )

    def _images(self, outlines: Sequence[Drawing], items: Tensor) -> Tensor:
        """Every component's unit-flux image and derivatives, and the sky, [B, R, H, W]."""
        psf = self.psf[self.psf_index[items]]
        drawn = [renderer.fill(outline, psf) for renderer, outline in zip(self.renderers, outlines)]
        return torch.cat([*drawn, torch.ones_like(drawn[0][:, :1])], dim=1)

    def _rows(self, outlines: Sequence[Drawing], linear: Tensor, items: Tensor) -> Tensor:
        images = self._images(outlines, items)
        residual = (self.data[items] - _combined(images[:, self._rows_drawn], linear)) * self.weight[items]
        return torch.cat([images, residual[:, None]], dim=1)

    def _sums(self, outlines: Sequence[Drawing], linear: Tensor, items: Tensor) -> tuple[Tensor, ...]:
        """Inner products as `StampProblem` has them, the deviance, and how far fluxes and sky were moved
        to their best."""
        images = self._images(outlines, items)
        move, terms, deviance = self._best_linear(images[:, self._rows_drawn], linear, items)
        root = terms.weight.sqrt()
        residual = torch.where(root > 0, terms.score / root, 0.0)
        rows = torch.cat([images.mul_(root[:, None]), residual[:, None]], dim=1).flatten(2)
        return torch.bmm(rows, rows.mT).double(), deviance, move

    def _best_of_images(
        self, native: Sequence[Tensor], linear: Tensor, items: Tensor
    ) -> tuple[Tensor, Tensor]:
        move, _, deviance = self._best_linear(self._linear_images(native, items), linear, items)
        return move, deviance

    def _best_linear(self, drawn: Tensor, linear: Tensor, items: Tensor) -> tuple[Tensor, Terms, Tensor]:
        """How far fluxes and sky are to move towards their optimum, [B, L], the terms there, and their
        deviance [B].

        `drawn` are the images at the model's `linear_rows`.
        Reweighted least squares in a few unknowns: nothing is drawn anew. A step that does not lower the
        deviance, or leaves a component without light, is shortened.
        """
        data, weight = self.data[items], self.weight[items]
        times = None if self.times is None else self.times[items]
        begin, free = _combined(drawn, linear), drawn[:, self._which_drawn]
        terms, deviance = self._terms(data, begin, weight, times)
        length, running = torch.ones_like(deviance), torch.ones_like(deviance, dtype=torch.bool)
        columns, first = free.flatten(2), linear[:, self._which_drawn]
        lit = torch.isin(self.model.linear_places(linear), self.model.flux_places(linear))
        moved = torch.zeros_like(first)
        for _ in range(_STEPS):
            rows = columns * terms.weight.flatten(1).sqrt()[:, None]
            matrix, right = (
                torch.bmm(rows, rows.mT).double(),
                torch.bmm(columns, terms.score.flatten(1)[..., None]).double()[..., 0],
            )
            scale = matrix.diagonal(dim1=-2, dim2=-1).clamp(min=1e-300).rsqrt()
            scaled = matrix * scale[:, :, None] * scale[:, None, :]
            step = torch.linalg.solve_ex(scaled, (right * scale)[..., None])[0][..., 0] * scale
            running = running & (torch.linalg.det(scaled) > 1e-9) & ((step * right).sum(-1) > _FOUND)
            if not running.is_cuda and not running.any():
                break
            trial = moved + length[:, None] * step
            there, deviance_there = self._terms(data, begin + _combined(free, trial), weight, times)
            better = running & (deviance_there < deviance) & ((first + trial > 0) | ~lit).all(-1)
            moved, deviance = (
                torch.where(better[:, None], trial, moved),
                torch.where(better, deviance_there, deviance),
            )
            terms = Terms(*(torch.where(better[:, None, None], new, old) for old, new in zip(terms, there)))
            length = torch.where(better, 1.0, length / 4)
        return moved, terms, deviance

    def _terms(
        self, data: Tensor, model: Tensor, weight: Tensor, times: Tensor | None
    ) -> tuple[Terms, Tensor]:
        terms = self.likelihood.terms(data, model, weight)
        if times is not None:
            terms = Terms(*(term * times for term in terms))
        return Terms(terms.deviance, terms.score.to(data), terms.weight.to(data)), terms.deviance.sum(
            (-2, -1), dtype=torch.float64
        )

    @cached_property
    def _rows_drawn(self) -> Tensor:
        """The drawn images whose sum is the model."""
        return torch.tensor(self.model.linear_rows, device=self.data.device)

    def _project(
        self, free: Tensor, gram: Tensor, deviance: Tensor, move: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        free = free.clone()
        free[:, self.model.linear_places(free)] += move
        jacobian = self.model.image_jacobian(free)
        return (
            free,
            deviance,
            (jacobian.mT @ gram[:, :-1, -1:])[..., 0],
            jacobian.mT @ gram[:, :-1, :-1] @ jacobian,
        )


def _combined(images: Tensor, linear: Tensor) -> Tensor:
    """The model: images [B, L, H, W] times what multiplies them, [B, L]; [B, H, W]."""
    return torch.einsum("blhw,bl->bhw", images, linear.to(images.dtype))
