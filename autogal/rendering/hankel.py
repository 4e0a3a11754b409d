"""The Fourier transform of a radial profile, and of the multipoles of one that is not radial, as matrix
products."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from scipy.special import loggamma
from torch import Tensor

__all__ = ["HankelTable", "MultipoleTable", "hankel_table", "multipole_table"]


class HankelTable:
    r"""Two-dimensional Fourier transforms of radial functions, :math:`H(z) = 2\pi\int g(t) J_0(zt)\,t\,dt`.

    The integral over a logarithmic grid of radii is FFTLog (Talman 1978; Hamilton 2000, MNRAS 312, 257) with
    power-law bias 0.5. Radii and wave numbers are the same for every galaxy (both are in units of its size),
    so the whole transform, with the refinement of its output for linear interpolation, is a fixed matrix.

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
        z_part = np.exp(
            -1j * np.outer(eta, log_z - self.log_z0) + (log_u - 1j * eta * (self.log_z0 + log_t[0]))[:, None]
        )
        t_part = np.exp(-1j * np.outer(log_t - log_t[0], eta)) * weight
        kernel = (t_part @ z_part).real / count
        matrix = (
            2
            * np.pi
            * np.exp((2 - self.BIAS) * log_t)[:, None]
            * kernel
            * np.exp(-self.BIAS * log_z)[None, :]
        )
        flux = 2 * np.pi * spacing * np.exp(2 * log_t)  # H(0), exact on a logarithmic grid
        # the periodic copy of J0 one period below the grid is J0's plateau: it adds a constant, known exactly
        matrix -= flux[:, None] * math.exp(-self.BIAS * count * spacing)
        matrix[:, 0] = flux
        self.log_t = torch.as_tensor(log_t, device=device)
        self.matrix = torch.as_tensor(matrix, device=device, dtype=dtype)


@lru_cache(maxsize=8)
def hankel_table(device: torch.device, dtype: torch.dtype, fine: bool = False) -> HankelTable:
    """The one table of a device and precision, made at first use; `fine`: for profiles that end or turn
    sharply."""
    return HankelTable(device, dtype, fine)


class MultipoleTable:
    r"""Hankel transforms of several orders, :math:`2\pi\int f(\rho) J_m(k\rho)\,\rho\,d\rho`, as
    `HankelTable` has that of order 0.

    Radii are in pixels and wave numbers in radians per pixel, so that those of one grid serve galaxies of all
    sizes.

    Attributes
    ----------
    log_rho : Tensor, [T] float64
        As far as there can be light.
    matrix : Tensor, [M, T, Z]
        One for each order.
    log_k0, step : float
        First ln k and spacing. The first column holds k = 0.
    size : int
        Z.
    """

    RADII = (1e-5, 1e4, 380)

    def __init__(
        self,
        device: torch.device,
        dtype: torch.dtype,
        orders: tuple[int, ...],
        wave_numbers: tuple[float, float],
        reach: float,
        fine: bool,
    ):
        first, last, count = self.RADII
        refinement = HankelTable.REFINEMENT
        if fine:
            count, refinement = (count - 1) * refinement + 1, 1
        log_rho = np.linspace(math.log(first), math.log(last), count)
        spacing = log_rho[1] - log_rho[0]
        self.step, self.log_k0 = spacing / refinement, math.log(wave_numbers[0])
        self.size = int(math.ceil((math.log(wave_numbers[1]) - self.log_k0) / self.step)) + 1
        log_k = self.log_k0 + self.step * np.arange(self.size)
        eta = 2 * np.pi * np.arange(-(count // 2), count // 2 + 1) / (count * spacing)
        bias = HankelTable.BIAS
        power = bias + 1j * eta
        weight = np.where(np.abs(eta) < np.abs(eta[0]), 1.0, 0.5) / count
        # the kernel depends on ln k + ln rho alone: each of its values stands along a diagonal
        place = np.arange(self.size)[None, :] + refinement * np.arange(count)[:, None]
        waves = np.exp(
            -1j * np.outer(self.log_k0 + log_rho[0] + self.step * np.arange(place[-1, -1] + 1), eta)
        )
        around = 2 * np.pi * np.exp((2 - bias) * log_rho)[:, None] * np.exp(-bias * log_k)[None, :]
        lit = int(np.searchsorted(log_rho, math.log(reach)))
        self.matrix = torch.empty((len(orders), lit, self.size), device=device, dtype=dtype)
        flux = 2 * np.pi * spacing * np.exp(2 * log_rho)
        for i, m in enumerate(orders):
            log_u = (power - 1) * math.log(2.0) + loggamma((m + power) / 2) - loggamma(1 + (m - power) / 2)
            matrix = around * (waves @ (np.exp(log_u) * weight)).real[place]
            if m == 0:  # as in `HankelTable`; those of higher orders have no plateau
                matrix -= flux[:, None] * math.exp(-bias * count * spacing)
            matrix[:, 0] = flux if m == 0 else 0.0
            self.matrix[i] = torch.as_tensor(matrix[:lit], device=device, dtype=dtype)
        self.log_rho = torch.as_tensor(log_rho[:lit], device=device)

    def transforms(self, samples: Tensor, analysis: Tensor) -> Tensor:
        """Transformed multipoles of light that was sampled on rings.

        Parameters
        ----------
        samples : Tensor, [B, D, T, J]
        analysis : Tensor, [J, 2 M]
            From samples to the cosine and the sine multipole of each order.

        Returns
        -------
        Tensor, [B, D, Z, 2 M]
        """
        poles = (
            (samples @ analysis)
            .to(self.matrix.dtype)
            .unflatten(-1, (-1, 2))
            .permute(3, 4, 0, 1, 2)
            .flatten(1, 3)
        )
        return (
            torch.bmm(poles, self.matrix)
            .unflatten(1, (2, *samples.shape[:2]))
            .permute(2, 3, 4, 0, 1)
            .flatten(3)
        )

    def slope(self, transforms: Tensor) -> Tensor:
        """Derivatives by ln k of transforms [..., Z, 2 M], by a rule of fourth order; none at k = 0."""
        place = torch.arange(self.size, device=transforms.device)
        near = lambda i: transforms[..., (place + i).clamp(1, self.size - 1), :]
        out = (8 * (near(1) - near(-1)) - (near(2) - near(-2))) / (12 * self.step)
        out[..., 0, :] = 0.0
        return out

    def look_up(self, tables: Tensor, log_k: Tensor, theta: Tensor, span: float) -> Tensor:
        """Values between the nodes of tables over ln k and angles.

        Parameters
        ----------
        tables : Tensor, [B, D, Z, A + 1]
            Over angles from 0 to `span`, after which they begin again.
        log_k, theta : Tensor, [B, Kx, Ky]
        span : float

        Returns
        -------
        Tensor, [B, D, Kx, Ky]
        """
        row = (log_k - self.log_k0) * (2 / (self.step * (self.size - 1))) - 1
        column = torch.remainder(theta, span) * (2 / span) - 1
        places = torch.stack([column, row], -1)
        return torch.nn.functional.grid_sample(tables, places, align_corners=True, padding_mode="border")


@lru_cache(maxsize=8)
def multipole_table(
    device: torch.device,
    dtype: torch.dtype,
    orders: tuple[int, ...],
    wave_numbers: tuple[float, float],
    reach: float,
    fine: bool = False,
) -> MultipoleTable:
    """The one table of a device, precision, set of orders, range of wave numbers and largest radius, made
    at first use."""
    return MultipoleTable(device, dtype, orders, wave_numbers, reach, fine)
