"""Crops and their targets: independent of units, sizes and orientation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from autogal.initialise.network.crops import FEATURES, SIDE, Crops, crop
from autogal.initialise.network.targets import TARGETS, decode, encode, flip, native_covariance
from autogal.initialise.photometry.photometry import PSF_NAMES, describe_psf

FLIPS = [(left, up, swap) for left in (False, True) for up in (False, True) for swap in (False, True)]


def galaxy(side=96, x=50.3, y=44.1, a=8.0, q=0.5, pa=30.0, flux=4e4, sky=0.0):
    """An elliptical Gaussian with a little noise, its truth and its footprint."""
    rows, columns = torch.meshgrid(torch.arange(side).double(), torch.arange(side).double(), indexing="ij")
    sine, cosine = math.sin(math.radians(pa)), math.cos(math.radians(pa))
    along = -sine * (columns - x) + cosine * (rows - y)
    across = cosine * (columns - x) + sine * (rows - y)
    light = torch.exp(-0.5 * (along**2 + (across / q) ** 2) / a**2) * flux / (2 * math.pi * a * a * q)
    noise = torch.from_numpy(np.random.default_rng(1).normal(size=(side, side)))
    truth = {
        name: torch.tensor([value])
        for name, value in dict(x=x, y=y, flux=flux, r_eff=1.1774 * a, n=0.5, q=q, pa=pa).items()
    }
    return (light + noise + sky)[None], torch.ones(1, side, side), (light > 1)[None], truth


def cut(image, sigma, target, excluded=None, fwhm=3.0, **keys) -> Crops:
    excluded = torch.zeros_like(target) if excluded is None else excluded
    width = torch.full((len(image),), fwhm)
    return crop(
        image, sigma, excluded, target, gaussian_psf(width, *[(width / 2.3548) ** 2] * 2, 0 * width), **keys
    )


def gaussian_psf(fwhm, xx, yy, xy) -> torch.Tensor:
    """What `describe_psf` says of Gaussians: the second of its widths is nearly theirs."""
    share = torch.zeros(len(fwhm), len(PSF_NAMES) - 4)
    share[:, 1] = 1.0
    return torch.cat([torch.stack([fwhm, xx, yy, xy], 1), share], 1)


def test_targets_come_back():
    image, sigma, target, truth = galaxy()
    crops = cut(image, sigma, target)
    back = decode(encode(truth, crops), crops)
    assert {name: float(value) for name, value in back.items()} == pytest.approx(
        {name: float(value) for name, value in truth.items()}, rel=1e-5
    )


def test_the_crop_is_centred_and_holds_the_light():
    image, sigma, target, truth = galaxy()
    crops = cut(image, sigma, target)
    assert float(crops.x) == pytest.approx(50.3, abs=0.1)
    assert float(crops.y) == pytest.approx(44.1, abs=0.1)
    assert float(crops.flux / truth["flux"]) == pytest.approx(
        1, abs=0.01
    )  # the window of a Gaussian is the Gaussian
    peak = crops.channels[0, 0].flatten().argmax()
    assert abs(peak // SIDE - SIDE / 2) <= 2 and abs(peak % SIDE - SIDE / 2) <= 2


@pytest.mark.parametrize("unit", [1e-9, 1e9])
def test_units_do_not_matter(unit):
    image, sigma, target, _ = galaxy(sky=3.0)
    one, other = cut(image, sigma, target), cut(image * unit, sigma * unit, target)
    assert torch.allclose(one.channels, other.channels, atol=1e-4)
    assert float(other.flux / one.flux) == pytest.approx(unit, rel=1e-4)
    assert float(other.sky) == pytest.approx(float(one.sky) * unit, rel=1e-4)
    assert float(one.sky) == pytest.approx(3.0, abs=0.1)


def test_a_larger_stamp_around_the_same_galaxy_changes_nothing():
    image, sigma, target, _ = galaxy(a=4.0)
    noise = torch.from_numpy(np.random.default_rng(2).normal(size=(1, 160, 160)))
    wide, wide_target = noise.clone(), torch.zeros(1, 160, 160, dtype=torch.bool)
    wide[:, 20:116, 40:136], wide_target[:, 20:116, 40:136] = image, target
    one, other = cut(image, sigma, target), cut(wide, torch.ones(1, 160, 160), wide_target)
    assert float(other.x - one.x) == pytest.approx(40, abs=1e-3)
    assert float(other.y - one.y) == pytest.approx(20, abs=1e-3)
    assert torch.allclose(one.channels[:, 3], other.channels[:, 3], atol=1e-5)
    assert (one.channels - other.channels).abs().max() < 0.1  # the sky is measured from more pixels


def test_a_galaxy_twice_as_large_looks_the_same():
    image, sigma, target, _truth = galaxy(q=0.7)
    rows = torch.arange(2 * image.shape[1]) // 2
    large, large_target = image[:, rows][:, :, rows], target[:, rows][:, :, rows]
    one, other = (
        cut(image, sigma, target, fwhm=3.0),
        cut(large, torch.ones_like(large), large_target, fwhm=6.0),
    )
    assert float(other.radius / one.radius) == pytest.approx(2, rel=0.02)
    assert (one.channels - other.channels).abs().mean() < 0.1


def test_what_is_excluded_is_never_seen():
    image, sigma, target, _ = galaxy()
    excluded = torch.zeros_like(target)
    excluded[:, 60:70, 60:70] = True
    marred = image.clone()
    marred[excluded] = 1e9
    damaged = image.clone()
    damaged[excluded] = torch.nan
    one = cut(image, sigma, target, excluded)
    assert torch.equal(one.channels, cut(marred, sigma, target, excluded).channels)
    assert torch.equal(one.channels, cut(damaged, sigma, target).channels)
    assert one.channels[0, 3].min() == 0
    assert one.channels[:, :3].isfinite().all()


@pytest.mark.parametrize(
    "harm", ["all excluded", "one pixel", "everything is target", "constant", "negative"]
)
def test_nothing_in_a_stamp_makes_a_crop_that_is_not_finite(harm):
    image, sigma, target, _ = galaxy(side=48, x=24, y=24)
    excluded = torch.zeros_like(target)
    match harm:
        case "all excluded":
            excluded |= True
        case "one pixel":
            target = torch.zeros_like(target)
            target[:, 24, 24] = True
        case "everything is target":
            target = torch.ones_like(target)
        case "constant":
            image = torch.zeros_like(image)
        case "negative":
            image = -image
    crops = cut(image, sigma, target, excluded)
    assert crops.channels.isfinite().all() and crops.features.isfinite().all()
    assert crops.flux > 0 and crops.radius > 0


@pytest.mark.parametrize(("left", "up", "swap"), FLIPS)
def test_flipped_crops_have_the_targets_of_flipped_galaxies(left, up, swap):
    """Against the definition: flip the stamp itself, and the galaxy's catalogue values with it."""
    side = 64  # so that the sky is measured from the same pixels, which are all there are
    image, sigma, target, truth = galaxy(side, x=33.3, y=29.1, a=5.0)
    crops = cut(image, sigma, target)
    channels, features, targets = flip(
        crops.channels, crops.features, encode(truth, crops), *(torch.tensor([v]) for v in (left, up, swap))
    )
    x, y, pa = (float(truth[name]) for name in ("x", "y", "pa"))
    if left:
        image, target, x, pa = image.flip(2), target.flip(2), side - 1 - x, -pa
    if up:
        image, target, y, pa = image.flip(1), target.flip(1), side - 1 - y, 180 - pa
    if swap:
        image, target, x, y, pa = image.mT, target.mT, y, x, 90 - pa
    moved = cut(image, sigma, target)
    expected = encode(
        truth | {"x": torch.tensor([x]), "y": torch.tensor([y]), "pa": torch.tensor([pa])}, moved
    )
    assert torch.allclose(targets, expected, atol=1e-3), list(zip(TARGETS, targets[0], expected[0]))
    assert torch.allclose(channels, moved.channels, atol=1e-3)
    assert torch.allclose(features, moved.features, atol=2e-3)


