"""A profile that is cut off smoothly."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from autogal.profiles.radial import RadialProfile, ShapeParameter, align

__all__ = ["Truncated"]

# Nodes in ln(radius) of the total; a softness of 0.05 spans several
_NODES = (-17.0, 17.0, 1361)


class Truncated(RadialProfile):
    r"""Any radial profile times :math:`\frac{1}{2} [1 - \tanh(2 (r / r_{trunc} - 1) / softness)]`.

    Parameters
    ----------
    profile : RadialProfile

    Notes
    -----
    The truncation of GALFIT (Peng et al. 2010, AJ 139, 2097) with its break and softening radii at
    r_trunc (1 -+ softness). The magnitude is that of the light which is left, always a total; the size, r_eff
    among them, is that of the profile before it is cut.
    """

    sharp = True

    def __init__(self, profile: RadialProfile):
        self.profile = profile
        self.name, self.size, self.largest = profile.name, profile.size, profile.largest
        # far out, a truncation is none
        cut = (
            ShapeParameter("r_trunc", 0.1, math.inf, length=True, grows=False),
            ShapeParameter("softness", 0.05, 1.0, grows=False),
        )
        self.shape = (*profile.shape, *cut)
        self.typical = tuple((*kind, ratio, 0.2) for kind in profile.typical or ((),) for ratio in (2.0, 4.0))

    def intensity(self, log_t: Tensor, shape: Tensor) -> Tensor:
        return self.evaluate(log_t, shape)[0]

    def evaluate(self, log_t: Tensor, shape: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        nodes = torch.linspace(*_NODES, dtype=torch.float64, device=shape.device).expand(len(shape), -1)
        ring = torch.exp(2 * nodes) * (2 * math.pi * (_NODES[1] - _NODES[0]) / (_NODES[2] - 1))
        f, _, by_shape = self._cut(nodes, shape.double())
        total, total_by_shape = (f * ring).sum(-1), (by_shape * ring).sum(-1)
        f, by_log_t, by_shape = self._cut(log_t, shape)
        unit = align(1 / total, log_t)
        g = f * unit
        return (
            g,
            by_log_t * unit,
            torch.stack(
                [slope * unit - g * align(of / total, log_t) for slope, of in zip(by_shape, total_by_shape)]
            ),
        )

    def _cut(self, log_t: Tensor, shape: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What `evaluate` gives, before it is normalised."""
        g, g_log_t, g_shape = self.profile.evaluate(log_t, shape[:, :-2])
        t, cut, softness = (
            torch.exp(log_t.clamp(max=40.0)),
            *(align(v.exp(), log_t) for v in shape[:, -2:].unbind(-1)),
        )
        y = 4 * (t / cut - 1) / softness
        left, gone = torch.sigmoid(-y), torch.sigmoid(y)
        slope = 4 * t / (cut * softness) * gone * left  # -d(left) / d ln t
        return (
            g * left,
            g_log_t * left - g * slope,
            torch.cat([g_shape * left, (g * slope)[None], (g * y * gone * left)[None]]),
        )
