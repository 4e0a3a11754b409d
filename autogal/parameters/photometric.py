"""Between magnitudes and fluxes."""

from __future__ import annotations

import math

from autogal.parameters.arrays import Numbers, functions_of

__all__ = ["MAG", "flux_of", "magnitude_of"]

#: Magnitudes in a unit of ln flux: -2.5 / ln 10
MAG = -2.5 / math.log(10.0)


def flux_of(mag: Numbers, zeropoint: Numbers = 0.0) -> Numbers:
    """Flux, in units of which one has the magnitude `zeropoint`, of magnitudes; tensors give tensors, all
    else what numpy gives."""
    return functions_of(mag, zeropoint).exp((mag - zeropoint) / MAG)


def magnitude_of(flux: Numbers, zeropoint: Numbers = 0.0) -> Numbers:
    """The inverse of `flux_of`, to the last digit: zeropoint - 2.5 log10(flux); NaN of negative fluxes,
    infinite of none."""
    return zeropoint + MAG * functions_of(flux, zeropoint).log(flux)
