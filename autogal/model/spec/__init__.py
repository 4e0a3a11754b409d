"""From what a configuration says of a model to the model."""

__all__ = []
