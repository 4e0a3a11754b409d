"""Small images on which a user's own method is tried before a run, that its faults are not those of every
row."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from autogal.errors import AutogalError
from autogal.images.cutout import Cutout
from autogal.images.psf.moffat import moffat

__all__ = ["trial_cutouts", "try_method"]

# Rows and columns of the images, and the light of the galaxy in the middle: of two a galaxy, of one noise
# alone
_IMAGES = (((48, 48), 60.0), ((40, 64), 60.0), ((36, 36), 0.0))
_SIZE = 3.0  # px; scale length of the galaxy
_NEIGHBOUR = (12.0, 30.0)  # px from the galaxy, and its light


def trial_cutouts() -> list[Cutout]:
    """A galaxy with a neighbour, another on a stamp that is no square, and a stamp of noise; always the
    same."""
    noise, cutouts = np.random.default_rng(1), []
    for number, (shape, light) in enumerate(_IMAGES):
        y, x = np.indices(shape) - (np.array(shape)[:, None, None] - 1) / 2
        image = light * np.exp(-np.hypot(x, y) / _SIZE)
        if number == 0:
            image += _NEIGHBOUR[1] * np.exp(-np.hypot(x - _NEIGHBOUR[0], y) / (_SIZE / 2))
        image = (image + noise.normal(0, 1, shape)).astype(np.float32)
        cutouts.append(
            Cutout(
                f"trial-{number}",
                image,
                np.ones(shape, np.float32),
                np.zeros(shape, bool),
                moffat(2.5),
                zeropoint=25.0,
            )
        )
    return cutouts


def try_method(kind: str, name: str, work: Callable[[list[Cutout]], None], form: str) -> None:
    """Let a user's own method work on `trial_cutouts`.

    Parameters
    ----------
    kind, name : str
        For what is said: ``"segmenter"``, and how the configuration names it.
    work : callable
        Calls the method and looks at what it gives; raises ValueError where that is not what it should be.
    form : str
        What such a method takes and gives.

    Raises
    ------
    AutogalError
        Where it fails, gives something else, or changes the images. What it raises as such itself is not
        touched.
    """
    cutouts = trial_cutouts()
    try:
        work(cutouts)
    except AutogalError:
        raise
    except ValueError as error:
        raise AutogalError(f"The {kind} {name} cannot be used: {str(error).rstrip('.')}.", form) from error
    except Exception as error:
        raise AutogalError(
            f"The {kind} {name} failed on a small image: {type(error).__name__}: "
            f"{' '.join(str(error).split()).rstrip('.')}.",
            f"{form} AUTOGAL_DEBUG=1 shows the traceback.",
        ) from error
    for cutout, before in zip(cutouts, trial_cutouts(), strict=True):
        if any(
            not np.array_equal(getattr(cutout, plane), getattr(before, plane))
            for plane in ("image", "sigma", "mask")
        ):
            raise AutogalError(
                f"The {kind} {name} changes the images that it is given.",
                "Work on a copy, as cutout.image.copy().",
            )
