"""Chi-square of a bucket of stamps and its normal equations: all that a least-squares solver asks of the images."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from autogal.model.model import Model
from autogal.model.spectral import Outline, SpectralRenderer
from autogal.solvers import Linearisation

__all__ = ["StampProblem"]

_log = logging.getLogger(__name__)


@lru_cache(maxsize=4)
def _pool(threads: int) -> ThreadPoolExecutor:
    # small tensors gain nothing from threads inside an operation: one core a chunk
    return ThreadPoolExecutor(threads, thread_name_prefix="autogal", initializer=torch.set_num_threads, initargs=(1,))


@dataclass
class StampProblem:
    """Equal-sized stamps with their weights and PSFs, as a least-squares problem.

    Attributes
    ----------
    model : Model
    renderer : SpectralRenderer
    data : Tensor, [N, H, W]
        Images in units of their noise, sky pedestal taken off.
    weight : Tensor, [N, H, W]
        1 / sigma in the same units, 0 where a pixel is excluded.
    psf : Tensor, [M, Kx, Ky] complex
        Transfer functions, one for each different PSF.
    psf_index : Tensor, [N] int
        Which PSF each stamp has.
    hold_sky : bool
        Whether the sky keeps the value it is given instead of being fitted.
    chunk : int
        Stamps drawn at once: as many as the cache (CPU) or the memory (GPU) holds.
    threads : int
        Chunks drawn at the same time, each on one core.
    """

    model: Model
    renderer: SpectralRenderer
    data: Tensor
    weight: Tensor
    psf: Tensor
    psf_index: Tensor
    hold_sky: bool
    chunk: int
    threads: int = 1

    def linearise(self, free: Tensor, items: Tensor) -> Linearisation:
        """Chi-square, gradient and Gauss-Newton matrix at `free`, flux and sky solved for exactly.

        Parameters
        ----------
        free : Tensor, [B, P] float64
        items : Tensor, [B] int
            Rows of `data`.

        Returns
        -------
        Linearisation
            Its `theta` is `free` with the best flux and sky for the other parameters (variable projection,
            Golub & Pereyra 1973), which the same sums give at no further cost.
        """
        native, chain = self.model.native(free)
        outline = self.renderer.outline(native)
        pieces = list(zip(outline.split(self.chunk), free.split(self.chunk), items.split(self.chunk)))
        if self.threads > 1 and len(pieces) > 1:
            parts = list(_pool(self.threads).map(lambda piece: self._sums(*piece), pieces))
        else:
            parts = [self._sums_or_halves(*piece) for piece in pieces]
        gram, chi2 = (torch.cat(p) for p in zip(*parts))
        return self._with_prior(Linearisation(*self._project(free, chain, gram, chi2)))

    def penalty(self, free: Tensor) -> Tensor:
        """What the prior adds to chi-square, [B]."""
        mean, precision = self.model.prior(free)
        return ((free - mean).square() * precision).sum(-1)

    def _with_prior(self, state: Linearisation) -> Linearisation:
        mean, precision = self.model.prior(state.theta)
        return Linearisation(state.theta, state.chi2 + self.penalty(state.theta),
                             state.gradient - (state.theta - mean) * precision, state.hessian + torch.diag(precision))

    def _sums_or_halves(self, outline: Outline, free: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        try:
            return self._sums(outline, free, items)
        except torch.cuda.OutOfMemoryError:
            if len(items) == 1:
                raise
        # the exception must be gone, and its frames with it, before the memory they hold is free
        torch.cuda.empty_cache()
        self.chunk = max(1, len(items) // 2)
        _log.info("out of GPU memory: going on with %d stamps at a time", self.chunk)
        pieces = zip(outline.split(self.chunk), free.split(self.chunk), items.split(self.chunk))
        return tuple(torch.cat(p) for p in zip(*(self._sums_or_halves(*piece) for piece in pieces)))

    def _sums(self, outline: Outline, free: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Inner products over all pixels of image, derivatives, sky and residual, [B, P + 1, P + 1], and chi-square."""
        i_flux, i_sky = self.model.linear
        images = self.renderer.fill(outline, self.psf[self.psf_index[items]])
        batch, count = images.shape[:2]
        weight = self.weight[items]
        # rows: unit-flux image, its derivatives, the sky, the residual; all over sigma
        rows = images.new_empty((batch, count + 2, *images.shape[2:]))
        torch.mul(images, weight[:, None], out=rows[:, :count])
        rows[:, count] = weight
        flux, sky = free[:, i_flux].to(rows.dtype), free[:, i_sky].to(rows.dtype)
        residual = (self.data[items] - sky[:, None, None]).mul_(weight)
        torch.addcmul(residual, rows[:, 0], flux[:, None, None], value=-1, out=rows[:, count + 1])
        rows = rows.flatten(2)
        return torch.bmm(rows, rows.mT).double(), rows[:, -1].square().sum(-1, dtype=torch.float64)

    def _project(self, free, chain, gram, chi2):
        """Move flux and sky to their optimum and order the sums as the free vector is ordered."""
        model = self.model
        i_flux, i_sky = model.linear
        n = gram.shape[-1] - 3  # derivatives; row 0 is the image, -2 the sky, -1 the residual
        lin = torch.tensor([0, n + 1], device=gram.device)
        if self.hold_sky:  # it pulls at nothing
            gram[:, n + 1, :] = 0.0
            gram[:, :, n + 1] = 0.0
            gram[:, n + 1, n + 1] = 1.0
        a = gram[:, lin][:, :, lin]
        right = gram[:, lin, -1]
        scale = a.diagonal(dim1=-2, dim2=-1).clamp(min=1e-300).rsqrt()
        scaled = a * scale[:, :, None] * scale[:, None, :]
        det = 1 - scaled[:, 0, 1] ** 2
        rs = right * scale
        move = torch.stack([rs[:, 0] - scaled[:, 0, 1] * rs[:, 1], rs[:, 1] - scaled[:, 0, 1] * rs[:, 0]], -1) / det[:, None] * scale
        # no negative galaxy, and nothing solved where the two cannot be told apart
        good = (det > 1e-9) & (free[:, i_flux] + move[:, 0] > 0) & torch.isfinite(move).all(-1)
        move = torch.where(good[:, None], move, 0.0)
        free = free.clone()
        free[:, i_flux] += move[:, 0]
        free[:, i_sky] += move[:, 1]
        chi2 = chi2 - 2 * (move * right).sum(-1) + torch.einsum("bi,bij,bj->b", move, a, move)

        flux = free[:, i_flux]
        order = [1 + i for i in range(n)]
        order.insert(i_flux, 0)
        order.append(n + 1)
        order = torch.tensor(order, device=gram.device)
        # columns of the Jacobian: flux times the unit-flux derivatives, carried to the free vector
        lift = torch.zeros(len(free), model.size, model.size, dtype=gram.dtype, device=gram.device)
        others = torch.tensor([i for i in range(model.size) if i not in (i_flux, i_sky)], device=gram.device)
        lift[:, others[:, None], others] = chain * flux[:, None, None]
        lift[:, i_flux, i_flux] = 1.0
        lift[:, i_sky, i_sky] = 1.0
        core = gram[:, order][:, :, order]
        gradient = gram[:, order, -1] - (gram[:, order][:, :, lin] @ move[:, :, None])[..., 0]
        gradient = (lift.mT @ gradient[:, :, None])[..., 0]
        return free, chi2, gradient, lift.mT @ core @ lift
