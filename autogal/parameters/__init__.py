"""What the numbers of a galaxy are: their names, units, ranges and the ways between them, written once.

It needs neither torch nor astropy: whoever reads a column, draws a start or writes a report can read it here.
"""

from autogal.parameters.ellipse import (
    angle_difference,
    axis_ratio_and_angle,
    ellipticity,
    position_angle,
    spin,
)
from autogal.parameters.photometric import MAG, flux_of, magnitude_of
from autogal.parameters.registry import HIGHEST_MODE, PARAMETERS, Parameter, is_magnitude, split_name
from autogal.parameters.single import FLUX_START, SHAPE, SINGLE, START, START_STEP

__all__ = [
    "FLUX_START",
    "HIGHEST_MODE",
    "MAG",
    "PARAMETERS",
    "SHAPE",
    "SINGLE",
    "START",
    "START_STEP",
    "Parameter",
    "angle_difference",
    "axis_ratio_and_angle",
    "ellipticity",
    "flux_of",
    "is_magnitude",
    "magnitude_of",
    "position_angle",
    "spin",
    "split_name",
]
