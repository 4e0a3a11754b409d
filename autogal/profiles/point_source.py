"""The point source."""

from __future__ import annotations

__all__ = ["PointSource"]


class PointSource:
    """A star or an active nucleus: the PSF itself. Its transform is 1, and all of its light is at its centre."""

    name = "point_source"
