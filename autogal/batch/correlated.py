"""Noise that is correlated from pixel to pixel: its power spectrum, and how it moves the parameters of a
fit."""

from __future__ import annotations

import torch
from scipy.fft import next_fast_len
from torch import Tensor

__all__ = ["bartlett", "inverse_power", "padded_shape", "power_spectrum", "score_covariance", "weighted"]

# Power below this part of that of independent pixels is not measured: it is the error of the correlation, or
# hides what a model that is never exact misses
_LEAST = 0.05


def padded_shape(shape: tuple[int, int], lags: int) -> tuple[int, int]:
    """Rows and columns of a periodic grid on which a stamp does not meet itself within `lags` pixels; an
    even number of columns."""
    return next_fast_len(shape[0] + lags), 2 * next_fast_len(-(-(shape[1] + lags) // 2))


def power_spectrum(correlation: Tensor, shape: tuple[int, int]) -> Tensor:
    """Power of stationary noise by frequency (Wiener-Khinchin theorem), in units of that of independent
    pixels of unit variance.

    Parameters
    ----------
    correlation : Tensor, [B, L, L]
        Covariance of pixels by lag, L odd.
    shape : (int, int)
        Rows and columns of the periodic grid, not smaller than L.

    Returns
    -------
    Tensor, [B, H, W // 2 + 1]
        In the order of `torch.fft.rfft2`; never negative.
    """
    reach = correlation.shape[-1] // 2
    padded = correlation.new_zeros(len(correlation), *shape)
    padded[:, : 2 * reach + 1, : 2 * reach + 1] = correlation
    return torch.fft.rfft2(padded.roll((-reach, -reach), (1, 2))).real.clamp(min=0)


def inverse_power(correlation: Tensor, shape: tuple[int, int]) -> Tensor:
    """One over `power_spectrum`, where that is not so low that nothing is known of it: the weight of each
    frequency."""
    return 1 / power_spectrum(correlation, shape).clamp(min=_LEAST)


def weighted(rows: Tensor, power: Tensor) -> Tensor:
    """Images [B, R, H, W] with each frequency times `power` [B, H', W' // 2 + 1], on the pixels they had."""
    shape = power.shape[-2], 2 * (power.shape[-1] - 1)
    return torch.fft.irfft2(torch.fft.rfft2(rows, shape) * power[:, None].to(rows.dtype), shape)[
        ..., : rows.shape[-2], : rows.shape[-1]
    ]


def bartlett(width: Tensor, reach: int) -> Tensor:
    """Weights that fall linearly with the lag along each axis, [B, 2 reach + 1, 2 reach + 1]: their power is
    nowhere negative.

    Parameters
    ----------
    width : Tensor, [B]
        Lag at which they are 0, pixels.
    reach : int
        Largest lag; at least the largest width.
    """
    lag = torch.arange(-reach, reach + 1, dtype=width.dtype, device=width.device).abs()
    along = (1 - lag / width[:, None]).clamp(min=0)
    return along[:, :, None] * along[:, None, :]


def score_covariance(rows: Tensor, power: Tensor) -> Tensor:
    """Covariance of what noise adds to the gradient of chi-square, J^T W C W J.

    Parameters
    ----------
    rows : Tensor, [B, R, H, W]
        Derivatives of the model over sigma, 0 where a pixel is excluded.
    power : Tensor, [B, H', W' // 2 + 1]
        Power spectra of the noise over sigma, on a grid of `padded_shape`.

    Returns
    -------
    Tensor, [B, R, R]

    Notes
    -----
    The middle of the sandwich of White (1982, Econometrica 50, 1), for stationary noise: a sum over all
    frequencies of the products of the transforms of two derivatives times the noise's power, by Parseval's
    theorem.
    """
    height, width = power.shape[-2], 2 * (power.shape[-1] - 1)
    spectra = torch.fft.rfft2(rows, (height, width))
    weight = torch.full((power.shape[-1],), 2.0, dtype=power.dtype, device=power.device)
    weight[[0, -1]] = 1.0  # frequencies that are there once, not with their opposite
    root = (power * (weight / (height * width))).sqrt().to(rows.dtype)
    flat = torch.view_as_real(spectra * root[:, None]).flatten(2)
    return torch.bmm(flat, flat.mT)
