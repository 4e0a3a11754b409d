"""Stamps of one shape, fitted many at a time: their tensors, their normal equations, their grids, the
memory they take."""

__all__ = []
