"""The one way in which an image is looked at, however it lies, whatever its units are, and however large its empty frame is.

No network sees the same in an image and in its mirror image, and no detection that scans row by row quite does. So what is
looked for in an image is looked for in its canonical view: without what is unusable at its borders, turned and mirrored so that the light
around the target is heavier to the right than below, and below than above, in units of its noise, above its sky. Two images that differ
in nothing else have the same view, to the last digit where no number had to be rounded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from autogal.images.cutout import Cutout
from autogal.images.orientation import Orientation
from autogal.initialise.start import Start
from autogal.segment.segmentation import Segmentation, wanted_position

__all__ = ["View", "views"]

_NEAR = 8.25  # px; the brightest place within so far of where the target should be is what everything is counted from. Never a tie of
# pixels to either side
_SMOOTHED = 5  # px, the side of the square that is bright together
_AROUND = 16  # px on each side of that place, whose light says how the image lies
_WIDE = 256  # px on each side, from which level and unit are taken
_DIGITS = 30  # bits; sums of whole numbers do not hang on their order


@dataclass(frozen=True)
class View:
    """How a cutout is looked at.

    Attributes
    ----------
    cutout : Cutout
        As it is seen: a window of the image as it lies then, less `level`, in units of `unit`.
    box : (slice, slice)
        Rows and columns of the image that are seen, as the image itself lies.
    shape : (int, int)
        Of the whole image.
    orientation : Orientation
        From the image to the view.
    level, unit : float
        Image units.
    """

    cutout: Cutout
    box: tuple[slice, slice]
    shape: tuple[int, int]
    orientation: Orientation
    level: float
    unit: float

    def segmentation(self, found: Segmentation) -> Segmentation:
        """What was found in the view, in the pixels of the image."""
        back, shape = self.orientation.inverse, found.labels.shape
        labels, neighbours = np.zeros(self.shape, np.int32), np.zeros(self.shape, bool)
        labels[self.box], neighbours[self.box] = back.array(found.labels), back.array(found.neighbours)
        reaches = {label: (self._moved(back.box(box, shape)), np.ascontiguousarray(back.array(mask))) for label, (box, mask) in found.reaches.items()}
        x, y = back.point(found.x, found.y, shape)
        return replace(found, labels=labels, neighbours=neighbours, x=x + self.box[1].start, y=y + self.box[0].start, reaches=reaches)

    def start(self, first: Start) -> Start:
        """A start in the view, in the pixels and units of the image."""
        back = self.orientation.inverse
        values = back.values(first.values, self.cutout.shape)
        values["x"], values["y"] = values["x"] + self.box[1].start, values["y"] + self.box[0].start
        values["flux"], values["sky"] = values["flux"] * self.unit, values["sky"] * self.unit + self.level
        return replace(first, values=values, covariance=None if first.covariance is None else back.covariance(first.covariance))

    def _moved(self, box: tuple[slice, slice]) -> tuple[slice, slice]:
        rows, columns = (slice(side.start + origin.start, side.stop + origin.start) for side, origin in zip(box, self.box))
        return rows, columns


def views(cutouts: Sequence[Cutout]) -> list[View]:
    """The canonical views of cutouts, which are not changed.

    Parameters
    ----------
    cutouts : sequence of Cutout
        Of any sizes; PSFs that several share are shared by their views that lie alike.
    """
    psfs: dict[tuple[int, Orientation], np.ndarray] = {}
    return [_view(cutout, psfs) for cutout in cutouts]


def _view(cutout: Cutout, psfs: dict[tuple[int, Orientation], np.ndarray]) -> View:
    good = _usable(cutout)
    if cutout.image.ndim != 2 or not good.any():
        everything = tuple(slice(0, length) for length in cutout.image.shape)
        return View(cutout, everything, cutout.image.shape, Orientation(), 0.0, 1.0)
    x, y = wanted_position(cutout)
    anchor = _brightest(cutout.image, good, x, y)
    how = _lie(cutout.image, good, anchor)
    level, unit = _units(cutout, good, anchor)
    box = _within(good)
    part = how.cutout(replace(cutout.window(*box), psf=None))
    image = ((np.asarray(part.image, np.float64) - level) / unit).astype(np.float32)
    sigma = None if part.sigma is None else (np.asarray(part.sigma, np.float64) / unit).astype(np.float32)
    start = None if part.start is None else dict(part.start)
    for name, zero in (("flux", 0.0), ("sky", level)):
        if start is not None and start.get(name) is not None:
            start[name] = (start[name] - zero) / unit
    key = id(cutout.psf), how
    if cutout.psf is not None and key not in psfs:
        psfs[key] = np.ascontiguousarray(how.array(cutout.psf))
    seen = replace(part, image=np.ascontiguousarray(image), sigma=None if sigma is None else np.ascontiguousarray(sigma),
                   mask=np.ascontiguousarray(part.mask), psf=psfs.get(key), start=start, zeropoint=cutout.zeropoint - 2.5 * math.log10(unit),
                   gain=cutout.gain and cutout.gain * unit, saturation=cutout.saturation and (cutout.saturation - level) / unit)
    return View(seen, box, cutout.shape, how, level, unit)


def _usable(cutout: Cutout) -> np.ndarray:
    good = ~cutout.mask & np.isfinite(cutout.image)
    if cutout.sigma is not None:
        with np.errstate(invalid="ignore"):
            good &= np.isfinite(cutout.sigma) & (cutout.sigma > 0)
    return good


def _within(good: np.ndarray) -> tuple[slice, slice]:
    """The smallest box that holds all usable pixels."""
    rows, columns = (np.flatnonzero(good.any(axis=axis)) for axis in (1, 0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _part(x: float, y: float, half: float, shape: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns no farther than `half` from a position, at least one of each."""
    out = []
    for place, length in zip((y, x), shape):
        first, last = max(0, math.ceil(place - half)), min(length - 1, math.floor(place + half))
        first = min(first, length - 1)
        out.append(slice(first, max(last, first) + 1))
    return out[0], out[1]


