"""Uncertainties of fitted parameters."""

from autogal.uncertainty.bootstrap import KINDS, Bootstrap, replicate_covariance
from autogal.uncertainty.covariance import covariance

__all__ = ["KINDS", "Bootstrap", "covariance", "replicate_covariance"]
