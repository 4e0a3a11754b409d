"""The solvers on problems whose answers are known, and on items that no solver can solve."""

from __future__ import annotations

import math

import pytest
import torch

from autogal.solvers import (
    LBFGS,
    Adam,
    DifferentialEvolution,
    LevenbergMarquardt,
    Linearisation,
    NelderMead,
    Status,
)

SOLVERS = {
    "lm": LevenbergMarquardt(),
    "adam": Adam(max_iterations=4000),
    "lbfgs": LBFGS(),
    "de": DifferentialEvolution(),
    "nelder_mead": NelderMead(),
}
TIMES = torch.linspace(0, 4, 25, dtype=torch.float64)


class CurveFit:
    """data = a exp(-t / tau) + c + noise of each item; free vector (a, ln tau, c). Counts what it is asked
    for."""

    def __init__(self, count=6, noise=0.01, seed=0):
        rng = torch.Generator().manual_seed(seed)
        self.truth = torch.stack(
            [
                1 + torch.rand(count, generator=rng, dtype=torch.float64),
                torch.rand(count, generator=rng, dtype=torch.float64),
                torch.randn(count, generator=rng, dtype=torch.float64),
            ],
            dim=-1,
        )
        self.noise = noise
        self.data = self.curve(self.truth) + noise * torch.randn(
            (count, len(TIMES)), generator=rng, dtype=torch.float64
        )
        self.asked = []

    @staticmethod
    def curve(theta):
        return theta[:, :1] * torch.exp(-TIMES / theta[:, 1:2].exp()) + theta[:, 2:]

    def __call__(self, theta, items):
        self.asked.append(len(items))
        fall = torch.exp(-TIMES / theta[:, 1:2].exp())
        jacobian = (
            torch.stack(
                [fall, theta[:, :1] * fall * TIMES / theta[:, 1:2].exp(), torch.ones_like(fall)], dim=-1
            )
            / self.noise
        )
        residual = (self.data[items] - self.curve(theta)) / self.noise
        return Linearisation(
            theta,
            residual.square().sum(-1),
            (jacobian.mT @ residual[..., None])[..., 0],
            jacobian.mT @ jacobian,
        )

    def start(self):
        return torch.tensor([1.0, 1.5, 0.0], dtype=torch.float64).repeat(len(self.data), 1)

    def minimum(self):
        """The optimum by many plain Gauss-Newton steps from the truth."""
        theta = self.truth.clone()
        for _ in range(50):
            state = self(theta, torch.arange(len(theta)))
            theta = theta + torch.linalg.solve(state.hessian, state.gradient)
        return self(theta, torch.arange(len(theta)))


def rosenbrock(theta, items):
    """Residuals 10 (y - x^2) and 1 - x; the minimum, 0, is at (1, 1)."""
    x, y = theta.unbind(-1)
    residual = torch.stack([-10 * (y - x**2), -(1 - x)], dim=-1)  # data minus model
    jacobian = torch.stack(
        [
            torch.stack([-20 * x, torch.full_like(x, 10)], -1),
            torch.stack([-torch.ones_like(x), torch.zeros_like(x)], -1),
        ],
        dim=-2,
    )
    return Linearisation(
        theta, residual.square().sum(-1), (jacobian.mT @ residual[..., None])[..., 0], jacobian.mT @ jacobian
    )


def solve(solver, problem, start, lower=None, upper=None, step_limit=None, tolerance=1e-10, noise=1e-13):
    size = start.shape[1]
    free = torch.full((size,), math.inf, dtype=torch.float64)
    limit = torch.ones(size, dtype=torch.float64) if step_limit is None else step_limit
    return solver(
        problem,
        start,
        -free if lower is None else lower,
        free if upper is None else upper,
        limit,
        tolerance,
        noise,
    )


def test_the_last_step_does_not_follow_what_rounding_says_of_a_direction_that_data_do_not_tell():
    def problem(theta, items):  # (x - 1)^2, and of y what single precision leaves of zero
        gradient = torch.stack([1 - theta[:, 0], torch.full_like(theta[:, 1], 1e-4)], -1)
        hessian = torch.diag_embed(torch.tensor([[1.0, 1e-5]], dtype=torch.float64).expand(len(theta), -1))
        return Linearisation(theta, (theta[:, 0] - 1) ** 2, gradient, hessian)

    out = solve(
        LevenbergMarquardt(),
        problem,
        torch.tensor([[1.01, 2.0], [1.0, 2.0]], dtype=torch.float64),
        tolerance=1e-2,
    )
    assert (
        (out.status == Status.CONVERGED).all()
        and (out.theta[:, 1] == 2.0).all()
        and ((out.theta[:, 0] - 1).abs() < 0.02).all()
    )


@pytest.fixture(params=SOLVERS)
def solver(request):
    return SOLVERS[request.param]


