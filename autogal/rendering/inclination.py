"""The inclination that an axis ratio stands for."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["EDGE_ON", "cos2_of_log_ratio"]

#: Axis ratio that stands for edge-on
EDGE_ON = 0.05


def cos2_of_log_ratio(eta: Tensor) -> tuple[Tensor, Tensor]:
    """Squared cosine of the inclination of an axis ratio exp(-eta), and its derivative by eta."""
    square = torch.exp(-2 * eta)
    return ((square - EDGE_ON**2) / (1 - EDGE_ON**2)).clamp(0.0, 1.0), -2 * square / (1 - EDGE_ON**2)
