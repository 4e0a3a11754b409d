"""Samples as ArviZ has them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np

from autogal.errors import AutogalError

__all__ = ["to_arviz"]


def to_arviz(samples: Mapping[str, np.ndarray]) -> Any:
    """Samples [S] by parameter as one chain of ArviZ's group ``posterior``.

    Raises
    ------
    AutogalError
        Where ArviZ is not installed.
    """
    try:
        arviz = import_module("arviz")
    except ImportError as problem:
        raise AutogalError(
            f"Samples for ArviZ need the package arviz ({problem}).",
            "Install it: pip install arviz, or autogal[arviz].",
        ) from problem
    posterior = {name: np.asarray(some, float)[None] for name, some in samples.items()}
    if int(arviz.__version__.split(".")[0]) < 1:
        return arviz.from_dict(posterior=posterior)
    return arviz.from_dict({"posterior": posterior})
