"""PSF models of the user's own: a function that gives the PSF of each cutout."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from autogal.images.cutout import Cutout
from autogal.images.psf.checks import prepare_psf
from autogal.images.trial import try_method
from autogal.runtime.references import is_reference, load_reference, resolve_reference

__all__ = ["PsfModel", "is_psf_model", "own_psf", "validate_psf_model"]

#: Gives the PSF image [K, L] of a cutout
PsfModel = Callable[[Cutout], np.ndarray]

_FORM = (
    "Write psf=MODULE:FUNCTION; FUNCTION(cutout) gives the image of the PSF where the cutout's target is, "
    "an array [K, L] of any sum."
)
_tried: set[PsfModel] = set()


def is_psf_model(psf: str | PsfModel | None) -> bool:
    """Whether a function is meant, itself or as MODULE:FUNCTION, rather than a file or an array."""
    return callable(psf) or (
        isinstance(psf, str)
        and is_reference(psf)
        and psf.rpartition(":")[2].isidentifier()
        and not os.path.exists(psf)
    )


def own_psf(model: str | PsfModel, cutout: Cutout, oversample: int = 1) -> tuple[np.ndarray, list[str]]:
    """The PSF of one cutout, as `autogal.images.prepare_psf` returns it.

    Parameters
    ----------
    model : str or callable
        MODULE:FUNCTION, or the function.
    cutout : Cutout
        Its image, noise, place and scale are known; its PSF is not yet.
    oversample : int
        Samples of the PSF a pixel of the image.

    Raises
    ------
    AutogalError
        Where the function cannot be imported, or what it gives is no PSF.
    """
    return prepare_psf(np.array(_function(model)(cutout), float), oversample)


def validate_psf_model(model: str | PsfModel, oversample: int = 1) -> str | PsfModel:
    """The same model, named so that every process finds it, once it has been tried on small images.

    Raises
    ------
    AutogalError
        Where it cannot be imported, fails, or gives what is no PSF.
    """
    function = _function(model)
    named = resolve_reference(model, [Path.cwd()]) if isinstance(model, str) else model
    if function not in _tried:

        def work(cutouts: list[Cutout]) -> None:
            for cutout in cutouts:
                own_psf(function, cutout, oversample)

        try_method(
            "PSF model",
            model if isinstance(model, str) else getattr(model, "__name__", str(model)),
            work,
            _FORM,
        )
        _tried.add(function)
    return named


def _function(model: str | PsfModel) -> PsfModel:
    return load_reference(model, "a PSF model", callable, _FORM) if isinstance(model, str) else model
