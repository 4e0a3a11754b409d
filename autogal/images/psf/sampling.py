"""How finely a PSF image samples the star, by its own header, against the pixels of the image that it is
for."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from astropy.io.fits import Header
from astropy.wcs.utils import proj_plane_pixel_area
from scipy import ndimage

from autogal.images.header.facts import SCALE_RANGE, celestial
from autogal.images.header.keywords import Found, Look

__all__ = ["Sampling", "psf_sampling", "resampled", "with_pixel"]

_SCALE = ("PIXELSCL", "PIXSCALE", "PIXSCAL1")  # arcsec a sample; the first is of STPSF, WebbPSF and POPPY
_SAMPLES = ("DET_SAMP", "OVERSAMP")  # samples a pixel of the detector (POPPY's "FITS headers")
_STEP = ("PSF_SAMP", "SAMPLING")  # pixels a sample (PSFEx, SourceXtractor++)
_REBINNED = (
    "DET_SAMP",
    "DETDIST",
    "DET_DIST",
)  # extensions of STPSF that are binned to the detector's pixels
_FINE = ("OVERSAMP", "OVERDIST")
_OPTICAL = ("FFTTYPE", "DIFFLMT", "CALCSAMP")  # keywords of a computed diffraction image
_WHOLE = 0.025  # a whole number of samples a pixel, rounded in the header
# nominal scales of distorted cameras are off by as much, and their stars are sampled by the pixels all the
# same
_ONE = 0.06
_AGREE = 0.03
_PLAUSIBLE = (0.2, 25.0)  # samples a pixel


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a PSF image is to be read.

    Attributes
    ----------
    oversample : int
        Samples a pixel, after resampling.
    zoom : float
        By how much finer the PSF has to be sampled for that; 1: as it is.
    optical : bool
        Whether the samples are those of a diffraction image, without the pixel.
    notes, warnings : tuple of str
        What decided; of the notes, the contradictions.
    contradicted : bool
        Whether the header says something other than what the user gave.
    """

    oversample: int = 1
    zoom: float = 1.0
    optical: bool = False
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    contradicted: bool = False


def psf_sampling(
    header: Header, primary: Header | None, hdu: str, pixel_scale: float | None, given: int | None
) -> Sampling:
    """What the header of a PSF says of its sampling.

    The PSF's scale in arcsec, against the image's, decides where both are
    known; else the samples a pixel that a keyword gives. What the user gives
    wins over both.

    Parameters
    ----------
    header, primary : astropy.io.fits.Header
        Of the extension with the PSF and of its file.
    hdu : str
        What the extension is called in notes.
    pixel_scale : float or None
        Of the image [arcsec]; None where it is not known.
    given : int or None
        Samples a pixel, as the user says.

    Returns
    -------
    Sampling
    """
    look, notes, warnings = Look(header, primary, hdu), [], []
    scale = _scale(look, header, warnings)
    factor = _factor(look, header)
    ratio, source = factor if factor is not None else (None, "")
    if scale is not None and pixel_scale is not None:
        by_scale = pixel_scale / scale[0]
        words = f"{scale[1]} ({scale[0]:.4g} arcsec a sample, pixels of {pixel_scale:.4g})"
        if not _PLAUSIBLE[0] <= by_scale <= _PLAUSIBLE[1]:
            warnings.append(f"PSF sampling: {words} would be {by_scale:.3g} samples a pixel: not believed.")
        else:
            if ratio is not None and abs(ratio / by_scale - 1) > _ONE:
                warnings.append(
                    f"PSF sampling {by_scale:.3g} a pixel by {words}, but {source} says {ratio:.3g}."
                )
            ratio, source = by_scale, words
    elif scale is not None and ratio is None and given is None:
        notes.append(
            f"The PSF's scale, {scale[0]:.4g} arcsec ({scale[1]}), cannot be compared: the image's is not "
            f"known."
        )
    name = Look(header, None).text("EXTNAME")
    optical = given is None and (name in _FINE or (name not in _REBINNED and look.has(*_OPTICAL)))
    if given is not None:
        other = ratio is not None and abs(ratio / given - 1) > max(_AGREE, _ONE if given == 1 else 0)
        if other:
            warnings.append(
                f"PSF sampling {given} a pixel as given, but its header says {ratio:.3g}: {source}."
            )
        return Sampling(given, notes=(*notes, *warnings), warnings=tuple(warnings), contradicted=other)
    if ratio is None:
        return Sampling(optical=False, notes=(*notes, *warnings), warnings=tuple(warnings))
    whole = max(1, round(ratio))
    if abs(ratio / whole - 1) <= (_ONE if whole == 1 else _WHOLE):
        notes.append(f"PSF sampling {whole} a pixel by {source}.")
        return Sampling(whole, 1.0, optical, (*notes, *warnings), tuple(warnings))
    whole = max(1, math.ceil(ratio))
    if ratio < 1:
        warnings.append(
            f"The PSF is sampled more coarsely than the image, {ratio:.3g} a pixel by {source}: "
            "interpolated, it knows nothing finer than its own samples."
        )
    else:
        notes.append(f"PSF sampling {ratio:.3g} a pixel by {source}: resampled to {whole}.")
    return Sampling(whole, whole / ratio, optical, (*notes, *warnings), tuple(warnings))


