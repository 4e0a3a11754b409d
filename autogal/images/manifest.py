"""Manifests: tables with one row an object.

Columns: ``image``; optionally ``id``, ``psf``, ``sigma``, ``mask``, ``zeropoint``, ``pixel_scale``, ``gain``
and the starting values ``x``, ``y``, ``mag``, ``flux``, ``r_eff``, ``n``, ``q``, ``pa``, ``sky``. ``x`` and
``y`` alone (also ``x_target``, ``y_target``), or ``ra`` and ``dec`` (degrees, or sexagesimal; also as
catalogues name them, ``ALPHA_J2000`` and ``DELTA_J2000`` among others) say which source of the image is
meant. Paths are relative to the manifest or absolute. Empty, masked and NaN cells are not given. Other
columns are named once, as a warning; a name that is all but a known one is an error.
"""

from __future__ import annotations

import csv
import logging
import math
import os
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow
import pyarrow.parquet
from astropy.table import Table

from autogal.errors import AutogalError
from autogal.images.column_names import FACTS, FILES, SKY, START, counted_from_one, known_columns, listed
from autogal.images.entry import Entry, printable, stem
from autogal.images.limits import check_regular
from autogal.images.position import sky_angle

__all__ = ["is_manifest", "read_manifest", "start_columns", "start_values"]

log = logging.getLogger(__name__)

_NOTHING = ("nan", "null", "none", "--")  # what stands in cells that are not given
_FITS_BLOCK = 2880
_CATALOGUE = re.compile(rb"XTENSION= 'BINTABLE'.*TTYPE\d+\s*=\s*'flag_names\s*'", re.DOTALL)
_OF_A_RUN = {"path", "status", "flag_names"}  # columns of every catalogue


