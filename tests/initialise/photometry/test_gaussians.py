"""Sums of Gaussians against GalSim's exact profiles."""

import numpy as np
import pytest

from autogal.images import moffat
from autogal.initialise.classical.ellipse import Ellipse, adaptive_moments
from autogal.initialise.photometry.gaussians import psf_gaussians, ring_profiles, weighted_axis_ratio

galsim = pytest.importorskip("galsim")
SIDE = 161


def drawn(n, r_eff, q, scale=1.0):
    """GalSim's image of a PSF- and pixel-convolved Sersic profile along x, sampled every `scale` px, and
    the PSF."""
    psf = galsim.Moffat(beta=3.0, fwhm=3.0)
    galaxy = galsim.Sersic(n, half_light_radius=r_eff * np.sqrt(q)).shear(q=q, beta=0 * galsim.degrees)
    stamp = psf.drawImage(nx=41, ny=41, scale=1, method="auto").array.astype(float)
    source = galsim.Convolve(galaxy, psf, galsim.Pixel(1.0))
    side = int(round(SIDE / scale)) | 1
    image = source.drawImage(nx=side, ny=side, scale=scale, method="no_pixel").array.astype(float) / scale**2
    return image, stamp / stamp.sum()


@pytest.mark.parametrize("n", [0.5, 1.0, 2.5, 4.0])
@pytest.mark.parametrize("r_eff", [2.0, 6.0])
@pytest.mark.parametrize("q", [0.3, 0.9])
def test_ring_profiles(n, r_eff, q):
    image, psf = drawn(n, r_eff, q, scale=0.2)
    y, x = (np.mgrid[: len(image), : len(image)] - len(image) // 2) * 0.2
    radius = np.hypot(x, y / q)
    radii = np.arange(0.5, 5 * r_eff)
    measured = [image[(radius >= r - 0.5) & (radius < r + 0.5)].mean() for r in radii]
    expected = ring_profiles(n, np.array([r_eff]), q, psf_gaussians(psf), radii)[0]
    light = np.array(measured) * radii
    assert np.abs(expected * radii - light).sum() < 0.06 * light.sum()


@pytest.mark.parametrize("n", [0.5, 1.0, 2.5, 4.0])
@pytest.mark.parametrize("q", [0.2, 0.5, 0.8])
def test_weighted_axis_ratio(n, q):
    image, psf = drawn(n, 4.0, q)
    centre = SIDE // 2
    ellipse = adaptive_moments(image, np.ones(image.shape, bool), Ellipse(centre, centre, 4 * np.eye(2)), 20)
    major, minor, pa = ellipse.axes()
    assert pa == pytest.approx(90, abs=0.5)
    expected = weighted_axis_ratio(n, 4 * np.sqrt(q), np.array([q]), psf_gaussians(psf), major, minor)
    assert expected[0] == pytest.approx(minor / major, abs=0.02)


@pytest.mark.parametrize("kind, oversample", [("effective", 1), ("optical", 1), ("optical", 3)])
def test_psf_kinds_have_the_same_width(kind, oversample):
    stamp = moffat(3.0 * oversample, 3.0, 41 * oversample, pixel=kind == "effective")
    variance, flux = psf_gaussians(stamp, kind, oversample)
    reference = psf_gaussians(moffat(3.0, 3.0, 41))
    assert flux.sum() == pytest.approx(1)

    def peak(parts):
        return np.sum(parts[1] / (2 * np.pi * parts[0]))

    assert peak((variance, flux)) == pytest.approx(peak(reference), rel=0.05)


def test_adaptive_moments_of_a_gaussian_are_its_own():
    matrix = np.array([[6.0, 2.0], [2.0, 4.0]])
    y, x = np.mgrid[:61, :61] - 30.0
    inverse = np.linalg.inv(matrix)
    dx, dy = x - 0.3, y + 0.4
    image = np.exp(-0.5 * (inverse[0, 0] * dx**2 + 2 * inverse[0, 1] * dx * dy + inverse[1, 1] * dy**2))
    use = np.ones(image.shape, bool)
    use[28:31, 31:35] = False
    found = adaptive_moments(np.where(use, image, -50.0), use, Ellipse(30, 30, 2 * np.eye(2)), 10)
    assert (found.x, found.y) == (pytest.approx(30.3, abs=1e-2), pytest.approx(29.6, abs=1e-2))
    assert np.allclose(found.matrix, matrix, rtol=0.02)


def test_adaptive_moments_refuse_what_is_no_source():
    assert (
        adaptive_moments(np.full((20, 20), -1.0), np.ones((20, 20), bool), Ellipse(10, 10, np.eye(2)), 5)
        is None
    )
