"""One battery for every likelihood: its deviance, derivatives and information against scipy and against
draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from autogal.configuration.composing import compose
from autogal.errors import AutogalError
from autogal.fitting.choices import build_bootstrap, build_likelihood
from autogal.likelihood import LIKELIHOODS, Gaussian, Poisson, StudentT

EVERY = [Gaussian(), Poisson(), StudentT(), StudentT(dof=1.0, scale=0.7)]
MEANS = (0.02, 0.5, 4.0, 60.0, 3000.0)


def pixels(likelihood, mean: float, count: int = 200_000, exposure: float = 1.0, seed: int = 0):
    """Data which a model describes, the model, and the weight, [1, 1, count] each."""
    rng = np.random.default_rng(seed)
    model = np.full((1, count), mean)
    if likelihood.counts:
        data = rng.poisson(exposure * mean, model.shape) / exposure
        weight = np.full(model.shape, np.sqrt(exposure))
    else:
        weight = np.full(model.shape, 1 / np.sqrt(mean))
        data = model + likelihood.draw(model, np.ones(model.shape, bool), rng) / weight
    return tuple(torch.from_numpy(plane)[None] for plane in (data, model, weight))


@pytest.mark.parametrize("likelihood", EVERY, ids=str)
def test_the_score_is_the_slope_of_the_deviance(likelihood):
    data, _, weight = pixels(likelihood, 3.0, 2000)
    # far above, far below, and where no counts can be
    model = torch.linspace(-5.0, 40.0, 2000, dtype=torch.float64).reshape(data.shape).requires_grad_()
    terms = likelihood.terms(data, model, weight)
    (slope,) = torch.autograd.grad(terms.deviance.sum(), model)
    torch.testing.assert_close(terms.score, -slope / 2, rtol=1e-6, atol=1e-9)
    assert (terms.weight > 0).all() and torch.isfinite(terms.deviance).all()


@pytest.mark.parametrize("likelihood", EVERY, ids=str)
def test_the_perfect_model_has_no_deviance(likelihood):
    data, model, weight = pixels(likelihood, 3.0, 100)
    if likelihood.counts:
        data = data + 1
    terms = likelihood.terms(data, data, weight)
    assert terms.deviance.abs().max() < 1e-12 and terms.score.abs().max() < 1e-12
    assert (likelihood.terms(data, model + 0.3, weight).deviance >= 0).all()


@pytest.mark.parametrize("likelihood", EVERY, ids=str)
def test_excluded_pixels_say_nothing(likelihood):
    data, model, weight = pixels(likelihood, 3.0, 4)
    weight[..., 1], data[..., 1] = 0.0, 0.0
    for term in (
        *likelihood.terms(data, model, weight),
        likelihood.information(model, weight),
        *likelihood.expected(model, weight),
    ):
        assert (term[..., 1] == 0).all() and (term[..., 0] > 0).any() | (term[..., 0] != 0).any()


@pytest.mark.parametrize("mean", MEANS)
@pytest.mark.parametrize("likelihood", EVERY, ids=str)
def test_information_is_the_variance_of_the_score(likelihood, mean):
    data, model, weight = pixels(likelihood, mean)
    pull = likelihood.terms(data, model, weight).score
    information = float(likelihood.information(model, weight).mean())
    assert float(pull.mean()) == pytest.approx(0, abs=5 * np.sqrt(information / pull.numel()))
    assert float(pull.square().mean()) == pytest.approx(information, rel=0.06 if mean < 0.1 else 0.02)


@pytest.mark.parametrize("exposure", [1.0, 4.0])
@pytest.mark.parametrize("mean", MEANS)
@pytest.mark.parametrize("likelihood", EVERY, ids=str)
def test_mean_and_variance_of_the_deviance(likelihood, mean, exposure):
    data, model, weight = pixels(likelihood, mean, exposure=exposure, seed=1)
    deviance = likelihood.terms(data, model, weight).deviance
    first, second = (float(moment.mean()) for moment in likelihood.expected(model, weight))
    assert float(deviance.mean()) == pytest.approx(first, rel=0.02)
    assert float(deviance.var()) == pytest.approx(second, rel=0.06)


def test_the_deviance_of_counts_is_that_of_scipy():
    n, m = torch.meshgrid(torch.arange(0.0, 200.0, 7.0), torch.linspace(0.5, 250, 60), indexing="ij")
    n, m = n[None].double(), m[None].double()
    expected = -2 * (stats.poisson.logpmf(n, m) - stats.poisson.logpmf(n, n))
    np.testing.assert_allclose(Poisson().terms(n, m, torch.ones_like(n)).deviance, expected, atol=1e-8)
    # the deviance of a sum of pixels is that of their mean which counts as often
    summed = Poisson().terms(n / 4, m / 4, torch.full_like(n, 2.0)).deviance
    np.testing.assert_allclose(summed, expected, atol=1e-8)


def test_the_deviance_of_a_faint_sky_beside_a_bright_source_is_that_of_cash():
    model = torch.full((1, 64, 64), 0.01, dtype=torch.float64)
    model[:, 20:30, 20:30] += 1e4  # 244 counts a pixel in the mean
    data = torch.poisson(model, generator=torch.Generator().manual_seed(0))
    expected = -2 * (stats.poisson.logpmf(data, model) - stats.poisson.logpmf(data, data))
    terms = Poisson().terms(data, model, torch.ones_like(data))
    np.testing.assert_allclose(terms.deviance, expected, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(Poisson().information(model, torch.ones_like(data)), 1 / model)


def test_many_counts_in_single_precision():
    n = torch.full((1, 8, 8), 1e6)
    m = n + torch.linspace(-3000, 3000, 64).reshape(n.shape)
    np.testing.assert_allclose(
        Poisson().terms(n, m, torch.ones_like(n)).deviance, (n - m).square() / m, rtol=2e-3, atol=1e-6
    )


def test_a_model_below_zero_is_drawn_back_and_never_infinite():
    n = torch.tensor([[[0.0, 0.0, 1.0, 5.0]]]).expand(5, 1, 4)
    m = torch.tensor([-1e6, -1.0, 0.0, 1e-9, 1e-3])[:, None, None].expand_as(n)
    terms = Poisson().terms(n, m, torch.ones_like(n))
    assert all(torch.isfinite(term).all() for term in terms)
    assert (terms.score[:2] > 0).all() and (terms.score[2:4, :, 2:] > 0).all()
    assert (terms.deviance[1:] < terms.deviance[:1]).all()  # the farther below, the worse
    nothing = Poisson().terms(torch.zeros(1, 4, 4), torch.zeros(1, 4, 4), torch.ones(1, 4, 4))
    assert all(torch.isfinite(term).all() for term in nothing)


def test_student_t_is_that_of_scipy_and_tends_to_the_normal():
    z = torch.linspace(-30, 30, 101, dtype=torch.float64)[None, None]
    kind = StudentT(dof=3.0, scale=2.0)
    log = stats.t(3.0, scale=2.0 / 0.5).logpdf
    np.testing.assert_allclose(
        kind.terms(z, 0 * z, torch.full_like(z, 0.5)).deviance, -2 * (log(z) - log(0)), rtol=1e-10, atol=1e-12
    )
    for one, other in zip(
        StudentT(dof=1e9).terms(z, 0 * z, torch.ones_like(z)), Gaussian().terms(z, 0 * z, torch.ones_like(z))
    ):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("likelihood", EVERY, ids=str)
def test_draws_are_of_the_likelihood(likelihood):
    model, rng = np.full((1, 100_000), 6.0), np.random.default_rng(2)
    drawn = likelihood.draw(model, np.ones(model.shape, bool), rng)
    assert drawn.dtype == np.float32 and drawn.shape == model.shape
    if likelihood.counts:
        np.testing.assert_allclose(drawn + 6, np.round(drawn + 6), atol=1e-5)
        assert drawn.var() == pytest.approx(6, rel=0.03)
    else:
        kind = (
            stats.t(likelihood.dof, scale=likelihood.scale)
            if isinstance(likelihood, StudentT)
            else stats.norm
        )
        assert np.quantile(drawn, 0.9) == pytest.approx(kind.ppf(0.9), rel=0.03)


@pytest.mark.parametrize(
    ("given", "what", "remedy"),
    [
        ("likelihood=cash", "There is no likelihood called cash.", "gaussian, poisson, student_t"),
        (
            "likelihood.name=cash",
            "There is no likelihood called 'cash'.",
            "Choose one of: gaussian, poisson, student_t; your own is MODULE:CLASS.",
        ),
        ("likelihood=student_t likelihood.dof=0", "likelihood.dof=0 is not possible.", "above zero"),
        ("likelihood=student_t likelihood.dof=-3.5", "likelihood.dof=-3.5 is not possible.", "above zero"),
        ("likelihood=student_t likelihood.dof=nan", "likelihood.dof=nan is not possible.", "above zero"),
        (
            "likelihood=student_t likelihood.dof=inf",
            "likelihood.dof=inf is not possible.",
            "likelihood=gaussian",
        ),
        ("likelihood=student_t likelihood.dof=few", "likelihood.dof=few is not possible.", "Give a number"),
        ("likelihood=student_t likelihood.scale=0", "likelihood.scale=0 is not possible.", "above zero"),
        (
            "likelihood=poisson +likelihood.dof=4",
            "The likelihood poisson does not take these settings: dof.",
            "conf/likelihood/poisson.yaml",
        ),
        (
            "likelihood=student_t +likelihood.dog=4",
            "The likelihood student_t does not take these settings: dog.",
            "Did you mean likelihood.dof?",
        ),
    ],
)
def test_what_cannot_be(given, what, remedy):
    with pytest.raises(AutogalError) as error:
        build_likelihood(compose(overrides=given.split()))
    assert error.value.what.startswith(what) and remedy in error.value.remedy


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_every_name_is_a_choice(name):
    assert build_likelihood(compose(overrides=[f"likelihood={name}"])).name == name


def test_blocks_of_residuals_are_no_counts():
    with pytest.raises(AutogalError, match="residuals that are moved about are no counts"):
        build_bootstrap(
            compose(overrides=["likelihood=poisson", "uncertainty=both", "uncertainty.kind=block"])
        )
