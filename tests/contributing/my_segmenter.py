"""A segmenter of one's own: what is brighter than three sigma and hangs together is a source, the one in
the middle the target."""

import numpy as np
from scipy import ndimage


def threshold(cutouts, settings, device):
    """Footprints of each cutout: 0 sky, 1 the target, 2, 3, ... its neighbours."""
    return [footprints(cutout, float(settings.get("sigmas", 3.0))) for cutout in cutouts]


def footprints(cutout, sigmas):
    light = cutout.image - np.median(cutout.image[~cutout.mask])
    above = ndimage.gaussian_filter(light / cutout.sigma, 1.0) > sigmas / 2
    labels, _ = ndimage.label(above & ~cutout.mask)
    middle = labels[cutout.shape[0] // 2, cutout.shape[1] // 2]
    if middle == 0:
        return np.zeros(cutout.shape, int)  # no target
    return np.where(labels == middle, 1, np.where(labels > 0, labels + 1, 0))
