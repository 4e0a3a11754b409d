"""Reading one entry's files into a cutout."""

from __future__ import annotations

import functools
import logging
import os
from contextlib import suppress
from dataclasses import replace

import numpy as np

from autogal.errors import AutogalError
from autogal.flags import Flag
from autogal.images.cutout import Cutout
from autogal.images.entry import Entry
from autogal.images.extensions import extensions_beside, to_sigma
from autogal.images.fits import FitsImage, read, split_selection
from autogal.images.header.asinh import asinh_scale, linear, linear_sigma
from autogal.images.header.facts import header_facts
from autogal.images.header.keywords import Look
from autogal.images.limits import check_regular
from autogal.images.options import Options
from autogal.images.position import aim
from autogal.images.prepare import attach_psf, prepare
from autogal.images.psf.checks import prepare_psf
from autogal.images.psf.own import PsfModel, is_psf_model, own_psf
from autogal.images.psf.sampling import Sampling, psf_sampling, resampled, with_pixel

__all__ = ["attach", "load", "load_entry", "load_unreported", "read_psf", "report", "unexpected"]

log = logging.getLogger(__name__)


def load(entry: Entry, settings=None) -> Cutout:
    """Read an entry's image and companions, and complete them.

    What is known of the image comes from, the first that says it: the
    settings, the entry (a manifest's row, companions found by name), the
    header, the survey, a default with a flag.

    Parameters
    ----------
    entry : Entry
    settings : mapping or Options, optional
        A composed configuration; :meth:`Options.from_settings` of it saves
        time where many entries are read.

    Returns
    -------
    Cutout
        With ``error`` where the entry cannot be fitted; such an entry raises nothing.

    Raises
    ------
    AutogalError
        Where a file that the settings give to all cutouts cannot be used.
    """
    cutout = load_unreported(entry, Options.from_settings(settings))
    report(cutout)
    return cutout


def load_unreported(entry: Entry, options: Options) -> Cutout:
    """What `load` returns, with nothing written in the log: for those who read ahead, and :func:`report`
    in order."""
    shared = {
        "sigma": None if options.sigma is None else read(options.sigma, most=options.largest).data,
        "mask": None if options.mask is None else read(options.mask, most=options.largest).data,
        "psf": options.psf,
    }
    if options.psf is not None and not is_psf_model(options.psf):
        read_psf(options.psf, options.psf_oversample)  # one that cannot be used is no fault of a row
    return load_entry(entry, options, shared)


def report(cutout: Cutout) -> None:
    """Write in the log what was put right, assumed or wrong."""
    for note in cutout.notes:
        log.log(logging.WARNING if note in cutout.warnings else logging.INFO, "%s: %s", cutout.id, note)
    if cutout.error:
        log.warning("%s: %s", cutout.id, cutout.error)


def load_entry(entry: Entry, options: Options, given: dict) -> Cutout:
    """Read an entry, with companions that are in memory already in place of its own.

    Parameters
    ----------
    entry : Entry
    options : Options
    given : dict
        ``sigma`` and ``mask`` as arrays, ``psf`` as :func:`attach` takes it; each may be None.

    Returns
    -------
    Cutout
    """
    try:
        return _load_entry(entry, options, given)
    except Exception as error:  # whatever a file holds is the trouble of its own row
        log.info("%s: could not be read", entry.id, exc_info=error)
        return Cutout.failed(entry.id, unexpected("read", error), entry.image or None, start=entry.start)


def unexpected(done: str, error: Exception) -> str:
    """What a row says of a failure that nobody foresaw; its traceback is in the log.

    Parameters
    ----------
    done : str
        What could not be ``read``, ``fitted``, ...
    error : Exception
    """
    if isinstance(error, MemoryError):
        return f"It could not be {done}: the memory was not enough."
    said = " ".join(str(error).split())[:200].rstrip(".")
    return f"It could not be {done}: {type(error).__name__}{': ' if said else ''}{said}."


def _load_entry(entry: Entry, options: Options, given: dict) -> Cutout:
    notes = [entry.note] if entry.note else []
    if entry.error:
        return Cutout.failed(entry.id, entry.error, entry.image or None, start=entry.start, notes=notes)
    try:
        beside = [kind for kind in ("sigma", "mask") if given[kind] is None and not getattr(entry, kind)]
        image = read(entry.image, options.hdu, options.largest)
        facts = header_facts(image.header, image.primary, image.hdu)
        facts.given(
            **{
                name: getattr(entry, name)
                for name in ("zeropoint", "pixel_scale", "gain")
                if getattr(entry, name) is not None
            }
        )
        sigma, mask, psf = (given[kind] for kind in ("sigma", "mask", "psf"))
        own = read(entry.sigma, most=options.largest) if sigma is None and entry.sigma else None
        if own is not None:
            sigma = to_sigma(own.data, entry.sigma_holds)
            if entry.sigma_holds != "sigma":
                notes.append(
                    f"Sigma from {os.path.basename(entry.sigma)}, an image's {entry.sigma_holds} by its name."
                )
        if beside:
            noise, said, warnings = extensions_beside(entry.image, image, beside, options.largest)
            own, sigma = (own, sigma) if noise is None else (noise, noise.data)
            facts.notes += said + warnings
            facts.warnings += warnings
        if mask is None and entry.mask:
            mask = read(entry.mask, most=options.largest).data
        psf = entry.psf if psf is None else psf
        pixels, sigma = _linear(image, sigma, own, facts.notes)
    except AutogalError as error:
        return Cutout.failed(entry.id, error.what, entry.image, start=entry.start, notes=notes)
    cutout = prepare(
        entry.id,
        pixels,
        sigma,
        mask,
        facts=facts,
        options=options,
        start=entry.start,
        path=entry.image,
        notes=notes,
    )
    attach(cutout, psf, options)
    aim(cutout)
    return cutout


