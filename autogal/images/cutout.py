"""One object's data, as every later stage sees it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from astropy.wcs import WCS

from autogal.flags import Flag
from autogal.images.noise.noise_map import Noise
from autogal.images.orientation import Orientation

__all__ = ["Cutout"]


@dataclass(slots=True, eq=False)
class Cutout:
    """A small image of one target, with what is needed to fit it.

    A cutout whose ``error`` is set cannot be fitted; it still gives one row
    in the catalogue. Every other cutout that :func:`autogal.images.load` or
    :func:`autogal.images.from_arrays` returns has a sigma map and a PSF.

    Attributes
    ----------
    id : str
        Unique within a run.
    image : ndarray, shape (H, W)
        float32 or float64 in native byte order; bad pixels may be NaN.
        Shape (0, 0) where nothing could be read.
    sigma : ndarray, shape (H, W), or None
        1-sigma noise per pixel, in image units.
    mask : ndarray of bool, shape (H, W)
        True = excluded: masked by the user, not finite, without a positive
        sigma, or saturated.
    psf : ndarray of float64, shape (K, L), or None
        Both sides odd, sum 1, centred on the middle pixel.
    psf_kind : str
        ``"effective"`` (a star image: the pixel is included) or ``"optical"``.
    psf_oversample : int
        PSF samples per image pixel, along each axis.
    zeropoint : float
        Magnitude of a source of one image unit.
    pixel_scale : float
        arcsec per pixel.
    gain : float or None
        Electrons per image unit.
    exposure_time : float or None
        Seconds. Recorded only: it never changes a magnitude.
    saturation : float or None
        Image value at and above which a pixel is saturated.
    wcs : astropy.wcs.WCS or None
        Celestial coordinates of this image.
    start : dict or None
        The user's starting values, any of x, y, mag, flux, r_eff, n, q, pa, sky.
    flags : Flag
        What is known about the input so far.
    notes : list of str
        One sentence for each thing that was put right or assumed.
    warnings : list of str
        Those of the notes of which two sources contradict each other.
    error : str or None
        Why this object cannot be fitted.
    path : str or None
        The image file, with its extension in brackets where one was chosen.
    counts : bool
        Whether the image, times the gain, is counts.
    noise : Noise
        What the image itself says of its noise, and of the sigma map.
    bad : ndarray of bool, shape (H, W), or None
        What was excluded before any neighbour was masked. None: all of `mask`.
    to_centre : (float, float)
        From its centre to that of the image of which it is a window, x and y, pixels.
    wcs_scale : bool
        Whether the pixel scale is that of the WCS, whose local scale holds where it changes over the image.
    """

    id: str
    image: np.ndarray
    sigma: np.ndarray | None
    mask: np.ndarray
    psf: np.ndarray | None
    psf_kind: str = "effective"
    psf_oversample: int = 1
    zeropoint: float = 25.0
    pixel_scale: float = 1.0
    gain: float | None = None
    exposure_time: float | None = None
    saturation: float | None = None
    wcs: WCS | None = None
    start: dict[str, float] | None = None
    flags: Flag = Flag(0)
    notes: list[str] = field(default_factory=list)
    error: str | None = None
    path: str | None = None
    counts: bool = False
    noise: Noise = field(default_factory=Noise)
    bad: np.ndarray | None = None
    to_centre: tuple[float, float] = (0.0, 0.0)
    wcs_scale: bool = False
    warnings: list[str] = field(default_factory=list)

    @classmethod
    def failed(cls, id: str, error: str, path: str | None = None, **facts) -> Cutout:
        """A cutout that cannot be fitted, for the reason given."""
        cutout = cls(id, np.zeros((0, 0), np.float32), None, np.zeros((0, 0), bool), None, path=path, **facts)
        cutout.fail(error)
        return cutout

    def fail(self, error: str) -> None:
        """Mark this cutout as not fittable. The first reason is kept."""
        self.error = self.error or error
        self.flags |= Flag.BAD_INPUT

    def warn(self, note: str) -> None:
        """Note that two sources contradict each other."""
        self.notes.append(note)
        self.warnings.append(note)

    def window(self, rows: slice, columns: slice) -> Cutout:
        """A part of this cutout that shares its pixels and its notes.

        Parameters
        ----------
        rows, columns : slice
            With start and stop, within the image.

        Returns
        -------
        Cutout
            Positions in it count from the window's own first pixel.
        """
        part = rows, columns
        start = dict(self.start or {})
        for name, side in (("x", columns), ("y", rows)):
            if start.get(name) is not None:
                start[name] -= side.start
        to_centre = tuple(
            far + (length - side.start - side.stop) / 2
            for far, length, side in zip(self.to_centre, self.shape[::-1], (columns, rows), strict=True)
        )
        sigma, bad, wcs = (None if one is None else one[part] for one in (self.sigma, self.bad, self.wcs))
        return replace(
            self,
            image=self.image[part],
            sigma=sigma,
            mask=self.mask[part],
            bad=bad,
            wcs=wcs,
            start=start or None,
            to_centre=to_centre,
        )

    def turned(self, how: Orientation) -> Cutout:
        """This cutout as it lies in another orientation; it shares pixels and notes with the first.

        Parameters
        ----------
        how : Orientation

        Returns
        -------
        Cutout
            Without its WCS, which is another one then.
        """
        if not how.changes:
            return self
        planes = {
            name: None if (plane := getattr(self, name)) is None else how.array(plane)
            for name in ("image", "sigma", "mask", "psf")
        }
        start = None if self.start is None else how.values(self.start, self.shape)
        return replace(self, **planes, start=start, to_centre=how.vector(*self.to_centre), wcs=None)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the image."""
        return self.image.shape
