"""One battery for every radial profile: flux, definition, derivatives, and numbers everywhere within the
bounds."""

from __future__ import annotations

import itertools
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from astropy.modeling.models import KingProjectedAnalytic1D, Moffat2D
from scipy.special import gammaincinv

from autogal.profiles import PROFILES, RadialProfile, ShapeParameter, Truncated

RADIAL = {name: profile() for name, profile in PROFILES.items() if issubclass(profile, RadialProfile)}
RADIAL["truncated"] = Truncated(PROFILES["exponential"]())
#: Lengths may be anything in units of the size: the bounds of both are in pixels
LENGTHS = (0.02, 200.0)
# ln r, where brightness and slopes are compared
LOG_T = torch.linspace(-13.0, 8.0, 500, dtype=torch.float64)[None]


def logs(*values):
    return torch.tensor([[math.log(v) for v in values]], dtype=torch.float64)


def corners(profile):
    """Every combination of lowest, middle and highest own parameters, [B, S]."""
    ends = [LENGTHS if s.length else (s.lower, s.upper) for s in profile.shape]
    return torch.cat(
        [
            logs(*combination)
            for combination in itertools.product(*((low, math.sqrt(low * high), high) for low, high in ends))
        ]
    )


@pytest.fixture(params=RADIAL)
def profile(request):
    return RADIAL[request.param]


def within(profile, shape, t=math.exp(16.0)):
    """Flux within a radius, [B], by a sum over 20,000 rings."""
    log_t = torch.linspace(-30.0, math.log(t), 20001, dtype=torch.float64)
    ring = 2 * math.pi * profile.intensity(log_t.expand(len(shape), -1), shape) * torch.exp(2 * log_t)
    return torch.trapezoid(ring, log_t)


def test_total_flux_is_one(profile):
    if profile.name == "nuker":
        pytest.skip("its total need not exist; see test_nuker_is_stated_at_its_break")
    shape = corners(profile)
    total = within(profile, shape)
    if profile.name == "moffat":  # the light of beta = 1.1 beyond the last ring
        total[0] += (1 + 4 * (2 ** (1 / 1.1) - 1) * math.exp(32.0)) ** -0.1
    off = (total - 1).abs()
    assert off.max() < (1e-3 if profile.sharp else 1e-6), shape[off.argmax()].exp()


def test_nuker_is_stated_at_its_break():
    shape = corners(RADIAL["nuker"])
    at_break = RADIAL["nuker"].intensity(torch.zeros(len(shape), 1, dtype=torch.float64), shape)
    assert at_break.numpy() == pytest.approx(1 / math.pi)


def test_numbers_everywhere_within_the_bounds(profile):
    shape = corners(profile)
    for dtype in (torch.float32, torch.float64):
        for values in profile.evaluate(torch.linspace(-80, 80, 401).to(dtype).expand(len(shape), -1), shape):
            assert values.dtype == dtype and torch.isfinite(values).all()


def test_derivatives(profile):
    step, shape = 1e-6, corners(profile)
    log_t = LOG_T.expand(len(shape), -1)
    g, g_log_t, g_shape = profile.evaluate(log_t, shape)
    assert g_shape.shape == (len(profile.shape), *log_t.shape) and (g >= 0).all()
    by_radius = (profile.intensity(log_t + step, shape) - profile.intensity(log_t - step, shape)) / (2 * step)
    scale = g + by_radius.abs() + g_shape.abs().sum(0) + 1e-12 * g.amax(-1, keepdim=True)
    # a node or two lies within a step of the radius where the light ends
    assert ((g_log_t - by_radius).abs() / scale).quantile(0.99, dim=-1).max() < 1e-5
    for i in range(shape.shape[1]):
        move = torch.zeros_like(shape)
        move[:, i] = step
        expected = (profile.intensity(log_t, shape + move) - profile.intensity(log_t, shape - move)) / (
            2 * step
        )
        off = ((g_shape[i] - expected).abs() / (scale + expected.abs())).quantile(0.99, dim=-1)
        assert off.max() < 1e-5, (profile.shape[i].name, shape[off.argmax()].exp())


def test_half_light_radius(profile):
    if isinstance(profile, Truncated):
        pytest.skip("r_eff is that of the profile before it is cut")
    for kind in profile.typical or ((),):
        shape = logs(*kind)
        half = float(profile.half_light(shape).exp())
        if profile.name == "nuker":
            assert math.isnan(half)
        else:
            assert within(profile, shape, half).item() == pytest.approx(0.5, abs=1e-3)


