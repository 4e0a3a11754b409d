"""A solver of one's own: a class in a file of one's own, named in the configuration; 0 files of the
package."""

from __future__ import annotations

import numpy as np
import pytest

from autogal.configuration.composing import compose
from autogal.errors import AutogalError
from autogal.fitting.choices import build_solver
from autogal.solvers import LevenbergMarquardt

from .files import few_galaxies, fit, off, write

SOLVER = '''
import torch
from autogal.solvers import Outcome, Status
from autogal.solvers.newton import newton_step


class Halving:
    """Gauss-Newton steps, halved until chi-square falls."""

    def __init__(self, max_iterations=80, tolerance=1e-3):
        self.max_iterations, self.tolerance = max_iterations, tolerance

    def __call__(self, linearise, start, lower, upper, step_limit, tolerance, noise):
        lower, upper = lower.expand_as(start), upper.expand_as(start)
        items = torch.arange(len(start), device=start.device)
        state = linearise(torch.minimum(torch.maximum(start, lower), upper), items)
        out = Outcome.begin(state)
        length, sound = torch.ones_like(state.chi2), state.finite()
        out.status[~sound] = int(Status.FAILED)
        for _ in range(self.max_iterations):
            step, frozen = newton_step(state, torch.zeros_like(length), lower, upper)
            ended = sound & ((step * state.gradient).sum(-1) < tolerance)
            out.mark_converged(items, ended, frozen)
            if bool((ended | ~sound).all()):
                break
            step = step * (step_limit / step.abs().clamp(min=1e-300)).amin(-1).clamp(max=1.0)[:, None] * length[:, None]
            trial = linearise(torch.minimum(torch.maximum(state.theta + step, lower), upper), items)
            better = trial.finite() & (trial.chi2 <= state.chi2 * (1 + noise)) & ~ended
            state = state.where(better, trial)
            out.n_iter += ~ended
            length = torch.where(better, 1.0, length / 2)
        out.keep(items, state)
        return out
'''


@pytest.fixture
def solver(tmp_path, monkeypatch) -> str:
    write(tmp_path, "my_solvers.py", SOLVER)
    monkeypatch.chdir(tmp_path)
    return "my_solvers:Halving"


def test_it_finds_what_the_built_in_one_finds(solver):
    observed = few_galaxies()
    own, usual = fit(observed, solver=solver), fit(observed)
    assert list(own.table["status"]) == ["converged"] * 3
    assert np.abs(off(own, observed) - off(usual, observed)).max() < 0.1  # in units of the errors
    np.testing.assert_allclose(own.table["mag_err"], usual.table["mag_err"], rtol=0.02)
    assert own.settings["solver"]["name"] == solver


def test_its_settings_are_arguments_of_its_class(solver):
    words = [f"solver={solver}", "solver.max_iterations=7"]
    assert build_solver(compose(overrides=words).solver).max_iterations == 7
    assert build_solver(compose(overrides=words[::-1]).solver).max_iterations == 7
    assert build_solver(compose(overrides=[f"solver.name={solver}"]).solver).max_iterations == 80, (
        "none are left of the usual solver"
    )
    assert (
        build_solver(
            compose(overrides=[f"solver={{name: '{solver}', max_iterations: 9}}"]).solver
        ).max_iterations
        == 9
    )
    assert isinstance(
        build_solver(compose(overrides=[f"solver={solver}", "solver=lm"]).solver), LevenbergMarquardt
    ), "the last word counts"
    with pytest.raises(AutogalError, match="does not take these settings: damping"):
        build_solver(compose(overrides=[f"solver={solver}", "solver.damping=1"]).solver)


def test_on_the_command_line(solver, tmp_path, write_galaxy, autogal_command):
    write_galaxy(tmp_path / "galaxy.fits", tmp_path / "psf.fits")
    done = autogal_command(
        "fit",
        "galaxy.fits",
        "psf.path=psf.fits",
        f"solver={solver}",
        "solver.max_iterations=60",
        "zeropoint=25",
        "out=run",
        "segment=sep",
        "initialise=moments",
        "device=cpu",
    )
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "my_solvers.py") in (tmp_path / "run" / "config.yaml").read_text(), (
        "as every process finds it"
    )


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (("out.keep(items, state)\n        return out", "return state"), "gives a Linearisation"),
        (
            ("length, sound =", "lower, upper = lower - 99, upper + 99\n        length, sound ="),
            "leaves the bounds",
        ),
        (("ended = sound & (", "ended = ~sound | ("), "whose chi-square is NaN"),
        (
            ("ended = sound & ((step * state.gradient).sum(-1) < tolerance)", "ended = sound & (length > 0)"),
            "says that it converged at",
        ),
        (
            (
                "self.max_iterations, self.tolerance = max_iterations, tolerance",
                "self.max_iterations = max_iterations",
            ),
            "has no tolerance",
        ),
        (
            (
                "newton_step(state, torch.zeros_like(length), lower, upper)",
                "newton_step(state, lower, upper)",
            ),
            "fails: TypeError",
        ),
        (
            (
                "        items = torch.arange",
                "        start += 0.0\n        start[:] = 1\n        items = torch.arange",
            ),
            "changes the starts",
        ),
        (
            ("better = trial.finite()", "better = (trial.chi2.sum() < 0) & trial.finite()"),
            "does not converge in any",
        ),
    ],
)
def test_what_no_fit_can_rely_on_is_refused_before_the_run(changed, words, tmp_path, monkeypatch):
    assert changed[0] in SOLVER
    write(tmp_path, "broken.py", SOLVER.replace(*changed))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AutogalError, match=words) as caught:
        build_solver(compose(overrides=["solver=broken:Halving"]).solver)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("my_solvers:Nothing", "There is no Nothing in"),
        ("my_solvers:newton_step", "is not a solver"),
        ("no_such_module:X", "There is no module no_such_module"),
        ("lmm", "There is no solver called"),
    ],
)
def test_what_names_no_solver(name, words, solver):
    with pytest.raises(AutogalError, match=words) as caught:
        build_solver(compose(overrides=[f"solver={name}"]).solver)
    assert caught.value.remedy
