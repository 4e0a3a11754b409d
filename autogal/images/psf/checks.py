"""PSF images: put right what can be, and refuse what cannot."""

from __future__ import annotations

import numpy as np

from autogal.errors import AutogalError

__all__ = [
    "NEGATIVE_LIGHT",
    "OFF_CENTRE",
    "PEDESTAL",
    "PEDESTAL_LIGHT",
    "SMALLEST_FOR_PEDESTAL",
    "core_width",
    "corners",
    "fwhm",
    "prepare_psf",
    "sum_note",
]

# A border brighter than this fraction of the peak, and as bright in the corners as elsewhere, is an
# added constant (as the soft bias of 1000 of SDSS psField images), not the wings of a star.
PEDESTAL = 0.01
SMALLEST_FOR_PEDESTAL = 7  # pixels a side; a smaller stamp has no corners without light
_FLAT = 0.7
_FILLED = 3.0
# A constant below that is left alone, but worth a word where it would hold this part of the light, unless it
# is negative.
PEDESTAL_LIGHT = 0.1
# From this sum on up to 1 a PSF may be the part of a star's light that its stamp holds, as of computed ones.
_NEARLY = 0.8
# More negative than positive light than this: noise, not a star.
NEGATIVE_LIGHT = 0.5
# Pixels from the middle to the core above which fitted positions are off by as much as is worth a word.
OFF_CENTRE = 0.3
# A FWHM, in pixels, below which a shift by half a pixel errs by more than 1e-3 of a galaxy's peak.
_WELL_SAMPLED = 2.6
# No frequency is raised by more than this when the light that folded on to it is put right: the rest is
# noise.
_LARGEST_GAIN = 10.0


def prepare_psf(array: np.ndarray, oversample: int = 1) -> tuple[np.ndarray, list[str]]:
    """Make a PSF image odd-sized, centred on its middle pixel, and of sum 1.

    It moves by whole pixels only, so that an asymmetric PSF keeps its shape
    and its sub-pixel centroid. The one exception is a side of even length
    whose star lies between the two middle pixels: that side is resampled by
    exactly half a pixel, by a phase in Fourier space. Oversampled PSFs are
    models, whose origin is the middle of the array unless their peak is
    exactly on a pixel, however lopsided their core is.

    Parameters
    ----------
    array : array_like, shape (K, L)
        PSF image, of any size and sum. Not changed.
    oversample : int
        Samples of the PSF a pixel of the image. What is said of pixels here is said of samples.

    Returns
    -------
    psf : ndarray of float64, shape (K | 1, L | 1)
    notes : list of str
        One sentence for each thing that was put right or looks odd.

    Raises
    ------
    AutogalError
        Where it is no PSF: not 2-D, not finite, empty, constant, without
        positive light, or mostly noise.
    """
    psf = _checked(array)
    notes: list[str] = []
    psf = _without_pedestal(psf, notes)
    psf = _odd_and_centred(psf, oversample, notes)

    total, negative = psf.sum(), -psf[psf < 0].sum()
    if not total > 0:
        raise _refused(f"its sum is {total:.4g}, not positive")
    if negative > NEGATIVE_LIGHT * psf[psf > 0].sum():
        raise _refused("its negative pixels hold more than half as much as the positive ones: it is noise")
    return psf / total, notes + sum_note(np.asarray(array, dtype=np.float64).sum())


def sum_note(total: float) -> list[str]:
    """What to say of a PSF's sum; nothing where it is 1 already."""
    if abs(total - 1.0) <= 1e-3:
        return []
    wings = (
        f" If its wings are what is missing, sources are brighter by {-2.5 * np.log10(total):.3f} mag."
        if _NEARLY < total < 1
        else ""
    )
    return [f"PSF sum {total:.6g} normalised to 1.{wings}"]


def _refused(reason: str) -> AutogalError:
    return AutogalError(
        f"The PSF cannot be used: {reason}.", "Give the image of a star, alone on a sky of zero."
    )


def _checked(array) -> np.ndarray:
    try:
        psf = np.array(array, dtype=np.float64)
    except (TypeError, ValueError):
        raise _refused("it is not an array of numbers") from None
    while psf.ndim > 2 and psf.shape[0] == 1:
        psf = psf[0]
    if psf.ndim != 2 or psf.size == 0:
        raise _refused(f"its shape is {psf.shape}, not two-dimensional")
    bad = np.count_nonzero(~np.isfinite(psf))
    if bad:
        raise _refused(f"{bad} of its {psf.size} pixels are NaN or infinite")
    if not psf.any():
        raise _refused("it is zero everywhere")
    if psf.size > 1 and psf.min() == psf.max():
        raise _refused(f"it is {psf.flat[0]:.4g} everywhere")
    if not psf.max() > 0:
        raise _refused("it has no positive pixel")
    return psf


