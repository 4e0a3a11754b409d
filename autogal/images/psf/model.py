"""PSF images that hold too little: wings cut off, or too few samples. A fitted Moffat law says the rest."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np
from scipy import ndimage, optimize, special

from autogal.flags import Flag
from autogal.images.psf.checks import fwhm

__all__ = ["Mended", "mend_psf"]

#: Border light, of the peak, from which a stamp may cut wings, and the part of the light from which they are
#: worth a word
_CUT, _LOST = 6e-4, 5e-3
_FALLS = 2.0  # power of the radius; less steep is no star's wing but something under it
_ALL_CORE = 3.0  # widths of the star, in a side smaller than which there is little else
_LEFT_OUT = 2e-3  # of the light, which may lie outside of an extended stamp
_LARGEST = 100.0  # pixels from the middle to the side of an extended stamp
#: FWHM, in pixels of the image, from which samples hold what lies between them
_SAMPLED = 2.1
_FINE = 4.0  # samples across the FWHM of what replaces an undersampled stamp
_MOST_SAMPLES = 5  # a pixel
_CORE = 4  # pixels around the middle in which a pixel's light needs many nodes
_NODES, _FEW_NODES = 9, 4
# Parts of the peak above which a law is fitted to light in relative terms: for the wings, and for the core
_WINGS, _CORE_LIGHT = 2e-3, 0.03
_GOOD = 1e-4  # rms misfit, of the peak, with which a Moffat needs no rival
_STARTS, _NEAR = (
    (1.0, 0.6),
    2e-3,
)  # widths to begin an Airy disk with, in those it seems to have; the misfit that needs no other
_LONE = 1e-4  # of the peak; where no other pixel has more, there is no star to fit
_MISFIT = 0.05  # of the peak or of the wings, by which a Moffat may miss a stamp without a word


class Mended(NamedTuple):
    """A PSF image, its samples a pixel, what is to be known of it, and one sentence for each."""

    psf: np.ndarray
    oversample: int
    flags: Flag
    notes: tuple[str, ...]


def mend_psf(psf: np.ndarray, kind: str, oversample: int) -> Mended:
    """Extend a PSF image whose wings are cut, and model one that is undersampled.

    A stamp whose border is brighter than 0.06 % of its peak, and still falling as a wing does, is continued
    by the elliptical Moffat law fitted to it where that has more than 0.5 % of its light outside: until 0.2 %
    are left there (or 100 pixels from the middle), and divided by the new sum. One
    whose star is narrower than 2.1 pixels (FWHM) is replaced by samples, three to five a pixel, of a Moffat
    law or an Airy disk, whichever is nearer, convolved with the pixel where the PSF is an effective one, and
    fitted to its pixels with the star's place among them; what the law misses is added, interpolated. The
    model is centred. Any other PSF stays as it is.

    Parameters
    ----------
    psf : ndarray of float64, shape (K, L)
        As :func:`autogal.images.prepare_psf` gives it.
    kind : {"effective", "optical"}
    oversample : int
        Samples of the PSF a pixel of the image.

    Returns
    -------
    Mended
        With the flags PSF_TRUNCATED and PSF_UNDERSAMPLED where they are due.
    """
    peak = float(psf.max())
    is_cut = min(psf.shape) >= 5 and _border(psf) > _CUT * peak
    # a circle of that diameter has so many pixels; the exact width takes a thousand times longer
    is_narrow = oversample == 1 and np.count_nonzero(psf > peak / 2) <= math.ceil(0.8 * _SAMPLED**2) + 1
    if not is_cut and not is_narrow:
        return Mended(psf, oversample, Flag(0), ())
    return _mended(psf.tobytes(), psf.shape, kind, oversample) or Mended(psf, oversample, Flag(0), ())


@functools.lru_cache(maxsize=64)
def _mended(content: bytes, shape: tuple[int, int], kind: str, oversample: int) -> Mended | None:
    psf = np.frombuffer(content, np.float64).reshape(shape)
    flags, notes = Flag(0), []
    is_pixel = kind == "effective" and oversample == 1
    # the core itself falls less steeply
    falls = _slope(psf) > _FALLS or min(shape) < _ALL_CORE * fwhm(psf)
    if min(shape) >= 5 and _border(psf) > _CUT * psf.max() and falls:
        law, _ = _fit(psf, is_pixel, _WINGS)
        extended, outside = _extended(psf, law, is_pixel)
        if outside > _LOST:
            flags |= Flag.PSF_TRUNCATED
            notes.append(
                f"PSF cuts its wings (border {_border(psf) / psf.max():.2%} of the peak): continued by "
                f"{law.name}, "
                f"which has {outside:.1%} of the light outside of {shape[0]} x "
                f"{shape[1]}{_miss(psf, law, is_pixel, wings=True)}."
            )
            psf = extended
    width = fwhm(psf) if oversample == 1 else math.inf
    if width < _SAMPLED:
        flags |= Flag.PSF_UNDERSAMPLED
        if min(shape) < 5 or np.count_nonzero(psf > _LONE * psf.max()) < 5:
            notes.append(f"PSF of FWHM {width:.1f} pixels is undersampled, and too small to be modelled.")
        else:
            law, missed = _fit(psf, is_pixel, _CORE_LIGHT)
            if missed > _GOOD:
                for start in (
                    _STARTS
                ):  # its rings make other minima, and between two samples a star looks wider than it is
                    law, missed = min(
                        (law, missed), _fit(psf, is_pixel, _CORE_LIGHT, True, start), key=lambda one: one[1]
                    )
                    if law.is_airy and missed < _NEAR:
                        break
            oversample = int(min(max(math.ceil(_FINE / width), 3), _MOST_SAMPLES))
            notes.append(
                f"PSF of FWHM {width:.1f} pixels is undersampled: replaced by {law.name}"
                f"{' and the pixel' if is_pixel else ''}, {oversample} samples a "
                f"pixel{_miss(psf, law, is_pixel, wings=False)}."
            )
            psf = _resampled(psf, law, is_pixel, oversample)
    if not flags:
        return None
    psf = np.ascontiguousarray(psf / psf.sum())
    psf.setflags(write=False)
    return Mended(psf, oversample, flags, tuple(notes))


class _Law(NamedTuple):
    """An elliptical star: amplitude, place from the middle sample, size, shape, and the logarithm of its
    stretch.

    Moffat (1969, A&A 3, 455): size alpha, shape beta. Airy: size lambda / D, shape the linear part of the
    aperture that is obscured (Born & Wolf, Principles of Optics, 8.6.2).
    """

    amplitude: float
    x: float
    y: float
    size: float
    shape: float
    e1: float
    e2: float
    is_airy: bool = False

    @property
    def fwhm(self) -> float:
        if not self.is_airy:
            return 2 * self.size * math.sqrt(2 ** (1 / self.shape) - 1)
        return (
            2
            * self.size
            * optimize.brentq(lambda radius: _airy(np.array(radius**2), self.shape) - 0.5, 0.1, 1.2)
        )

    @property
    def name(self) -> str:
        said = f"of FWHM {self.fwhm:.2f} pixels"
        return f"an Airy disk {said}" if self.is_airy else f"a Moffat {said}, beta {self.shape:.2f}"

    def at(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        x, y = x - self.x, y - self.y
        stretch = math.hypot(self.e1, self.e2)
        even, odd = math.cosh(stretch), math.sinh(stretch) / stretch if stretch > 1e-9 else 1.0
        square = (
            x**2 * (even - odd * self.e1) + y**2 * (even + odd * self.e1) - 2 * odd * self.e2 * x * y
        ) / self.size**2
        return self.amplitude * (_airy(square, self.shape) if self.is_airy else (1 + square) ** -self.shape)

    def outside(self, radius: float) -> float:
        """Part of a Moffat's light beyond a radius."""
        return (1 + (radius / self.size) ** 2) ** (1 - self.shape)


