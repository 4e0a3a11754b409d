"""The numbers of one Sersic profile, in the order that every array of them has."""

from __future__ import annotations

__all__ = ["FLUX_START", "SHAPE", "SINGLE", "START", "START_STEP"]

#: What it has beside its place and its light
SHAPE = ("r_eff", "n", "q", "pa")
#: A single Sersic profile as the catalogue has it, and what is told of a neighbour that was fitted; of a
#: point the first three
SINGLE = ("x", "y", "mag", *SHAPE)
#: Starting values of a fit
START = (*SINGLE, "sky")
#: The same with the light in image units, as methods find it in an image
FLUX_START = ("x", "y", "flux", *SHAPE, "sky")

#: What starting values are multiples of (see `autogal.initialise.start.rounded`): far more than what numbers
#: of seven digits are rounded by, and far less than any start is good to. Of x and y in px, of q, of the
#: logarithms of flux, r_eff and n
START_STEP = 2.0**-9
