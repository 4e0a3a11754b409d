"""What is checked together is what it is alone, for good input and for every kind of bad."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from autogal.errors import AutogalError
from autogal.images import from_arrays, mend_psf, moffat, prepare_psf
from autogal.images.psf.stack import normalise_sound

COUNT, SHAPE = 24, (24, 28)
BAD = {
    "NaN pixels": lambda image, sigma, mask: image.__setitem__((2, 3), np.nan),
    "infinite pixel": lambda image, sigma, mask: image.__setitem__((4, 4), np.inf),
    "all NaN": lambda image, sigma, mask: image.fill(np.nan),
    "constant": lambda image, sigma, mask: image.fill(5.0),
    "clipped core": lambda image, sigma, mask: image.__setitem__((slice(9, 13), slice(9, 13)), 900.0),
    "scattered maximum": lambda image, sigma, mask: image.__setitem__(
        (slice(None, None, 4), slice(None, None, 4)), 900.0
    ),
    "bright, not clipped": lambda image, sigma, mask: image.__setitem__((10, 10), 150.0),
    "sigma zero": lambda image, sigma, mask: sigma.fill(0.0),
    "sigma negative": lambda image, sigma, mask: sigma.fill(-1.0),
    "sigma partly bad": lambda image, sigma, mask: sigma.__setitem__(
        (slice(2), slice(None)), [[-1.0], [np.nan]]
    ),
    "sigma infinite": lambda image, sigma, mask: sigma.__setitem__((3, 3), np.inf),
    "all masked": lambda image, sigma, mask: mask.fill(1),
    "one pixel left": lambda image, sigma, mask: (mask.fill(1), mask.__setitem__((5, 5), 0)),
    "mask and bad sigma leave nothing": lambda image, sigma, mask: (
        mask.__setitem__(slice(10), 1),
        sigma.__setitem__(slice(10, None), 0.0),
    ),
}


def stacks(dtype=np.float32):
    """Good objects, and among them one of each kind of bad."""
    rng = np.random.default_rng(3)
    images = rng.normal(3, 1, (COUNT, *SHAPE)).astype(dtype)
    images[:, 9:13, 9:13] += 40
    sigmas, masks = np.ones_like(images), rng.random(images.shape) < 0.05
    for i, spoil in enumerate(BAD.values(), 3):
        spoil(images[i], sigmas[i], masks[i])
    return images, sigmas, masks


def psf_stack():
    """Good PSFs of one size, some that need a word or a correction, and every kind of bad."""
    y, x = np.mgrid[-10:11, -10:11]
    star = moffat(3.0, size=21)
    gaussian = np.exp(-((y - 0.4) ** 2 + x**2) / 8)
    hot, ring = star.copy(), np.exp(-((np.hypot(x, y) - 5) ** 2))
    hot[1, 2] = 1.0
    noisy = star + np.random.default_rng(1).normal(0, 1e-3, star.shape)
    return np.stack(
        [
            star,
            moffat(3.3, size=21),
            moffat(2.0, size=21, q=0.7, pa=30),
            star * 3,
            np.roll(star, 2, 0),
            star + star.max() * 0.05,
            star + star.max() * 0.004,
            gaussian,
            hot,
            ring,
            noisy,
            noisy * 12507.1,
            np.exp(-(x**2 + y**2) / 200),
            np.where(y == x, 1.0, 0),
            np.where((x == 0) & (y == 0), 1.0, 0),
            np.zeros_like(star),
            -star,
            np.full_like(star, 0.3),
            np.where(x == 3, np.nan, star),
            np.where(x == 3, np.inf, star),
            np.where((x + y) % 2, -0.8, 1.0),
            star - 0.5 * moffat(9.0, size=21),
            1e200 * star,
            star * 1e-300,
        ]
    )


def assert_same(one, other):
    for name in (field.name for field in dataclasses.fields(one)):
        a, b = getattr(one, name), getattr(other, name)
        if isinstance(a, np.ndarray):
            assert a.dtype == b.dtype and a.flags.c_contiguous, name
            np.testing.assert_array_equal(a, b, err_msg=name)
        else:
            assert a == b, name


@pytest.mark.parametrize("as_list", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, ">f8"])
@pytest.mark.parametrize("saturation", [None, 100.0, 2.0])
def test_pixels(as_list, dtype, saturation, monkeypatch):
    images, sigmas, masks = stacks(dtype)
    given = {"images": images, "sigma": sigmas, "mask": masks.astype(np.uint8)}
    if as_list:
        given = {name: list(planes) for name, planes in given.items()}
    together = from_arrays(**given, psf=moffat(3.0, size=15), saturation=saturation, zeropoint=25.0)
    seen = sum(cutout.mask.base is not None for cutout in together)
    monkeypatch.setattr("autogal.images.arrays.uniform", lambda given, values: None)
    for one, other in zip(
        together,
        from_arrays(**given, psf=moffat(3.0, size=15), saturation=saturation, zeropoint=25.0),
        strict=True,
    ):
        assert_same(one, other)
    assert sum(cutout.error is not None for cutout in together) >= 7
    assert seen == 0 if saturation == 2.0 else seen > 10  # most were looked at together


def test_nothing_is_masked_where_no_mask_is_given(monkeypatch):
    images, sigmas, _ = stacks()
    together = from_arrays(images, sigmas)
    monkeypatch.setattr("autogal.images.arrays.uniform", lambda given, values: None)
    for one, other in zip(together, from_arrays(images, sigmas), strict=True):
        assert_same(one, other)


def test_a_mask_for_some_is_a_mask():
    images, sigmas, masks = stacks()
    cutouts = from_arrays(images[:3], sigmas[:3], mask=[None, masks[1], None])
    assert [int(cutout.mask.sum()) for cutout in cutouts] == [0, int(masks[1].sum()), 0]


@pytest.mark.parametrize("dtype", [float, np.float32])
def test_psfs(dtype):
    with np.errstate(over="ignore"):
        stack = psf_stack().astype(dtype)
    before = stack.copy()
    found = normalise_sound(stack)
    np.testing.assert_array_equal(stack, before)
    sound = 0
    for psf, prepared in zip(stack, found, strict=True):
        if prepared is not None:
            alone, notes = prepare_psf(psf)
            np.testing.assert_array_equal(prepared[0], alone)
            assert prepared[1] == notes and all("normalised" in note for note in notes)
            sound += 1
    assert sound >= 6 and found[0] is not None and found[3] is not None and found[10] is not None


def test_random_psfs():
    rng = np.random.default_rng(7)
    y, x = np.mgrid[-9:10, -9:10]
    psfs = [
        np.exp(-((y - rng.normal(0, 0.3)) ** 2 + (x - rng.normal(0, 0.3)) ** 2) / rng.uniform(1, 20))
        * rng.uniform(0.5, 2)
        + rng.normal(0, rng.choice([0, 0.01, 0.1]), x.shape)
        + rng.choice([0, 0, 0.002, 0.02])
        for _ in range(300)
    ]
    found = normalise_sound(psfs)
    for psf, prepared in zip(psfs, found, strict=True):
        if prepared is not None:
            np.testing.assert_array_equal(prepared[0], prepare_psf(psf)[0])
            assert prepared[1] == prepare_psf(psf)[1]
    assert 30 < sum(prepared is not None for prepared in found) < 270


@pytest.mark.parametrize("shape", [(8, 8), (7, 8), (1, 1), (3, 3), (5, 9)])
def test_psfs_of_any_shape(shape):
    rows, columns = np.indices(shape)
    star = np.exp(-((rows - shape[0] // 2) ** 2 + (columns - shape[1] // 2) ** 2) / 4)
    for prepared in normalise_sound(np.stack([star, 2 * star])):
        if prepared is not None:
            np.testing.assert_array_equal(prepared[0], prepare_psf(star)[0])


def test_every_object_gets_the_psf_it_gets_alone():
    psfs = psf_stack()
    image = stacks()[0][0]
    together = from_arrays(np.stack([image] * len(psfs)), sigma=1.0, psf=psfs)
    for psf, cutout in zip(psfs, together, strict=True):
        try:
            prepared, notes = prepare_psf(psf)
        except AutogalError as error:
            assert cutout.error == error.what
        else:
            mended = mend_psf(prepared, "effective", 1)
            np.testing.assert_array_equal(cutout.psf, mended.psf)
            notes = notes + list(mended.notes)
            assert cutout.notes[-len(notes) :] == notes or not notes
