"""Profiles stated by the logarithm of their brightness, whose total is found by quadrature."""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor

from autogal.profiles.radial import RadialProfile, align

__all__ = ["IntegratedProfile"]

# Nodes in ln(radius) of a profile without an edge; of one with an edge, in w of radius / edge = 1 / (1 +
# exp(-w)): either way the integrand dies exponentially at both ends, where the trapezium rule is exact to
# rounding
_ENDLESS = (-17.0, 17.0, 1361)
_EDGED = (-22.0, 40.0, 621)


class IntegratedProfile(RadialProfile):
    """A radial profile whose total flux has no closed form, or none worth writing.

    A subclass writes `log_intensity`, unnormalised, with its derivatives; the total and its derivatives are
    integrals over the same function.
    """

    @abstractmethod
    def log_intensity(self, log_t: Tensor, shape: list[Tensor]) -> tuple[Tensor, Tensor, list[Tensor]]:
        """ln of the brightness, up to a constant.

        Parameters
        ----------
        log_t : Tensor, [B, ...]
            As in `intensity`.
        shape : list of Tensor
            Logarithm of each own parameter, ready to meet `log_t`.

        Returns
        -------
        log_f, by_log_t : Tensor, shape of `log_t`
            -inf where there is no light; slopes are finite all the same.
        by_shape : list of Tensor, shape of `log_t` each
        """

    def log_edge(self, shape: Tensor) -> Tensor | None:
        """ln of the radius, in units of the size, beyond which there is no light, [B]; None: it has no
        edge."""
        return None

    def intensity(self, log_t: Tensor, shape: Tensor) -> Tensor:
        return self.evaluate(log_t, shape)[0]

    def evaluate(self, log_t: Tensor, shape: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        log_total, by_shape = self._total(shape.double())
        log_f, by_log_t, slopes = self.log_intensity(log_t, [align(v, log_t) for v in shape.unbind(-1)])
        g = torch.exp(
            (log_f - align(log_total, log_t)).clamp(max=80.0)
        )  # a cusp must not overflow at its centre
        return (
            g,
            g * by_log_t,
            torch.stack([g * (slope - align(total, log_t)) for slope, total in zip(slopes, by_shape)]),
        )

    def _total(self, shape: Tensor) -> tuple[Tensor, list[Tensor]]:
        """ln of the integral over the plane, [B], and its derivatives by the own parameters."""
        edge = self.log_edge(shape)
        if edge is None:
            log_t = torch.linspace(*_ENDLESS, dtype=torch.float64, device=shape.device).expand(len(shape), -1)
            log_measure = 2 * log_t
            spacing = (_ENDLESS[1] - _ENDLESS[0]) / (_ENDLESS[2] - 1)
        else:
            w = torch.linspace(*_EDGED, dtype=torch.float64, device=shape.device)
            log_t = edge[:, None] + torch.nn.functional.logsigmoid(w)
            log_measure = 2 * log_t + torch.nn.functional.logsigmoid(-w)
            spacing = (_EDGED[1] - _EDGED[0]) / (_EDGED[2] - 1)
        log_f, _, slopes = self.log_intensity(log_t, [v[:, None] for v in shape.unbind(-1)])
        log_ring = log_f + log_measure
        log_total = log_ring.logsumexp(-1)
        share = torch.exp(log_ring - log_total[:, None])
        return log_total + math.log(2 * math.pi * spacing), [(share * slope).sum(-1) for slope in slopes]
