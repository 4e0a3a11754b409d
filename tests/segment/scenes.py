"""Small scenes drawn with numpy alone, so that these tests depend on no renderer."""

import numpy as np

from autogal.images.cutout import Cutout


def galaxy(shape, x, y, flux, scale, q=1.0, pa=0.0, n=1.0):
    """Sersic-like light, exp(-(r / scale)^(1 / n)), softened at the centre as a PSF would; sum = flux."""
    yy, xx = np.mgrid[: shape[0], : shape[1]]
    angle = np.radians(pa)
    along = -(xx - x) * np.sin(angle) + (yy - y) * np.cos(angle)
    across = (xx - x) * np.cos(angle) + (yy - y) * np.sin(angle)
    light = np.exp(-((np.sqrt(along**2 + (across / q) ** 2 + 1.0) / scale) ** (1 / n)))
    return flux * light / light.sum()


def star(shape, x, y, flux, fwhm=3.0):
    """Moffat of beta = 3."""
    yy, xx = np.mgrid[: shape[0], : shape[1]]
    alpha = fwhm / (2 * np.sqrt(2 ** (1 / 3) - 1))
    light = (1 + ((xx - x) ** 2 + (yy - y) ** 2) / alpha**2) ** -3.0
    return flux * light * 2 / (np.pi * alpha**2)


def cutout(light, seed=0, noise=1.0, mask=None, start=None):
    """The light with white noise of 1, a sigma map and a PSF of 3 px."""
    light = np.asarray(light, float)
    image = light + np.random.default_rng(seed).normal(0, noise, light.shape)
    psf = star((21, 21), 10, 10, 1.0)
    return Cutout(
        "scene",
        image,
        np.full(light.shape, noise),
        np.zeros(light.shape, bool) if mask is None else mask,
        psf / psf.sum(),
        start=start,
    )
