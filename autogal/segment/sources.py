"""What a detector finds on one stamp: one target at most, and its neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Sources"]

# What the network may have got wrong: a target it is less sure of than this, or one of which it took out this
# part and more
_SURE = 0.6
_TAKEN_OUT = 0.02
_WITHIN = 0.5  # part of a neighbour that lies within the target


@dataclass(slots=True, eq=False)
class Sources:
    """The sources of one stamp.

    Attributes
    ----------
    target : Tensor of bool, shape (H, W)
        Empty where there is none.
    neighbours : Tensor of bool, shape (K, H, W)
        May overlap each other and the target; brightest score first.
    score : float
        Of the target: its class score times the prior of its place; 0 where there is none.
    scores : Tensor, shape (K,)
        Of the neighbours.
    """

    target: Tensor
    neighbours: Tensor
    score: float
    scores: Tensor

    @property
    def are_doubtful(self) -> bool:
        """Whether another look is worth its time: no target, an unsure one, or sources within it that may
        be its own."""
        target, others = self.target.flatten().float(), self.neighbours.flatten(1).float()
        common = others @ target
        taken = common[common >= _WITHIN * others.sum(1)].sum()
        return self.score < _SURE or bool(taken > _TAKEN_OUT * target.sum())

    @property
    def transposed(self) -> Sources:
        """The same with rows for columns."""
        return Sources(self.target.mT, self.neighbours.mT, self.score, self.scores)

    def labels(self) -> Tensor:
        """Footprints as int32 [H, W]: 0 sky, 1 target, 2, 3, ... neighbours.

        Where sources overlap a pixel is that of the smaller one, which lies on top of the larger.
        """
        masks = torch.cat([self.target[None], self.neighbours])
        labels = torch.zeros(masks.shape[1:], dtype=torch.int32, device=masks.device)
        for k in masks.flatten(1).sum(dim=1).argsort(descending=True, stable=True).tolist():
            labels[masks[k]] = k + 1
        return labels
