"""What every kind of light says of itself: its name, and who draws it and knows its parameters."""

from __future__ import annotations

from typing import ClassVar

__all__ = ["Light"]


class Light:
    """A kind of light, or the sky, that a model can have as a component.

    Attributes
    ----------
    name : str
        In the configuration.
    renderer : str or type
        Who draws it, a `Renderer`: as MODULE:CLASS, for profiles know no renderers, or the class itself.
    component : str or type
        Who has its parameters, a `Component`, in the same way.
    is_radial : bool
        Whether it is a `RadialProfile`: it can be truncated and have other isophotes, and is the same at any
        angle where it is round.
    like_sersic : bool
        Whether its values are those of a Sersic profile, but for an index that is part of its name.
    """

    name: str
    renderer: ClassVar[str | type]
    component: ClassVar[str | type] = "autogal.model.elliptical:EllipticalComponent"
    is_radial: ClassVar[bool] = False
    like_sersic: ClassVar[bool] = False