def is_manifest(path: str) -> bool:
    """Whether a file is a FITS table with a column ``image`` and holds no image itself, or the catalogue
    of a run, which is told by its name."""
    try:
        check_regular(path)
        with open(path, "rb") as file:
            first = file.read(_FITS_BLOCK)
            # Cheap enough to ask every file: an image in the primary HDU ends it here.
            if not first.startswith(b"SIMPLE") or not re.search(rb"NAXIS   =\s+0 ", first):
                return False
            rest = file.read(40 * _FITS_BLOCK)
    except (AutogalError, OSError):
        return False
    if _CATALOGUE.search(rest):
        return True
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
        Where the table cannot be read, has no rows or no column ``image``, or one whose name is all but a
        known one.
    """
    names, rows = _table(path)
    names = [_text(name) or "" for name in names]
    if "image" not in names and _OF_A_RUN.issubset(names):
        raise AutogalError(
            f"{path} is the catalogue of a run, not a list of images.",
            "Give the images that its column path names; in Python, start= takes it for starting values.",
        )
    columns, left = known_columns(
        names, ("id", "image", *FILES, *FACTS, *START, *SKY), f"The manifest {path}"
    )
    if "image" not in columns:
        raise AutogalError(
            f"The manifest {path} has no column `image`, only {', '.join(names) or 'an empty header'}.",
            "Name the column with the image files `image`.",
        )
    if left:
        log.warning(
            "Columns of %s that are not used: %s.%s", path, listed(left), counted_from_one(left, columns)
        )
    folder = os.path.dirname(os.path.abspath(path))
    entries = [
        _entry(
            {key: row[index] if index < len(row) else None for key, index in columns.items()}, folder, number
        )
        for number, row in enumerate(rows, 1)
    ]
    if not entries:
        raise AutogalError(f"The manifest {path} has no rows.", "Give one row an object.")
    _tell_the_same(entries, path)
    return entries


def _tell_the_same(entries: Sequence[Entry], path: str) -> None:
    """Warn of rows that are the same galaxy, the one in the middle of an image that several of them name."""
    places = {"x", "y", "ra", "dec"}
    without = Counter(one.image for one in entries if one.image and places.isdisjoint(one.start or ()))
    several = {image: number for image, number in without.items() if number > 1}
    if several:
        image, number = next(iter(several.items()))
        more = f", and so with {len(several) - 1} other images" if len(several) > 1 else ""
        log.warning(
            "%d rows of %s name %s without saying which source they mean%s: all are the one in its middle. "
            "x and y (from 0), or ra "
            "and dec, say it.",
            number,
            path,
            image,
            more,
        )


def start_columns(names: Sequence[str]) -> dict[str, int]:
    """Which columns of a table hold starting values; what else there is, is named in the log unless it is a
    catalogue of autogal.

    Raises
    ------
    AutogalError
        Where a name is all but a known one.
    """
    columns, left = known_columns(names, (*START, *SKY), "The start table")
    if left and not {"status", "flag_names"}.issubset(names):
        log.warning(
            "Columns of the start table that are not used: %s.%s",
            listed(left),
            counted_from_one(left, columns),
        )
    return columns


def start_values(row: dict) -> dict[str, float]:
    """The starting values in a row; empty, masked and NaN ones are not given. Whether a galaxy can have them
    is not asked.

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
        Where a value is not a number, or ``ra`` or ``dec`` no angle.
    """
    values = {name: _number(row.get(name), name, finite=False) for name in START}
    if any(row.get(name) is not None for name in SKY):
        values |= {name: _angle(row.get(name), name) for name in SKY}
    return {name: value for name, value in values.items() if value is not None}


def _table(path: str) -> tuple[list[str], list]:
    check_regular(path)
    try:
        if path.lower().endswith(".csv"):
            # As text: a table reader would take the id 0012 for the number 12.
            # Bytes that are not UTF-8 are those of a file's name, or of a cell that is told of by its own
            # row.
            with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
                lines = (line for line in file if line.strip() and not line.startswith("#"))
                rows = list(csv.reader(lines, skipinitialspace=True))
            if rows:
                "".join(rows[0]).encode("utf-8")  # a header that is no text is no table's
            return (rows[0], rows[1:]) if rows else ([], [])
        if path.lower().endswith((".parquet", ".pq")):
            table = pyarrow.parquet.read_table(path)
            return table.column_names, list(zip(*map(_cells, table.columns)))
        table = Table.read(path, format="ascii.ecsv" if path.lower().endswith(".ecsv") else "fits")
        return list(table.colnames), list(zip(*(table[name] for name in table.colnames)))
    except FileNotFoundError:
        raise AutogalError(f"No such manifest: {path}.", "Check the path.") from None
    except Exception as error:  # each format's reader raises its own
        reason = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
        raise AutogalError(
            f"The manifest {path} cannot be read: {reason}.", "Give a CSV, ECSV, FITS or Parquet table."
        ) from error


def _cells(column: pyarrow.ChunkedArray) -> list:
    """The values of a Parquet column; text stays bytes, which need not be UTF-8 whatever the column says."""
    kind = column.type
    if pyarrow.types.is_dictionary(kind):
        kind = kind.value_type
        column = column.cast(kind) if not pyarrow.types.is_string(kind) else column.cast(pyarrow.string())
    if pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind):
        column = column.cast(pyarrow.large_binary())
    return column.to_pylist()


def _entry(row: dict, folder: str, number: int) -> Entry:
    image = _file(row.get("image"))
    if image is None:
        return Entry(
            _text(row.get("id")) or f"row_{number}", "", error=f"Row {number} of the manifest names no image."
        )
    image = _path(image, folder)
    entry = Entry(_text(row.get("id")) or printable(stem(image)), image)
    for name in FILES:
        file = _file(row.get(name))
        if file is not None:
            setattr(entry, name, _path(file, folder))
    try:
        for name in FACTS:
            setattr(entry, name, _number(row.get(name), name))
        entry.start = start_values(row) or None
    except AutogalError as error:
        entry.error = error.what
    return entry


def _path(path: str, folder: str) -> str:
    return os.path.normpath(os.path.join(folder, os.path.expanduser(path)))


def _text(cell) -> str | None:
    """A cell as printable text: what is not UTF-8, and control characters, would break log and catalogue."""
    if cell is None or np.ma.is_masked(cell):
        return None
    if isinstance(cell, bytes):
        cell = cell.decode("utf-8", "replace")
    if isinstance(cell, (float, np.floating)):
        if math.isnan(cell):
            return None
        cell = int(cell) if float(cell).is_integer() else cell
    text = printable(str(cell)).strip()
    return text or None


def _file(cell) -> str | None:
    """A cell as the name of a file, which may hold any bytes."""
    if isinstance(cell, bytes):
        cell = os.fsdecode(cell)
    return cell.strip() or None if isinstance(cell, str) and not np.ma.is_masked(cell) else _text(cell)


def _angle(cell, name: str) -> float | None:
    if hasattr(cell, "unit") and cell.unit is not None and cell.unit.is_equivalent("deg"):
        cell = cell.to_value("deg")
    if not isinstance(cell, (str, bytes)):
        number = _number(cell, name)
        return None if number is None else sky_angle(repr(number), name)
    text = _text(cell)
    return None if text is None or text.lower() in _NOTHING else sky_angle(text, name)


def _number(cell, name: str, finite: bool = True) -> float | None:
    if cell is None or np.ma.is_masked(cell):
        return None
    if isinstance(cell, (str, bytes)):
        cell = _text(cell)
        if cell is None or cell.lower() in _NOTHING:
            return None
    try:
        value = float(cell.value if hasattr(cell, "unit") else cell)
    except (TypeError, ValueError):
        raise AutogalError(
            f"{name} = {str(cell)!r} in the manifest is not a number.", "Correct the cell."
        ) from None
    if finite and math.isinf(value):
        raise AutogalError(f"{name} in the manifest is infinite.", "Correct the cell.")
    return None if math.isnan(value) else value
