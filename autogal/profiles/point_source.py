"""The point source."""

from __future__ import annotations

from autogal.profiles.light import Light

__all__ = ["PointSource"]


class PointSource(Light):
    """A star or an active nucleus: the PSF itself. Its transform is 1, and all of its light is at its
    centre."""

    name = "point_source"
    renderer = "autogal.rendering.point:PointRenderer"
    component = "autogal.model.point:PointComponent"
