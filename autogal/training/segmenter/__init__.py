"""The training of the Mask R-CNN that finds the target and its neighbours."""

__all__ = []