def _without_pedestal(psf: np.ndarray, notes: list[str]) -> np.ndarray:
    if min(psf.shape) < SMALLEST_FOR_PEDESTAL:
        return psf
    border = np.median(np.concatenate([psf[0], psf[-1], psf[1:-1, 0], psf[1:-1, -1]]))
    below = np.median(psf[corners(psf.shape)])
    flat = abs(below) >= _FLAT * abs(border) and below * border > 0
    # in a stamp of a few widths of its star the corners have the star's light
    if not flat or min(psf.shape) < _FILLED * fwhm(psf - below):
        return psf
    if min(abs(below), abs(border)) > PEDESTAL * (psf.max() - below):
        notes.append(
            f"PSF had a constant of {below:.4g} under it ({below / psf.max():.1%} of its peak): subtracted."
        )
        return psf - below
    light = below * psf.size / psf.sum()
    if light < -PEDESTAL_LIGHT:  # light could be that of wings, but there is none below zero
        notes.append(f"PSF had a constant of {below:.4g} under it, {light:.0%} of its light: subtracted.")
        return psf - below
    if light > PEDESTAL_LIGHT:
        notes.append(
            f"PSF may have a constant of {below:.4g} under it, {light:.0%} of its light: left as it is."
        )
    return psf


def corners(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Index of the four corners of a stamp, a tenth of its side each."""
    side = max(1, min(shape) // 10)
    ends = np.r_[:side, -side:0]
    return np.ix_(ends, ends)


def _odd_and_centred(psf: np.ndarray, oversample: int, notes: list[str]) -> np.ndarray:
    peak = _peak(psf)
    core = _core_centroid(psf, peak)
    middle = (np.array(psf.shape) - 1) / 2
    even = np.array(psf.shape) % 2 == 0
    if oversample > 1:
        between = even & (np.abs(_summit(psf, peak) - middle) < 0.45)
    else:
        between = even & (np.abs(core - middle) < 0.25)

    # In a frame with odd sides the middle of an even side of length K becomes pixel K / 2.
    odd = np.array(psf.shape) + even
    shift = np.where(between, 0, odd // 2 - peak)
    # Neither of the two middle pixels of an even side is off-centre.
    away = np.where(even & (shift == 1), 0, -shift)
    if away.any():
        notes.append(f"PSF peak, {away[1]:+d}, {away[0]:+d} pixels (x, y) from the middle, moved there.")
    if between.any():
        width = fwhm(psf)
        psf = _half_pixel_shift(psf, between)
        poor = f" FWHM {width:.1f} pixels is too small for that to be exact." if width < _WELL_SAMPLED else ""
        notes.append(f"PSF of even size centred between pixels: resampled to {odd[0]} x {odd[1]}.{poor}")
    elif even.any():
        notes.append(f"PSF of even size padded to {odd[0]} x {odd[1]}.")
    centred = np.zeros(odd)
    into, out_of = zip(*(_overlap(n, k, s) for n, k, s in zip(odd, psf.shape, shift)))
    centred[into] = psf[out_of]

    left = (core + shift + np.where(between, 0.5, 0.0) - odd // 2) / oversample
    if np.abs(left).max() > OFF_CENTRE:
        notes.append(
            f"PSF core lies {left[1]:+.2f}, {left[0]:+.2f} pixel (x, y) from its middle: fitted positions "
            f"are off by as much."
        )
    return centred


def _overlap(target: int, source: int, shift: int) -> tuple[slice, slice]:
    """Slices that copy a row of length ``source``, displaced by ``shift``, into one of length ``target``."""
    start, stop = max(0, shift), min(target, source + shift)
    return slice(start, stop), slice(start - shift, stop - shift)


def _peak(psf: np.ndarray) -> np.ndarray:
    """Row and column of the star's brightest pixel.

    The brightest 3 x 3 block finds the star, so that a lone hot pixel does not.
    """
    padded = np.pad(psf, 1)
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    block = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
    y, x = np.unravel_index(block.argmax(), block.shape)
    near = np.full(psf.shape, -np.inf)
    window = slice(max(0, y - 1), y + 2), slice(max(0, x - 1), x + 2)
    near[window] = psf[window]
    return np.array(np.unravel_index(near.argmax(), psf.shape))


def _core_centroid(psf: np.ndarray, peak: np.ndarray) -> np.ndarray:
    """Row and column of the core, by a centroid under a Gaussian window that follows it."""
    sigma = float(core_width(np.count_nonzero(psf > psf[tuple(peak)] / 2)))
    # Beyond four sigma the window is zero: cut there, the rest only costs time.
    start = np.maximum(peak - int(4 * sigma + 2), 0)
    core_light = psf[tuple(slice(s, p + int(4 * sigma + 3)) for s, p in zip(start, peak))]
    rows, columns = (s + np.arange(n, dtype=float) for s, n in zip(start, core_light.shape))
    core = peak.astype(float)
    for _ in range(30):
        by_row, by_column = (np.exp(-((p - c) ** 2) / (2 * sigma**2)) for p, c in zip((rows, columns), core))
        across, along = core_light @ by_column * by_row, by_row @ core_light * by_column
        total = across.sum()
        if not total > 0:
            return peak.astype(float)
        # Twice the offset: the window halves the apparent displacement (as SExtractor's XWIN).
        step = 2 * (np.array([across @ rows, along @ columns]) / total - core)
        core = np.clip(core + step, peak - 1.0, peak + 1.0)
        if np.abs(step).max() < 1e-3:
            break
    return core


def _summit(psf: np.ndarray, peak: np.ndarray) -> np.ndarray:
    """Row and column of the maximum, by a parabola through the logarithms of the peak and its neighbours."""
    summit = peak.astype(float)
    for axis in (0, 1):
        line = np.take(psf, peak[1 - axis], axis=1 - axis)[max(0, peak[axis] - 1) : peak[axis] + 2]
        if line.size == 3 and line.min() > 0 and line[1] >= max(line[0], line[2]) > min(line[0], line[2]):
            before, at, after = np.log(line)
            summit[axis] += 0.5 * (before - after) / (before - 2 * at + after)
    return summit


def core_width(bright: int | np.ndarray) -> np.ndarray:
    """Sigma [px] of the window around a core with so many pixels above half its peak."""
    return np.maximum(1.0, 2 * np.sqrt(bright / np.pi) / 2.355)


def _half_pixel_shift(psf: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Move the image by half a pixel along the axes chosen, which become one pixel longer.

    Light beyond the Nyquist frequency folds on to a star between pixels with the opposite sign than on to one
    on a pixel: samples of P at k hold P(k) - P(2 pi - k) there, and P(k) + P(2 pi - k) here. The fall of all
    seeing tells the two apart, P(2 pi - k) / P(k) = exp(-2 w (pi - k)), with w the FWHM for a Moffat (as in
    `autogal.rendering.grid`).
    """
    width = fwhm(psf)
    for axis in np.flatnonzero(axes):
        length = psf.shape[axis]
        padded = 2 * length + 1  # odd: no Nyquist frequency, whose phase would be ambiguous
        k = 2 * np.pi * np.fft.rfftfreq(padded)
        folded = np.minimum(1 / np.tanh(width * (np.pi - k)), _LARGEST_GAIN)
        factor = folded * np.exp(-0.5j * k)
        spectrum = np.fft.rfft(psf, padded, axis=axis) * (factor[:, None] if axis == 0 else factor)
        psf = np.take(np.fft.irfft(spectrum, padded, axis=axis), range(length + 1), axis=axis)
    return psf


def fwhm(stamp: np.ndarray) -> float:
    """Full width at half maximum of a star's image.

    The diameter of the circle as large as the area above half the maximum,
    after band-limited interpolation, so that it also holds for a FWHM of two
    pixels and for elongated PSFs.

    Parameters
    ----------
    stamp : ndarray, shape (K, L)
        Star image on a sky of zero.

    Returns
    -------
    float
        In pixels; NaN where the stamp has no positive peak.
    """
    stamp = np.asarray(stamp, dtype=np.float64)
    y, x = _peak(stamp)
    if not stamp[y, x] > 0:
        return float("nan")
    # As much of the stamp as the width needs; more only costs time.
    half = 4
    while True:
        cut = stamp[max(0, y - half) : y + half + 1, max(0, x - half) : x + half + 1]
        if cut.shape == stamp.shape or np.count_nonzero(cut > stamp[y, x] / 2) < cut.size / 16:
            break
        half *= 2
    factor = 8
    fine = cut
    for axis in (0, 1):
        length = fine.shape[axis] | 1  # odd: no Nyquist frequency to share out
        fine = factor * np.fft.irfft(np.fft.rfft(fine, length, axis=axis), factor * length, axis=axis)
    area = np.count_nonzero(fine > fine.max() / 2) / factor**2
    return float(2 * np.sqrt(area / np.pi))
