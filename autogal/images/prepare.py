"""From arrays and facts to a cutout that can be fitted, or that says why it cannot."""

from __future__ import annotations

import functools
import math

import numpy as np

from autogal.errors import AutogalError
from autogal.flags import Flag
from autogal.images.cutout import Cutout
from autogal.images.header.keywords import Facts
from autogal.images.header.zeropoint import ZEROPOINT_RANGE
from autogal.images.noise.counts import check_counts, count_sigma
from autogal.images.noise.given import apply_correlation
from autogal.images.noise.sigma import settle_noise
from autogal.images.options import Options
from autogal.images.psf.model import mend_psf
from autogal.images.psf.moffat import moffat
from autogal.images.psf.sampling import Sampling
from autogal.images.stack import Pixels
from autogal.images.survey import Survey
from autogal.images.unmeasured import suspect, unmeasured

__all__ = ["attach_psf", "prepare"]

_SMALLEST = 4  # pixels a side; less has no shape to measure
_DEFAULT_ZEROPOINT = 25.0
_DEFAULT_PIXEL_SCALE = 1.0  # arcsec
_DEFAULT_FWHM = 2.5  # pixels: critical sampling
# FWHM of a Gaussian as wide as a pixel's box, squared: 8 ln 2 / 12 pixels^2.
_PIXEL_FWHM2 = 8 * math.log(2) / 12
# As many adjacent pixels at exactly the maximum are a clipped core; symmetry explains up to four.
_PLATEAU = 6
# What a fact can be; outside, exclusive, it is a typing error.
_POSSIBLE = {"zeropoint": ZEROPOINT_RANGE, "pixel_scale": (1e-6, 3600.0), "gain": (0.0, math.inf)}
_ROWS = 32  # of an image, to see its noise and its level by
_ROUNDED = 1e-4  # sigma: rounding above it can be seen in what is fitted
# Masks that hide more than this of an image, its middle too, may say where pixels are good
_MASKED = 0.6


def prepare(
    id: str,
    image: np.ndarray,
    sigma: np.ndarray | float | None = None,
    mask: np.ndarray | None = None,
    *,
    facts: Facts | None = None,
    options: Options | None = None,
    start: dict[str, float] | None = None,
    path: str | None = None,
    notes: list[str] | None = None,
    pixels: Pixels | None = None,
) -> Cutout:
    """Check one object's arrays and complete its facts. The PSF follows by :func:`attach_psf`.

    Nothing is raised for a bad object: the cutout's ``error`` says what is wrong.

    Parameters
    ----------
    id : str
    image : ndarray, shape (H, W)
        Any real type. Not changed; where its type is already the one asked
        for, the cutout shares its memory.
    sigma : ndarray of shape (H, W), or float, optional
        1-sigma noise; estimated from the image where missing.
    mask : ndarray, shape (H, W), optional
        Non-zero or NaN = excluded.
    facts : Facts, optional
        What the header, the manifest or the caller says.
    options : Options, optional
    start : dict, optional
    path : str, optional
    notes : list of str, optional
    pixels : Pixels, optional
        `image`, `sigma` and `mask` put together by :func:`autogal.images.stack.check_pixels`, which saves
        time.

    Returns
    -------
    Cutout
        Without PSF.
    """
    facts, options = facts or Facts(), options or Options()
    cutout = Cutout(
        id, np.zeros((0, 0), options.dtype), None, np.zeros((0, 0), bool), None,
        psf_kind=options.psf_kind, psf_oversample=options.psf_oversample or 1,
        exposure_time=facts.exposure_time, wcs=facts.wcs, start=start, path=path,
        notes=[*(notes or []), *facts.notes], warnings=list(facts.warnings), counts=options.counts,
    )  # fmt: skip
    try:
        _calibrate(cutout, facts, options)
        if pixels is not None and _sound(pixels, cutout.saturation, image):
            cutout.image, cutout.sigma, cutout.mask = pixels.image, pixels.sigma, pixels.mask
            _counts(cutout)
            if not cutout.counts:
                settle_noise(cutout, options.survey, facts)
                apply_correlation(cutout, options.correlation)
            return cutout
        _pixels(cutout, image, mask, options, facts)
        if sigma is not None:
            cutout.sigma = _sigma(sigma, cutout)
        _saturated(cutout, facts, options)
        _usable(cutout)
        _counts(cutout)
        if not cutout.counts:
            settle_noise(cutout, options.survey, facts)
            apply_correlation(cutout, options.correlation)
    except AutogalError as error:
        cutout.fail(error.what)
    return cutout


