"""Plots of what the network of starting values predicts, beside the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from autogal.initialise.network.targets import TARGETS

__all__ = ["plot_predictions"]


def plot_predictions(
    path: str | Path, predicted: Tensor, covariance: Tensor, truth: Tensor, snr: Tensor
) -> Path:
    """Every target against its truth, and the errors in units of what the network says they are.

    Parameters
    ----------
    path : path
        PNG to be written.
    predicted, truth : Tensor, [N, 7]
    covariance : Tensor, [N, 7, 7]
    snr : Tensor, [N]
        Gives the colours.
    """
    predicted, covariance, truth, snr = (
        values.cpu().numpy() for values in (predicted, covariance, truth, snr)
    )
    pull = (predicted - truth) / np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    figure = Figure(figsize=(12, 6.2), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, 4).ravel()
    for panel, name, x, y in zip(panels, TARGETS, truth.T, predicted.T):
        dots = panel.scatter(
            x, y, c=np.log10(np.maximum(snr, 1)), s=4, cmap="viridis", vmin=0.7, vmax=3.5, rasterized=True
        )
        ends = np.quantile(np.concatenate([x, y]), [0.005, 0.995])
        panel.plot(ends, ends, color="0.4", lw=0.8)
        panel.set(title=name, xlim=ends, ylim=ends)
    figure.colorbar(dots, ax=panels[6], label="log10 S/N")
    bins = np.linspace(-4, 4, 33)
    for name, values in zip(TARGETS, pull.T):
        panels[7].hist(values, bins, density=True, histtype="step", label=name, lw=0.9)
    panels[7].plot(bins, np.exp(-(bins**2) / 2) / np.sqrt(2 * np.pi), color="0.4", lw=0.8)
    panels[7].set(title="error / predicted error", xlim=(-4, 4))
    panels[7].legend(fontsize=6)
    figure.supxlabel("truth")
    figure.supylabel("prediction")
    figure.savefig(path, dpi=90)
    return Path(path)
