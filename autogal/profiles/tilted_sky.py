"""The tilted sky."""

from __future__ import annotations

from autogal.profiles.light import Light

__all__ = ["TiltedSky"]


class TiltedSky(Light):
    """The slopes of a sky that is a plane; its level at the centre of the image is the model's flat sky.

    It has no flux, and the PSF leaves it as it is.
    """

    name = "tilted_sky"
    renderer = "autogal.rendering.plane:PlaneRenderer"
    component = "autogal.model.plane:PlaneComponent"
