"""The optimiser of both networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

__all__ = ["adamw"]


def adamw(network: nn.Module, lr: float, weight_decay: float, rate: Callable[[int], float]) -> dict[str, Any]:
    """AdamW (Loshchilov & Hutter 2019) for Lightning, its rate set at every step; biases and norms do not
    decay.

    Parameters
    ----------
    network : Module
    lr : float
        Highest learning rate.
    weight_decay : float
    rate : callable
        Fraction of `lr` at a step.

    Returns
    -------
    dict
        As ``configure_optimizers`` of a LightningModule returns it.
    """
    decayed = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}], lr=lr
    )
    return {
        "optimizer": optimiser,
        "lr_scheduler": {"scheduler": torch.optim.lr_scheduler.LambdaLR(optimiser, rate), "interval": "step"},
    }