def attach(
    cutout: Cutout, psf: tuple[np.ndarray, list[str]] | str | PsfModel | None, options: Options
) -> None:
    """Give a cutout its PSF; one that cannot be used makes it a failed one.

    Parameters
    ----------
    cutout : Cutout
    psf : tuple, str, callable or None
        As :func:`autogal.images.prepare_psf` returns it; the path of a file, whose header says how it is
        sampled; or a PSF model.
    options : Options
    """
    if cutout.error is not None:
        return
    sampling = None
    if is_psf_model(psf):
        try:
            psf = own_psf(psf, cutout, options.psf_oversample or 1)
        except AutogalError as error:
            cutout.fail(error.what)
            return
    elif isinstance(psf, str):
        scale = None if cutout.flags & Flag.PIXEL_SCALE_DEFAULT else cutout.pixel_scale
        try:
            *psf, sampling = read_psf(psf, options.psf_oversample, scale, options.psf_kind == "effective")
        except AutogalError as error:
            cutout.fail(error.what)
            return
    attach_psf(cutout, psf, options.survey, sampling)


def _linear(
    image: FitsImage, sigma, own: FitsImage | None, notes: list[str]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Image and sigma map in linear units."""
    scale = asinh_scale(image.header)
    if scale is None:
        return image.data, sigma
    notes.append(
        f"Pixels are asinh-scaled (BSOFTEN = {scale[0]:g}, BOFFSET = {scale[1]:g} of {image.hdu}): undone."
    )
    pixels = linear(image.data, scale)
    of_sigma = None if own is None else asinh_scale(own.header)
    if of_sigma is not None:
        sigma, note = linear_sigma(sigma, of_sigma, pixels)
        notes.append(note)
    return pixels, sigma


def read_psf(path: str, oversample: int | None = None, pixel_scale: float | None = None,
             effective: bool = True) -> tuple[np.ndarray, list[str], Sampling]:  # fmt: skip
    """Read and prepare a PSF image; one that many objects share is read once.

    Parameters
    ----------
    path : str
        FITS file, with an extension selected or not. Of the extensions of
        STPSF, OVERDIST is taken where none is: detector effects are in it.
    oversample : int, optional
        Samples of the PSF a pixel of the image; by default what its header says, else 1.
    pixel_scale : float, optional
        Of the image [arcsec].
    effective : bool
        Whether the PSF is to have the pixel in it; one that is known not to gets it.

    Returns
    -------
    psf, notes
        As :func:`autogal.images.prepare_psf`.
    sampling : Sampling

    Raises
    ------
    AutogalError
        Where the file or the PSF in it cannot be used.
    """
    file = split_selection(path)[0]
    if not os.path.exists(file):
        raise AutogalError(f"No such PSF file: {file}.", "Check the path.")
    check_regular(file)
    state = os.stat(file)
    changed = state.st_mtime_ns, state.st_size
    image = _read_psf(path, oversample is None, *changed)
    sampling = psf_sampling(image.header, image.primary, image.hdu, pixel_scale, oversample)
    add_pixel = effective and sampling.optical and sampling.oversample > 1
    zoom = round(sampling.zoom, 3)
    return *_prepared(path, oversample is None, *changed, sampling.oversample, zoom, add_pixel), _told(
        sampling, image, add_pixel
    )


def _told(sampling: Sampling, image: FitsImage, with_pixel: bool) -> Sampling:
    """The sampling, with a note of what else was made of a PSF that its program computed."""
    if not with_pixel:
        return sampling
    note = (
        f"The PSF ({image.hdu}) is a diffraction image: averaged over the pixel, as psf.kind=effective wants."
    )
    return replace(sampling, notes=(*sampling.notes, note))


@functools.lru_cache(maxsize=64)
def _read_psf(path: str, choose: bool, changed: int, size: int) -> FitsImage:
    image = read(path)
    if choose and Look(image.header, None).text("EXTNAME") == "OVERSAMP" and split_selection(path)[1] is None:
        with suppress(AutogalError):  # else computed without the distortion of the detector
            image = read(path, "OVERDIST")
    return image


@functools.lru_cache(maxsize=64)
def _prepared(
    path: str, choose: bool, changed: int, size: int, oversample: int, zoom: float, pixel: bool
) -> tuple[np.ndarray, list[str]]:
    try:
        psf = _read_psf(path, choose, changed, size).data
        if zoom != 1 or pixel:
            psf, _ = prepare_psf(psf, oversample)
            psf = resampled(psf, zoom) if zoom != 1 else psf
            psf = with_pixel(psf, oversample) if pixel else psf
        return prepare_psf(psf, oversample)
    except AutogalError as error:
        raise AutogalError(f"{error.what.rstrip('.')} ({path}).", error.remedy) from error
