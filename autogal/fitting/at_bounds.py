"""What a bound drags along: values whose errors say nothing, because a parameter that is held at its bound
would move them."""

from __future__ import annotations

import torch
from torch import Tensor

from autogal.batch.batch_fit import BucketFit
from autogal.model.elliptical import EllipticalComponent
from autogal.model.model import Model

__all__ = ["moved_by_bounds", "moved_by_thinness"]

_SINGULAR = 1e-7
_BACK = 0.985  # of the bound of -ln q: as near as the direction outward still has a slope


def moved_by_bounds(model: Model, fit: BucketFit, jacobian: Tensor) -> Tensor:
    """How far the catalogue's values would go if sizes and indices that ended at their bounds were let go,
    [N, V]; 0 where none did.

    A Newton step of all fitted parameters, from where the bound holds them: Fisher's matrix and the slope of
    chi-square know how hard the data push, and what follows. What is said of a sky, a centre or a magnitude
    is knowledge, and is not let go.

    Parameters
    ----------
    model : Model
    fit : BucketFit
    jacobian : Tensor, [N, V, P]
        Derivatives of the catalogue's values by the free vector.
    """
    outcome, grown = fit.outcome, list(model.size_like)
    rows = outcome.at_bound[:, grown].any(-1).nonzero()[:, 0]
    out = torch.zeros_like(jacobian[..., 0])
    if len(rows):
        still = outcome.at_bound[rows].clone()
        still[:, grown] = False
        still[:, list(model.fixed)] = True
        keep = (~still).to(jacobian.dtype)
        hessian = outcome.hessian[rows] * keep[:, :, None] * keep[:, None, :] + torch.diag_embed(1 - keep)
        out[rows] = (jacobian[rows] @ _step(hessian, outcome.gradient[rows] * keep)[..., None])[..., 0]
    return out


def moved_by_thinness(
    model: Model, fit: BucketFit, component: EllipticalComponent, places: tuple[int, int], rows: Tensor
) -> Tensor:
    """The same for the axis ratio of one component, on the way from its bound to 0, of the stamps at `rows`
    [M], [M, V].

    Parameters
    ----------
    places : (int, int)
        Of its (w1, w2) in the free vector.
    rows : Tensor, [M] int
        Those in which it is as thin as it may be.
    """
    theta, (first, last) = fit.outcome.theta[rows].clone(), places
    if not len(rows):
        return theta.new_zeros(0, len(model.parameters))
    theta[:, [first, last]], turned = component.drawn_back(theta[:, [first, last]], _BACK)
    gradient, hessian = fit.bucket.gradient_and_hessian(theta, rows)
    frame = torch.eye(model.size, dtype=theta.dtype, device=theta.device).repeat(len(rows), 1, 1)
    frame[:, first : last + 1, first : last + 1] = turned
    free = list(model.fitted)
    jacobian = (model.values_jacobian(theta) @ frame)[..., free]
    gradient, hessian = (
        (frame.mT @ gradient[..., None])[:, free, 0],
        (frame.mT @ hessian @ frame)[:, free][:, :, free],
    )
    return (jacobian @ _step(hessian, gradient, free.index(first))[..., None])[..., 0]


def _step(hessian: Tensor, gradient: Tensor, only: int | None = None) -> Tensor:
    """The Newton step [B, P]; with `only`, what the others do while that parameter moves, by at most 1 and
    outwards alone."""
    scale = hessian.diagonal(dim1=-2, dim2=-1).clamp(min=1e-300).rsqrt()
    values, vectors = torch.linalg.eigh(torch.nan_to_num(hessian * scale[:, :, None] * scale[:, None, :]))
    turned = torch.where(values > _SINGULAR, 1 / values, 0.0)
    inverse = (vectors * turned[:, None, :]) @ vectors.mT * scale[:, :, None] * scale[:, None, :]
    step = (inverse @ gradient[..., None])[..., 0]
    if only is not None:
        along = inverse[:, :, only] / inverse[:, only, only, None].clamp(min=1e-300)
        step = along * step[:, only, None].clamp(0.0, 1.0)
    return torch.nan_to_num(step)
