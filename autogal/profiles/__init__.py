"""What light looks like: one small file a profile."""

from autogal.profiles.exponential import DeVaucouleurs, Exponential
from autogal.profiles.radial import RadialProfile, ShapeParameter
from autogal.profiles.sersic import Sersic

__all__ = ["PROFILES", "DeVaucouleurs", "Exponential", "RadialProfile", "Sersic", "ShapeParameter"]

#: By their names in the configuration
PROFILES: dict[str, type[RadialProfile]] = {profile.name: profile for profile in (Sersic, Exponential, DeVaucouleurs)}
