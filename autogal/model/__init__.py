"""Components and their parameters, as astronomers write them and as the solver moves them: bounds, ties,
priors."""

from autogal.model.model import Model

__all__ = ["Model"]
