"""What lies around a target: its neighbours' footprints, how far the light of each reaches, and what each looks like alone."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from autogal.flags import Flag
from autogal.images import Cutout
from autogal.initialise import Start, start_from_moments
from autogal.segment import Segmentation
from autogal.segment.neighbours import Reach, union_of

__all__ = ["Neighbour", "Surroundings", "psf_width"]

# Surface brightness of a de Vaucouleurs profile three half-light radii out, as a part of flux / distance^2; of other
# profiles, and at other distances, it is lower
_BRIGHTEST_WING = 0.04
_LARGEST = 4.0  # radii of the footprint: a half-light radius beyond is light of something else
_AROUND = 1.5  # px; by so much a centre may leave the footprint


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
    """

    labels: np.ndarray
    reaches: dict[int, Reach]
    bad: np.ndarray

    def window(self, rows: slice, columns: slice) -> Surroundings:
        """What lies around within a part of the image."""
        if self.labels[rows, columns].shape == self.labels.shape:
            return self
        inside = {label: self.reach(label)[rows, columns] for label in self.reaches}
        everywhere = tuple(slice(0, side.stop - side.start) for side in (rows, columns))
        reaches = {label: (everywhere, mask) for label, mask in inside.items() if mask.any()}
        return Surroundings(self.labels[rows, columns], reaches, self.bad[rows, columns])

    def reach(self, label: int) -> np.ndarray:
        """Where one neighbour's light reaches, bool [H, W]."""
        return union_of({label: self.reaches[label]}, self.labels.shape)

    def without(self, fitted: Collection[int]) -> np.ndarray:
        """The mask of what is left to be masked when the neighbours of these labels are fitted, bool [H, W]."""
        return self.bad | union_of({label: reach for label, reach in self.reaches.items() if label not in fitted}, self.labels.shape)

    def touching(self) -> set[int]:
        """Labels of the neighbours whose footprints touch the target's."""
        around = ndimage.binary_dilation(self.labels == 1, structure=np.ones((3, 3)))
        return set(np.unique(self.labels[around & (self.labels > 1)]).tolist())

    def near(self, cutout: Cutout, light: np.ndarray, x: float, y: float, faintest: float) -> list[int]:
        """Labels of the neighbours that can reach the target, those whose light there may be brightest first.

        Parameters
        ----------
        cutout : Cutout
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
        return sorted((label for label, bright in found.items() if bright > faintest or label in reaching), key=lambda k: -found[k])

    def look(self, cutout: Cutout, image: np.ndarray, label: int) -> Neighbour | None:
        """A neighbour by itself; None where there is too little of it to start from.

        Parameters
        ----------
        cutout : Cutout
        image : ndarray, shape (H, W)
            Image less the target's light.
        label : int
        """
        own = (self.labels == label) & ~self.bad
        rows, columns = np.nonzero(own)
        free = ~self.without(())
        sky = float(np.median(image[free])) if free.any() else 0.0
        weight = np.maximum(image[own] - sky, 0.0) ** 2
        if not weight.sum() > 0:
            return None
        x, y = float((weight * columns).sum() / weight.sum()), float((weight * rows).sum() / weight.sum())
        alone = Segmentation(own.astype(np.int32), self.without((label,)) & ~own, x, y, 1, False, Flag(0), [])
        start = start_from_moments(replace(cutout, image=image, mask=self.bad, notes=[]), alone)
        return self._neighbour(cutout, label, start, rows, columns)

    def _neighbour(self, cutout: Cutout, label: int, start: Start, rows: np.ndarray, columns: np.ndarray) -> Neighbour | None:
        found = start.values
        if not (np.isfinite(list(found.values())).all() and found["flux"] > 0):
            return None
        low = columns.min() - _AROUND, rows.min() - _AROUND
        high = columns.max() + _AROUND, rows.max() + _AROUND
        values = {name: found[name] for name in ("r_eff", "n", "q", "pa")}
        values |= {name: float(np.clip(found[name], low[axis] + 0.5, high[axis] - 0.5)) for axis, name in enumerate("xy")}
        values["mag"] = cutout.zeropoint - 2.5 * np.log10(found["flux"])
        return Neighbour(label, values, low, high, _LARGEST * max(np.sqrt(rows.size / np.pi), psf_width(cutout)))


def psf_width(cutout: Cutout) -> float:
    """Standard deviation of the round Gaussian with the PSF's noise-equivalent area, px."""
    return float(np.sqrt(1 / (4 * np.pi * np.square(cutout.psf).sum())) / cutout.psf_oversample)
