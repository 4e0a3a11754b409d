"""The small run that the results are tried on."""

from ..results.conftest import run

__all__ = ["run"]
