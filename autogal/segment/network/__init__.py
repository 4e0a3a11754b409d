"""Segmentation by a Mask R-CNN."""

__all__ = []
