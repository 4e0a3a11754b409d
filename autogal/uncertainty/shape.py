"""Errors of axis ratio and position angle where a galaxy may be round."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from autogal.model.component import Component
from autogal.model.coordinates import squashed

__all__ = ["in_plane", "shape_errors"]

# In standard deviations: from where an ellipse is one beyond doubt, and slopes say all; how far sums reach
_CLEAR, _REACH = 6.0, 5.0
# Nodes along and across: a normal distribution is summed exactly from nodes a standard deviation apart
_NODES = 24, 36
_AT_ONCE = 1024
_TINY = 1e-12


def in_plane(component: Component, values: Tensor, matrix: Tensor) -> Tensor:
    """Covariance of (w1, w2), as `Component` has them, from that of axis ratio and angle to first order.

    Parameters
    ----------
    component : Component
    values : Tensor, [B, size] float64
        Catalogue values.
    matrix : Tensor, [B, 2, 2] float64
        Of axis ratio (or inclination) and position angle [deg].

    Returns
    -------
    Tensor, [B, 2, 2]
    """
    slope = component.values_jacobian(component.block(values, torch.zeros_like(values[:, 0])))[:, -2:, -2:]
    half = torch.linalg.solve_ex(slope, matrix)[0]
    return torch.linalg.solve_ex(slope, half.mT)[0]


def shape_errors(component: Component, values: Tensor, plane: Tensor) -> Tensor:
    """Errors of axis ratio and position angle of galaxies that may be round: how far off the truth is, in the rms.

    Noise makes an ellipse of a circle, so near round neither error is what slopes say there (Wardle & Kronberg 1974,
    ApJ 194, 249, of polarisation). Here the likelihood is normal in the plane of (w1, w2), and the prior that of a disk
    seen from anywhere: every axis ratio is as likely, and every angle. An angle of which nothing is known comes out
    uniform, with the error 180 deg / sqrt(12).

    Parameters
    ----------
    component : Component
    values : Tensor, [B, size] float64
        Catalogue values.
    plane : Tensor, [B, 2, 2] float64
        Covariance of (w1, w2).

    Returns
    -------
    Tensor, [B, 2]
        Of axis ratio (or inclination) and position angle [deg]. NaN where `plane` has no inverse, and where the galaxy is
        elongated beyond doubt: there first order holds.
    """
    out = torch.full_like(values[:, -2:], torch.nan)
    w = component.block(values, torch.zeros_like(values[:, 0]))[:, -2:]
    maybe = (w.square().sum(-1) < _CLEAR**2 * plane.diagonal(dim1=-2, dim2=-1).sum(-1)).nonzero()[:, 0]
    for some in maybe.split(_AT_ONCE) if len(maybe) else ():
        out[some] = _errors(component, w[some], values[some, -2:-1], plane[some])
    return out


def _errors(component: Component, w: Tensor, value: Tensor, plane: Tensor) -> Tensor:
    best = w.norm(dim=-1, keepdim=True).clamp(min=_TINY)
    along = w / best
    frame = torch.stack([along, torch.stack([-along[:, 1], along[:, 0]], -1)], 1)
    plane = frame @ plane @ frame.mT  # along the estimate and across
    (a, b), (_, c) = torch.linalg.inv_ex(plane)[0].permute(1, 2, 0)[..., None, None]
    radial, across = plane.diagonal(dim1=-2, dim2=-1).sqrt()[..., None].unbind(1)
    low, high = (best - _REACH * radial).clamp(min=0.0), torch.hypot(best + _REACH * radial, _REACH * across)
    widest = (_REACH * across / (best - _REACH / 2 * radial).clamp(min=_TINY)).clamp(max=math.pi)
    nodes, turns = ((torch.arange(n, dtype=w.dtype, device=w.device) + 0.5) / n for n in _NODES)
    length, angle = low + (high - low) * nodes, widest * (2 * turns - 1)
    x, y = length[:, :, None] * angle.cos()[:, None] - best[:, :, None], length[:, :, None] * angle.sin()[:, None]
    eta = squashed(length, torch.zeros_like(length), component)[0]
    q, steepness = torch.exp(-eta), 1 - (eta / math.log(component.roundness[0])) ** 2
    weight = torch.exp(-(a * x * x + 2 * b * x * y + c * y * y) / 2) * (q * steepness)[:, :, None]  # as much for every dq
    weight = weight / weight.sum((1, 2), keepdim=True)
    off = component.of_axis_ratio(q) - value
    return torch.stack([(weight.sum(2) * off**2).sum(1), (weight.sum(1) * torch.rad2deg(angle / 2) ** 2).sum(1)], 1).sqrt()