def attach_psf(
    cutout: Cutout, psf: tuple[np.ndarray, list[str]] | None, survey: Survey, sampling: Sampling | None = None
) -> None:
    """Give a cutout its PSF, or the survey's Moffat where it has none.

    Parameters
    ----------
    cutout : Cutout
    psf : tuple or None
        As :func:`autogal.images.prepare_psf` returns it.
    survey : Survey
    sampling : Sampling, optional
        What the PSF's own header says.
    """
    if psf is not None:
        if sampling is not None:
            cutout.psf_oversample = sampling.oversample
            cutout.notes += sampling.notes
            cutout.warnings += sampling.warnings
            if sampling.zoom != 1:
                cutout.flags |= Flag.PSF_CORRECTED
            if sampling.contradicted:
                cutout.flags |= Flag.PSF_MISMATCH
        cutout.psf = psf[0]
        cutout.notes += psf[1]
        if psf[1]:
            cutout.flags |= Flag.PSF_CORRECTED
        mended = mend_psf(cutout.psf, cutout.psf_kind, cutout.psf_oversample)
        cutout.psf, cutout.psf_oversample = mended.psf, mended.oversample
        cutout.flags |= mended.flags
        cutout.notes += mended.notes
        return
    if survey.psf_fwhm is None:
        width, source = _DEFAULT_FWHM, "no survey"
    else:
        width, source = survey.psf_fwhm / cutout.pixel_scale, f"survey {survey.name}"
    cutout.psf = _default_psf(round(width, 3), survey.psf_beta)
    cutout.psf_kind, cutout.psf_oversample = "effective", 1
    cutout.flags |= Flag.PSF_DEFAULT
    cutout.notes.append(f"No PSF: a Moffat of FWHM {width:.2f} pixels, beta {survey.psf_beta:g} ({source}).")


@functools.lru_cache(maxsize=64)
def _default_psf(width: float, beta: float) -> np.ndarray:
    # A survey's FWHM is that of stars in its images, the pixel included: take the pixel off before it is put
    # on.
    return moffat(math.sqrt(max(width**2 - _PIXEL_FWHM2, 0.25)), beta)


def _first(*values):
    return next((value for value in values if value is not None), None)


