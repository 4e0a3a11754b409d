"""Drawing by autogal, and measuring how far from the truth it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import autogal


def render(galaxies: Sequence, psf: np.ndarray, **options) -> list[np.ndarray]:
    """Unit-flux images of galaxies on stamps of any shapes, by `autogal.render`."""
    images = [None] * len(galaxies)
    for shape in {galaxy.shape for galaxy in galaxies}:
        places = [i for i, galaxy in enumerate(galaxies) if galaxy.shape == shape]
        table = {
            name: np.array([getattr(galaxies[i], name) for i in places])
            for name in ("x", "y", "r_eff", "n", "q", "pa")
        }
        drawn = autogal.render(table | {"flux": np.ones(len(places))}, psf=psf, shape=shape, **options)
        for i, image in zip(places, drawn, strict=True):
            images[i] = np.asarray(image, float)
    return images


def differences(images: Sequence[np.ndarray], truths: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Largest difference over the stamp's peak, and sum of differences over the (unit) flux, of each pair."""
    largest = [np.abs(image - truth).max() / truth.max() for image, truth in zip(images, truths, strict=True)]
    total = [np.abs(image - truth).sum() for image, truth in zip(images, truths, strict=True)]
    return np.array(largest), np.array(total)
