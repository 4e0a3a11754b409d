"""Errors of axis ratio, or inclination, and position angle where a galaxy may be round, or a body seen
edge-on."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from autogal.model.elliptical import EllipticalComponent
from autogal.uncertainty.shape_plane import EllipsePlane, InclinationPlane, plane_of

__all__ = ["in_plane", "shape_errors"]

# In standard deviations: from where an ellipse is one beyond doubt, and slopes say all; how far sums reach
_CLEAR, _REACH = 6.0, 5.0
# Nodes along and across: a normal distribution is summed exactly from nodes a standard deviation apart
_NODES = 24, 36
_AT_ONCE = 1024
_TINY = 1e-12


def in_plane(component: EllipticalComponent, values: Tensor, matrix: Tensor) -> Tensor:
    """Covariance in the component's plane of shapes, `plane_of`, from that of axis ratio and angle to first
    order.

    Parameters
    ----------
    component : EllipticalComponent
    values : Tensor, [B, size] float64
        Catalogue values.
    matrix : Tensor, [B, 2, 2] float64
        Of axis ratio (or inclination) and position angle [deg].

    Returns
    -------
    Tensor, [B, 2, 2]
    """
    slope = plane_of(component).slopes(values)
    half = torch.linalg.solve_ex(slope, matrix)[0]
    return torch.linalg.solve_ex(slope, half.mT)[0]


def shape_errors(component: EllipticalComponent, values: Tensor, plane: Tensor) -> Tensor:
    """Errors of axis ratio and position angle of galaxies that may be round: how far off the truth is, in the
    rms.

    Noise makes an ellipse of a circle, so near round neither error is what slopes say there (Wardle &
    Kronberg 1974, ApJ 194, 249, of polarisation). Here the likelihood is normal in the plane of shapes,
    `plane_of`, and the prior that of a disk seen from anywhere: every axis ratio is as likely, and every
    angle. An angle of which nothing is known comes out uniform, with the error 180 deg / sqrt(12).

    For bodies with an inclination every value of its cosine is as likely, and what may be edge-on is summed
    too: there the image has no slope by the inclination, and the error is finite all the same. Hardly a disk
    is exactly face-on, or edge-on: these errors hold for disks seen from anywhere, of which the exact ends
    are the rare exception (noise tilts a body that is face-on by several of the errors).

    Parameters
    ----------
    component : EllipticalComponent
    values : Tensor, [B, size] float64
        Catalogue values.
    plane : Tensor, [B, 2, 2] float64
        Covariance in the plane of shapes.

    Returns
    -------
    Tensor, [B, 2]
        Of axis ratio (or inclination) and position angle [deg]. NaN where `plane` has no inverse, and where
        the galaxy is beyond doubt not round, nor edge-on: there first order holds.
    """
    out = torch.full_like(values[:, -2:], torch.nan)
    shapes = plane_of(component)
    place = shapes.vector(values)
    square, variance = place.square().sum(-1), plane.diagonal(dim1=-2, dim2=-1).sum(-1)
    maybe = square < _CLEAR**2 * variance
    if math.isfinite(shapes.longest):
        along = torch.einsum("bi,bij,bj->b", place, plane, place) / square.clamp(min=_TINY)
        maybe |= shapes.longest - square.sqrt() < _CLEAR * along.sqrt()
    maybe = maybe.nonzero()[:, 0]
    for some in maybe.split(_AT_ONCE) if len(maybe) else ():
        out[some] = _errors(shapes, place[some], values[some, -2:-1], plane[some])
    return out


def _errors(shapes: EllipsePlane | InclinationPlane, w: Tensor, value: Tensor, plane: Tensor) -> Tensor:
    best = w.norm(dim=-1, keepdim=True).clamp(min=_TINY)
    along = w / best
    frame = torch.stack([along, torch.stack([-along[:, 1], along[:, 0]], -1)], 1)
    plane = frame @ plane @ frame.mT  # along the estimate and across
    (a, b), (_, c) = torch.linalg.inv_ex(plane)[0].permute(1, 2, 0)[..., None, None]
    radial, across = plane.diagonal(dim1=-2, dim2=-1).sqrt()[..., None].unbind(1)
    low, high = (
        (best - _REACH * radial).clamp(min=0.0),
        torch.hypot(best + _REACH * radial, _REACH * across).clamp(max=shapes.longest),
    )
    widest = (_REACH * across / (best - _REACH / 2 * radial).clamp(min=_TINY)).clamp(max=math.pi)
    nodes, turns = ((torch.arange(n, dtype=w.dtype, device=w.device) + 0.5) / n for n in _NODES)
    (length, there, share), angle = shapes.seen_from_anywhere(low, high, nodes), widest * (2 * turns - 1)
    x, y = (
        length[:, :, None] * angle.cos()[:, None] - best[:, :, None],
        length[:, :, None] * angle.sin()[:, None],
    )
    weight = torch.exp(-(a * x * x + 2 * b * x * y + c * y * y) / 2) * share[:, :, None]
    weight = weight / weight.sum((1, 2), keepdim=True)
    off = there - value
    return torch.stack(
        [(weight.sum(2) * off**2).sum(1), (weight.sum(1) * torch.rad2deg(angle / 2) ** 2).sum(1)], 1
    ).sqrt()
