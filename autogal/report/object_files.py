"""The files of each object: what was fitted, and with what result."""

from __future__ import annotations

import hashlib
import logging
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Row

from autogal.errors import AutogalError
from autogal.flags import MEASURED
from autogal.images.cutout import Cutout
from autogal.report.object_figure import object_png
from autogal.results.catalogue import Catalogue
from autogal.results.columns import column
from autogal.results.data import creator
from autogal.results.formats.fits import ascii_text
from autogal.runtime.files import atomic

__all__ = ["file_names", "write_object_fits", "write_objects"]

_log = logging.getLogger(__name__)

_LONGEST = 120  # characters; file systems take 255 bytes, endings and temporary names included


def file_names(ids: Sequence[str]) -> list[str]:
    """A file name, without ending, for each object: safe anywhere, and no two alike.

    An id of letters, digits, ``_``, ``-``, ``+`` and inner dots is its own
    name. Any other keeps what it can and gets a short checksum, so that
    ``a/b`` and ``a b`` stay apart. Names that would differ in case only,
    which some file systems take for the same, and repeated ids get a number.

    Parameters
    ----------
    ids : sequence of str

    Returns
    -------
    list of str
        In the order of ``ids``; the same ids always give the same names.
    """
    names, taken = [], set()
    for id in ids:
        plain = unicodedata.normalize("NFKD", id).encode("ascii", "ignore").decode()
        name = re.sub(r"[^A-Za-z0-9_+.-]+", "_", plain).strip("._")[:_LONGEST]
        if name != id:
            name = f"{name or 'object'}-{hashlib.sha256(id.encode('utf-8', 'surrogatepass')).hexdigest()[:6]}"
        unique, number = name, 2
        while unique.casefold() in taken:
            unique, number = f"{name}-{number}", number + 1
        taken.add(unique.casefold())
        names.append(unique)
    return names


def write_object_fits(
    path: str | Path,
    cutout: Cutout,
    model: np.ndarray | None = None,
    row: Row | None = None,
    components: Mapping[str, np.ndarray] | None = None,
) -> Path:
    """Write the images of one object.

    The primary header holds the row of the catalogue: parameter ``k`` as
    PARk (name), VALk (value), ERRk (1-sigma error). The extensions are IMAGE,
    MODEL, RESIDUAL, MASK (1 = excluded), SIGMA, then one per component; each
    carries the WCS of the cutout.

    Parameters
    ----------
    path : str or Path
        File to write; an existing one is replaced.
    cutout : Cutout
    model : ndarray, shape (H, W), optional
        In image units, sky included; all NaN where left out.
    row : astropy.table.Row, optional
        The object's row in the catalogue.
    components : mapping of str to ndarray of shape (H, W), optional
        Model of each component alone, by name.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    AutogalError
        Where the file cannot be written.
    """
    path = Path(path)
    image = cutout.image
    model = (
        np.full(image.shape, np.nan, image.dtype) if model is None else np.asarray(model, dtype=image.dtype)
    )
    layers: dict[str, np.ndarray] = {
        "IMAGE": image,
        "MODEL": model,
        "RESIDUAL": image - model,
        "MASK": cutout.mask.astype(np.uint8),
    }
    if cutout.sigma is not None:
        layers["SIGMA"] = cutout.sigma
    for name, layer in (components or {}).items():
        layers[_extension(name, layers)] = np.asarray(layer, dtype=image.dtype)

    hdus = fits.HDUList([fits.PrimaryHDU(header=_header(cutout, row))])
    wcs = _wcs_header(cutout)
    # An input that could not be read has no pixels: its file says so in the header, and why.
    for name, layer in layers.items() if image.size else ():
        hdus.append(fits.ImageHDU(layer, header=wcs, name=name))
    with atomic(path) as temporary:
        hdus.writeto(temporary)
    return path


def _wcs_header(cutout: Cutout) -> fits.Header:
    """The WCS of the cutout as cards; none where it cannot be written."""
    try:
        return fits.Header() if cutout.wcs is None else cutout.wcs.to_header(relax=True)
    except Exception as error:  # wcslib raises a family of its own on what it read without a word
        _log.info("%s: its files are without WCS: %s", cutout.id, " ".join(str(error).split())[:120])
        return fits.Header()


