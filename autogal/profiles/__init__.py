"""What light looks like: one small file a profile."""

from autogal.profiles.radial import RadialProfile, ShapeParameter
from autogal.profiles.sersic import Sersic

__all__ = ["RadialProfile", "Sersic", "ShapeParameter"]