@pytest.mark.parametrize("pa", [10.0, 30.0, 75.0, 130.0])
def test_moments_point_along_the_galaxy(pa):
    image, sigma, target, truth = galaxy(pa=pa)
    crops = cut(image, sigma, target)
    measured = dict(zip(FEATURES, crops.features[0].tolist(), strict=True))
    e1, e2 = encode(truth, crops)[0, -2:]
    assert math.atan2(measured["e2"], measured["e1"]) == pytest.approx(math.atan2(e2, e1), abs=0.02)
    # a Gaussian that no PSF has blurred
    assert math.hypot(measured["e1"], measured["e2"]) == pytest.approx(math.log(2), abs=0.02)
    assert math.exp(measured["ln size"]) * float(crops.radius) == pytest.approx(8 * math.sqrt(0.5), rel=0.01)


def test_covariance_in_pixels():
    image, sigma, target, _ = galaxy()
    crops = cut(image, sigma, target)
    covariance = native_covariance(torch.eye(7)[None], crops)
    assert torch.allclose(covariance[0].diagonal()[:2], crops.radius**2)
    assert torch.equal(covariance[0].diagonal()[2:], torch.ones(5, dtype=torch.float64))


def test_moments_of_a_psf():
    rows, columns = torch.meshgrid(torch.arange(31.0) - 15, torch.arange(41.0) - 20, indexing="ij")
    sigmas, pa = torch.tensor([[3.0, 1.5], [2.0, 1.9]]), torch.tensor([0.4, 1.3])
    along, across = (
        c[:, None, None] * columns + s[:, None, None] * rows
        for c, s in ((pa.cos(), pa.sin()), (-pa.sin(), pa.cos()))
    )
    psf = torch.exp(-0.5 * ((along / sigmas[:, :1, None]) ** 2 + (across / sigmas[:, 1:, None]) ** 2))
    found = describe_psf(7.0 * psf, 2.3548 * sigmas.prod(1).sqrt())[:, 1:4]
    a, b = sigmas.square().unbind(1)
    c, s = pa.cos(), pa.sin()
    assert torch.allclose(
        found,
        torch.stack([a * c**2 + b * s**2, a * s**2 + b * c**2, (a - b) * s * c], 1),
        rtol=5e-3,
        atol=5e-3,
    )


def test_the_psf_is_taken_off():
    """A round galaxy seen through a PSF as wide as itself is round, and has its own size."""
    image, sigma, target, _ = galaxy(a=5.0, q=1.0)
    star = gaussian_psf(*torch.tensor([[8.0], [9.0], [16.0], [4.0]]))
    rows, columns = torch.meshgrid(torch.arange(96.0) - 44.1, torch.arange(96.0) - 50.3, indexing="ij")
    blurred = torch.linalg.inv(torch.tensor([[25.0 + 9, 4.0], [4.0, 25.0 + 16]]))
    image = (
        300
        * torch.exp(
            -0.5 * (blurred[0, 0] * columns**2 + 2 * blurred[0, 1] * columns * rows + blurred[1, 1] * rows**2)
        )[None]
    )
    crops = crop(image, sigma, torch.zeros_like(target), target, star)
    measured = dict(zip(FEATURES, crops.features[0].tolist(), strict=True))
    assert abs(measured["true e1"]) < 0.01 and abs(measured["true e2"]) < 0.01
    assert math.hypot(measured["e1"], measured["e2"]) > 0.1
    assert math.exp(measured["ln true size"]) * float(crops.radius) == pytest.approx(5, rel=0.01)