def _extension(name: str, taken: Mapping[str, np.ndarray]) -> str:
    extension = ascii_text(name).upper()
    return extension if extension not in taken else f"COMPONENT_{extension}"


def _header(cutout: Cutout, row: Row | None) -> fits.Header:
    """Primary header: the object, its image, and its row of the catalogue."""
    header = fits.Header()
    header["CREATOR"] = ascii_text(creator())
    header["OBJECT"] = ascii_text(cutout.id)
    header["ORIGFILE"] = ascii_text(
        cutout.path or ""
    )  # the image that was fitted; a long path leaves no room to say so
    header["ZEROPT"] = (_number(cutout.zeropoint), "[mag] magnitude of one image unit")
    header["PIXSCALE"] = (_number(cutout.pixel_scale), "[arcsec] size of a pixel")
    if row is None:
        return header
    for name, keyword in {
        "status": "STATUS", "flags": "FLAGS", "flag_names": "FLAGNAME", "message": "MESSAGE",
        "snr": "SNR", "chi2_dof": "CHI2DOF", "n_iter": "NITER", "ra": "RA", "dec": "DEC",
    }.items():  # fmt: skip
        if name in row.colnames:
            value = row[name]
            header[keyword] = ascii_text(value) if isinstance(value, str) else _number(value)
            if not isinstance(value, str):
                header.comments[keyword] = _comment(name)
    names = [name for name in row.colnames if f"{name}_err" in row.colnames]
    for number, name in enumerate(names, start=1):
        header[f"PAR{number}"] = ascii_text(name)
        header[f"VAL{number}"] = (_number(row[name]), _comment(name))
        header[f"ERR{number}"] = (_number(row[f"{name}_err"]), "1-sigma error")
    return header


def _comment(name: str) -> str:
    """What fits behind a number of 20 characters: the unit, else the description."""
    what = column(name)
    unit = what.unit.to_string("fits") if what.unit is not None and what.unit.to_string() else ""
    return ascii_text(f"[{unit}]" if unit else what.description)[:46]


def _number(value: float) -> float | int | None:
    """A number as FITS headers take it: they know no NaN, but an undefined value."""
    value = value.item() if isinstance(value, np.generic) else value
    return value if np.isfinite(value) else None


def write_objects(part: Catalogue, names: Sequence[str], folder: Path, wanted: Mapping[str, bool]) -> None:
    """Write the FITS cube and the picture of every object that could be read.

    One whose files cannot be written is warned of, and told in its row's message.

    Parameters
    ----------
    part : Catalogue
        With its cutouts.
    names : sequence of str
        Of the files, without ending, one a row.
    folder : Path
    wanted : mapping of str to bool
        Which of them are written, ``fits`` and ``png``.
    """
    for i, (name, cutout) in enumerate(zip(names, part.cutouts or (), strict=True)):
        if not any(wanted.values()) or cutout.error is not None:
            continue
        try:
            _write_object(part, i, folder / name, wanted)
        except (
            Exception
        ) as error:  # a full disk, or numbers that nobody foresaw: the catalogue is worth more than a picture
            problem = (
                error.what
                if isinstance(error, AutogalError)
                else f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            )
            _log.warning("%s: its files in %s are missing: %s", cutout.id, folder, problem)
            _log.info("%s: this is where it failed", cutout.id, exc_info=error)
            part.add_message(i, f"Its files in {folder.name}/ are missing: {problem}")


def _write_object(part: Catalogue, i: int, stem: Path, wanted: Mapping[str, bool]) -> None:
    """The files of one row, ``stem`` with their endings."""
    row, cutout = part.table[i], part.cutout(i)
    model = part.model_image(i) if row["status"] in MEASURED else None
    if wanted["fits"]:
        light = part.neighbours_image(i)
        write_object_fits(
            stem.with_name(f"{stem.name}.fits"),
            cutout,
            model,
            row,
            {"neighbours": light} if light.any() else None,
        )
    if wanted["png"]:
        object_png(stem.with_name(f"{stem.name}.png"), cutout, model, row)
