"""How data scatter around a model: what a fit maximises."""

from autogal.likelihood.gaussian import Gaussian
from autogal.likelihood.likelihood import Likelihood, Terms
from autogal.likelihood.poisson import Poisson
from autogal.likelihood.student_t import StudentT

__all__ = ["LIKELIHOODS", "Gaussian", "Likelihood", "Poisson", "StudentT", "Terms"]

#: By their names in the configuration
LIKELIHOODS: dict[str, type[Likelihood]] = {kind.name: kind for kind in (Gaussian, Poisson, StudentT)}
