"""What lies around a target: its neighbours' footprints, how far the light of each reaches, and what each
looks like alone."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from autogal.images import Cutout
from autogal.segment.neighbours import Reach, union_of

__all__ = ["Neighbour", "Surroundings", "overlap", "psf_width"]

# Surface brightness of a de Vaucouleurs profile three half-light radii out, as a part of flux / distance^2;
# of other profiles, and at other distances, it is lower
_BRIGHTEST_WING = 0.04


@dataclass(frozen=True)
class Neighbour:
    """A neighbour as it looks once the target's light is taken off.

    Attributes
    ----------
    label : int
        Of its footprint.
    start : dict of str to float
        x, y, mag, r_eff, n, q, pa.
    low, high : (float, float)
        Between which x and y its centre must be.
    largest : float
        Of the half-light radius of a circle of the same area, px.
    light : ndarray, shape (H, W), or None
        What it should look like, image units.
    is_point : bool
        It is no larger than the PSF.
    """

    label: int
    start: dict[str, float]
    low: tuple[float, float]
    high: tuple[float, float]
    largest: float
    light: np.ndarray | None = None
    is_point: bool = False


@dataclass(frozen=True)
class Surroundings:
    """The sources around the target of a cutout.

    Attributes
    ----------
    labels : ndarray of int32, shape (H, W)
        Footprints, as `autogal.segment.Segmentation` has them.
    reaches : dict of int to Reach
        Where the light of each neighbour reaches.
    bad : ndarray of bool, shape (H, W)
        Pixels that are excluded whatever is fitted.
    doubtful : frozenset of int
        Labels of neighbours that may be parts of the target.
    """

    labels: np.ndarray
    reaches: dict[int, Reach]
    bad: np.ndarray
    doubtful: frozenset[int] = frozenset()

    def window(self, rows: slice, columns: slice) -> Surroundings:
        """What lies around within a part of the image."""
        if self.labels[rows, columns].shape == self.labels.shape:
            return self
        reaches = {}
        for label, (box, own) in self.reaches.items():
            part = tuple(
                slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(box, (rows, columns))
            )
            if any(side.stop <= side.start for side in part):
                continue
            mask = own[tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(part, box))]
            if mask.any():
                reaches[label] = (
                    tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(part, (rows, columns))),
                    mask.copy(),
                )
        return Surroundings(
            self.labels[rows, columns], reaches, self.bad[rows, columns], self.doubtful & reaches.keys()
        )

    def reach(self, label: int) -> np.ndarray:
        """Where one neighbour's light reaches, bool [H, W]."""
        return union_of({label: self.reaches[label]}, self.labels.shape)

    def without(self, fitted: Collection[int]) -> np.ndarray:
        """The mask of what is left to be masked when the neighbours of these labels are fitted, bool [H,
        W]."""
        return self.bad | union_of(
            {label: reach for label, reach in self.reaches.items() if label not in fitted}, self.labels.shape
        )

    def alone(self, label: int) -> np.ndarray:
        """Where one neighbour can be seen and no other reaches, bool [H, W]: on its own footprint always."""
        return ~self.bad & ((self.labels == label) | ~self.without((label,)))

    def touching(self) -> set[int]:
        """Labels of the neighbours whose footprints touch the target's."""
        around = ndimage.binary_dilation(self.labels == 1, structure=np.ones((3, 3)))
        return set(np.unique(self.labels[around & (self.labels > 1)]).tolist())

    def near(self, light: np.ndarray, x: float, y: float, faintest: float) -> list[int]:
        """Labels of the neighbours that can reach the target, those whose light there may be brightest first.

        Parameters
        ----------
        light : ndarray, shape (H, W)
            Image less sky and target.
        x, y : float
            Centre of the target.
        faintest : float
            Surface brightness at the target's place below which a neighbour plays no part.
        """
        found = {}
        for label, box in enumerate(ndimage.find_objects(self.labels), start=1):
            if label not in self.reaches or box is None:
                continue
            own = (self.labels[box] == label) & ~self.bad[box]
            rows, columns = np.nonzero(own)
            if not rows.size:
                continue
            flux = float(light[box][own].sum())
            nearest = np.hypot(rows + box[0].start - y, columns + box[1].start - x).min()
            found[label] = _BRIGHTEST_WING * flux / max(nearest, 1.0) ** 2
        reaching = self.touching()
        return sorted(
            (label for label, bright in found.items() if bright > faintest or label in reaching),
            key=lambda k: -found[k],
        )


def overlap(
    corner: Sequence[int], side: int, shape: tuple[int, int]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """What an image of `shape` and a square window share: rows and columns in the one and in the other.

    The window's first pixel is at `corner`, row and column, which may lie outside.
    """
    box = tuple(
        slice(max(0, begin), max(0, min(begin + side, length))) for begin, length in zip(corner, shape)
    )
    return box, tuple(slice(part.start - begin, part.stop - begin) for part, begin in zip(box, corner))


def psf_width(cutout: Cutout) -> float:
    """Standard deviation of the round Gaussian with the PSF's noise-equivalent area, px."""
    return float(np.sqrt(1 / (4 * np.pi * np.square(cutout.psf).sum())) / cutout.psf_oversample)
