"""Linearisations under a likelihood that is not a sum of squares: exact slopes, best fluxes, Fisher's
matrix."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from autogal.batch.irls import ReweightedProblem
from autogal.batch.least_squares import StampProblem
from autogal.likelihood import Gaussian, Poisson, StudentT
from autogal.model.model import Model

from ..rendering.test_derivatives import GALAXIES, SHAPE, drawing, free_vector

NONLINEAR = (0, 1, 3, 4, 5, 6)


def problem(likelihood, free, seed=5, hold_sky=False, shift=0.05, chunk=8, kind=ReweightedProblem, **more):
    """A problem whose data are drawn around a model near `free` [B, P]."""
    model, rng = Model(holds_sky=hold_sky), np.random.default_rng(seed)
    renderer, psf = drawing(free)
    truth = free.clone()
    truth[:, NONLINEAR] += torch.from_numpy(rng.normal(0, shift, (len(free), len(NONLINEAR))))
    mean = (
        renderer.draw(model.native(truth)[0], psf)[:, 0] * truth[:, 2, None, None] + truth[:, -1, None, None]
    ).numpy()
    weight = np.ones_like(mean)
    data = mean + np.stack([likelihood.draw(image, np.ones(SHAPE, bool), rng) for image in mean])
    weight[:, 10:14, 8:20] = 0.0
    data, weight = torch.from_numpy(np.where(weight > 0, data, 0.0)), torch.from_numpy(weight)
    given = {"likelihood": likelihood} if kind is ReweightedProblem else {}
    return kind(
        model,
        (renderer,),
        data,
        weight,
        psf,
        torch.zeros(len(free), dtype=torch.long),
        chunk,
        **given,
        **more,
    )


LIKELIHOODS = [Poisson(), StudentT()]


@pytest.mark.parametrize("hold_sky", [False, True])
@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=str)
def test_gradient_of_the_deviance(likelihood, hold_sky):
    free, item = free_vector(GALAXIES["usual"], flux=2000.0, sky=0.5), torch.tensor([0])
    made = problem(likelihood, free, hold_sky=hold_sky)
    state = made.linearise(free, item)
    for _ in range(3):  # as a solver's steps do
        state = made.linearise(state.theta, item)
    errors = state.hessian.diagonal(dim1=-2, dim2=-1).rsqrt()[0]
    # fluxes and sky are at their best: what is left of their pull would move them by nothing that can be seen
    left = (state.gradient * errors)[0, list(made.model.linear)]
    assert left.abs().max() < 1e-3
    assert (state.theta[0, -1] == free[0, -1]) == hold_sky
    for i in NONLINEAR:
        step = torch.zeros_like(free)
        step[0, i] = 3e-2
        one, two = (
            float(
                made.linearise(state.theta + m * step, item).chi2
                - made.linearise(state.theta - m * step, item).chi2
            )
            for m in (1, 2)
        )
        numerical = (8 * one - two) / (12 * 3e-2)
        off = abs(numerical + 2 * float(state.gradient[0, i])) * float(errors[i])
        assert off < 0.01 * (1 + abs(numerical) * float(errors[i])), f"parameter {i}: {off:.1e}"


def test_a_sum_of_squares_gives_what_the_plain_problem_does():
    free, item = free_vector(GALAXIES["usual"], flux=2000.0, sky=0.5), torch.tensor([0])
    plain, other = (
        problem(Gaussian(), free, kind=kind).linearise(free, item)
        for kind in (StampProblem, ReweightedProblem)
    )
    for one, two in zip(plain, other, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-8, atol=1e-6)


@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=str)
def test_a_far_start_finds_its_flux_and_sky(likelihood):
    free, item = free_vector(GALAXIES["usual"], flux=2000.0, sky=0.5), torch.tensor([0])
    made = problem(likelihood, free, shift=0.0)
    near = made.linearise(free, item)
    far = free.clone()
    far[0, 2], far[0, -1] = 1200.0, 2.0
    for _ in range(3):  # as a solver's steps do
        state = made.linearise(far, item)
        assert state.chi2 <= made.linearise(far, item).chi2
        far = state.theta
    torch.testing.assert_close(state.theta, near.theta, rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=str)
def test_a_linearisation_does_not_depend_on_the_company(likelihood):
    free = torch.cat([free_vector(g, flux=800.0, sky=0.3) for g in list(GALAXIES.values())[:3]])
    renderer, psf = drawing(free[:1])
    data = torch.from_numpy(np.random.default_rng(1).poisson(2.0, (3, *SHAPE)).astype(float))
    make = lambda chunk: ReweightedProblem(
        Model(),
        (renderer,),
        data,
        torch.ones_like(data),
        psf,
        torch.zeros(3, dtype=torch.long),
        chunk,
        likelihood=likelihood,
    )
    together = make(3).linearise(free, torch.arange(3))
    for i in range(3):
        for one, many in zip(make(1).linearise(free[i : i + 1], torch.tensor([i])), together, strict=True):
            torch.testing.assert_close(one[0], many[i], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=str)
def test_a_pixel_that_counts_twice(likelihood):
    free, item = free_vector(GALAXIES["usual"], flux=2000.0, sky=0.5), torch.tensor([0])
    once, twice = (
        problem(likelihood, free),
        problem(likelihood, free, times=torch.full((1, *SHAPE), 2.0, dtype=torch.float64)),
    )
    one, two = once.linearise(free, item), twice.linearise(free, item)
    deviances = [state.chi2 - made.penalty(state.theta, item) for state, made in ((one, once), (two, twice))]
    torch.testing.assert_close(2 * deviances[0], deviances[1], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(one.theta, two.theta, rtol=1e-4, atol=1e-4)


def test_fishers_matrix_of_heavy_tails():
    # of normal noise it would be J^T J; heavy tails leave (dof + 1) / (dof + 3) of it
    free, item = free_vector(GALAXIES["usual"], flux=2000.0, sky=0.5), torch.tensor([0])
    made = problem(StudentT(), free)
    prior = made.model.prior(free)[2]
    plain = StampProblem(made.model, made.renderers, made.data, made.weight, made.psf, made.psf_index, 1)
    gram, _ = plain._sums_or_halves(*plain._pieces_at(free, item)[0])
    lift = made.model.image_jacobian(free)
    matrix, mean, variance = made.judge(free, item)
    torch.testing.assert_close(
        matrix - prior, 5 / 7 * (lift.mT @ gram[:, :-1, :-1] @ lift), rtol=1e-8, atol=1e-8
    )
    used = int((made.weight > 0).sum())
    assert float(mean) == pytest.approx(used * 1.40186, rel=1e-4) and float(variance) > 0
