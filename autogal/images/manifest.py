"""Manifests: tables with one row an object.

Columns: ``image``; optionally ``id``, ``psf``, ``sigma``, ``mask``, ``zeropoint``, ``pixel_scale``, ``gain`` and the
starting values ``x``, ``y``, ``mag``, ``flux``, ``r_eff``, ``n``, ``q``, ``pa``, ``sky``. ``x`` and ``y`` alone (also
``x_target``, ``y_target``) say which source of the image is meant. Paths are relative to the manifest or absolute. Empty, masked and NaN cells are not given. Other columns are left alone.
"""

from __future__ import annotations

import csv
import logging
import math
import os
import re

import numpy as np
import pyarrow.parquet
from astropy.table import Table

from autogal.errors import AutogalError
from autogal.images.entry import Entry, stem

__all__ = ["START", "is_manifest", "read_manifest", "start_values"]

log = logging.getLogger(__name__)

START = ("x", "y", "mag", "flux", "r_eff", "n", "q", "pa", "sky")
_FILES = ("psf", "sigma", "mask")
_NUMBERS = ("zeropoint", "pixel_scale", "gain")
# Other names in use for the same things.
_ALIASES = {
    "object_id": "id",
    "zp": "zeropoint",
    "magzp": "zeropoint",
    "zp_ab": "zeropoint",
    "pixscale": "pixel_scale",
    "pixscale_arcsec": "pixel_scale",
    "gain_e_per_unit": "gain",
    "x_target": "x",
    "y_target": "y",
}
_FITS_BLOCK = 2880


def is_manifest(path: str) -> bool:
    """Whether a file is a FITS table with a column ``image`` and holds no image itself."""
    try:
        with open(path, "rb") as file:
            first = file.read(_FITS_BLOCK)
            # Cheap enough to ask every file: an image in the primary HDU ends it here.
            if not first.startswith(b"SIMPLE") or not re.search(rb"NAXIS   =\s+0 ", first):
                return False
            rest = file.read(40 * _FITS_BLOCK)
    except OSError:
        return False
    if b"XTENSION= 'BINTABLE'" not in rest or b"ZIMAGE" in rest or b"XTENSION= 'IMAGE" in rest:
        return False
    return bool(re.search(rb"TTYPE\d+\s*=\s*'image\s*'", rest, re.IGNORECASE))


def read_manifest(path: str) -> list[Entry]:
    """Read the entries of a manifest, in the order of its rows.

    A value that cannot be used makes its own row an entry with ``error``.

    Parameters
    ----------
    path : str
        CSV, ECSV, Parquet or FITS table.

    Returns
    -------
    list of Entry
        At least one.

    Raises
    ------
    AutogalError
        Where the table cannot be read, has no rows or no column ``image``.
    """
    names, rows = _table(path)
    columns = {}
    for index, name in enumerate(names):
        key = name.strip().lower()
        columns.setdefault(key, index)
    for alias, key in _ALIASES.items():
        if alias in columns:
            columns.setdefault(key, columns[alias])
    if "image" not in columns:
        raise AutogalError(
            f"The manifest {path} has no column `image`, only {', '.join(names) or 'an empty header'}.",
            "Name the column with the image files `image`.",
        )
    known = {"id", "image", *_FILES, *_NUMBERS, *START}
    left = [name for name in names if name.strip().lower() not in known | set(_ALIASES)]
    if left:
        log.info("Columns of %s that are not used: %s.", path, ", ".join(left))
    folder = os.path.dirname(os.path.abspath(path))
    columns = {key: index for key, index in columns.items() if key in known}
    entries = [
        _entry({key: row[index] if index < len(row) else None for key, index in columns.items()}, folder, number)
        for number, row in enumerate(rows, 1)
    ]
    if not entries:
        raise AutogalError(f"The manifest {path} has no rows.", "Give one row an object.")
    return entries


def start_values(row: dict) -> dict[str, float]:
    """The starting values in a row; empty, masked and NaN ones are not given. Whether a galaxy can have them is not asked.

    Parameters
    ----------
    row : dict
        Column name -> value.

    Returns
    -------
    dict

    Raises
    ------
    AutogalError
        Where a value is not a number.
    """
    values = {name: _number(row.get(name), name, finite=False) for name in START}
    return {name: value for name, value in values.items() if value is not None}


def _table(path: str) -> tuple[list[str], list]:
    try:
        if path.lower().endswith(".csv"):
            # As text: a table reader would take the id 0012 for the number 12.
            with open(path, encoding="utf-8-sig", newline="") as file:
                lines = (line for line in file if line.strip() and not line.startswith("#"))
                rows = list(csv.reader(lines, skipinitialspace=True))
            return (rows[0], rows[1:]) if rows else ([], [])
        if path.lower().endswith((".parquet", ".pq")):
            columns = pyarrow.parquet.read_table(path).to_pydict()
            return list(columns), list(zip(*columns.values()))
        table = Table.read(path, format="ascii.ecsv" if path.lower().endswith(".ecsv") else "fits")
        return list(table.colnames), list(zip(*(table[name] for name in table.colnames)))
    except FileNotFoundError:
        raise AutogalError(f"No such manifest: {path}.", "Check the path.") from None
    except Exception as error:  # each format's reader raises its own
        reason = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
        raise AutogalError(f"The manifest {path} cannot be read: {reason}.", "Give a CSV, ECSV, FITS or Parquet table.") from error


def _entry(row: dict, folder: str, number: int) -> Entry:
    image = _text(row.get("image"))
    if image is None:
        return Entry(_text(row.get("id")) or f"row_{number}", "", error=f"Row {number} of the manifest names no image.")
    image = _path(image, folder)
    entry = Entry(_text(row.get("id")) or stem(image), image)
    for name in _FILES:
        file = _text(row.get(name))
        if file is not None:
            setattr(entry, name, _path(file, folder))
    try:
        for name in _NUMBERS:
            setattr(entry, name, _number(row.get(name), name))
        entry.start = start_values(row) or None
    except AutogalError as error:
        entry.error = error.what
    return entry


def _path(path: str, folder: str) -> str:
    return os.path.normpath(os.path.join(folder, os.path.expanduser(path)))


def _text(cell) -> str | None:
    if cell is None or np.ma.is_masked(cell):
        return None
    if isinstance(cell, bytes):
        cell = cell.decode()
    if isinstance(cell, (float, np.floating)):
        if math.isnan(cell):
            return None
        cell = int(cell) if float(cell).is_integer() else cell
    text = str(cell).strip()
    return text or None


def _number(cell, name: str, finite: bool = True) -> float | None:
    if cell is None or np.ma.is_masked(cell):
        return None
    if isinstance(cell, (str, bytes)):
        cell = _text(cell)
        if cell is None or cell.lower() in ("nan", "null", "none", "--"):
            return None
    try:
        value = float(cell.value if hasattr(cell, "unit") else cell)
    except (TypeError, ValueError):
        raise AutogalError(f"{name} = {str(cell)!r} in the manifest is not a number.", "Correct the cell.") from None
    if finite and math.isinf(value):
        raise AutogalError(f"{name} in the manifest is infinite.", "Correct the cell.")
    return None if math.isnan(value) else value
