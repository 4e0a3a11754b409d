"""Starting values of one's own: the light inside the target's footprint, and a guess of its size; the rest
is measured."""

import numpy as np


def footprint_light(cutouts, segmentations, settings, device):
    """Any of x, y, flux, r_eff, n, q, pa, sky for each cutout."""
    starts = []
    for cutout, found in zip(cutouts, segmentations):
        sky = float(np.median(cutout.image[(found.labels == 0) & ~cutout.mask]))
        light = (cutout.image - sky)[found.target & ~cutout.mask]
        starts.append(
            {
                "x": found.x,
                "y": found.y,
                "flux": float(light.sum()),
                "r_eff": 0.4 * np.sqrt(light.size / np.pi),
                "n": 1.5,
                "sky": sky,
            }
        )
    return starts
