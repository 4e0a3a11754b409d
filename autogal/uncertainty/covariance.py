"""The covariance matrix of the convolved model."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["covariance"]

# A scaled Gauss-Newton matrix summed in float32 is known to about 1e-7; below this nothing is measured
_SINGULAR = 1e-7
_TOUCHED = 1e-3  # part in a direction of which nothing is known, from which a parameter is not known either


def covariance(
    hessian: Tensor, jacobian: Tensor, frozen: Tensor, score: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Covariance of catalogue parameters from the Gauss-Newton matrix of the free ones.

    Parameters
    ----------
    hessian : Tensor, [B, P, P] float64
        J^T J of the PSF-convolved model over sigma, by the free parameters.
    jacobian : Tensor, [B, P, P] float64
        Derivatives of the catalogue's values by the free parameters.
    frozen : Tensor, [B, P] bool
        Free parameters held at a bound.
    score : Tensor, [B, P, P] float64, optional
        Covariance of the gradient, where it is not the Gauss-Newton matrix itself: of noise that is
        correlated from pixel to pixel. The covariance is then H^-1 S H^-1 (White 1982, Econometrica 50, 1).
        NaN: that of the Gauss-Newton matrix.

    Returns
    -------
    covariance : Tensor, [B, P, P] float64
        Full covariance, in the units of the catalogue's values. A value that depends on a frozen parameter
        has NaN in its row and column: at a bound the curvature says nothing of its error. So has one that
        depends on what cannot be told: parameters that can take each other's place, or change nothing.
    singular : Tensor, [B] bool
    """
    diagonal = hessian.diagonal(dim1=-2, dim2=-1)
    finite = torch.isfinite(hessian).flatten(1).all(-1)
    told = ~frozen & (diagonal > 0) & finite[:, None]
    scale, keep = torch.where(told, diagonal, 1.0).rsqrt(), told.to(hessian.dtype)
    eye = torch.eye(hessian.shape[-1], dtype=hessian.dtype, device=hessian.device)
    matrix = torch.nan_to_num(hessian) * scale[:, :, None] * scale[:, None, :]
    matrix = matrix * keep[:, :, None] * keep[:, None, :] + eye * (1 - keep)[:, :, None]
    values, vectors = torch.linalg.eigh(matrix)
    nothing = values < _SINGULAR
    told &= ~((vectors.abs() > _TOUCHED) & nothing[:, None, :]).any(-1)
    inverse = (vectors * torch.where(nothing, 0.0, 1 / values)[:, None, :]) @ vectors.mT
    if score is not None:
        known = torch.isfinite(score).flatten(1).all(-1)[:, None, None]
        middle = score * scale[:, :, None] * scale[:, None, :] * keep[:, :, None] * keep[:, None, :]
        inverse = torch.where(known, inverse @ torch.where(known, middle, 0.0) @ inverse, inverse)
    inverse = inverse * scale[:, :, None] * scale[:, None, :] * keep[:, :, None] * keep[:, None, :]
    out = jacobian @ inverse @ jacobian.mT
    depends = ((jacobian.abs() > 0) & ~told[:, None, :]).any(-1)
    return torch.where(depends[:, :, None] | depends[:, None, :], torch.nan, out), ~(told | frozen).all(-1)
