"""How good masks, starting values and fits are where the truth is known: ``autogal evaluate``."""

from autogal.evaluate.report import Grid, Report

__all__ = ["Grid", "Report"]
