"""Segmentation by SExtractor's algorithms."""

__all__ = []
