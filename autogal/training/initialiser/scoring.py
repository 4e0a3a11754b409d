"""How far the network of starting values is off, each quantity on its own, by signal-to-noise ratio."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from autogal.initialise.network.targets import TARGETS

__all__ = ["BINS", "MEASURES", "errors", "score"]

BINS = ((5.0, 20.0), (20.0, 50.0), (50.0, 200.0), (200.0, math.inf))  # of the S/N
MEASURES = ("dx", "dy", "mag", "ln R", "dex n", "q", "pa", "e1", "e2")  # px, mag, 1, dex, 1, deg, 1, 1
_FEWEST = 10  # galaxies from which a scatter is worth saying
_THIN = 0.7  # axis ratio below which a galaxy has a position angle worth the name
_DEX = math.log(10)


def errors(predicted: Tensor, truth: Tensor, radius: Tensor) -> Tensor:
    """Errors [N, 9] of the `MEASURES`, from targets [N, 7] and the crops' radii [N] in px.

    The position angle's is NaN where the galaxy is rounder than 0.7.

    Parameters
    ----------
    predicted, truth : Tensor, [N, 7]
    radius : Tensor, [N]
        px.

    Returns
    -------
    Tensor, [N, 9] float64
    """
    difference = predicted.double() - truth.double()
    (q, angle), (true_q, true_angle) = (_shape(values.double()) for values in (predicted, truth))
    pa = torch.remainder(angle - true_angle + 90, 180) - 90
    return torch.stack(
        [
            difference[:, 0] * radius,
            difference[:, 1] * radius,
            -2.5 / _DEX * difference[:, 2],
            difference[:, 3],
            difference[:, 4] / _DEX,
            q - true_q,
            torch.where(true_q < _THIN, pa, torch.nan),
            difference[:, 5],
            difference[:, 6],
        ],
        1,
    )


def score(
    predicted: Tensor, covariance: Tensor, truth: Tensor, radius: Tensor, snr: Tensor
) -> dict[str, float]:
    """Scatter (1.4826 MAD about zero) of every measure, and honesty of every target's error, in every bin of
    S/N.

    Parameters
    ----------
    predicted, truth : Tensor, [N, 7]
    covariance : Tensor, [N, 7, 7]
    radius, snr : Tensor, [N]

    Returns
    -------
    dict of str to float
        ``50-200/mag`` and so on; ``50-200/within 1 sigma`` is the part of all truths inside their errors, and
        ``50-200/worst within`` that of the target where it is farthest from 68 %. Bins with few galaxies are
        left out.
    """
    found = {}
    error = errors(predicted, truth, radius)
    pull = ((predicted - truth).double() / covariance.diagonal(dim1=1, dim2=2).sqrt()).abs()
    for low, high in BINS:
        inside = (snr >= low) & (snr < high)
        if inside.sum() < _FEWEST:
            continue
        name = f"{low:g}-{high:g}" if math.isfinite(high) else f"over {low:g}"
        for measure, values in zip(MEASURES, error[inside].unbind(1), strict=True):
            found[f"{name}/{measure}"] = float(1.4826 * values.abs().nanmedian())
        within = (pull[inside] < 1).double().mean(0)
        found[f"{name}/within 1 sigma"] = float(within.mean())
        found[f"{name}/worst within"] = float(within[(within - 0.683).abs().argmax()])
    return found


def _shape(targets: Tensor) -> tuple[Tensor, Tensor]:
    """Axis ratio, and angle of the major axis [deg]."""
    e1, e2 = (targets[:, TARGETS.index(name)] for name in ("e1", "e2"))
    return torch.exp(-torch.hypot(e1, e2)), torch.rad2deg(torch.atan2(e2, e1)) / 2
