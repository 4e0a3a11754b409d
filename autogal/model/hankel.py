"""The Fourier transform of a radial profile, as one matrix product."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from scipy.special import loggamma

__all__ = ["HankelTable", "hankel_table"]


class HankelTable:
    r"""Two-dimensional Fourier transforms of radial functions, :math:`H(z) = 2\pi\int g(t) J_0(zt)\,t\,dt`.

    The integral over a logarithmic grid of radii is FFTLog (Talman 1978; Hamilton 2000, MNRAS 312, 257) with
    power-law bias 0.5. Radii and wave numbers are the same for every galaxy (both are in units of its size), so
    the whole transform, with the refinement of its output for linear interpolation, is a fixed matrix.

    Attributes
    ----------
    log_t : Tensor, [T] float64
        ln of the radii at which a profile is to be evaluated.
    matrix : Tensor, [T, Z]
        ``values_on_log_t @ matrix`` is H on the grid of ln z.
    log_z0, step : float
        First ln z and spacing of the output grid. The first column holds H(0).
    size : int
        Z.
    """

    RADII = (1e-6, 3e3, 400)
    WAVE_NUMBERS = (3e-4, 1e3)
    REFINEMENT = 4
    BIAS = 0.5

    def __init__(self, device: torch.device, dtype: torch.dtype, fine: bool = False):
        first, last, count = self.RADII
        refinement = self.REFINEMENT
        if fine:  # as many radii as wave numbers
            count, refinement = (count - 1) * refinement + 1, 1
        log_t = np.linspace(math.log(first), math.log(last), count)
        spacing = log_t[1] - log_t[0]
        self.step = spacing / refinement
        self.log_z0 = math.log(self.WAVE_NUMBERS[0])
        self.size = int(math.ceil((math.log(self.WAVE_NUMBERS[1]) - self.log_z0) / self.step)) + 1
        log_z = self.log_z0 + self.step * np.arange(self.size)

        eta = 2 * np.pi * np.arange(-(count // 2), count // 2 + 1) / (count * spacing)
        order = self.BIAS + 1j * eta
        log_u = (order - 1) * math.log(2.0) + loggamma(order / 2) - loggamma(1 - order / 2)
        weight = np.ones(eta.size)
        weight[[0, -1]] = 0.5  # the Nyquist term stands at both ends
        # the kernel depends on ln z + ln t alone
        z_part = np.exp(-1j * np.outer(eta, log_z - self.log_z0) + (log_u - 1j * eta * (self.log_z0 + log_t[0]))[:, None])
        t_part = np.exp(-1j * np.outer(log_t - log_t[0], eta)) * weight
        kernel = (t_part @ z_part).real / count
        matrix = 2 * np.pi * np.exp((2 - self.BIAS) * log_t)[:, None] * kernel * np.exp(-self.BIAS * log_z)[None, :]
        flux = 2 * np.pi * spacing * np.exp(2 * log_t)  # H(0), exact on a logarithmic grid
        # the periodic copy of J0 one period below the grid is J0's plateau: it adds a constant, known exactly
        matrix -= flux[:, None] * math.exp(-self.BIAS * count * spacing)
        matrix[:, 0] = flux
        self.log_t = torch.as_tensor(log_t, device=device)
        self.matrix = torch.as_tensor(matrix, device=device, dtype=dtype)


@lru_cache(maxsize=8)
def hankel_table(device: torch.device, dtype: torch.dtype, fine: bool = False) -> HankelTable:
    """The one table of a device and precision, made at first use; `fine`: for profiles that end or turn sharply."""
    return HankelTable(device, dtype, fine)
