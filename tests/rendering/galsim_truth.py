"""Images drawn by GalSim, which knows nothing of autogal, and what is compared with them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest

galsim = pytest.importorskip(
    "galsim", reason="GalSim, the independent renderer, is not installed (extra 'test')"
)

# Tight enough that GalSim's own error stays well below 1e-4 of the peak, its FFTs kept as small as that
# allows
ACCURATE = galsim.GSParams(
    folding_threshold=5e-4,
    maxk_threshold=1e-4,
    kvalue_accuracy=1e-6,
    xvalue_accuracy=1e-6,
    stepk_minimum_hlr=10,
    maximum_fft_size=24000,
)

INDICES = (0.5, 1.0, 2.5, 4.0, 6.0)
SIZES = (0.7, 1.5, 4.0, 15.0, 40.0)
AXIS_RATIOS = (0.1, 0.3, 0.9)
# Sub-pixel phase, stamp, pixel nearest to the centre of the source, position angle
PLACES = (
    ((0.17, -0.31), (128, 128), (64, 63), 125.0),  # even, in the middle
    ((0.5, 0.5), (65, 65), (32, 32), 0.0),  # odd, between four pixels
    ((0.0, 0.0), (96, 131), (66, 47), 178.0),  # not square, on a pixel
    ((-0.42, 0.25), (64, 64), (5, 40), 48.0),  # near an edge
    ((0.33, 0.08), (81, 64), (-3, 50), 90.0),  # beyond an edge
)


@dataclass(frozen=True)
class Galaxy:
    """A Sersic galaxy of unit flux on a stamp, in autogal's conventions."""

    n: float
    r_eff: float
    q: float
    pa: float
    x: float
    y: float
    shape: tuple[int, int]


def galaxies(places=PLACES, indices=INDICES, sizes=SIZES, ratios=AXIS_RATIOS) -> list[Galaxy]:
    """Every combination of index, size, axis ratio and place."""
    return [
        Galaxy(n, r, q, pa, px + dx, py + dy, shape)
        for n, r, q, ((dx, dy), shape, (px, py), pa) in product(indices, sizes, ratios, places)
    ]


def optics(fwhm: float = 3.0):
    """An asymmetric PSF without the pixel: two sheared Moffats, one off to the side. Its peak is at the
    origin."""
    core = galsim.Moffat(beta=3.5, fwhm=fwhm, gsparams=ACCURATE).shear(g1=0.03, g2=0.02)
    side = (
        galsim.Moffat(beta=3.5, fwhm=1.2 * fwhm, gsparams=ACCURATE)
        .shear(g1=-0.05, g2=0.04)
        .shift(0.23 * fwhm, -0.13 * fwhm)
    )
    return 0.8 * core + 0.2 * side


def sample(psf, shape: tuple[int, int] = (61, 61), *, pixel: bool = True, oversample: int = 1) -> np.ndarray:
    """The PSF as an array of sum 1: `oversample` samples a pixel, with the image's own pixel in it or
    without."""
    if pixel:
        psf = galsim.Convolve(psf, galsim.Pixel(1.0), gsparams=ACCURATE)
    stamp = psf.drawImage(
        nx=shape[1], ny=shape[0], scale=1 / oversample, method="no_pixel", dtype=float
    ).array
    return stamp / stamp.sum()


def draw(galaxy: Galaxy, psf) -> np.ndarray:
    """The galaxy through the optics on the pixels of its stamp."""
    height, width = galaxy.shape
    light = galsim.Sersic(n=galaxy.n, half_light_radius=galaxy.r_eff * np.sqrt(galaxy.q), gsparams=ACCURATE)
    light = light.shear(q=galaxy.q, beta=(galaxy.pa + 90) * galsim.degrees)
    offset = (galaxy.x - (width - 1) / 2, galaxy.y - (height - 1) / 2)
    return (
        galsim.Convolve(light, psf, gsparams=ACCURATE)
        .drawImage(nx=width, ny=height, scale=1, offset=offset, dtype=float)
        .array
    )
