"""The training of the ResNet-50 that predicts starting values."""

__all__ = []
