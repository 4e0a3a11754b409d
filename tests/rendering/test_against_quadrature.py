"""Every Sersic index from 0.3 to 8, against an integral in real space that shares nothing with the
package."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from .brute_force import Gaussian, sersic_image
from .comparison import differences, render

SHAPE = (36, 41)
WIDE = 4 / 2.3548  # so wide that sampling it by pixels loses nothing
INDICES = (0.3, 0.4, 0.5, 0.7, 1.0, 1.5, 2.5, 4.0, 5.5, 7.0, 8.0)
SHAPES = ((0.8, 0.5), (4.0, 0.1), (10.0, 0.9))


def galaxy(n, r_eff, q):
    return {"x": 20.3, "y": 16.8, "r_eff": r_eff, "n": n, "q": q, "pa": 33.0}


@pytest.mark.parametrize("n", INDICES)
def test_effective_psf(n):
    psf = Gaussian(WIDE)
    cases = [galaxy(n, *s) for s in SHAPES]
    truths = [sersic_image(psf, SHAPE, **g) for g in cases]
    images = render([SimpleNamespace(shape=SHAPE, **g) for g in cases], psf.star(45), dtype="float64")
    largest, total = differences(images, truths)
    print(f"n = {n}: largest {largest.max():.1e} of the peak, sum {total.max():.1e} of the flux")
    assert largest.max() < 2e-4 and total.max() < 3e-4


@pytest.mark.parametrize("oversample", [1, 3])
@pytest.mark.parametrize("n", [0.3, 1.0, 8.0])
def test_optical_psf(n, oversample):
    psf = Gaussian(WIDE if oversample == 1 else 0.9, pixel=True)
    cases = [galaxy(n, *s) for s in SHAPES[:2]]
    truths = [sersic_image(psf, SHAPE, **g) for g in cases]
    images = render(
        [SimpleNamespace(shape=SHAPE, **g) for g in cases],
        psf.star(45 * oversample, oversample),
        dtype="float64",
        psf_kind="optical",
        psf_oversample=oversample,
    )
    largest, total = differences(images, truths)
    assert largest.max() < 2e-4 and total.max() < 3e-4


def test_the_integral_knows_a_gaussian():
    # n = 0.5 is a Gaussian of sigma = r_eff / sqrt(2 ln 2), and Gaussians convolve to a Gaussian
    psf = Gaussian(1.5)
    image = sersic_image(psf, SHAPE, x=20.3, y=16.8, r_eff=3.0, n=0.5, q=1.0, pa=0.0)
    line = Gaussian(np.hypot(1.5, 3.0 / np.sqrt(2 * np.log(2))))
    exact = np.outer(line.blob(np.arange(SHAPE[0]) - 16.8), line.blob(np.arange(SHAPE[1]) - 20.3))
    assert np.abs(image - exact).max() < 1e-9 * exact.max()


def test_the_integral_holds_all_the_light():
    image = sersic_image(Gaussian(1.5), (401, 401), x=200.0, y=200.0, r_eff=2.0, n=2.0, q=0.5, pa=20.0)
    assert image.sum() == pytest.approx(1.0, abs=1e-8)
