"""What the flags of a row say of its fit, and the remarks with the numbers behind them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from autogal.fitting.residuals import Seen
from autogal.flags import Flag
from autogal.images import Cutout
from autogal.model.component import Component
from autogal.model.fitted import Fitted
from autogal.model.model import Model
from autogal.parameters import MAG

__all__ = ["LEAST_INSIDE", "LOW_SN", "half_light_radii", "judge"]

#: Signal-to-noise ratio below which a fit says little
LOW_SN = 10.0
#: Share of a model's light within the image below which its total and half-light radius are extrapolated, not
#: measured
LEAST_INSIDE = 0.5
_HIDDEN = 0.5  # of the squared signal-to-noise ratio, under masks
_SPOILT = 1 / 3  # of it, under bad pixels
_FADED = 5.0  # mag between two components, of which the fainter, 1 % of the light, has no role to play


def judge(
    rows: np.ndarray,
    cutouts: Sequence[Cutout],
    model: Model,
    values: np.ndarray,
    fitted: Fitted,
    shown: Seen,
    runaway: np.ndarray,
    **raised: np.ndarray,
) -> None:
    """Raise the flags of fits whose numbers are in `fitted` already.

    Parameters
    ----------
    rows : ndarray of int, [M]
        Of `fitted` and of `cutouts`.
    model : Model
    values : ndarray, [M, V]
    fitted : Fitted
        Gets the flags and the remarks.
    shown : Seen
        Of these fits.
    runaway : ndarray of bool, [M]
        Those whose size or index grew to its bound.
    **raised : ndarray of bool, [M]
        What else is known to hold, by the name of the flag.
    """
    x, y, (height, width) = (
        values[:, 0],
        values[:, 1],
        np.array([cutouts[i].shape for i in rows]).reshape(-1, 2).T,
    )
    within = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
    raised = raised | {
        "LOW_SN": fitted.snr[rows] < LOW_SN,
        "EDGE": ~within,
        "UNCONSTRAINED": runaway
        | (shown.inside < LEAST_INSIDE)
        | _unknown(model, values, fitted.covariance[rows]),
        "TARGET_MASKED": shown.hidden > _HIDDEN,
        "CORE_MASKED": shown.spoilt >= _SPOILT,
        "SKY_SLOPED": shown.slope > 0,
        "ROLES_SWAPPED": np.greater(*half_light_radii(model, values)),
    }
    for name, where in raised.items():
        fitted.flags[rows[where]] |= Flag[name]
    _explain(rows, model, values, shown, fitted)


def _unknown(model: Model, values: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Whether the total light, or the size of the brightest component, is known to no better than itself,
    [M] bool."""
    error = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    out = np.zeros(len(values), bool)
    if "mag" in model.parameters:
        out |= error[:, model.parameters.index("mag")] > -MAG
    sizes = [
        (c, [model.parameters.index(name) for name in c.parameters]) for c in model.measured if c.has_ellipse
    ]
    if sizes:
        bright = np.argmin([values[:, places[2]] for _, places in sizes], axis=0)
        column = np.array([places[3] for _, places in sizes])[bright]
        rows = np.arange(len(values))
        out |= error[rows, column] > values[rows, column]
    return out


def half_light_radii(model: Model, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Half-light radii [px] along the major axes of the first two ellipses, [M] each; NaN where there are not
    two that shine.

    Not those of circles of the same area: an inclined disk is no smaller than it is face-on.
    """
    ellipses = _ellipses(model)[:2]
    if len(ellipses) < 2 or any(c.bare_parameters[2] != "mag" for c in ellipses):
        return np.full(len(values), np.nan), np.full(len(values), np.nan)
    parts = [
        torch.from_numpy(values)[:, [model.parameters.index(name) for name in c.parameters]] for c in ellipses
    ]
    faint = torch.abs(parts[0][:, 2] - parts[1][:, 2]) > _FADED
    return tuple(
        torch.where(faint, torch.nan, c.half_light(part.clone())).numpy() for c, part in zip(ellipses, parts)
    )


def _explain(rows: np.ndarray, model: Model, values: np.ndarray, shown: Seen, fitted: Fitted) -> None:
    """Remarks with the numbers behind the flags that are raised."""
    inner, outer = half_light_radii(model, values)
    for k, i in enumerate(rows.tolist()):
        flags, notes = int(fitted.flags[i]), []
        if flags & Flag.TARGET_MASKED:
            notes.append(f"Masks hide {shown.hidden[k]:.0%} of the target's squared signal-to-noise ratio.")
        if flags & Flag.CORE_MASKED:
            notes.append(
                f"Bad pixels cover {shown.spoilt[k]:.0%} of the target's squared signal-to-noise ratio."
            )
        if flags & Flag.UNCONSTRAINED and shown.inside[k] < LEAST_INSIDE:
            notes.append(
                f"Only {shown.inside[k]:.0%} of the model's light lies within the image: size and magnitude "
                f"are extrapolated."
            )
        if flags & Flag.SKY_SLOPED:
            notes.append(
                f"The sky rises by {shown.slope[k]:.2g} times its noise from edge to edge of the image; "
                f"model.sky=tilted fits that."
            )
        if flags & Flag.ROLES_SWAPPED:
            first, second = (c.name for c in _ellipses(model)[:2])
            share = (
                f", which holds {1 - values[k, model.parameters.index('bt')]:.2f} of the light"
                if "bt" in model.parameters
                else ""
            )
            notes.append(
                f"The {first} ended larger ({inner[k]:.3g} px) than the {second} ({outer[k]:.3g} px){share}: "
                "the names do not say which is the inner one."
            )
        fitted.remarks[i] = notes


def _ellipses(model: Model) -> list[Component]:
    return [c for c in model.measured if c.has_circles]