# The definitions, from the papers, with size 1
FORMULAS = {
    "gaussian": ((), lambda r: np.exp(-4 * np.log(2) * r**2)),
    "moffat": ((2.7,), lambda r, beta: (1 + 4 * (2 ** (1 / beta) - 1) * r**2) ** -beta),
    "king": (
        (9.0, 1.6),
        lambda r, rt, a: np.where(r < rt, np.abs((1 + r**2) ** (-1 / a) - (1 + rt**2) ** (-1 / a)) ** a, 0),
    ),
    "ferrer": ((2.4, 0.7), lambda r, a, b: np.where(r < 1, (1 - np.minimum(r, 1) ** (2 - b)) ** a, 0)),
    "nuker": ((1.7, 2.3, 0.4), lambda r, a, b, c: r**-c * (1 + r**a) ** ((c - b) / a)),
    "core_sersic": (
        (3.0, 0.1, 0.3, 4.0),
        lambda r, n, rb, c, a: (
            (1 + (rb / r) ** a) ** (c / a)
            * np.exp(-gammaincinv(2 * n, 0.5) * (r**a + rb**a) ** (1 / (a * n)))
        ),
    ),
    "broken_exponential": (
        (0.4, 3.0, 6.0),
        lambda r, h, rb, s: np.exp(-r) * (1 + np.exp(s * (r - rb))) ** ((1 - 1 / h) / s),
    ),
    "exponential": ((), lambda r: np.exp(-gammaincinv(2, 0.5) * r)),
    "devaucouleurs": ((), lambda r: np.exp(-gammaincinv(8, 0.5) * r**0.25)),
    "sersic": ((2.5,), lambda r, n: np.exp(-gammaincinv(2 * n, 0.5) * r ** (1 / n))),
    "truncated": (
        (4.0, 0.3),
        lambda r, rt, s: np.exp(-gammaincinv(2, 0.5) * r) * (1 - np.tanh(2 * (r / rt - 1) / s)),
    ),
}


def test_definition(profile):
    own, formula = FORMULAS["truncated" if isinstance(profile, Truncated) else profile.name]
    r = np.geomspace(1e-3, 12.0, 80)
    got = profile.intensity(torch.log(torch.from_numpy(r))[None], logs(*own))[0].numpy()
    expected = formula(r, *own)
    middle = np.argmin(np.abs(r - 0.5))
    np.testing.assert_allclose(got / got[middle], expected / expected[middle], rtol=1e-6, atol=1e-12)


def test_astropy_has_the_same_moffat_and_king():
    r = np.geomspace(0.01, 30.0, 100)
    log_t = torch.log(torch.from_numpy(r))[None]
    moffat = Moffat2D(amplitude=1.0, gamma=1 / (2 * np.sqrt(2 ** (1 / 3.1) - 1)), alpha=3.1)
    got = RADIAL["moffat"].intensity(log_t, logs(3.1))[0].numpy()
    np.testing.assert_allclose(got / got[0], moffat(r, 0) / moffat(r[0], 0), rtol=1e-10)
    king = KingProjectedAnalytic1D(amplitude=1.0, r_core=1.0, r_tide=20.0)
    got = RADIAL["king"].intensity(log_t, logs(20.0, 2.0))[0].numpy()
    np.testing.assert_allclose(got / got[0], king(r) / king(r[0]), rtol=1e-8, atol=1e-12)


def test_a_truncation_far_out_changes_nothing_and_gives_the_nuker_law_a_total():
    far = Truncated(RADIAL["sersic"]).intensity(LOG_T, logs(1.5, 500.0, 0.1))
    torch.testing.assert_close(far, RADIAL["sersic"].intensity(LOG_T, logs(1.5)), rtol=1e-6, atol=1e-15)
    cut = Truncated(RADIAL["nuker"])
    assert cut.brightness == "mag" and within(cut, logs(2.0, 1.2, 0.3, 20.0, 0.2)).item() == pytest.approx(
        1.0, abs=1e-4
    )


def test_a_gaussian_and_a_sersic_profile_of_half_are_one():
    gaussian = RADIAL["gaussian"].intensity(LOG_T, logs()[:, :0])
    sersic = RADIAL["sersic"].intensity(LOG_T + math.log(2.0), logs(0.5)) * 4  # r_eff = fwhm / 2
    torch.testing.assert_close(gaussian, sersic, rtol=1e-9, atol=1e-12)


def test_a_core_that_vanishes_leaves_the_sersic_profile():
    log_t = torch.linspace(-1.0, 1.5, 50, dtype=torch.float64)[None]
    core = RADIAL["core_sersic"].intensity(log_t, logs(3.0, 1e-4, 0.1, 5.0))
    torch.testing.assert_close(core, RADIAL["sersic"].intensity(log_t, logs(3.0)), rtol=1e-4, atol=0.0)


class Own(RadialProfile):
    """A profile that states its intensity alone, as a user's own would."""

    name = "own"
    shape = (ShapeParameter("beta", 1.1, 10.0),)

    def intensity(self, log_t, shape):
        beta = shape[..., :1].exp()
        return (beta - 1) / torch.pi * (1 + torch.exp(2 * log_t)) ** -beta


def test_threads_may_differentiate_at_the_same_time():
    # torch's forward mode counts its nesting for all threads together
    expected = Own().evaluate(LOG_T, logs(2.0))
    with ThreadPoolExecutor(4) as pool:
        for got in pool.map(lambda _: Own().evaluate(LOG_T, logs(2.0)), range(40)):
            for one, other in zip(got, expected, strict=True):
                torch.testing.assert_close(one, other)
