"""Simulated scenes as files, as a survey would hand them out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table

from autogal.errors import AutogalError
from autogal.images.cutout import Cutout

__all__ = ["write_scenes"]


def write_scenes(folder: str | Path, cutouts: list[Cutout], truth: Table) -> Path:
    """Write images, sigma maps, PSFs, the truth and a manifest.

    Parameters
    ----------
    folder : path
        Made if it is not there; files of the same names are replaced.
    cutouts : list of Cutout
    truth : Table
        As from :func:`autogal.simulate.simulate`.

    Returns
    -------
    Path
        ``manifest.csv``, which lists the files relative to itself and is itself an input of ``autogal fit``.
        Beside it: ``truth.ecsv`` and, for each id, ``<id>_image.fits``, ``<id>_sigma.fits``, ``<id>_psf.fits``.

    Raises
    ------
    AutogalError
        Where the folder cannot be written.
    """
    folder = Path(folder)
    rows = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for cutout in cutouts:
            header = fits.Header()
            header["OBJECT"] = cutout.id
            header["MAGZERO"] = (cutout.zeropoint, "magnitude of one image unit")
            header["PIXSCALE"] = (cutout.pixel_scale, "arcsec per pixel")
            if cutout.gain is not None:
                header["GAINEFF"] = (cutout.gain, "electrons per image unit")
            row = {"id": cutout.id}
            for kind, array in (("image", cutout.image), ("sigma", cutout.sigma), ("psf", cutout.psf)):
                row[kind] = f"{cutout.id}_{kind}.fits"
                fits.writeto(folder / row[kind], np.asarray(array, np.float32), header if kind == "image" else None,
                             overwrite=True)
            rows.append({**row, "zeropoint": cutout.zeropoint, "pixel_scale": cutout.pixel_scale, "gain": cutout.gain})
        truth.write(folder / "truth.ecsv", format="ascii.ecsv", overwrite=True)
        manifest = folder / "manifest.csv"
        Table(rows).write(manifest, format="ascii.csv", overwrite=True)
    except OSError as problem:
        raise AutogalError(f"The simulated scenes cannot be written to {folder}: {problem.strerror or problem}.",
                           "Choose another folder, or make room there.") from problem
    return manifest