def _calibrate(cutout: Cutout, facts: Facts, options: Options) -> None:
    survey = options.survey
    zeropoint = _first(options.zeropoint, facts.zeropoint)
    certain = not (facts.uncertain and options.zeropoint is None)
    if zeropoint is None and survey.zeropoint is not None:
        zeropoint = survey.zeropoint
        if facts.counts:
            certain = False
            cutout.notes.append(
                f"Zero point {zeropoint:g} of survey {survey.name} holds for its calibrated images; these "
                f"pixels are counts."
            )
    elif zeropoint is None:
        zeropoint, certain = _DEFAULT_ZEROPOINT, False
        cutout.notes.append(f"No zero point: {_DEFAULT_ZEROPOINT:g} taken, magnitudes are relative.")
    cutout.zeropoint = float(zeropoint)
    if not certain:
        cutout.flags |= Flag.ZEROPOINT_DEFAULT

    scale = _first(options.pixel_scale, facts.pixel_scale, survey.pixel_scale)
    if scale is None:
        scale = _DEFAULT_PIXEL_SCALE
        cutout.flags |= Flag.PIXEL_SCALE_DEFAULT
        cutout.notes.append(f"No pixel scale: {_DEFAULT_PIXEL_SCALE:g} arcsec taken.")
    cutout.pixel_scale = float(scale)
    cutout.wcs_scale = facts.wcs_scale and options.pixel_scale is None

    cutout.gain = _first(options.gain, facts.gain)
    cutout.saturation = _first(options.saturation, facts.saturation)
    if certain:  # the survey's own facts are in the units of its zero point
        ratio = survey.unit_ratio(cutout.zeropoint)
        if cutout.gain is None and survey.gain is not None:
            cutout.gain = survey.gain * ratio
        if cutout.saturation is None and survey.saturation is not None:
            cutout.saturation = survey.saturation / ratio
    for name, (low, high) in _POSSIBLE.items():
        value = getattr(cutout, name)
        if value is not None and not low < value < high:
            kind = "finite" if name == "zeropoint" else "positive"
            why = (
                f"is not {kind}"
                if not (math.isfinite(value) and (value > 0 or name == "zeropoint"))
                else "is none that an image can have"
            )
            raise AutogalError(f"{name} = {value:g} {why}.")
    says = {name: getattr(cutout, name) for name in facts.sources if getattr(options, name) is None}
    words = {
        "zeropoint": "zero point {:.6g}",
        "pixel_scale": "pixel scale {:.5g} arcsec",
        "gain": "gain {:.5g}",
    }
    parts = [
        f"{words[name].format(value)} from {facts.sources[name]}"
        for name, value in says.items()
        if value is not None
    ]
    if parts:
        cutout.notes.append(f"Header: {', '.join(parts)}.")


def _plane(array, what: str) -> np.ndarray:
    """The array as numbers in two dimensions, masked elements (``numpy.ma``) left to the caller."""
    array = np.asarray(array)
    if array.dtype.kind not in "biuf":
        raise AutogalError(f"The {what} holds {array.dtype} values, not real numbers.")
    while array.ndim > 2 and array.shape[0] == 1:
        array = array[0]
    if array.ndim != 2 or array.size == 0:
        kind = "a cube" if array.ndim > 2 else "not two-dimensional"
        raise AutogalError(f"The {what} is {kind}: its shape is {array.shape}.")
    return array


def _sound(pixels: Pixels, saturation: float | None, image: np.ndarray) -> bool:
    """Whether the checks of single objects would leave them as they are."""
    clear = pixels.repeats < _PLATEAU if saturation is None else pixels.top < saturation
    return (
        clear
        and min(pixels.image.shape) >= _SMALLEST
        and not suspect(pixels.image)
        and (pixels.image.dtype == np.float64 or not _needs_double(image))
    )


