"""Files as a contributor writes them, and what is asked of fits with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import autogal

from ..observations import PARAMETERS, Observations, observe, random_galaxies

__all__ = ["few_galaxies", "fit", "off", "write"]


def few_galaxies(count: int = 3) -> Observations:
    """Noisy images of Sersic galaxies of high signal-to-noise ratio."""
    return observe(random_galaxies(count, seed=4, snr=(150, 400)), seed=4)


def fit(observed: Observations, **settings) -> autogal.Catalogue:
    return autogal.fit(**observed.arguments() | {"device": "cpu", "threads": 1} | settings)


def off(catalogue: autogal.Catalogue, observed: Observations) -> np.ndarray:
    """Fitted minus true values in units of their errors, [N, P]."""
    difference = np.stack(
        [np.asarray(catalogue.table[name], float) - observed.truth[name] for name in PARAMETERS], axis=-1
    )
    difference[:, PARAMETERS.index("pa")] = (difference[:, PARAMETERS.index("pa")] + 90) % 180 - 90
    return difference / np.stack(
        [np.asarray(catalogue.table[f"{name}_err"], float) for name in PARAMETERS], axis=-1
    )


def write(folder: Path, name: str, text: str) -> Path:
    """A user's file in a folder of theirs."""
    file = folder / name
    file.write_text(text)
    return file
