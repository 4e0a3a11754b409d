"""Batched minimisers: a problem in, a status per item out. They know no astronomy."""

from autogal.solvers.differential_evolution import DifferentialEvolution
from autogal.solvers.first_order import LBFGS, Adam
from autogal.solvers.levenberg_marquardt import LevenbergMarquardt
from autogal.solvers.nelder_mead import NelderMead
from autogal.solvers.outcome import Linearisation, Linearise, Outcome, Solver, Status, without_search

__all__ = [
    "LBFGS",
    "SOLVERS",
    "Adam",
    "DifferentialEvolution",
    "LevenbergMarquardt",
    "Linearisation",
    "Linearise",
    "NelderMead",
    "Outcome",
    "Solver",
    "Status",
    "without_search",
]

#: By their names in the configuration
SOLVERS: dict[str, type[Solver]] = {
    "lm": LevenbergMarquardt,
    "adam": Adam,
    "lbfgs": LBFGS,
    "de": DifferentialEvolution,
    "nelder_mead": NelderMead,
}