def test_the_minimum_of_a_curve_fit(solver):
    problem = CurveFit()
    out = solve(solver, problem, problem.start(), tolerance=1e-8)
    best = problem.minimum()
    assert (out.status == Status.CONVERGED).all()
    errors = torch.linalg.inv(best.hessian).diagonal(dim1=-2, dim2=-1).sqrt()
    assert ((out.theta - best.theta).abs() / errors).max() < 1e-3
    torch.testing.assert_close(out.chi2, best.chi2, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(out.hessian, best.hessian, rtol=1e-2, atol=1.0)
    assert not out.at_bound.any()


@pytest.mark.parametrize("name", ["lm", "lbfgs", "de", "nelder_mead"])
def test_rosenbrocks_valley(name):
    start = torch.tensor([[-1.2, 1.0], [2.0, -3.0], [0.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    out = solve(SOLVERS[name], rosenbrock, start)
    assert (out.status == Status.CONVERGED).all()
    assert (out.theta - 1).abs().max() < 1e-3
    assert len(set(out.n_iter.tolist())) > 1  # each its own number of evaluations


def test_bounds_hold_and_are_reported(solver):
    problem = CurveFit()
    best = problem.minimum()
    upper = torch.tensor([math.inf, math.inf, math.inf], dtype=torch.float64).repeat(6, 1)
    upper[::2, 1] = best.theta[::2, 1] - 0.2  # half of the items cannot reach their minimum
    lower = torch.full_like(upper, -math.inf)
    start = problem.start()
    start[:, 1] = 0.0
    out = solve(solver, problem, start, lower, upper, tolerance=1e-8)
    assert (out.theta <= upper).all()
    assert (out.status == Status.CONVERGED).all()
    torch.testing.assert_close(out.theta[::2, 1], upper[::2, 1])
    assert out.at_bound[::2, 1].all() and out.at_bound.sum() == 3
    # what is left free is at its own minimum: no pull remains on it
    pull = out.gradient[::2][:, [0, 2]] / out.hessian[::2].diagonal(dim1=-2, dim2=-1)[:, [0, 2]].sqrt()
    assert pull.abs().max() < 1e-2
    assert (out.theta[1::2] - best.theta[1::2]).abs().max() < 1e-3


def test_a_start_out_of_bounds_is_brought_inside(solver):
    problem = CurveFit()
    lower, upper = problem.truth - 1.0, problem.truth + 1.0
    out = solve(solver, problem, problem.truth + 5.0, lower, upper, tolerance=1e-8)
    assert (out.theta >= lower).all() and (out.theta <= upper).all()
    assert (out.status == Status.CONVERGED).all()


class Mixed(CurveFit):
    """Items 0, 4 and 5 are sound; 1 is NaN from the start, 2 becomes NaN on the way, 3 has a parameter
    nobody sees."""

    def __call__(self, theta, items):
        state = super().__call__(theta, items)
        chi2, gradient, hessian = state.chi2.clone(), state.gradient.clone(), state.hessian.clone()
        chi2[items == 1] = math.nan
        hessian[items == 1] = math.nan
        away = (items == 2) & ((theta - self.start()[0]).abs().amax(-1) > 1e-12)
        chi2[away], gradient[away] = math.nan, math.nan
        blind = items == 3
        gradient[blind, 1] = 0.0
        hessian[blind, 1, :] = 0.0
        hessian[blind, :, 1] = 0.0
        return Linearisation(state.theta, chi2, gradient, hessian)


def test_bad_items_touch_no_other(solver):
    problem = Mixed()
    together = solve(solver, problem, problem.start(), tolerance=1e-8)
    assert together.status[1] == Status.FAILED
    assert together.status[2] != Status.CONVERGED and torch.isfinite(together.theta[2]).all()
    assert (together.status[[0, 4, 5]] == Status.CONVERGED).all()
    assert torch.isfinite(together.theta[3]).all()
    clean = solve(solver, CurveFit(), problem.start(), tolerance=1e-8)
    torch.testing.assert_close(together.theta[[0, 4, 5]], clean.theta[[0, 4, 5]], rtol=1e-9, atol=1e-9)


def test_each_item_alone_equals_itself_in_the_batch(solver):
    problem = Mixed()
    together = solve(solver, problem, problem.start(), tolerance=1e-8)
    for i in range(6):
        alone = solve(
            solver,
            lambda theta, items, i=i: problem(theta, items + i),
            problem.start()[i : i + 1],
            tolerance=1e-8,
        )
        for name in ("theta", "chi2", "status", "n_iter", "at_bound"):
            torch.testing.assert_close(
                getattr(alone, name)[0], getattr(together, name)[i], rtol=1e-9, atol=1e-9, equal_nan=True
            )


def test_order_does_not_matter(solver):
    problem = Mixed()
    order = torch.tensor([3, 5, 1, 0, 2, 4])
    together = solve(solver, problem, problem.start(), tolerance=1e-8)
    shuffled = solve(
        solver, lambda theta, items: problem(theta, order[items]), problem.start()[order], tolerance=1e-8
    )
    torch.testing.assert_close(shuffled.theta, together.theta[order], rtol=1e-9, atol=1e-9, equal_nan=True)
    assert (shuffled.status == together.status[order]).all()


def test_finished_items_leave_the_batch(solver):
    problem = CurveFit()
    start = problem.start()
    start[:5] = problem.minimum().theta[:5]
    problem.asked.clear()
    solve(solver, problem, start, tolerance=1e-6)
    if isinstance(
        solver, DifferentialEvolution | NelderMead
    ):  # each ends when its own population or simplex has closed in
        assert problem.asked[0] == 6 and min(problem.asked) < max(problem.asked)
    else:
        assert problem.asked[0] == 6 and set(problem.asked[3:]) == {1}


@pytest.mark.parametrize("name", ["de", "nelder_mead"])
def test_searches_find_the_lowest_of_many_minima(name):
    """Rastrigin's function as a sum of squares: a minimum at every whole number, the lowest at 0."""

    def problem(theta, items):
        wave, slope = 2 * torch.sin(math.pi * theta), 2 * math.pi * torch.cos(math.pi * theta)
        residual, jacobian = (
            torch.cat([-theta, -wave], -1),
            torch.cat([torch.diag_embed(torch.ones_like(theta)), torch.diag_embed(slope)], -2),
        )
        return Linearisation(
            theta,
            residual.square().sum(-1),
            (jacobian.mT @ residual[..., None])[..., 0],
            jacobian.mT @ jacobian,
        )

    start = torch.tensor([[2.9, -3.1], [1.1, 2.0], [0.1, 0.1]], dtype=torch.float64)
    out = solve(SOLVERS[name], problem, start, step_limit=torch.full((2,), 2.0, dtype=torch.float64))
    assert (out.status == Status.CONVERGED).all() and out.theta.abs().max() < 1e-4
    stuck = solve(SOLVERS["lm"], problem, start)
    assert stuck.theta[0].abs().min() > 0.5, "the same starts lead downhill to other minima"


@pytest.mark.parametrize("name", ["de", "nelder_mead"])
def test_searches_ask_for_chi_square_alone_where_they_can(name):
    class Cheap(CurveFit):
        drawn = 0

        def evaluate(self, theta, items):
            self.drawn += len(items)
            return theta, ((self.data[items] - self.curve(theta)) / self.noise).square().sum(-1)

    problem, plain = Cheap(), CurveFit()
    out, other = solve(SOLVERS[name], problem, problem.start()), solve(SOLVERS[name], plain, plain.start())
    torch.testing.assert_close(out.theta, other.theta, rtol=1e-6, atol=1e-6)
    assert problem.drawn + sum(problem.asked) == sum(plain.asked) and problem.drawn > 0


@pytest.mark.parametrize("make", [LevenbergMarquardt, Adam, LBFGS])
def test_too_few_iterations_are_said_to_be_too_few(make):
    problem = CurveFit()
    start = problem.start()
    start[0] = problem.minimum().theta[0]
    out = solve(make(max_iterations=3), problem, start, tolerance=1e-8)
    assert out.status[0] == Status.CONVERGED and (out.status[1:] == Status.NOT_CONVERGED).all()
    assert (out.n_iter <= 3).all()
    assert (
        out.chi2 <= CurveFit()(start, torch.arange(6)).chi2 * (1 + 1e-9)
    ).all()  # the best seen, never worse than the start


def test_the_result_is_the_best_point_not_the_last(solver):
    problem = CurveFit()
    seen = []

    def watched(theta, items):
        state = problem(theta, items)
        seen.append(state.chi2.clone())
        return state

    out = solve(solver, watched, problem.start()[:1], tolerance=1e-8)
    assert out.chi2[0] <= min(float(c[0]) for c in seen) + 1e-6


def test_a_step_is_never_longer_than_the_limit():
    problem = CurveFit()
    path = []

    def watched(theta, items):
        path.append(theta.clone())
        return problem(theta, items)

    start = problem.start()[:1] + 4.0
    solve(SOLVERS["lm"], watched, start, step_limit=torch.full((3,), 0.25, dtype=torch.float64))
    assert len(path) > 5
    for k, trial in enumerate(path[1:], start=1):
        # from wherever the solver stands, each trial is within the limit of some earlier point
        assert min((trial - p).abs().max().item() for p in path[:k]) <= 0.25 + 1e-12


def test_an_empty_batch(solver):
    out = solve(solver, CurveFit(), torch.empty((0, 3), dtype=torch.float64))
    assert out.theta.shape == (0, 3) and out.status.shape == (0,)


def test_the_start_is_not_changed(solver):
    problem = CurveFit()
    start = problem.start()
    before = start.clone()
    solve(solver, problem, start, tolerance=1e-6)
    assert torch.equal(start, before)
