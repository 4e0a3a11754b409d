"""What an image says of its own noise, and whether its sigma map says the same."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from autogal.flags import Flag
from autogal.images.noise.correlation import Correlation, correlation
from autogal.images.noise.sky import Sky, evenly, scatters

__all__ = ["Noise", "has_no_noise", "measure_noise"]

#: A sigma map that is off by more than this factor is said to be
_OFF = 1.3
# The same where the noise is correlated, for the scatter of large areas, which maps of drizzled images are
# made for
_OFF_LARGE = 1.15
#: From this factor on a map contradicts its image so plainly that sources are looked for without it
_PLAINLY = 3.0
_LIKE = 1.25  # factor within which a map is like another kind of map
# Scatters of the sky from which pixels are bright, and how many of them tell something in each quarter
_BRIGHT, _FEW_BRIGHT = 5.0, 4
_LAG = 4  # pixels, as `autogal.images.noise`
_FEWEST = 300  # source-free pixels that a map can be judged by
_STANDARD_ERRORS = 4.0
# Mean correlation of next-door pixels from which errors of independent pixels are too small by a tenth
_CORRELATED = 0.1
# Noise below these parts of what it lies on is none: of the image's peak, and of the range of its faintest
# pixels
_OF_PEAK, _OF_FAINT = 1e-6, 2e-3
_ENOUGH, _MANY = 30, 1000  # differences that tell of noise
# Differences that tell whether a map is off by tens of per cent, and next-door pixels whether they are worth
# a closer look
_GLANCE, _HARDLY = 2000, 0.97
_EPSILON = float(np.finfo(np.float32).eps)


@dataclass(frozen=True, slots=True)
class Noise:
    """The noise of one image.

    Attributes
    ----------
    ratio : float
        The sigma map in units of the image's own scatter; 1 where sigma was estimated from it, NaN where
        there is too little sky to tell.
    scatter : float
        Of the sky, in the units of the image; NaN where there is too little of it.
    correlation : Correlation or None
        None where there is too little sky, and where next-door pixels are plainly no more alike than others.
    absent : bool
        Whether the image has no noise at all.
    tells_errors : bool
        Whether errors follow from the sigma map; not where it is a stand-in for noise that is not there.
    covariance : ndarray of float, shape (2 REACH + 1, 2 REACH + 1), or None
        Of pixels by lag, in units of the variance that the sigma map has, where it is to be allowed for in
        the errors. None: pixels are independent.
    flags : Flag
    notes : list of str
    """

    ratio: float = math.nan
    scatter: float = math.nan
    correlation: Correlation | None = None
    absent: bool = False
    tells_errors: bool = True
    covariance: np.ndarray | None = field(default=None, compare=False)
    flags: Flag = Flag(0)
    notes: list[str] = field(default_factory=list)

    @property
    def reach(self) -> int:
        """Lags over which correlation is to be allowed for, pixels; 0: none."""
        if self.covariance is None:
            return 0
        rows, columns = np.nonzero(self.covariance)
        return int(
            max(
                np.abs(rows - self.covariance.shape[0] // 2).max(),
                np.abs(columns - self.covariance.shape[1] // 2).max(),
            )
        )

    @property
    def contradicts(self) -> bool:
        """Whether the sigma map is of no use to tell sources from noise."""
        return self.ratio > 0 and abs(math.log(self.ratio)) > math.log(_PLAINLY)


def measure_noise(image: np.ndarray, sky: Sky, sigma: np.ndarray, estimated: bool = False) -> Noise:
    """Compare a sigma map with the scatter of the sky, and measure the correlation of its pixels.

    Scatter is that of second differences of source-free pixels, four pixels apart, of the image in units of
    its map: slopes, wings and correlated neighbours do not count. A map that lies between the scatter of a
    pixel and that of large areas, as those of drizzled images do, agrees with its image too.

    Parameters
    ----------
    image : ndarray, shape (H, W)
    sky : Sky
        Of `image`, from :func:`autogal.images.noise.sky.find_sky`.
    sigma : ndarray, shape (H, W)
    estimated : bool
        Whether `sigma` is that of the sky itself; there is nothing to compare then.

    Returns
    -------
    Noise
        With the flags NOISE_MISMATCH and NOISE_CORRELATED where they are due, and a note for each.
    """
    use = sky.free & np.isfinite(sigma) & (sigma > 0)
    number = np.count_nonzero(use)
    if number < _FEWEST or not np.isfinite(sky.level):
        return Noise(1.0 if estimated else math.nan)
    relative = np.zeros(image.shape)
    np.divide(np.subtract(image, sky.level, dtype=np.float64), sigma, out=relative, where=use)
    near, far, width = scatters(relative, use, (1, 2, _LAG), _GLANCE)
    some = np.ix_(*(evenly(length, int((number / _MANY) ** 0.5)) for length in image.shape))
    scatter = width * float(np.median(sigma[some][use[some]])) if use[some].any() else math.nan
    flags, notes = Flag(0), []
    factor, large, matrix, scale = 1.0, _OFF_LARGE, None, 1.0
    # 1.5: second differences that share pixels are not independent
    unsure = _STANDARD_ERRORS * 1.5 / math.sqrt(number)
    found = None
    if near < _HARDLY * far and _is_rough(relative, use, unsure):
        calm = sky.calm & np.isfinite(sigma) & (sigma > 0)
        np.divide(np.subtract(image, sky.level, dtype=np.float64), sigma, out=relative, where=calm)
        found = correlation(relative, calm)
    if found is not None and found.neighbour > max(_CORRELATED, 6 * found.error):
        flags |= Flag.NOISE_CORRELATED
        factor = max(found.factor, 1.0)
        large = factor * (_OFF_LARGE + 2 * found.factor_error)
    ratio = 1.0 if estimated else 1 / width if width > 0 else math.nan
    if not estimated and math.isfinite(ratio) and abs(math.log(ratio)) > max(math.log(_OFF), unsure):
        what = f"The sigma map is {_times(ratio)} the scatter of the image's sky"
        if 1 < ratio < large:
            notes.append(
                f"{what}, and lies between that of one pixel and that of sums of many of its correlated "
                f"pixels."
            )
            scale = ratio**-2
        else:
            flags |= Flag.NOISE_MISMATCH
            notes.append(
                f"{what}, {scatter:.3g}{_looks_like(ratio, scatter)}: errors and chi2_dof are as wrong as "
                f"it is."
            )
    if not estimated and not flags & Flag.NOISE_MISMATCH and _falls_with_light(image, sky, sigma, scatter):
        flags |= Flag.NOISE_MISMATCH
        notes.append(
            "The sigma map is smaller where the image is brighter, as a weight is and no noise: "
            "errors and chi2_dof are as wrong as it is."
        )
    if flags & Flag.NOISE_CORRELATED:
        matrix = scale * found.trimmed
        notes.append(
            f"The noise is correlated ({found.neighbour:.2f} between next-door pixels): errors of sources "
            f"much larger than the "
            f"correlation are {factor * math.sqrt(scale):.2g} times those of independent pixels."
        )
    return Noise(ratio, scatter, found, covariance=matrix, flags=flags, notes=notes)


def _is_rough(noise: np.ndarray, use: np.ndarray, unsure: float) -> bool:
    """Whether next-door pixels differ less than those two apart do: in noise that is correlated, and not
    on the wings of a source."""
    near, far = scatters(noise, use, (1, 2))
    return near < far * min(1 - _CORRELATED / 2, 1 - unsure / 2)


def _falls_with_light(image: np.ndarray, sky: Sky, sigma: np.ndarray, scatter: float) -> bool:
    """Whether sigma falls from the sky to what is bright, and on to what is brightest; exposures of other
    depth do one of the two."""
    bright = image > sky.level + _BRIGHT * scatter
    light, noise = image[bright], sigma[bright]
    sound = np.isfinite(light) & np.isfinite(noise) & (noise > 0)
    light, noise = light[sound], noise[sound]
    if light.size < 4 * _FEW_BRIGHT:
        return False
    low, high = np.quantile(light, [0.25, 0.75])
    if not float(np.median(noise[light >= high])) * _OFF_LARGE < float(np.median(noise[light <= low])):
        return False
    return float(np.median(noise)) * _OFF < float(np.median(sigma[sky.free]))


def _times(ratio: float) -> str:
    return f"{ratio:.3g} times" if ratio >= 1 else f"1/{1 / ratio:.3g} of"


def _looks_like(ratio: float, scatter: float) -> str:
    """What kind of map is so many times the scatter; where the scatter is about 1 kinds cannot be told
    apart."""
    kinds = {
        "a variance": scatter,
        "an inverse variance (weight)": scatter**-3,
        "an inverse sigma": scatter**-2,
    }
    for kind, expected in kinds.items():
        if abs(math.log(expected)) > math.log(_OFF) and abs(math.log(ratio / expected)) < math.log(_LIKE):
            return f", and looks like {kind}"
    sigma = ratio * scatter
    if abs(sigma - 1) < 1e-3:
        return ", and looks like a relative weight"
    return ""


def has_no_noise(image: np.ndarray, mask: np.ndarray, sky: Sky) -> bool:
    """Whether an image is as smooth as only a drawing is.

    Fourth differences of next-door pixels leave nothing of a smooth image, and noise as it is. In the sky
    they are compared with the range of the pixels that they are taken from: noise, however correlated, is a
    good part of it, where the wings of a galaxy without noise are smoother by orders of magnitude; with the
    peak; and with the last digit of a float.

    Parameters
    ----------
    image : ndarray, shape (H, W)
    mask : ndarray of bool, shape (H, W)
        True = left out.
    sky : Sky
        Of `image`.

    Returns
    -------
    bool
    """
    use = sky.free if np.count_nonzero(sky.free) >= _FEWEST else ~mask & np.isfinite(image)
    number = np.count_nonzero(use)
    if number < _ENOUGH:
        return False
    step = 2 * number // _MANY  # of a few lines as much is learnt as of all
    differences = []
    for plane, used in ((image, use), (image.T, use.T)):
        if plane.shape[0] > 4:
            lines = evenly(plane.shape[1], step)
            plane, used = np.asarray(plane[:, lines], np.float64), used[:, lines]
            rows = [slice(k, plane.shape[0] - 4 + k) for k in range(5)]
            whole = np.logical_and.reduce([used[part] for part in rows])
            bent = sum(weight * plane[part] for weight, part in zip((1, -4, 6, -4, 1), rows))
            differences.append(bent[whole])
    differences = np.concatenate(differences) if differences else np.zeros(0)
    if differences.size < _ENOUGH:
        return False
    # 70: the sum of the squares of 1, -4, 6, -4, 1
    noise = 1.4826 * float(np.median(np.abs(differences))) / math.sqrt(70.0)
    some = np.ix_(*(evenly(length, int((number / _MANY) ** 0.5)) for length in image.shape))
    values = image[some][use[some]].astype(np.float64)
    low, high = float(values.min()), float(values.max())
    digits = 2 * _EPSILON * max(abs(low), abs(high))
    if noise > max(
        _OF_FAINT * (high - low), _OF_PEAK * abs(float(image.max()) - sky.level), digits
    ):  # not if that is NaN
        return False
    low, high = np.percentile(values, [10, 90])
    peak = float(np.max(image[~mask])) - sky.level
    return noise <= max(_OF_FAINT * (high - low), _OF_PEAK * abs(peak), digits)
