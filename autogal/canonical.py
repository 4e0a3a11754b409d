"""The one way in which an image is looked at, however it lies, whatever its units are, and however large its
empty frame is.

No network sees the same in an image and in its mirror image, and no detection that scans row by row quite
does. So what is looked for in an image is looked for in its canonical view: without what is unusable at its
borders, turned and mirrored so that the light around the target is heavier to the right than below, and below
than above, in units of its noise, above its sky. Two images that differ in nothing else have the same view,
to the last digit where no number had to be rounded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from autogal.images.canonical import around, brightest, lie, usable_box
from autogal.images.cutout import Cutout
from autogal.images.noise.slope import flattened
from autogal.images.orientation import Orientation
from autogal.initialise.start import Start
from autogal.segment.segmentation import Segmentation, wanted_position

__all__ = ["View", "views"]

_WIDE = 256  # px on each side of the brightest place near the target, from which level and unit are taken


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

    @property
    def flat(self) -> View:
        """The same without the slope of its sky, where that is so steep that sources would be found in it."""
        return replace(self, cutout=flattened(self.cutout, *wanted_position(self.cutout)))

    def segmentation(self, found: Segmentation) -> Segmentation:
        """What was found in the view, in the pixels of the image."""
        back, shape = self.orientation.inverse, found.labels.shape
        labels, neighbours = np.zeros(self.shape, np.int32), np.zeros(self.shape, bool)
        labels[self.box], neighbours[self.box] = back.array(found.labels), back.array(found.neighbours)
        reaches = {
            label: (self._moved(back.box(box, shape)), np.ascontiguousarray(back.array(mask)))
            for label, (box, mask) in found.reaches.items()
        }
        x, y = back.point(found.x, found.y, shape)
        otherwise = None
        if found.otherwise is not None:
            otherwise = np.zeros(self.shape, bool)
            otherwise[self.box] = back.array(found.otherwise)
        return replace(
            found,
            labels=labels,
            neighbours=neighbours,
            x=x + self.box[1].start,
            y=y + self.box[0].start,
            reaches=reaches,
            otherwise=otherwise,
        )

    def start(self, first: Start) -> Start:
        """A start in the view, in the pixels and units of the image."""
        back = self.orientation.inverse
        values = back.values(first.values, self.cutout.shape)
        values["x"], values["y"] = values["x"] + self.box[1].start, values["y"] + self.box[0].start
        values["flux"], values["sky"] = values["flux"] * self.unit, values["sky"] * self.unit + self.level
        return replace(
            first,
            values=values,
            covariance=None if first.covariance is None else back.covariance(first.covariance),
        )

    def _moved(self, box: tuple[slice, slice]) -> tuple[slice, slice]:
        rows, columns = (
            slice(side.start + origin.start, side.stop + origin.start) for side, origin in zip(box, self.box)
        )
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
    anchor = brightest(cutout.image, good, x, y)
    how = lie(cutout.image, good, anchor)
    level, unit = _units(cutout, good, anchor)
    box = usable_box(good)
    part = replace(cutout.window(*box), psf=None).turned(how)
    image = ((np.asarray(part.image, np.float64) - level) / unit).astype(np.float32)
    sigma = None if part.sigma is None else (np.asarray(part.sigma, np.float64) / unit).astype(np.float32)
    start = None if part.start is None else dict(part.start)
    for name, zero in (("flux", 0.0), ("sky", level)):
        if start is not None and start.get(name) is not None:
            start[name] = (start[name] - zero) / unit
    key = id(cutout.psf), how
    if cutout.psf is not None and key not in psfs:
        psfs[key] = np.ascontiguousarray(how.array(cutout.psf))
    noise = replace(part.noise, scatter=part.noise.scatter / unit)
    seen = replace(
        part,
        noise=noise,
        image=np.ascontiguousarray(image),
        sigma=None if sigma is None else np.ascontiguousarray(sigma),
        mask=np.ascontiguousarray(part.mask),
        psf=psfs.get(key),
        start=start,
        zeropoint=cutout.zeropoint - 2.5 * math.log10(unit),
        gain=cutout.gain and cutout.gain * unit,
        saturation=cutout.saturation and (cutout.saturation - level) / unit,
    )
    return View(seen, box, cutout.shape, how, level, unit)


def _usable(cutout: Cutout) -> np.ndarray:
    good = ~cutout.mask & np.isfinite(cutout.image)
    if cutout.sigma is not None:
        with np.errstate(invalid="ignore"):
            good &= np.isfinite(cutout.sigma) & (cutout.sigma > 0)
    return good


def _units(cutout: Cutout, good: np.ndarray, anchor: tuple[int, int]) -> tuple[float, float]:
    """About the sky, and the noise of a pixel."""
    near = around(*anchor, _WIDE, cutout.shape)
    use = good[near] if good[near].any() else good
    image, sigma = (
        None if plane is None else np.asarray(plane[near] if use is not good else plane, np.float64)[use]
        for plane in (cutout.image, cutout.sigma)
    )
    level = float(np.median(image))
    unit = float(np.median(np.abs(image - level) if sigma is None else sigma))
    return level, unit if unit > 0 and math.isfinite(unit) else 1.0
