"""Uncertainties of fitted parameters."""

from autogal.uncertainty.bootstrap import KINDS, Bootstrap, replicate_covariance
from autogal.uncertainty.covariance import covariance
from autogal.uncertainty.shape import in_plane, shape_errors

__all__ = ["KINDS", "Bootstrap", "covariance", "in_plane", "replicate_covariance", "shape_errors"]
