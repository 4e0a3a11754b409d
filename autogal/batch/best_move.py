"""The optimum of what images are linear in, from their normal equations alone, without negative light."""

from __future__ import annotations

import torch
from torch import Tensor

from autogal.model.component import FAINTEST

__all__ = ["best_move"]


def best_move(a: Tensor, right: Tensor, now: Tensor, lit: Tensor) -> tuple[Tensor, Tensor]:
    """How far fluxes and sky are to move to their optimum, [B, L], and what chi-square is lower there, [B].

    Parameters
    ----------
    a : Tensor, [B, L, L] float64
        Products of the images over sigma.
    right : Tensor, [B, L]
        Products of these with the residual.
    now : Tensor, [B, L]
        Fluxes and sky.
    lit : Tensor, [L] bool
        Which are fluxes; those that would be negative are taken away, and the others solved for once more.
        Nothing moves where chi-square would not be lower.
    """
    dark = torch.zeros_like(now, dtype=torch.bool)
    move = torch.zeros_like(now)
    for _ in range(now.shape[1] + 1):  # without one, another may come out negative
        move = _solved(a, right, torch.where(dark, FAINTEST - now, 0.0), dark)
        negative = lit & (now + move < FAINTEST) & ~dark
        if not negative.any():
            break
        dark = dark | negative
    gain = 2 * (move * right).sum(-1) - torch.einsum("bi,bij,bj->b", move, a, move)
    good = torch.isfinite(move).all(-1) & (((now + move) >= FAINTEST) | ~lit | dark).all(-1) & (gain > 0)
    return torch.where(good[:, None], move, 0.0), torch.where(good, gain, 0.0)


def _solved(a: Tensor, right: Tensor, held: Tensor, dark: Tensor) -> Tensor:
    """The move [B, L] to the optimum of normal equations, where `dark` moves as `held` has it."""
    free = (~dark).to(a.dtype)
    scale = a.diagonal(dim1=-2, dim2=-1).clamp(min=1e-300).rsqrt()
    pull = (right - (a @ held[:, :, None])[..., 0]) * scale * free
    matrix = a * (scale * free)[:, :, None] * (scale * free)[:, None, :] + torch.diag_embed(1 - free)
    # two that cannot be told apart share
    matrix = matrix + 1e-9 * torch.eye(a.shape[-1], dtype=a.dtype, device=a.device)
    return torch.where(dark, held, torch.linalg.solve_ex(matrix, pull[..., None])[0][..., 0] * scale)
