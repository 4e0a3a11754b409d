"""What comes in: cutouts, noise, PSF, header and survey facts.

Every input becomes one :class:`Cutout`; what is wrong with one of them is
written in its ``error`` and never reaches another.
"""

from autogal.images.cutout import Cutout

__all__ = ["Cutout"]
