"""A PSF model of one's own: wider in the corner of the camera where the cutout's name says it is from."""

from autogal.images import moffat


def by_name(cutout):
    """The PSF image where a cutout's target is."""
    return moffat(4.0 if cutout.id.startswith("corner") else 2.5)
