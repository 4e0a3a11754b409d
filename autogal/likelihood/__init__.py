"""How data scatter around a model: what a fit maximises."""

from autogal.likelihood.gaussian import Gaussian
from autogal.likelihood.likelihood import Likelihood, Terms
from autogal.likelihood.poisson import Poisson
from autogal.likelihood.registry import LIKELIHOODS, likelihood_class
from autogal.likelihood.student_t import StudentT
from autogal.likelihood.validation import validate_likelihood

__all__ = [
    "LIKELIHOODS",
    "Gaussian",
    "Likelihood",
    "Poisson",
    "StudentT",
    "Terms",
    "likelihood_class",
    "validate_likelihood",
]