def _needs_double(plane: np.ndarray) -> bool:
    """Whether single precision would round an image by as much as matters to its noise: a small one, on a
    large pedestal."""
    if plane.dtype.itemsize <= (4 if plane.dtype.kind == "f" else 2) or min(plane.shape) < 3:
        return False
    some = plane[:: max(1, len(plane) // _ROWS)].astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        bent = np.abs(some[:, :-2] - 2 * some[:, 1:-1] + some[:, 2:])
    good = np.isfinite(bent)
    if not good.any():
        return False
    level = float(np.median(np.abs(some[:, 1:-1][good])))
    noise = 1.4826 * float(np.median(bent[good])) / math.sqrt(6.0)
    return noise > 0 and level * 2.0**-24 > _ROUNDED * noise


def _pixels(cutout: Cutout, image, mask, options: Options, facts: Facts) -> None:
    plane = _plane(image, "image")
    with np.errstate(over="ignore", invalid="ignore"):
        # Also brings big-endian and integer data to the machine's own floats.
        cutout.image = np.ascontiguousarray(plane, dtype="float64" if _needs_double(plane) else options.dtype)
    none, notes = unmeasured(np.asarray(plane), facts.blank)
    if none.any():
        cutout.image = np.where(none, cutout.image.dtype.type(np.nan), cutout.image)
        cutout.notes += notes
    cutout.mask = ~np.isfinite(cutout.image)
    if min(plane.shape) < _SMALLEST:
        raise AutogalError(f"An image of {plane.shape[0]} x {plane.shape[1]} pixels is too small to fit.")
    if cutout.mask.all():
        raise AutogalError("Every pixel of the image is NaN or infinite.")
    if np.ma.isMaskedArray(image):
        cutout.mask |= np.ma.getmaskarray(image).reshape(plane.shape)
    if mask is not None:
        bad = _plane(mask, "mask")
        _same_shape(bad, cutout, "mask")
        bad = bad != 0  # NaN != 0: excluded too
        _inverted(bad, cutout)
        cutout.mask |= bad
    if cutout.mask.all():
        raise AutogalError("Every pixel of the image is masked.")


def _inverted(bad: np.ndarray, cutout: Cutout) -> None:
    """Say of a mask that hides most of the image, its middle too, what it looks like."""
    share, (rows, columns) = bad.mean(), bad.shape
    middle = bad[
        rows // 2 - rows // 20 : rows // 2 + rows // 20 + 1,
        columns // 2 - columns // 20 : columns // 2 + columns // 20 + 1,
    ]
    if share > _MASKED and middle.all():
        cutout.notes.append(
            f"The mask excludes {share:.0%} of the pixels, the middle of the image too: it may be inverted. "
            f"Non-zero is bad."
        )


def _same_shape(array: np.ndarray, cutout: Cutout, what: str) -> None:
    if array.shape != cutout.image.shape:
        raise AutogalError(
            f"The {what} is {array.shape[0]} x {array.shape[1]}, the image {cutout.image.shape[0]} x "
            f"{cutout.image.shape[1]}."
        )


def _sigma(sigma, cutout: Cutout) -> np.ndarray:
    if np.ndim(sigma) == 0:
        sigma = np.full(cutout.image.shape, sigma)
    plane = _plane(sigma, "sigma map")
    _same_shape(plane, cutout, "sigma map")
    plane = np.ascontiguousarray(plane, dtype=cutout.image.dtype)
    good = np.isfinite(plane) & (plane > 0)
    if not good.any():
        raise AutogalError("The sigma map holds no positive number.")
    cutout.mask |= ~good
    return plane


def _saturated(cutout: Cutout, facts: Facts, options: Options) -> None:
    image, mask, level = cutout.image, cutout.mask, cutout.saturation
    values = image[~mask]
    if not values.size:
        return
    if level is not None and options.saturation is None and level <= np.median(values):
        cutout.notes.append(f"Saturation level {level:g} ignored: half of the image is above it.")
        cutout.saturation = level = None
    if level is not None:
        saturated = ~mask & (image >= level)
    else:
        top = values.max()
        saturated = ~mask & (image == top)
        # Clipped: a patch of one value, which is far from being the value of most pixels.
        if not _PLATEAU <= saturated.sum() < values.size / 4 or not _one_patch(saturated):
            return
    if saturated.any():
        cutout.mask = mask | saturated
        cutout.flags |= Flag.SATURATED
        why = f"at or above {level:g}" if level is not None else "clipped at the maximum"
        cutout.notes.append(f"{int(saturated.sum())} saturated pixels, {why}, excluded.")


def _one_patch(pixels: np.ndarray) -> bool:
    """Whether the pixels fill at least half of the smallest rectangle around them."""
    rows, columns = np.nonzero(pixels)
    return 2 * rows.size >= (np.ptp(rows) + 1) * (np.ptp(columns) + 1)


def _usable(cutout: Cutout) -> None:
    values = cutout.image[~cutout.mask]
    if not values.size:
        raise AutogalError("Every pixel of the image is masked, saturated or without a positive sigma.")
    if values.min() == values.max():
        raise AutogalError(f"The image is constant: every usable pixel is {values[0]:g}.")


def _counts(cutout: Cutout) -> None:
    if cutout.counts:
        cutout.notes += check_counts(cutout.image, cutout.mask, cutout.gain)
        if cutout.sigma is None:
            cutout.sigma = count_sigma(cutout.image, cutout.mask, cutout.gain).astype(cutout.image.dtype)
