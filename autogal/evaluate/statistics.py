"""Numbers that say how good many measurements are, and the bins they are taken in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["SIZE", "SNR", "Bins", "bins_of_magnitude", "median", "scatter", "share", "share_interval"]

_STEPS = (0.5, 1.0, 2.0, 4.0, 8.0)  # mag
_MOST = 6


@dataclass(frozen=True)
class Bins:
    """Half-open intervals of a quantity; one without an upper end holds infinity too.

    Attributes
    ----------
    column : str
        Of the table of stamps.
    title : str
    edges : tuple of float
    """

    column: str
    title: str
    edges: tuple[float, ...]

    def split(self, values: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
        """Name and members [N] bool of every bin that has any."""
        for low, high in zip(self.edges, self.edges[1:]):
            members = (values >= low) & ((values < high) | np.isinf(high))
            if members.any():
                yield self.name(low, high), members

    @staticmethod
    def name(low: float, high: float) -> str:
        if np.isinf(low):
            return f"< {high:g}"
        return f"> {low:g}" if np.isinf(high) else f"{low:g} to {high:g}"


SNR = Bins("snr", "S/N", (0, 20, 50, 200, 1000, np.inf))
SIZE = Bins("r_eff", "r_eff [px]", (0, 1, 2, 4, 8, 16, np.inf))


def bins_of_magnitude(magnitudes: Sequence[float]) -> Bins:
    """At most six bins of equal width, of round edges, over all magnitudes.

    Parameters
    ----------
    magnitudes : sequence of float

    Returns
    -------
    Bins
    """
    low, high = float(np.min(magnitudes)), float(np.max(magnitudes))
    for step in _STEPS:
        edges = np.arange(np.floor(low / step), np.floor(high / step) + 2) * step
        if len(edges) <= _MOST + 1:
            break
    return Bins("mag", "magnitude", tuple(edges))


def scatter(values: np.ndarray) -> float:
    """1.4826 times the median absolute deviation from the median, of what is finite: the standard
    deviation of a Gaussian."""
    values = values[np.isfinite(values)]
    return float(1.4826 * np.median(np.abs(values - np.median(values)))) if values.size else float("nan")


def median(values: np.ndarray) -> float:
    """Of what is finite; NaN where nothing is."""
    values = values[np.isfinite(values)]
    return float(np.median(values)) if values.size else float("nan")


def share(part: float, total: float) -> float:
    """Part of the total; NaN of nothing."""
    return float(part / total) if total else float("nan")


def share_interval(part: np.ndarray | float, total: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the 68 % interval of a share (Wilson 1927): within 0 and 1, and of some width even for all or
    none.

    Parameters
    ----------
    part, total : ndarray or float
        Counts.

    Returns
    -------
    low, high : ndarray
    """
    part, total = np.asarray(part, float), np.maximum(np.asarray(total, float), 1)
    p = part / total
    middle, half = (
        (p + 0.5 / total) / (1 + 1 / total),
        np.sqrt(p * (1 - p) / total + 0.25 / total**2) / (1 + 1 / total),
    )
    return np.clip(middle - half, 0, p), np.clip(middle + half, p, 1)
