"""What light looks like: one small file a profile."""

from autogal.parameters import HIGHEST_MODE
from autogal.profiles.body import Body
from autogal.profiles.broken_exponential import BrokenExponential
from autogal.profiles.core_sersic import CoreSersic
from autogal.profiles.deformed import Deformed
from autogal.profiles.edge_on import EdgeOn
from autogal.profiles.ellipsoid import Ellipsoid
from autogal.profiles.emissivity import Emissivity
from autogal.profiles.exponential import DeVaucouleurs, Exponential
from autogal.profiles.ferrer import Ferrer
from autogal.profiles.gaussian import Gaussian
from autogal.profiles.king import King
from autogal.profiles.light import Light
from autogal.profiles.moffat import Moffat
from autogal.profiles.nuker import Nuker
from autogal.profiles.own import own_profile
from autogal.profiles.point_source import PointSource
from autogal.profiles.profile import Profile
from autogal.profiles.radial import RadialProfile, ShapeParameter
from autogal.profiles.sersic import Sersic
from autogal.profiles.thick_disk import ThickDisk
from autogal.profiles.tilted_sky import TiltedSky
from autogal.profiles.truncated import Truncated

__all__ = [
    "HIGHEST_MODE",
    "PROFILES",
    "Body",
    "BrokenExponential",
    "CoreSersic",
    "DeVaucouleurs",
    "Deformed",
    "EdgeOn",
    "Ellipsoid",
    "Emissivity",
    "Exponential",
    "Ferrer",
    "Gaussian",
    "King",
    "Light",
    "Moffat",
    "Nuker",
    "PointSource",
    "Profile",
    "RadialProfile",
    "Sersic",
    "ShapeParameter",
    "ThickDisk",
    "TiltedSky",
    "Truncated",
    "own_profile",
]

#: Those that a component of a model can have, by their names in the configuration
PROFILES: dict[str, type[Light]] = {
    profile.name: profile
    for profile in (
        Sersic,
        Exponential,
        DeVaucouleurs,
        Gaussian,
        Moffat,
        King,
        Ferrer,
        BrokenExponential,
        CoreSersic,
        Nuker,
        EdgeOn,
        ThickDisk,
        Ellipsoid,
        PointSource,
    )
}
