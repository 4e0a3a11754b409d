"""Plots of what the network finds, beside the truth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from autogal.segment.sources import Sources

__all__ = ["plot_samples"]

_TARGET, _NEIGHBOUR = "#ff6a3d", "#3db8ff"


def plot_samples(
    path: str | Path,
    images: Tensor,
    sigmas: Tensor,
    instances: Sequence[Tensor],
    found: Sequence[Sources],
    columns: int = 6,
) -> Path:
    """Outlines on stamps: true sources above, found ones below.

    Parameters
    ----------
    path : path
        PNG to be written.
    images, sigmas : Tensor, shape (B, H, W)
    instances : sequence of Tensor of bool, shape (K, H, W)
        True pixels, the target first.
    found : sequence of Sources
    columns : int

    Returns
    -------
    Path
    """
    count = len(found)
    rows = -(-count // columns)
    figure = Figure(figsize=(2 * columns, 4 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = np.atleast_2d(figure.subplots(2 * rows, columns, squeeze=False))
    for axis in axes.flat:
        axis.set_axis_off()
    for i, sources in enumerate(found):
        signal = np.arcsinh((images[i] / sigmas[i]).cpu().numpy())
        upper, lower = axes[2 * (i // columns), i % columns], axes[2 * (i // columns) + 1, i % columns]
        truth = instances[i].cpu().numpy()
        for axis, target, others in (
            (upper, truth[0], truth[1:]),
            (lower, sources.target.cpu().numpy(), sources.neighbours.cpu().numpy()),
        ):
            axis.imshow(
                signal,
                origin="lower",
                cmap="gray",
                vmin=-1.5,
                vmax=max(4.0, float(np.percentile(signal, 99.5))),
            )
            for mask in others:
                _outline(axis, mask, _NEIGHBOUR)
            _outline(axis, target, _TARGET)
        upper.set_title("true", fontsize=6, pad=1)
        lower.set_title(f"found, {sources.score:.2f}", fontsize=6, pad=1)
    figure.savefig(path, dpi=110)
    return Path(path)


def _outline(axis, mask: np.ndarray, colour: str) -> None:
    if mask.any() and not mask.all():
        axis.contour(mask.astype(float), [0.5], colors=colour, linewidths=0.7)
