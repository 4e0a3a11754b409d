"""The functions that Python users call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from itertools import chain
from pathlib import Path

from astropy.table import Table

from autogal.beginning import validate_methods
from autogal.configuration.composing import composed
from autogal.configuration.overrides import override, whether_segmented
from autogal.errors import AutogalError
from autogal.fitting.choices import build_likelihood, validate_model
from autogal.images import ArrayCutouts, Cutout, report
from autogal.model.spec import model_overrides
from autogal.model_images import render
from autogal.pipeline import fit_cutouts
from autogal.profiles import RadialProfile
from autogal.results import Catalogue
from autogal.runtime.devices import choose_device
from autogal.runtime.prefetch import prefetch, prefetch_threads
from autogal.runtime.stopwatch import Stopwatch

__all__ = ["fit", "render"]

# Images fitted together, by kind of device. A block costs a GPU some 15,000 launches, however few it holds;
# but one can be looked at only while another is fitted.
_BLOCK = {"cpu": 512, "cuda": 16384}
# Images looked at by one thread before the next piece: few enough to stop soon, enough to be checked together
_PIECE = 32


def fit(
    images,
    sigma=None,
    psf=None,
    mask=None,
    start: Table | None = None,
    model: str | Path | Mapping | type[RadialProfile] | Sequence[str] = "sersic",
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
        One standard deviation per pixel, image units; estimated, and flagged, where it is left out. A fit of
        counts (``likelihood="poisson"``) does without.
    psf : ndarray [K, K'] or one for each image, or a function, optional
        PSF images, or what gives the PSF image of a cutout; the survey's Moffat, flagged, where left out.
    mask : bool array(s) like `images`, optional
        True = bad pixel.
    start : astropy Table, optional
        Columns x, y, mag (or flux), r_eff, n, q, pa, sky, one row an image; ra and dec [deg] in place of x
        and y where images are files with a WCS. Segmentation and initialisation are skipped for every row
        that is complete; where ``segment=`` or ``neighbours=`` is given, such rows are segmented too, and
        their neighbours masked or fitted.
    model : str, Path, mapping or class
        Name of a model configuration, as ``"bulge_disk"``; a YAML file like those in ``conf/model/``, or a
        mapping like one; the class of a profile. A list of such fits each model and chooses one a galaxy, by
        ``**{"model.choose": "aic"}`` or, by default, BIC.
    zeropoint : float or ndarray [N], optional
        AB magnitude of one image unit.
    pixel_scale : float or ndarray [N], optional
        arcsec.
    gain : float or ndarray [N], optional
        Electrons per image unit: counts, where they are fitted as such.
    ids : sequence of str, optional
        One an image; its number by default.
    **settings
        Any key of the configuration but ``trainer``, groups by name: ``solver="adam"``, ``survey="sdss"``,
        ``dtype="float64"``, ``likelihood="poisson"``, ``psf_kind="optical"``, ``psf_oversample=3``,
        ``uncertainty={"scale_by_chi2": True}``, ``uncertainty="both"``, ``neighbours="mask"``.

    Returns
    -------
    Catalogue
        One row an image, in order.

    Raises
    ------
    AutogalError
        Where arguments do not fit together or a setting does not exist. A single bad image is a flagged row.
    """
    if any(key.partition(".")[0] == "trainer" for key in settings):
        raise AutogalError(
            "autogal.fit works in the process that calls it: it takes no trainer=.",
            "Choose a device with device=, or share files out to several processes with `autogal fit`.",
        )
    words = {"psf_kind": "psf.kind", "psf_oversample": "psf.oversample"}
    given = {words.get(key, key): value for key, value in settings.items()}
    if given.get("given_starts", "auto") == "auto":
        given["given_starts"] = whether_segmented(given)
    chosen = composed(*model_overrides(model), *(override(key, value) for key, value in given.items()))
    validate_model(chosen.model), build_likelihood(chosen), validate_methods(chosen)
    device, watch = choose_device(chosen.device), Stopwatch()
    with watch.time("read"):
        cutouts = ArrayCutouts(
            images,
            sigma,
            psf,
            mask,
            start=start,
            ids=ids,
            zeropoint=zeropoint,
            pixel_scale=pixel_scale,
            gain=gain,
            settings=chosen,
        )
    size, parts = chosen.block or _BLOCK[device.type], []
    pieces = [
        _pieces(cutouts, first, min(first + size, len(cutouts))) for first in range(0, len(cutouts), size)
    ]
    with closing(prefetch(pieces, prefetch_threads(device, chosen.threads))) as blocks:
        for _ in pieces:
            with watch.time("read"):
                some = list(chain.from_iterable(next(blocks)))
            for cutout in some:
                report(cutout)
            fitted = fit_cutouts(some, chosen)
            with watch.time("table"):
                parts.append(Catalogue.from_fitted(some, fitted, chosen.model.name, chosen))
    catalogue = parts[0] if len(parts) == 1 else Catalogue.join(parts)
    catalogue.seconds = {"read": watch["read"], **catalogue.seconds, "table": watch["table"]}
    return catalogue


def _pieces(cutouts: ArrayCutouts, first: int, last: int) -> list[Callable[[], list[Cutout]]]:
    """Tasks that make the cutouts from `first` to before `last`."""
    return [
        partial(cutouts.__getitem__, slice(some, min(some + _PIECE, last)))
        for some in range(first, last, _PIECE)
    ]
