"""The damped Gauss-Newton step that every solver measures itself by."""

from __future__ import annotations

import torch
from torch import Tensor

from autogal.solvers.outcome import Linearisation

__all__ = ["newton_step"]


def newton_step(state: Linearisation, damping: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Damped Gauss-Newton step, with the parameters frozen that sit on a bound and would leave it.

    Parameters
    ----------
    state : Linearisation
        Of B items and P parameters.
    damping : Tensor, [B]
        In units of the diagonal of J^T J.
    low, high : Tensor, [B, P]
        Where they are equal, a parameter is held.

    Returns
    -------
    step : Tensor, [B, P]
    frozen : Tensor, [B, P] bool
    """
    diagonal = state.hessian.diagonal(dim1=-2, dim2=-1)
    # a parameter without any pull of its own (no light, no pixels) must not make the matrix singular
    scale = torch.where(diagonal > 0, diagonal, 1.0).rsqrt()
    matrix = state.hessian * scale[:, :, None] * scale[:, None, :]
    eye = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    right = state.gradient * scale
    frozen = low >= high
    for _ in range(3):  # freezing one parameter can turn another outward
        free = (~frozen).to(matrix.dtype)
        reduced = (
            matrix * free[:, :, None] * free[:, None, :]
            + eye * (damping[:, None] + 1e-12 + (1 - free))[:, :, None]
        )
        step = torch.linalg.solve_ex(reduced, (right * free)[..., None])[0][..., 0]
        step = torch.where(torch.isfinite(step), step, 0.0) * scale
        outward = ((state.theta <= low) & (step < 0)) | ((state.theta >= high) & (step > 0))
        if not step.is_cuda and not (outward & ~frozen).any():
            break  # a GPU would wait longer for the answer than the steps take
        frozen |= outward
    return torch.where(frozen, 0.0, step), frozen
