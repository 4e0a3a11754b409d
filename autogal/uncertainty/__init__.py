"""Uncertainties of fitted parameters."""

from autogal.uncertainty.bootstrap import KINDS, Bootstrap, replicate_covariance
from autogal.uncertainty.covariance import covariance
from autogal.uncertainty.posterior import Posterior
from autogal.uncertainty.shape import in_plane, shape_errors
from autogal.uncertainty.shape_plane import plane_of

__all__ = [
    "KINDS",
    "Bootstrap",
    "Posterior",
    "covariance",
    "in_plane",
    "plane_of",
    "replicate_covariance",
    "shape_errors",
]
