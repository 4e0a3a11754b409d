"""What Gauss-Newton matrices say of how well free vectors are known."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["sigma_along", "weakest_direction"]

# Of a scaled matrix the least eigenvalue that is more than rounding
_UNKNOWN = 1e-7


def weakest_direction(hessian: Tensor, frozen: Tensor) -> Tensor:
    """One standard deviation along what is known least, [B, P].

    Parameters
    ----------
    hessian : Tensor, [B, P, P] float64
        A Gauss-Newton matrix.
    frozen : Tensor, [B, P] bool
        Parameters that do not move.
    """
    values, vectors, scale = _scaled(hessian, frozen)
    return vectors[:, :, 0] * values[:, :1].clamp(min=_UNKNOWN).rsqrt() * scale


def sigma_along(hessian: Tensor, frozen: Tensor, along: Tensor) -> Tensor:
    """Standard deviation [B] of the free vectors' scalar product with `along` [B, P]."""
    values, vectors, scale = _scaled(hessian, frozen)
    turned = (vectors.mT @ (scale * along)[:, :, None])[..., 0]
    return (turned.square() / values.clamp(min=_UNKNOWN)).sum(-1).sqrt()


def _scaled(hessian: Tensor, frozen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Eigenvalues, eigenvectors and the scale [B, P] of matrices with a diagonal of ones; 0 of what is
    frozen or not known at all."""
    diagonal = hessian.diagonal(dim1=-2, dim2=-1)
    scale = torch.where((diagonal > 0) & ~frozen, diagonal, torch.inf).rsqrt()
    matrix = hessian * scale[:, :, None] * scale[:, None, :] + torch.diag_embed(
        (scale == 0).to(hessian.dtype)
    )
    return *torch.linalg.eigh(matrix), scale
