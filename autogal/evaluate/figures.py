"""Figures of evaluations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from astropy.table import Table
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from autogal.evaluate.parameters import MEASURES
from autogal.evaluate.statistics import share_interval

__all__ = ["calibration_figure", "parameter_figure", "pipeline_figure", "segmenter_figure"]

_WIDTH = 7.1  # inches, two columns of a journal
_PALETTE = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#555555",
)  # told apart by the colour-blind too (Okabe & Ito 2008)
_MARKERS = "osD^v"
_PULLS = np.linspace(-4, 4, 17)
_LEAST = 5  # measurements in a bin that is drawn
_LABELS = {
    "mag": "Δ mag",
    "r_eff": r"Δ$r_\mathrm{eff}$ / $r_\mathrm{eff}$",
    "n": "Δ log$_{10}$ n",
    "q": "Δ q",
    "pa": "Δ PA [deg]",
    "centre": "Δ x, Δ y [px]",
}


def _colours(names: Sequence[str]) -> dict[str, str]:
    """A colour for every method, always the same in the same order."""
    return {name: _PALETTE[i % len(_PALETTE)] for i, name in enumerate(names)}


def _framed(rows: int, columns: int, height: float = 2.3) -> tuple[Figure, np.ndarray]:
    """A figure of panels [rows, columns], `height` inches each."""
    figure = Figure(figsize=(_WIDTH, height * rows + 0.3), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.tick_params(direction="in", top=True, right=True, which="both", labelsize=8)
        axis.grid(alpha=0.25, linewidth=0.5)
    return figure, axes


def _running(values: np.ndarray, most: int = 10) -> np.ndarray:
    """Edges of bins of equal numbers."""
    count = int(np.clip(len(values) // 25, 2, most))
    return np.unique(np.quantile(values, np.linspace(0, 1, count + 1)))


def segmenter_figure(rows: Table, neighbours: Table, names: Sequence[str]) -> Figure:
    """Targets found, overlap and false sources by S/N, and neighbours found by their brightness.

    Parameters
    ----------
    rows, neighbours : Table
        As `evaluate_segmenter` measures them.
    names : sequence of str
    """
    figure, axes = _framed(2, 2)
    found, overlap, near, false = axes.flat
    edges = np.geomspace(5, 3000, 9)
    for (name, colour), marker in zip(_colours(names).items(), _MARKERS):
        some = rows[rows["method"] == name]
        snr = np.asarray(some["snr"], float)
        _shares(found, snr, np.asarray(some["found"], float), np.ones(len(some)), edges, name, colour, marker)
        _shares(
            false,
            snr,
            np.asarray(some["false"], float),
            np.asarray(some["sources"], float),
            edges,
            name,
            colour,
            marker,
        )
        middle, low, centre, high = _quantiles(snr, np.asarray(some["iou"], float), edges)
        overlap.fill_between(middle, low, high, color=colour, alpha=0.15, linewidth=0)
        overlap.plot(middle, centre, color=colour, marker=marker, markersize=3.5, linewidth=1.2, label=name)
        own = neighbours[neighbours["method"] == name]
        _shares(
            near,
            np.asarray(own["difference"], float),
            np.asarray(own["found"], float),
            np.ones(len(own)),
            np.arange(-5, 6.5, 1.0),
            name,
            colour,
            marker,
        )
    found.axhline(0.995, color="0.4", linewidth=0.8, linestyle="--")
    overlap.axhline(0.85, color="0.4", linewidth=0.8, linestyle="--")
    false.axhline(0.03, color="0.4", linewidth=0.8, linestyle="--")
    near.plot([-5, 2], [0.95, 0.95], color="0.4", linewidth=0.8, linestyle="--")
    for axis, label in (
        (found, "targets found (IoU > 0.5)"),
        (overlap, "IoU of the target's mask"),
        (false, "false sources"),
    ):
        _logarithmic(axis, rows["snr"])
        axis.set_xlabel("S/N of the target", fontsize=9)
        axis.set_ylabel(label, fontsize=9)
    near.set_xlabel("neighbour less target [mag]", fontsize=9)
    near.set_ylabel("neighbours found", fontsize=9)
    for axis in (found, overlap, near):
        axis.set_ylim(None, 1.02)
    false.set_ylim(0, None)
    overlap.legend(fontsize=8, frameon=False, loc="lower right")
    return figure


def parameter_figure(rows: Table, names: Sequence[str], required: bool = True) -> Figure:
    """Differences from the truth by S/N: every galaxy, the running median and the 16th and 84th percentiles.

    Parameters
    ----------
    rows : Table
        With ``method``, ``snr`` and the columns of `autogal.evaluate.parameters.differences`.
    names : sequence of str
    required : bool
        Draw the scatter that starting values must not exceed.
    """
    figure, axes = _framed(2, 3)
    for axis, (key, measure) in zip(axes.flat, MEASURES.items(), strict=True):
        reach = measure.allowed if required else 0.0
        for name, colour in _colours(names).items():
            some = rows[rows["method"] == name]
            snr = np.tile(np.asarray(some["snr"], float), len(measure.columns))
            off = np.concatenate([np.asarray(some[f"d_{column}"], float) for column in measure.columns])
            known = np.isfinite(off)
            snr, off = snr[known], off[known]
            if not off.size:
                continue
            axis.plot(
                snr,
                off,
                ".",
                color=colour,
                markersize=1.5,
                alpha=max(0.08, min(0.5, 150 / off.size)),
                markeredgewidth=0,
                rasterized=True,
            )
            middle, low, centre, high = _quantiles(snr, off, _running(snr))
            axis.fill_between(middle, low, high, color=colour, alpha=0.18, linewidth=0)
            axis.plot(middle, centre, color=colour, linewidth=1.4, label=name)
            if middle.size:
                reach = max(reach, 1.3 * float(np.max(np.abs([low, high]))))
        axis.axhline(0, color="0.3", linewidth=0.6)
        if required:
            axis.plot(
                [50, rows["snr"].max()],
                [[measure.allowed, -measure.allowed]] * 2,
                color="0.4",
                linewidth=0.8,
                linestyle="--",
            )
        if reach:
            axis.set_ylim(-reach, reach)
        _logarithmic(axis, rows["snr"])
        axis.set_ylabel(_LABELS[key], fontsize=9)
    for axis in axes[-1]:
        axis.set_xlabel("S/N", fontsize=9)
    axes.flat[0].legend(fontsize=8, frameon=False, loc="upper right")
    return figure


def pipeline_figure(rows: Table, names: Sequence[str], times: Mapping[str, Mapping[str, float]]) -> Figure:
    """Chi-square and iterations against those of fits from the truth, and the time of each stage.

    Parameters
    ----------
    rows : Table
        As `evaluate_pipeline` measures them.
    names : sequence of str
    times : mapping of str to mapping of str to float
        Seconds a stamp, by method and stage.
    """
    figure, axes = _framed(1, 3, 2.4)
    above, iterations, clock = axes.flat
    most = int(np.max(rows["n_iter"]))
    steps, limits = np.arange(0, most + 2), np.geomspace(1e-6, 10, 300)
    for name, colour in _colours(names).items():
        some = rows[(rows["method"] == name) & np.isfinite(rows["chi2_from_truth"])]
        # a fit of another source is as far off as can be
        excess = np.where(some["lost"] | ~np.isfinite(some["excess"]), np.inf, some["excess"])
        above.plot(
            limits, [np.mean(excess > limit) for limit in limits], color=colour, linewidth=1.3, label=name
        )
        for column, style in (("n_iter", "-"), ("n_iter_from_truth", ":")):
            part = [np.mean(np.asarray(some[column]) > step) for step in steps]
            iterations.step(steps, part, where="post", color=colour, linewidth=1.3, linestyle=style)
    above.axvline(1e-3, color="0.4", linewidth=0.8, linestyle="--")
    above.plot([1e-3, 10], [0.005, 0.005], color="0.4", linewidth=0.8, linestyle="--")
    above.set(xscale="log", yscale="log", xlim=(1e-6, 10), ylim=(1e-3, 1.2))
    above.set_xlabel(r"$\chi^2$ above the fit from the truth, relative", fontsize=8)
    above.set_ylabel("galaxies farther above", fontsize=9)
    above.legend(fontsize=7, frameon=False, loc="upper right")
    iterations.set(yscale="log", xlim=(0, np.quantile(rows["n_iter"], 0.995) + 3), ylim=(3e-3, 1.2))
    iterations.set_xlabel("evaluations of the model", fontsize=9)
    iterations.set_ylabel("galaxies that need more", fontsize=9)
    iterations.plot([], [], "k-", linewidth=1.3, label="from the pipeline")
    iterations.plot([], [], "k:", linewidth=1.3, label="from the truth")
    iterations.legend(fontsize=7, frameon=False, loc="upper right")
    bottom = np.zeros(len(names))
    stages = list(dict.fromkeys(stage for spent in times.values() for stage in spent))
    for stage, shade in zip(stages, np.linspace(0.2, 0.85, max(len(stages), 2))):
        spent = 1e3 * np.array([times[name].get(stage, 0.0) for name in names])
        clock.bar(range(len(names)), spent, 0.6, bottom=bottom, color=str(shade), label=stage)
        bottom += spent
    clock.set_xticks(range(len(names)), [name.replace(" + ", "\n+ ") for name in names], fontsize=8)
    clock.set_ylabel("time a stamp [ms]", fontsize=9)
    clock.grid(axis="x", visible=False)
    clock.set_xlim(-0.75, len(names) - 0.25)
    clock.set_ylim(0, 1.6 * max(bottom.max(), 1e-3))
    clock.legend(fontsize=7, frameon=False, loc="upper right")
    return figure


def calibration_figure(rows: Table, parameters: Sequence[str], kinds: Sequence[str], title: str) -> Figure:
    """For every parameter the observed against the nominal coverage of the intervals, and the pulls.

    Parameters
    ----------
    rows : Table
        With the pulls, columns ``KIND_pull_PARAMETER``; NaN where there is none.
    parameters, kinds : sequence of str
    title : str
        Which galaxies these are.
    """
    abreast = 4 if len(parameters) <= 8 else 5
    figure, axes = _framed(2 * math.ceil(len(parameters) / abreast), abreast, 1.6)
    figure.suptitle(title, fontsize=9)
    panels = [axes[2 * (k // abreast) : 2 * (k // abreast) + 2, k % abreast] for k in range(axes.size // 2)]
    curve = np.linspace(-4, 4, 161)
    for k, name in enumerate(parameters):
        coverage, histogram = panels[k]
        nominal = np.linspace(0, 1, 101)
        for kind, colour in _colours(kinds).items():
            pulls = np.asarray(rows[f"{kind}_pull_{name}"], float)
            pulls = pulls[np.isfinite(pulls)]
            if not pulls.size:
                continue
            if kind == kinds[0]:
                for sigma in (1, 2):
                    half = sigma * np.sqrt(nominal * (1 - nominal) / pulls.size)
                    coverage.fill_between(
                        nominal, nominal - half, nominal + half, color="0.5", alpha=0.2, linewidth=0
                    )
            # the interval that just reaches the truth
            levels = np.sort([math.erf(abs(pull) / math.sqrt(2)) for pull in pulls])
            inside = np.arange(levels.size + 2).clip(max=levels.size) / levels.size
            coverage.step([0, *levels, 1], inside, where="post", color=colour, linewidth=1.2, label=kind)
            histogram.hist(pulls, _PULLS, density=True, histtype="step", color=colour, linewidth=1.2)
        coverage.plot([0, 1], [0, 1], color="0.3", linewidth=0.6)
        coverage.set(xlim=(0, 1), ylim=(0, 1))
        coverage.set_title(name, fontsize=9)
        histogram.plot(curve, np.exp(-(curve**2) / 2) / math.sqrt(2 * math.pi), color="0.3", linewidth=0.8)
        coverage.set_xlabel("nominal coverage", fontsize=7)
        histogram.set_xlabel("(fit - truth) / error", fontsize=7)
        if k % abreast == 0:
            coverage.set_ylabel("truths inside", fontsize=8)
            histogram.set_ylabel("density", fontsize=8)
    for axis in (axis for pair in panels[len(parameters) :] for axis in pair):
        axis.remove()
    axes[0, 0].legend(fontsize=7, frameon=False, loc="upper left")
    return figure


def _logarithmic(axis: Axes, values: np.ndarray) -> None:
    """A logarithmic x axis over some values, its ticks written out."""
    low, high = max(float(np.min(values)), 1.0), float(np.max(values))
    axis.set_xscale("log")
    axis.set_xlim(0.85 * low, 1.15 * high)
    ticks = [
        number
        for number in (1, 3, 10, 30, 100, 300, 1000, 3000, 10000, 30000)
        if 0.85 * low <= number <= 1.15 * high
    ]
    axis.set_xticks(ticks, [str(number) for number in ticks])
    axis.xaxis.set_minor_formatter(NullFormatter())


def _shares(
    axis: Axes,
    x: np.ndarray,
    part: np.ndarray,
    total: np.ndarray,
    edges: np.ndarray,
    name: str,
    colour: str,
    marker: str,
) -> None:
    """Shares in bins, with their errors."""
    which = np.digitize(x, edges) - 1
    counts = [(k, part[which == k].sum(), total[which == k].sum()) for k in range(len(edges) - 1)]
    counts = [(k, some, of) for k, some, of in counts if of >= _LEAST]
    if not counts:
        return
    k, some, of = (np.array(column, float) for column in zip(*counts))
    left, right = edges[k.astype(int)], edges[k.astype(int) + 1]
    middle = np.sqrt(left * right) if edges[0] > 0 else (left + right) / 2
    low, high = share_interval(some, of)
    axis.errorbar(
        middle,
        some / of,
        [some / of - low, high - some / of],
        color=colour,
        marker=marker,
        markersize=3.5,
        linewidth=1.2,
        capsize=2,
        label=name,
    )


def _quantiles(
    x: np.ndarray, y: np.ndarray, edges: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Median x, and the 16th, 50th and 84th percentile of y, in bins of x that hold enough."""
    which = np.clip(np.digitize(x, edges) - 1, 0, len(edges) - 2)
    some = [which == k for k in range(len(edges) - 1) if np.count_nonzero(which == k) >= _LEAST]
    found = [(np.median(x[one]), *np.quantile(y[one], (0.16, 0.5, 0.84))) for one in some]
    return tuple(np.array(found, float).reshape(-1, 4).T)
