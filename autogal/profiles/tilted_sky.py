"""The tilted sky."""

from __future__ import annotations

__all__ = ["TiltedSky"]


class TiltedSky:
    """The slopes of a sky that is a plane; its level at the centre of the image is the model's flat sky.

    It has no flux, and the PSF leaves it as it is.
    """

    name = "tilted_sky"
