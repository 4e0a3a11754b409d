"""The sources' own photon noise, where nobody says how many electrons an image unit is."""

from __future__ import annotations

import numpy as np

from autogal.images.noise.sky import Sky, box_mean

__all__ = ["photon_variance"]

_BRIGHT = 5.0  # scatters of the sky from which a source's own noise can be seen
_FEWEST = 16  # pixels of like brightness whose scatter is worth something
_MAD = 1.4826
_QUANTILE = 0.4
# Growth of the scatter with the light counts where it is as many of its errors, and adds as much of the sky's
# variance to the brightest
_SEEN, _LEAST = 2.0, 0.3
_SPREAD = 2.3  # relative error of a variance from the MAD of one value: twice 1.17
_SHARED = 4.0  # differences that overlap tell as much as so many fewer


def photon_variance(image: np.ndarray, mask: np.ndarray, sky: Sky) -> float | None:
    """At most so much does the variance of a pixel grow with its light: an upper bound of 1 / gain.

    Scatter is that of the mixed fourth difference of 3 x 3 pixels, which leaves nothing of an image that is
    smooth on that scale, in bins of the mean of 3 x 3 pixels; in units of the same scatter of the sky, so
    that correlated noise, which lowers both, does not count. Structure of the sources only adds to it: of all
    bins one with a low ratio of variance to light counts. A growth that noise alone could show, or that
    hardly adds to the sky's, is none.

    Parameters
    ----------
    image : ndarray, shape (H, W)
    mask : ndarray of bool, shape (H, W)
        True = left out.
    sky : Sky
        Of `image`.

    Returns
    -------
    float or None
        Variance per light of a pixel, image units; None where no sources are bright enough to tell, or no
        growth is seen.
    """
    good = ~mask & np.isfinite(image)
    if min(image.shape) < 8 or not sky.scatter > 0:
        return None
    light = np.where(good, np.asarray(image, np.float64) - sky.level, 0.0)
    smooth = box_mean(light, good, 1)
    bright = good & (smooth > _BRIGHT * sky.scatter)
    if np.count_nonzero(bright) < _FEWEST:
        return None
    inner = slice(1, -1)
    rows = light[:-2] - 2 * light[inner] + light[2:]
    bent = rows[:, :-2] - 2 * rows[:, inner] + rows[:, 2:]
    whole = good[:-2] & good[inner] & good[2:]
    whole = whole[:, :-2] & whole[:, inner] & whole[:, 2:]
    smooth = smooth[inner, inner]
    blank = whole & sky.free[inner, inner]
    if np.count_nonzero(blank) < _FEWEST:
        return None
    still = _MAD * float(np.median(np.abs(bent[blank])))
    if not still > 0:
        return None
    some = whole & bright[inner, inner]
    values, brightness = np.abs(bent[some]), smooth[some]
    octave = np.floor(2 * np.log2(brightness / sky.scatter)).astype(int)
    slopes, errors = [], []
    for step in np.unique(octave):
        own = octave == step
        if np.count_nonzero(own) >= _FEWEST:
            variance, unit = (
                (_MAD * float(np.median(values[own])) / still) ** 2,
                sky.scatter**2 / float(np.mean(brightness[own])),
            )
            slopes.append((variance - 1) * unit)
            errors.append(_SPREAD * np.sqrt(_SHARED / np.count_nonzero(own)) * unit)  # of no growth
    if not slopes:
        return None
    slope, weights = float(np.quantile(slopes, _QUANTILE)), np.power(errors, -2.0)
    is_seen = np.dot(weights, slopes) > _SEEN * np.sqrt(weights.sum())
    return slope if is_seen and slope * float(brightness.max()) > _LEAST * sky.scatter**2 else None
