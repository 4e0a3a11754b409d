"""Uncertainties of fitted parameters."""

from autogal.uncertainty.covariance import covariance

__all__ = ["covariance"]
