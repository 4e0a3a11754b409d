"""Resamples of one image: what is drawn, from where, and how it scatters."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from autogal.likelihood import Gaussian
from autogal.uncertainty.resample import Residuals, generator


def image(shape=(40, 30), excluded=(slice(0, 10), slice(5, 9)), smooth=0.0, seed=0) -> Residuals:
    noise = np.random.default_rng(seed).normal(size=(shape[0] + 20, shape[1] + 20))
    noise = (gaussian_filter(noise, smooth) if smooth else noise)[10:-10, 10:-10]
    usable = np.ones(shape, bool)
    usable[excluded] = False
    return Residuals(np.where(usable, noise / noise.std(), 0.0).astype(np.float32), usable)


def test_random_numbers_are_those_of_the_object_and_the_replicate():
    first = generator(0, "a", 3).random(4)
    np.testing.assert_array_equal(generator(0, "a", 3).random(4), first)
    for other in ((1, "a", 3), (0, "b", 3), (0, "a", 4), (0, "", 3), (0, "Å–星", 3)):
        assert not np.isclose(generator(*other).random(4), first).any()


def test_counts_are_a_multinomial_draw_of_the_usable_pixels():
    one, count = image(), 400
    usable = one.usable.sum()
    counts = np.stack([one.counts(generator(0, "a", r)) for r in range(count)])
    assert (counts.sum((1, 2)) == usable).all() and not counts[:, ~one.usable].any()
    mean, scatter = counts[:, one.usable].mean(0), counts[:, one.usable].var(0).mean()
    assert np.abs(mean - 1).max() < 5 / np.sqrt(count) and scatter == pytest.approx(1 - 1 / usable, rel=0.02)


def test_noise_of_sigma_is_white_and_of_unit_variance():
    noise = np.stack(
        [Gaussian().draw(image().residual, image().usable, generator(0, "a", r)) for r in range(200)]
    )
    assert noise.var() == pytest.approx(1, rel=0.01) and abs(noise.mean()) < 0.01
    assert abs((noise[:, 1:] * noise[:, :-1]).mean()) < 0.01


def test_blocks_come_from_usable_pixels_only():
    one = image()
    marked = Residuals(np.where(one.usable, 1.0, 1e6).astype(np.float32), one.usable)
    places = marked.places(3)
    sewn = np.stack([marked.blocks(places, 3, generator(0, "a", r)) for r in range(20)])
    assert sewn.shape == (20, 40, 30) and sewn.max() < 3 and sewn.min() > 0.9


@pytest.mark.parametrize("excluded", [(slice(None), slice(None, None, 5)), (slice(None), slice(0, 25))])
def test_no_room_for_blocks(excluded):
    assert image(excluded=excluded).places(3) is None
    assert image(shape=(5, 30), excluded=(slice(0), slice(0))).places(3) is None


@pytest.mark.parametrize("shape", [(40, 30), (37, 41)])
def test_blocks_keep_the_variance_and_nearly_the_correlation(shape):
    block, smooth = 6, 1.0
    one = image(shape=(120, 120), excluded=(slice(0), slice(0)), smooth=smooth)
    target = Residuals(one.residual, one.usable)
    sewn = np.stack([target.blocks(target.places(block), block, generator(0, "a", r)) for r in range(200)])[
        :, : shape[0], : shape[1]
    ]
    level = one.residual.var()
    # everywhere, seams included
    assert sewn.var() == pytest.approx(level, rel=0.03) and np.abs(sewn.var(0) / level - 1).max() < 0.6
    for lag in (1, 2, 3):
        own = (one.residual[:, lag:] * one.residual[:, :-lag]).mean() / level
        kept = (sewn[:, :, lag:] * sewn[:, :, :-lag]).mean() / level
        assert kept == pytest.approx(own * np.cos(np.pi * lag / (2 * block)), abs=0.03)
