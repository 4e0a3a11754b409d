"""Correlated noise by frequency, against sums over all pairs of pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from autogal.batch.correlated import (
    bartlett,
    inverse_power,
    padded_shape,
    power_spectrum,
    score_covariance,
    weighted,
)

SHAPE = (11, 14)


def lags(reach=2, seed=3):
    """Covariance by lag of white noise that some kernel has smoothed."""
    kernel = np.random.default_rng(seed).normal(size=(reach + 1, reach + 1))
    padded = np.zeros((2 * reach + 1, 2 * reach + 1))
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            moved = np.zeros_like(kernel)
            rows, columns = (
                slice(max(0, dy), reach + 1 + min(0, dy)),
                slice(max(0, dx), reach + 1 + min(0, dx)),
            )
            others = slice(max(0, -dy), reach + 1 - max(0, dy)), slice(max(0, -dx), reach + 1 - max(0, dx))
            moved[rows, columns] = kernel[others]
            padded[reach + dy, reach + dx] = (kernel * moved).sum()
    return padded / padded[reach, reach]


def dense(matrix, shape=SHAPE):
    """Covariance of every pixel with every other, [HW, HW]."""
    reach = matrix.shape[0] // 2
    y, x = (v.ravel() for v in np.mgrid[: shape[0], : shape[1]])
    dy, dx = y[:, None] - y, x[:, None] - x
    inside = (np.abs(dy) <= reach) & (np.abs(dx) <= reach)
    return np.where(
        inside, matrix[np.clip(dy, -reach, reach) + reach, np.clip(dx, -reach, reach) + reach], 0.0
    )


def rows(seed=4):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(2, 3, *SHAPE)))


def test_the_score_scatters_as_the_sum_over_all_pairs_says():
    matrix = lags()
    power = power_spectrum(torch.from_numpy(np.stack([matrix, lags(seed=5)])), padded_shape(SHAPE, 2))
    flat = rows().flatten(2).numpy()
    got = score_covariance(rows(), power)
    np.testing.assert_allclose(got[0], flat[0] @ dense(matrix) @ flat[0].T, rtol=1e-10)
    np.testing.assert_allclose(got[1], flat[1] @ dense(lags(seed=5)) @ flat[1].T, rtol=1e-10)


def test_independent_pixels_give_the_plain_products():
    alone = torch.zeros(2, 5, 5, dtype=torch.float64)
    alone[:, 2, 2] = 1.0
    flat = rows().flatten(2)
    torch.testing.assert_close(
        score_covariance(rows(), power_spectrum(alone, padded_shape(SHAPE, 2))), flat @ flat.mT
    )
    torch.testing.assert_close(weighted(rows(), inverse_power(alone, padded_shape(SHAPE, 2))), rows())


def test_power_is_never_negative_and_its_inverse_never_huge():
    noisy = torch.from_numpy(lags())[None] + 0.3 * torch.randn(
        1, 5, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    assert power_spectrum(noisy, (32, 32)).min() >= 0
    assert inverse_power(noisy, (32, 32)).max() <= 20


@pytest.mark.parametrize("width", [1.5, 3.0, 7.9])
def test_a_bartlett_window_has_no_negative_power(width):
    window = bartlett(torch.tensor([width], dtype=torch.float64), 8)
    padded = torch.zeros(1, 64, 64, dtype=torch.float64)
    padded[:, :17, :17] = window
    assert torch.fft.rfft2(padded.roll((-8, -8), (1, 2))).real.min() > -1e-9
    assert window[0, 8, 8] == 1.0