def resampled(psf: np.ndarray, zoom: float) -> np.ndarray:
    """A PSF sampled more finely, about the middle of its array, by cubic splines.

    Parameters
    ----------
    psf : ndarray, shape (K, L)
    zoom : float
        New samples in an old one.

    Returns
    -------
    ndarray of float64, both sides odd
    """
    psf = np.asarray(psf, np.float64)
    sides = [int(2 * math.floor((n - 1) / 2 * zoom) + 1) for n in psf.shape]
    places = [(np.arange(new) - new // 2) / zoom + (old - 1) / 2 for new, old in zip(sides, psf.shape)]
    return ndimage.map_coordinates(psf, np.meshgrid(*places, indexing="ij"), order=3, mode="constant")


def with_pixel(psf: np.ndarray, oversample: int) -> np.ndarray:
    """A diffraction image as the pixels see it: its mean over a pixel, at every sample.

    Parameters
    ----------
    psf : ndarray, shape (K, L)
    oversample : int
        Samples a pixel.

    Returns
    -------
    ndarray of float64, shape (K, L)
    """
    psf = np.asarray(psf, np.float64)
    for axis in (0, 1):
        length = psf.shape[axis]
        padded = length + 2 * oversample | 1  # what leaves one side does not come in at the other
        box = np.sinc(np.fft.rfftfreq(padded) * oversample)
        spectrum = np.fft.rfft(psf, padded, axis=axis) * (box[:, None] if axis == 0 else box)
        psf = np.take(np.fft.irfft(spectrum, padded, axis=axis), range(length), axis=axis)
    return psf


def _scale(look: Look, header: Header, warnings: list[str]) -> tuple[float, str] | None:
    """arcsec a sample, and what says it."""
    low, high = SCALE_RANGE
    keyword = look.number(*_SCALE, low=low, high=high, notes=warnings)
    wcs = celestial(header, [])
    by_wcs = None if wcs is None else 3600.0 * math.sqrt(abs(float(proj_plane_pixel_area(wcs))))
    if keyword is None:
        return None if by_wcs is None else (by_wcs, "the PSF's WCS")
    if by_wcs is not None and abs(by_wcs / keyword - 1) > _AGREE:
        warnings.append(
            f"The PSF's {keyword.source} says {float(keyword):.4g} arcsec a sample, its WCS {by_wcs:.4g}: "
            f"the former taken."
        )
    return float(keyword), f"the PSF's {keyword.source}"


def _factor(look: Look, header: Header) -> tuple[float, str] | None:
    """Samples a pixel, and what says it."""
    name = Look(header, None).text("EXTNAME")
    if name in _REBINNED:
        return 1.0, f"its extension {name}"
    low, high = _PLAUSIBLE
    samples: Found | None = look.number(*_SAMPLES, low=low, high=high)
    if samples is not None:
        return float(samples), f"the PSF's {samples.source}"
    step = look.number(*_STEP, low=1 / high, high=high)
    if step is None:
        return None
    # Pixels a sample; a step of several whole pixels would leave no star: such a SAMPLING counts samples a
    # pixel.
    factor = float(step) if step.key == "SAMPLING" and step >= 2 else 1 / float(step)
    return factor, f"the PSF's {step.source}"
