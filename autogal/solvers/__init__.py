"""Batched minimisers: a problem in, a status per item out. They know no astronomy."""

from autogal.solvers.levenberg_marquardt import levenberg_marquardt
from autogal.solvers.outcome import Linearisation, Outcome, Status

__all__ = ["Linearisation", "Outcome", "Status", "levenberg_marquardt"]
