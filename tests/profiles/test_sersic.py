"""The Sersic profile against scipy and against numerical integrals and derivatives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import gammaincinv

from autogal.profiles import RadialProfile, Sersic, ShapeParameter
from autogal.profiles.sersic import sersic_b

INDICES = (0.2, 0.3, 0.36, 0.5, 1.0, 2.5, 4.0, 6.0, 8.0, 10.0)


def column(*values):
    return torch.tensor(values, dtype=torch.float64)[:, None]


def intensity(t, n):
    return Sersic().intensity(torch.log(column(t)), column(np.log(n)))[0, 0].item()


def test_b_is_the_root_of_the_incomplete_gamma_function():
    n = np.geomspace(0.06, 19, 3001)
    b, _ = sersic_b(torch.log(torch.from_numpy(n)))
    assert np.abs(b.numpy() / gammaincinv(2 * n, 0.5) - 1).max() < 1e-10


def test_derivative_of_b():
    log_n = torch.linspace(np.log(0.06), np.log(19), 1001, dtype=torch.float64)
    step = 1e-4
    numerical = (sersic_b(log_n + step)[0] - sersic_b(log_n - step)[0]) / (2 * step)
    assert ((sersic_b(log_n)[1] - numerical) / numerical).abs().max() < 1e-6


@pytest.mark.parametrize("n", INDICES)
def test_all_the_flux_and_half_of_it_within_the_half_light_radius(n):
    def ring(u):  # flux per ln t
        return 2 * np.pi * np.exp(2 * u) * intensity(np.exp(u), n)

    # p = b t^(1/n): nearly all the light lies between these
    ends = n * np.log(gammaincinv(2 * n, [1e-10, 1 - 1e-12]) / gammaincinv(2 * n, 0.5))
    inner, outer = (
        quad(ring, ends[0], 0, epsabs=1e-10, limit=200)[0],
        quad(ring, 0, ends[1], epsabs=1e-10, limit=200)[0],
    )
    assert inner == pytest.approx(0.5, abs=1e-8) and outer == pytest.approx(0.5, abs=1e-8)


@pytest.mark.parametrize("n", INDICES)
def test_derivatives(n):
    profile = Sersic()
    log_t = torch.linspace(np.log(1e-3), np.log(20), 60, dtype=torch.float64)[None]
    shape = column(np.log(n))
    g, g_log_t, g_shape = profile.evaluate(log_t, shape)
    step = 1e-5
    by_radius = (profile.intensity(log_t + step, shape) - profile.intensity(log_t - step, shape)) / (2 * step)
    by_shape = (profile.intensity(log_t, shape + step) - profile.intensity(log_t, shape - step)) / (2 * step)
    scale = g.abs() + by_radius.abs() + by_shape.abs() + 1e-30
    assert g_shape.shape == (1, *log_t.shape)
    assert ((g_log_t - by_radius).abs() / scale).max() < 1e-6
    assert ((g_shape[0] - by_shape).abs() / scale).max() < 1e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [0.2, 0.5, 10.0])
def test_finite_at_every_radius(n, dtype):
    log_t = torch.linspace(-80, 80, 400).to(dtype)[None]
    for values in Sersic().evaluate(log_t, column(np.log(n))):
        assert values.dtype == dtype and torch.isfinite(values).all()


class Moffat(RadialProfile):
    """A profile that states its intensity alone, as a user's own would."""

    name = "moffat"
    shape = (ShapeParameter("beta", 1.1, 10.0),)

    def intensity(self, log_t, shape):
        beta = shape[..., :1].exp()
        reach = 2 ** (1 / (beta - 1)) - 1  # (half-light radius / core radius)^2
        return (beta - 1) * reach / torch.pi * (1 + reach * torch.exp(2 * log_t)) ** -beta


def test_a_profile_that_states_its_intensity_has_its_derivatives():
    profile = Moffat()
    log_t = torch.linspace(-4, 3, 50, dtype=torch.float64).repeat(2, 1)
    shape = column(np.log(1.8), np.log(4.0))
    g, g_log_t, g_shape = profile.evaluate(log_t, shape)
    step = 1e-5
    by_radius = (profile.intensity(log_t + step, shape) - profile.intensity(log_t - step, shape)) / (2 * step)
    by_shape = (profile.intensity(log_t, shape + step) - profile.intensity(log_t, shape - step)) / (2 * step)
    torch.testing.assert_close(g, profile.intensity(log_t, shape))
    torch.testing.assert_close(g_log_t, by_radius, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(g_shape[0], by_shape, rtol=1e-6, atol=1e-9)
