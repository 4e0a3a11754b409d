"""Model images of a catalogue's parameters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from astropy.table import Table

from autogal.batch.render import render_images
from autogal.configuration.composing import composed
from autogal.configuration.overrides import override
from autogal.errors import AutogalError
from autogal.images import mend_psf, prepare_psf
from autogal.model.model import Model
from autogal.model.plane import SLOPES
from autogal.model.spec import build_model, is_whole_model, model_overrides
from autogal.parameters import HIGHEST_MODE, magnitude_of
from autogal.profiles import RadialProfile

__all__ = ["render", "table_values"]


def render(
    table: Table,
    model: str | Path | Mapping | type[RadialProfile] = "sersic",
    psf: np.ndarray | None = None,
    psf_kind: str = "effective",
    shape: tuple[int, int] = (128, 128),
    zeropoint: float | np.ndarray = 25.0,
    psf_oversample: int = 1,
    dtype: str = "float32",
) -> np.ndarray:
    """Draw model images.

    Parameters
    ----------
    table : astropy Table or mapping of columns
        The parameters of the model, for a Sersic profile ``x``, ``y`` [px], ``mag`` or ``flux``, ``r_eff``
        [px], ``n``, ``q``, ``pa`` [deg]; and ``sky`` [image units per px], ``sky_dx`` and ``sky_dy`` where
        there are any.
    model : str, Path, mapping or class
        As `autogal.fit` takes it; a mapping also as a catalogue has it, ``catalogue.settings["model"]``.
    psf : ndarray, [K, K'] or [N, K, K']
        One PSF, or one for each row. One that cuts its wings or is undersampled is completed, as
        `autogal.fit` does.
    psf_kind : {"effective", "optical"}
        Whether the PSF holds the pixel's own response, as the image of a star does, or not.
    shape : (int, int)
        Rows and columns of every image.
    zeropoint : float or ndarray, [N]
        Magnitude of unit flux.
    psf_oversample : int
        Samples of the PSF a pixel.
    dtype : {"float32", "float64"}

    Returns
    -------
    ndarray, [N, H, W]
        Flux per pixel plus sky.

    Raises
    ------
    AutogalError
        If a column, the PSF or the model is missing or not usable.
    """
    if psf is None:
        raise AutogalError("render needs a PSF.", "Give psf=, an array [K, K] or one for each row.")
    if psf_kind not in ("effective", "optical"):
        raise AutogalError(f"psf_kind is {psf_kind!r}.", "Choose 'effective' or 'optical'.")
    chosen = _model_of(model, set(table.colnames if hasattr(table, "colnames") else table)).unfixed
    kernels = np.asarray(psf, float)
    kernels = [
        mend_psf(prepare_psf(k, psf_oversample)[0], psf_kind, psf_oversample)
        for k in (kernels[None] if kernels.ndim == 2 else kernels)
    ]
    values, zeropoints = table_values(table, chosen, zeropoint)
    if len(kernels) not in (1, len(values)):
        raise AutogalError(
            f"{len(kernels)} PSFs for {len(values)} rows.", "Give one PSF, or one for each row."
        )
    images = np.empty((len(values), *shape), dtype)
    kinds = np.array(
        [(*one.psf.shape, one.oversample) for one in kernels]
    )  # those of one kind are drawn together
    for kind in np.unique(kinds, axis=0):
        of_kind = [i for i, same in enumerate((kinds == kind).all(axis=1)) if same]
        rows = of_kind if len(kernels) > 1 else slice(None)
        images[rows] = render_images(
            chosen,
            torch.from_numpy(values[rows]),
            torch.from_numpy(zeropoints[rows]),
            torch.from_numpy(np.stack([kernels[i].psf for i in of_kind])),
            tuple(shape),
            psf_kind == "optical",
            int(kind[-1]),
            getattr(torch, dtype),
        ).numpy()
    return images


def _model_of(model, names: set[str]) -> Model:
    """The model that a table with these columns was fitted with."""
    if is_whole_model(model) and "name" in model:  # nothing is left to be composed
        return build_model(model)
    # options of a model that the table itself tells of
    options = [override("++model.sky", "tilted")] if set(SLOPES) <= names else []
    options += [override("++model.truncation", True)] if "r_trunc" in names else []
    options += [override("++model.boxiness", True)] if "c0" in names else []
    modes = [m for m in range(1, HIGHEST_MODE + 1) if f"am{m}" in names]
    options += [override("++model.fourier", modes)] if modes else []
    return build_model(composed(*model_overrides(model), *options).model)


def table_values(table: Table, model: Model, zeropoint: float | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Parameter values [N, P] and zero points [N] of a table; ``sky`` is 0 where it has none, ``flux``
    serves for ``mag``."""
    names = list(table.colnames if hasattr(table, "colnames") else table)
    column = lambda name: np.atleast_1d(np.asarray(table[name], float))
    given = {name: column(name) for name in names if name in (*model.parameters, "flux")}
    rows = max((len(v) for v in given.values()), default=0)
    zeropoints = np.broadcast_to(np.asarray(zeropoint, float), (rows,)).copy()
    if "mag" not in given and "flux" in given:
        with np.errstate(all="ignore"):
            given["mag"] = magnitude_of(given["flux"], zeropoints)
    given.setdefault("sky", np.zeros(rows))
    missing = [name for name in model.parameters if name not in given]
    if missing:
        raise AutogalError(
            f"The table has no column {', '.join(missing)}.",
            f"Give {', '.join(model.parameters)} (flux may stand for mag), or say with model= what was "
            f"fitted.",
        )
    return np.stack([given[name] for name in model.parameters], axis=-1), zeropoints