def _whole(image: np.ndarray, good: np.ndarray) -> np.ndarray:
    """Usable pixels less their median, as whole numbers of up to `_DIGITS` bits; 0 elsewhere."""
    if not good.any():
        return np.zeros(image.shape, np.int64)
    values = np.asarray(image, np.float64)
    values = np.where(good, values - np.median(values[good]), 0.0)
    largest = np.abs(values).max()
    return np.rint(values * (2.0**_DIGITS / largest)).astype(np.int64) if largest > 0 else np.zeros(image.shape, np.int64)


def _brightest(image: np.ndarray, good: np.ndarray, x: float, y: float) -> tuple[int, int]:
    """Column and row near a position where the light is brightest, counted in small squares."""
    half = _SMOOTHED // 2
    near = _part(x, y, _NEAR + half, image.shape)
    light = _whole(image[near], good[near])
    window = np.ones(_SMOOTHED, np.int64)
    bright = ndimage.correlate1d(ndimage.correlate1d(light, window, axis=0, mode="constant"), window, axis=1, mode="constant")
    rows, columns = np.ogrid[near]
    allowed = (np.abs(rows - y) <= _NEAR) & (np.abs(columns - x) <= _NEAR)
    if not allowed.any():  # a place beyond the edge
        allowed[...] = True
    bright = np.where(allowed, bright, np.iinfo(np.int64).min)
    row, column = np.unravel_index(int(bright.argmax()), bright.shape)
    return int(column) + near[1].start, int(row) + near[0].start


def _lie(image: np.ndarray, good: np.ndarray, anchor: tuple[int, int]) -> Orientation:
    """How to look at an image so that the light around the anchor is heavier to the right than below, and there than on the other sides."""
    near = _part(*anchor, _AROUND, image.shape)
    light = _whole(image[near], good[near])
    rows, columns = (np.arange(side.start, side.stop) - centre for side, centre in zip(near, reversed(anchor)))
    right, below = int(light.sum(0) @ columns), int(light.sum(1) @ rows)
    return Orientation(right < 0, below < 0, abs(below) > abs(right))


def _units(cutout: Cutout, good: np.ndarray, anchor: tuple[int, int]) -> tuple[float, float]:
    """About the sky, and the noise of a pixel."""
    near = _part(*anchor, _WIDE, cutout.shape)
    use = good[near] if good[near].any() else good
    image, sigma = (None if plane is None else np.asarray(plane[near] if use is not good else plane, np.float64)[use]
                    for plane in (cutout.image, cutout.sigma))
    level = float(np.median(image))
    unit = float(np.median(np.abs(image - level) if sigma is None else sigma))
    return level, unit if unit > 0 and math.isfinite(unit) else 1.0
