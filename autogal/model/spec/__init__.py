"""From what a configuration says of a model to the model."""

from autogal.model.spec.build import build_model
from autogal.model.spec.overrides import is_whole_model, model_overrides, plain

__all__ = ["build_model", "is_whole_model", "model_overrides", "plain"]
