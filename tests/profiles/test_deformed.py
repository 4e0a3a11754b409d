"""Contours of deformed profiles: GALFIT's definitions, their area, their derivatives, and numbers
everywhere within the bounds."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.special import beta

from autogal.profiles import Deformed, Nuker, Sersic

PSI = torch.tensor([0.7], dtype=torch.float64)
# Boxiness, modes, and c0 with the two coefficients of each mode
CONTOURS = {
    "boxy": (True, (), (0.5,)),
    "disky": (True, (), (-0.6,)),
    "lopsided": (False, (1,), (0.1, -0.15)),
    "all": (True, (1, 3, 4), (0.3, 0.1, 0.05, -0.1, 0.02, 0.03, 0.08)),
    "modes that leave nothing": (False, (1, 4), (-0.5, 0.5, 0.5, -0.5)),
}


@pytest.fixture(params=CONTOURS)
def case(request):
    boxiness, modes, own = CONTOURS[request.param]
    return Deformed(Sersic(), boxiness, modes), torch.tensor([own], dtype=torch.float64)


def test_the_radius_is_galfits():
    c0, modes = 0.4, ((1, 0.15, 30.0), (3, 0.08, -20.0))
    turns = [(a, m * (math.radians(phase) - float(PSI))) for m, a, phase in modes]
    own = [c0, *(v for a, turn in turns for v in (a * math.cos(turn), -a * math.sin(turn)))]
    x, y = np.random.default_rng(1).normal(size=(2, 50))  # y over q
    radius = (np.abs(x) ** (c0 + 2) + np.abs(y) ** (c0 + 2)) ** (1 / (c0 + 2))
    theta = np.arctan2(y, x)
    radius *= 1 + sum(a * np.cos(m * (theta + np.radians(phase))) for m, a, phase in modes)
    profile = Deformed(Sersic(), True, (1, 3))
    got = (
        profile.contour(torch.from_numpy(theta)[None] + PSI, torch.tensor([own], dtype=torch.float64), PSI)
        .log_s[0]
        .exp()
    )
    np.testing.assert_allclose(got.numpy() * np.hypot(x, y), radius, rtol=1e-12)


@pytest.mark.parametrize("c0", [-0.9, -0.3, 0.0, 0.7, 2.0])
def test_the_area_of_a_box_is_the_closed_form(c0):
    log_area, *_ = Deformed(Sersic(), True).log_area(torch.tensor([[c0]], dtype=torch.float64), PSI)
    p = c0 + 2
    assert float(log_area.exp()) == pytest.approx(
        4 * beta(1 / p, 1 + 1 / p) / (math.pi * p), rel=2e-5
    )  # GALFIT's 1 / R(c0)


def test_a_brightness_at_a_break_is_not_normalised():
    log_area, *slopes = Deformed(Nuker(), True).log_area(torch.tensor([[0.5]], dtype=torch.float64), PSI)
    assert float(log_area) == 0 and not any(slope.any() for slope in slopes)


def test_derivatives_are_those_by_differences(case):
    profile, own = case
    theta = torch.linspace(-3.1, 3.1, 41, dtype=torch.float64)[None]
    got, (_, area_by_psi, area_by_own) = profile.contour(theta, own, PSI), profile.log_area(own, PSI)
    step = 1e-6
    close = lambda a, b, atol=1e-7: torch.testing.assert_close(a, b, rtol=1e-5, atol=atol)
    differ = lambda f: (f(step) - f(-step)) / (2 * step)
    close(got.by_theta, differ(lambda h: profile.contour(theta + h, own, PSI).log_s))
    close(got.by_psi, differ(lambda h: profile.contour(theta, own, PSI + h).log_s))
    close(
        area_by_psi, differ(lambda h: profile.log_area(own, PSI + h)[0]), atol=1e-4
    )  # its sum stands on directions that turn with psi
    for i in range(own.shape[1]):
        one = torch.zeros_like(own)
        one[0, i] = 1.0
        close(got.by_own[i], differ(lambda h: profile.contour(theta, own + h * one, PSI).log_s))
        close(area_by_own[i], differ(lambda h: profile.log_area(own + h * one, PSI)[0]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_numbers_everywhere_within_the_bounds(dtype):
    profile = Deformed(Sersic(), True, (1, 3, 10))
    own = torch.tensor(
        list(itertools.product((-1.0, 0.0, 2.0), *[(-0.5, 0.0, 0.5)] * 6)), dtype=torch.float64
    )
    psi = torch.zeros(len(own), dtype=torch.float64)
    theta = torch.tensor([0, math.pi / 4, math.pi / 2, math.pi, -math.pi / 2, 0.3, -2.0], dtype=dtype).expand(
        len(own), -1
    )
    contour, area = profile.contour(theta, own, psi), profile.log_area(own, psi)
    for numbers in (contour.log_s, contour.by_theta, contour.by_psi, *contour.by_own, *area):
        assert torch.isfinite(numbers).all()
