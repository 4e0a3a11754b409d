"""Reading one entry's files into a cutout."""

from __future__ import annotations

import functools
import logging
import os

import numpy as np

from autogal.errors import AutogalError
from autogal.images.cutout import Cutout
from autogal.images.entry import Entry
from autogal.images.facts import header_facts
from autogal.images.fits import read, split_selection
from autogal.images.options import Options
from autogal.images.prepare import attach_psf, prepare
from autogal.images.psf import prepare_psf

__all__ = ["load", "load_entry", "load_unreported", "read_psf", "report"]

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
    """What `load` returns, with nothing written in the log: for those who read ahead, and :func:`report` in order."""
    shared = {
        "sigma": None if options.sigma is None else read(options.sigma).data,
        "mask": None if options.mask is None else read(options.mask).data,
        "psf": None if options.psf is None else read_psf(options.psf),
    }
    return load_entry(entry, options, shared)


def report(cutout: Cutout) -> None:
    """Write in the log what was put right, assumed or wrong."""
    for note in cutout.notes:
        log.info("%s: %s", cutout.id, note)
    if cutout.error:
        log.warning("%s: %s", cutout.id, cutout.error)


def load_entry(entry: Entry, options: Options, given: dict) -> Cutout:
    """Read an entry, with companions that are in memory already in place of its own.

    Parameters
    ----------
    entry : Entry
    options : Options
    given : dict
        ``sigma`` and ``mask`` as arrays, ``psf`` as :func:`autogal.images.prepare_psf`
        returns it; each may be None.

    Returns
    -------
    Cutout
    """
    notes = [entry.note] if entry.note else []
    if entry.error:
        return Cutout.failed(entry.id, entry.error, entry.image or None, start=entry.start, notes=notes)
    try:
        image = read(entry.image, options.hdu)
        facts = header_facts(image.header, image.primary)
        for name in ("pixel_scale", "gain"):
            if getattr(entry, name) is not None:
                setattr(facts, name, getattr(entry, name))
        if entry.zeropoint is not None:
            facts.zeropoint, facts.uncertain = entry.zeropoint, False
        sigma, mask, psf = (given[kind] for kind in ("sigma", "mask", "psf"))
        if sigma is None and entry.sigma:
            sigma = read(entry.sigma).data
        if mask is None and entry.mask:
            mask = read(entry.mask).data
        if psf is None and entry.psf:
            psf = read_psf(entry.psf, options.psf_oversample)
    except AutogalError as error:
        return Cutout.failed(entry.id, error.what, entry.image, start=entry.start, notes=notes)
    cutout = prepare(
        entry.id, image.data, sigma, mask, facts=facts, options=options, start=entry.start, path=entry.image, notes=notes
    )
    if cutout.error is None:
        attach_psf(cutout, psf, options.survey)
    return cutout


def read_psf(path: str, oversample: int = 1) -> tuple[np.ndarray, list[str]]:
    """Read and prepare a PSF image; one that many objects share is read once.

    Parameters
    ----------
    path : str
        FITS file, with an extension selected or not.
    oversample : int
        Samples of the PSF a pixel of the image.

    Returns
    -------
    psf, notes
        As :func:`autogal.images.prepare_psf`.

    Raises
    ------
    AutogalError
        Where the file or the PSF in it cannot be used.
    """
    try:
        state = os.stat(split_selection(path)[0])
    except OSError:
        raise AutogalError(f"No such PSF file: {split_selection(path)[0]}.", "Check the path.") from None
    return _read_psf(path, oversample, state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=64)
def _read_psf(path: str, oversample: int, changed: int, size: int) -> tuple[np.ndarray, list[str]]:
    try:
        return prepare_psf(read(path).data, oversample)
    except AutogalError as error:
        raise AutogalError(f"{error.what.rstrip('.')} ({path}).", error.remedy) from error