def _airy(square: np.ndarray, obscured: float) -> np.ndarray:
    """Diffraction of a circular aperture, 1 in the middle, by the square of the radius in units of lambda
    / D."""
    z = np.pi * np.sqrt(np.maximum(square, 1e-12))
    whole, hole = 2 * special.j1(z) / z, obscured * 2 * special.j1(obscured * z) / z
    return ((whole - hole) / (1 - obscured**2)) ** 2


def _pixels(law: _Law, x: np.ndarray, y: np.ndarray, nodes: int) -> np.ndarray:
    """Light of square pixels of side 1 around the places `x`, `y`, by Gauss-Legendre quadrature."""
    places, weights = np.polynomial.legendre.leggauss(nodes)
    total = 0.0
    for along, own in zip(places / 2, weights / 2):
        for across, other in zip(places / 2, weights / 2):
            total = total + own * other * law.at(x + along, y + across)
    return total


def _sampled(law: _Law, x: np.ndarray, y: np.ndarray, is_pixel: bool, roughly: bool = False) -> np.ndarray:
    if not is_pixel:
        return law.at(x, y)
    out = np.empty(x.shape)
    near = (np.abs(x - law.x) < _CORE) & (np.abs(y - law.y) < _CORE)
    for part, nodes in ((near, _NODES - 4 * roughly), (~near, _FEW_NODES - 2 * roughly)):
        out[part] = _pixels(law, x[part], y[part], nodes)
    return out


