"""A small run that every writer, plot and summary is tried on."""

import numpy as np
import pytest

from autogal.flags import Flag
from autogal.images.cutout import Cutout

from .scenes import make_cutout, make_fit, sky_wcs


@pytest.fixture
def run():
    """Three objects: a good one, one that failed in the fit, one that could not be read."""
    missing = Cutout.failed("missing", "There is no file missing.fits.")
    cutouts = [make_cutout("good", wcs=sky_wcs()), make_cutout("lost"), missing]
    cutouts[0].flags |= Flag.SIGMA_ESTIMATED
    cutouts[0].notes.append("No sigma map; estimated.")
    fitted = make_fit(3, status=["converged", "failed", "failed"], flags=np.array([0, Flag.NOT_CONVERGED, 0]))
    return cutouts, fitted
