"""From what the network detects to the sources of a stamp: one target at most, and its neighbours."""

from __future__ import annotations

import torch
from torch import Tensor

from autogal.segment.network.architecture import TARGET, paste_masks
from autogal.segment.sources import Sources

__all__ = ["choose_sources"]

_PIXEL = 0.5  # probability from which a pixel belongs to a source
_SAME = 0.5  # overlap (intersection over union) from which two detections are one source
_REACH = 0.05  # scatter of a target about its place, in stamp sides
_NEAREST = 3.0  # px; and at least this


def choose_sources(
    found: dict[str, Tensor],
    centre: tuple[float, float],
    shape: tuple[int, int],
    score: float = 0.4,
    target_score: float = 0.1,
) -> Sources:
    """Choose the target, and drop what is detected twice or not surely enough.

    The target is the detection with the largest score of class `TARGET` times a Gaussian of its distance from
    where the target should be. All other detections, of either class, are neighbours.

    Parameters
    ----------
    found : dict
        One stamp's result of the network: ``boxes``, ``labels``, ``scores``, ``masks``.
    centre : (x, y)
        Where the target should be.
    shape : (rows, columns)
        Of the stamp, without what was added to its sides.
    score : float
        Least score of a neighbour.
    target_score : float
        Least score of the target, place included.

    Returns
    -------
    Sources
    """
    masks = paste_masks(found["masks"], found["boxes"], shape) > _PIXEL
    visible = masks.flatten(1).any(dim=1)
    masks, boxes = masks[visible], found["boxes"][visible]
    classes, scores = found["labels"][visible], found["scores"][visible]
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    reach = max(_NEAREST, _REACH * min(shape))
    away = (middle - middle.new_tensor(centre)).square().sum(dim=1)
    place = torch.exp(-0.5 * away / reach**2)
    as_target = torch.where(classes == TARGET, scores * place, 0)
    best = int(as_target.argmax()) if len(scores) else -1
    if best >= 0 and as_target[best] < target_score:
        best = -1

    # one source may be detected in both classes: the surer detection stays
    order = [
        k for k in scores.argsort(descending=True, stable=True).tolist() if k != best and scores[k] >= score
    ]
    kept: list[int] = []
    area = masks.flatten(1).sum(dim=1).float()
    flat = masks.flatten(1).float()
    common = flat @ flat.T
    overlap = common / (area[:, None] + area - common)
    for k in order:
        rivals = kept + [best] * (best >= 0)
        if all(overlap[k, other] < _SAME for other in rivals):
            kept.append(k)
    empty = masks.new_zeros(shape)
    return Sources(
        masks[best] if best >= 0 else empty,
        masks[kept],
        float(as_target[best]) if best >= 0 else 0.0,
        scores[kept],
    )