def _grid(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.indices(shape, dtype=np.float64)
    return x - shape[1] // 2, y - shape[0] // 2


def _fit(
    psf: np.ndarray, is_pixel: bool, faintest: float, is_airy: bool = False, start: float = 1.0
) -> tuple[_Law, float]:
    """The law that is nearest to a stamp in relative terms above `faintest` (of the peak), and the rms of
    what it misses, of the peak.

    The fit begins with `start` times the width that the stamp seems to have.
    """
    x, y = _grid(psf.shape)
    near = np.maximum(np.abs(x), np.abs(y)) <= max(8.0, 4 * fwhm(psf))
    x, y, data = x[near], y[near], psf[near] / psf.max()
    weight = 1 / (np.maximum(data, 0.0) + faintest)
    # what the pixel adds to the width, and Airy's own unit: from a start twice too narrow, the fit ends in
    # another minimum
    begin = start * math.sqrt(max(fwhm(psf) ** 2 - 0.8 * is_pixel, 0.16)) / (1.03 if is_airy else 2.0)

    def law(p):
        shape = 0.7 / (1 + math.exp(-p[4])) if is_airy else 1.1 + math.exp(p[4])
        return _Law(math.exp(p[0]), p[1], p[2], math.exp(p[3]), shape, p[5], p[6], is_airy)

    def misfit(p):
        return (_sampled(law(p), x, y, is_pixel, roughly) - data) * weight

    bounds = [(-5, 8), (-1, 1), (-1, 1), (math.log(0.1), math.log(100)), (-5, 5), (-1, 1), (-1, 1)]
    core = np.where(np.hypot(x, y) < 2.0, np.maximum(data, 0.0) ** 2, 0.0)
    middle = [
        0.0,
        *(float((core * place).sum() / core.sum()) for place in (x, y)),
        math.log(begin),
        0.0 if is_airy else math.log(1.9),
        0.0,
        0.0,
    ]
    for roughly, most in ((True, 40), (False, 6)):
        if not roughly:  # weights from the law: those from pixels favour the ones that noise made faint
            weight = 1 / (_sampled(law(middle), x, y, is_pixel) + faintest)
        middle = optimize.least_squares(
            misfit, middle, bounds=tuple(zip(*bounds)), loss="soft_l1", f_scale=0.1, max_nfev=most, xtol=1e-6
        ).x
    best = law(middle)
    missed = float(np.sqrt(np.mean((_sampled(best, x, y, is_pixel) - data) ** 2)))
    return best._replace(amplitude=best.amplitude * float(psf.max())), missed


def _border_pixels(shape: tuple[int, int], width: int = 1) -> np.ndarray:
    ring = np.ones(shape, bool)
    ring[width:-width, width:-width] = False
    return ring


def _border(psf: np.ndarray) -> float:
    """Median of the outermost pixels."""
    return float(np.median(np.concatenate([psf[0], psf[-1], psf[1:-1, 0], psf[1:-1, -1]])))


def _slope(psf: np.ndarray) -> float:
    """Power with which light falls with the radius at the border."""
    x, y = _grid(psf.shape)
    radius, reach = np.hypot(x, y), min(psf.shape) // 2
    outer, inner = radius > reach - 1, (radius > 0.7 * reach - 1) & (radius <= 0.7 * reach + 1)
    light, before = (float(np.mean(psf[part])) for part in (outer, inner))
    if not (light > 0 and before > light):
        return 0.0
    return math.log(before / light) / math.log(float(np.mean(radius[outer])) / float(np.mean(radius[inner])))


def _extended(psf: np.ndarray, law: _Law, is_pixel: bool) -> tuple[np.ndarray, float]:
    """A stamp continued by a law, and the part of the light that lies outside of the stamp."""
    half = law.size * math.sqrt(max(_LEFT_OUT ** (1 / (1 - law.shape)) - 1, 0.0))
    half = int(math.ceil(min(max(half, max(psf.shape) // 2 + 1), max(_LARGEST, max(psf.shape)))))
    whole = (2 * half + 1,) * 2
    x, y = _grid(whole)
    model = _sampled(law, x, y, is_pixel)
    inside = tuple(slice(half - n // 2, half - n // 2 + n) for n in psf.shape)
    ring = _border_pixels(psf.shape, 2)
    model *= float(np.sum(psf[ring]) / np.sum(model[inside][ring]))
    out = model.copy()
    out[inside] = psf
    # what lies beyond the corners of the new stamp too belongs to the star; to the sum of the image it is
    # lost
    return out, float(1 - psf.sum() / (out.sum() / (1 - law.outside(half))))


def _resampled(psf: np.ndarray, law: _Law, is_pixel: bool, oversample: int) -> np.ndarray:
    """Samples of a law, centred, and of what it misses of a stamp."""
    x, y = _grid(psf.shape)
    missed = psf - _sampled(law, x, y, is_pixel)
    # a lone bright pixel's misfit says nothing of what lies between
    shape = tuple(oversample * (n - 1) + 1 for n in psf.shape)
    fine_x, fine_y = (v / oversample for v in _grid(shape))
    centred = law._replace(x=0.0, y=0.0)
    model = _sampled(centred, fine_x, fine_y, is_pixel)
    places = np.stack([fine_y + law.y + psf.shape[0] // 2, fine_x + law.x + psf.shape[1] // 2])
    return model + ndimage.map_coordinates(missed, places, order=3, mode="constant", cval=0.0)


def _miss(psf: np.ndarray, law: _Law, is_pixel: bool, wings: bool) -> str:
    """What to say of a law that is not like the stamp."""
    x, y = _grid(psf.shape)
    missed = np.abs(psf - _sampled(law, x, y, is_pixel))
    ring = _border_pixels(psf.shape, 2)
    worst = (
        float(np.median(missed[ring]) / np.median(psf[ring])) if wings else float(missed.max() / psf.max())
    )
    return (
        f"; it misses {worst:.0%} of {'the light there' if wings else 'the peak'}" if worst > _MISFIT else ""
    )
