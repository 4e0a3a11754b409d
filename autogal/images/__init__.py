"""What comes in: cutouts, noise, PSF, header and survey facts.

Every input becomes one :class:`Cutout`; what is wrong with one of them is
written in its ``error`` and never reaches another.
"""

from autogal.images.arrays import ArrayCutouts, from_arrays
from autogal.images.cutout import Cutout
from autogal.images.entry import Entry
from autogal.images.load import load, load_unreported, report, unexpected
from autogal.images.noise.counts import sky_of
from autogal.images.noise.sigma import as_seen
from autogal.images.noise.sky import estimate_sigma, sky_statistics
from autogal.images.options import Options
from autogal.images.paths import find_entries
from autogal.images.psf.checks import fwhm, prepare_psf
from autogal.images.psf.model import mend_psf
from autogal.images.psf.moffat import moffat
from autogal.images.survey import Survey

__all__ = [
    "ArrayCutouts",
    "Cutout",
    "Entry",
    "Options",
    "Survey",
    "as_seen",
    "estimate_sigma",
    "find_entries",
    "from_arrays",
    "fwhm",
    "load",
    "load_unreported",
    "mend_psf",
    "moffat",
    "prepare_psf",
    "report",
    "sky_of",
    "sky_statistics",
    "unexpected",
]
