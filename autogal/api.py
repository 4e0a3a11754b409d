"""The functions that Python users call."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from astropy.table import Table
from omegaconf import DictConfig, OmegaConf

from autogal.configuration import compose, override
from autogal.engine import choose_model
from autogal.errors import AutogalError
from autogal.images import from_arrays, prepare_psf
from autogal.model.model import Model
from autogal.model.render import render_images
from autogal.pipeline import fit_cutouts
from autogal.results import Catalogue

__all__ = ["fit", "render"]


def fit(
    images,
    sigma=None,
    psf=None,
    mask=None,
    start: Table | None = None,
    model: str = "sersic",
    zeropoint: float | None = None,
    pixel_scale: float | None = None,
    *,
    gain: float | None = None,
    ids: Sequence[str] | None = None,
    **settings,
) -> Catalogue:
    """Fit galaxies.

    Parameters
    ----------
    images : ndarray [N, H, W], list of ndarray [H, W], or list of file names
        Cutouts, of any mix of sizes. Never changed.
    sigma : array(s) like `images`, optional
        One standard deviation per pixel, image units; estimated, and flagged, where it is left out.
    psf : ndarray [K, K'] or one for each image, optional
        PSF images; the survey's Moffat, flagged, where left out.
    mask : bool array(s) like `images`, optional
        True = bad pixel.
    start : astropy Table, optional
        Columns x, y, mag (or flux), r_eff, n, q, pa, sky, one row an image. Segmentation and initialisation are
        skipped for every row that is complete.
    model : str
        Name of a model configuration.
    zeropoint : float or ndarray [N], optional
        AB magnitude of one image unit.
    pixel_scale : float or ndarray [N], optional
        arcsec.
    gain : float or ndarray [N], optional
        Electrons per image unit.
    ids : sequence of str, optional
        One an image; its number by default.
    **settings
        Any key of the configuration, groups by name: ``solver="adam"``, ``survey="sdss"``, ``dtype="float64"``,
        ``psf_kind="optical"``, ``psf_oversample=3``, ``uncertainty={"scale_by_chi2": True}``.

    Returns
    -------
    Catalogue
        One row an image, in order.

    Raises
    ------
    AutogalError
        Where arguments do not fit together or a setting does not exist. A single bad image is a flagged row.
    """
    words = {"psf_kind": "psf.kind", "psf_oversample": "psf.oversample"}
    given = {words.get(key, key): value for key, value in settings.items()}
    chosen = _settings(*(override(key, value) for key, value in {"model": model, **given}.items()))
    cutouts = from_arrays(images, sigma, psf, mask, start=start, ids=ids, zeropoint=zeropoint, pixel_scale=pixel_scale, gain=gain, settings=chosen)
    block = chosen.block or len(cutouts)
    parts = []
    for first in range(0, len(cutouts), block):
        some = cutouts[first : first + block]
        parts.append(Catalogue.from_fitted(some, fit_cutouts(some, chosen), chosen.model.name, chosen))
    return parts[0] if len(parts) == 1 else Catalogue.join(parts)


def render(
    table: Table,
    model: str = "sersic",
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
        ``x``, ``y`` [px], ``mag`` or ``flux``, ``r_eff`` [px], ``n``, ``q``, ``pa`` [deg], and ``sky`` [image
        units per px] where there is one.
    model : str
        ``"sersic"``.
    psf : ndarray, [K, K'] or [N, K, K']
        One PSF, or one for each row.
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
    chosen = choose_model(_settings(override("model", model)).model)
    kernels = np.asarray(psf, float)
    kernels = np.stack([prepare_psf(k)[0] for k in (kernels[None] if kernels.ndim == 2 else kernels)])
    values, zeropoints = table_values(table, chosen, zeropoint)
    if len(kernels) not in (1, len(values)):
        raise AutogalError(f"{len(kernels)} PSFs for {len(values)} rows.", "Give one PSF, or one for each row.")
    images = render_images(chosen, torch.from_numpy(values), torch.from_numpy(zeropoints), torch.from_numpy(kernels), tuple(shape),
                           psf_kind == "optical", psf_oversample, getattr(torch, dtype))
    return images.numpy()


@lru_cache(maxsize=64)
def _settings(*overrides: str) -> DictConfig:
    """A configuration; composing one takes longer than fitting a dozen galaxies, so the same is composed once."""
    chosen = compose(overrides=overrides)
    OmegaConf.set_readonly(chosen, True)
    return chosen


def table_values(table: Table, model: Model, zeropoint: float | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Parameter values [N, P] and zero points [N] of a table; ``sky`` is 0 where it has none, ``flux`` serves for ``mag``."""
    names = list(table.colnames if hasattr(table, "colnames") else table)
    column = lambda name: np.atleast_1d(np.asarray(table[name], float))  # noqa: E731
    given = {name: column(name) for name in names if name in (*model.parameters, "flux")}
    rows = max((len(v) for v in given.values()), default=0)
    zeropoints = np.broadcast_to(np.asarray(zeropoint, float), (rows,)).copy()
    if "mag" not in given and "flux" in given:
        with np.errstate(all="ignore"):
            given["mag"] = zeropoints - 2.5 * np.log10(given["flux"])
    given.setdefault("sky", np.zeros(rows))
    missing = [name for name in model.parameters if name not in given]
    if missing:
        raise AutogalError(f"The table has no column {', '.join(missing)}.", f"Give {', '.join(model.parameters)} (flux may stand for mag).")
    return np.stack([given[name] for name in model.parameters], axis=-1), zeropoints
