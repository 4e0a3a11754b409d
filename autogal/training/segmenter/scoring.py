"""How good found sources are, stamp by stamp, when the truth is known."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from autogal.segment.sources import Sources

__all__ = ["MEASURES", "match_neighbours", "score_stamp", "summarise"]

MEASURES = {
    "found": "targets found, the right ones",
    "iou": "median overlap (intersection over union) of the target's mask with the true one",
    "neighbours": "neighbours brighter than target + 2 mag that were found",
    "covered": "light of such neighbours, outside the target, that their masks hold",
    "false": "sources found that are none",
}

_MATCH = 0.3  # overlap from which a source found is a true one
_FAINTER = 10 ** (-0.4 * 2)  # of the target's flux: 2 mag
# part of a found source that true ones must fill, or part of a true one that it must hold, or it is false
_REAL = 0.5
_SMALLEST = 4  # px; a true source of fewer need not be found


def score_stamp(sources: Sources, instances: Tensor, image: Tensor) -> dict[str, float]:
    """Compare the sources found on one stamp with the true ones.

    A target is the right one where it overlaps more with the true target than with any other source, by 0.3
    at least. A neighbour is found where a source of its own overlaps it by 0.3 at least; each source counts
    for one. A source is false where true sources, of any brightness, fill less than half of it and it holds
    less than half of any.

    Parameters
    ----------
    sources : Sources
    instances : Tensor of bool, shape (K, H, W)
        True pixels of each source, the target first.
    image : Tensor, shape (H, W)
        Sky-subtracted light; a neighbour counts as bright by the light on its own pixels.

    Returns
    -------
    dict
        ``found`` 0 or 1, ``iou``, and counts: ``bright`` neighbours, ``bright_found``, ``light`` (of the
        bright ones outside the target), ``light_covered``, ``sources`` found, ``false`` ones.
    """
    predicted = torch.cat([sources.target[None], sources.neighbours])
    overlap, common = _overlaps(predicted, instances)
    light = torch.where(instances, image, 0).flatten(1).sum(dim=1)
    size = instances.flatten(1).sum(dim=1)
    visible = size >= _SMALLEST
    right = bool(overlap[0, 0] >= _MATCH and overlap[0, 0] >= overlap[0].max())

    bright = [k for k in range(1, len(instances)) if visible[k] and light[k] > _FAINTER * light[0]]
    matched = len(_matched(overlap, light, bright))
    outside = ~instances[0]
    wanted = instances[bright].any(dim=0) & outside
    held = wanted & sources.neighbours.any(dim=0)
    shining = image.clamp(min=0)

    area = predicted.flatten(1).sum(dim=1)
    filled = (predicted & instances.any(dim=0)).flatten(1).sum(dim=1)
    real = (filled >= _REAL * area) | (common >= _REAL * size)[:, visible].any(dim=1)
    counted = area > 0
    return {
        "found": float(right),
        "iou": float(overlap[0, 0]),
        "bright": len(bright),
        "bright_found": matched,
        "light": float(shining[wanted].sum()),
        "light_covered": float(shining[held].sum()),
        "sources": int(counted.sum()),
        "false": int((counted & ~real).sum()),
    }


def match_neighbours(sources: Sources, instances: Tensor, image: Tensor) -> list[tuple[float, bool]]:
    """Every neighbour that can be seen: how many magnitudes fainter than the target it is, and whether it was
    found.

    Parameters as of `score_stamp`, and what is found as there.
    """
    predicted = torch.cat([sources.target[None], sources.neighbours])
    overlap, _ = _overlaps(predicted, instances)
    light = torch.where(instances, image, 0).flatten(1).sum(dim=1)
    visible = instances.flatten(1).sum(dim=1) >= _SMALLEST
    seen = [k for k in range(1, len(instances)) if visible[k] and light[k] > 0]
    found = _matched(overlap, light, seen)
    bright = max(float(light[0]), 1e-30)
    return [(-2.5 * math.log10(float(light[k]) / bright), k in found) for k in seen]


def _matched(overlap: Tensor, light: Tensor, some: list[int]) -> set[int]:
    """Those of some true neighbours that a source of their own overlaps, the brightest served first."""
    taken, found = {0}, set()
    for k in sorted(some, key=lambda k: -float(light[k])):
        candidates = [p for p in range(1, len(overlap)) if p not in taken and overlap[p, k] >= _MATCH]
        if candidates:
            taken.add(max(candidates, key=lambda p: float(overlap[p, k])))
            found.add(k)
    return found


def summarise(stamps: list[dict[str, float]]) -> dict[str, float]:
    """`MEASURES` of many stamps; NaN where nothing was to be found.

    Parameters
    ----------
    stamps : list of dict
        From `score_stamp`.

    Returns
    -------
    dict of str to float
    """

    def part(some: str, of: str) -> float:
        total = sum(stamp[of] for stamp in stamps)
        return sum(stamp[some] for stamp in stamps) / total if total else float("nan")

    if not stamps:
        return dict.fromkeys(MEASURES, float("nan"))
    iou = torch.tensor([stamp["iou"] for stamp in stamps])
    return {
        "found": sum(stamp["found"] for stamp in stamps) / len(stamps),
        "iou": float(iou.quantile(0.5)),
        "neighbours": part("bright_found", "bright"),
        "covered": part("light_covered", "light"),
        "false": part("false", "sources"),
    }


def _overlaps(predicted: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
    """Intersection over union, and intersection in px, [P, K]; an empty mask overlaps nothing."""
    p, t = predicted.flatten(1).float(), true.flatten(1).float()
    common = p @ t.T
    union = p.sum(dim=1)[:, None] + t.sum(dim=1) - common
    return common / union.clamp(min=1), common
