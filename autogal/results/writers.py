"""Catalogues on disk: FITS, ECSV and Parquet, written atomically."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits
from astropy.table import Table

from autogal.errors import AutogalError
from autogal.results.atomic import atomic, ensure_writable
from autogal.results.columns import declared

if TYPE_CHECKING:
    from autogal.results.catalogue import Catalogue

__all__ = ["FORMATS", "catalogue_path", "write_catalogue", "read_catalogue", "creator", "ascii_text"]


def catalogue_path(path: str | Path, format: str | None = None) -> tuple[Path, str]:
    """The file and the format that a catalogue is written in.

    Parameters
    ----------
    path : str or Path
        A file whose ending is that of a format, or a folder.
    format : str, optional
        One of ``FORMATS``; by default from the ending, fits for a folder.

    Returns
    -------
    path : Path
    format : str

    Raises
    ------
    AutogalError
        Where there is no such format.
    """
    path = Path(path)
    ending = path.suffix.removeprefix(".").lower()
    is_folder = path.is_dir() or not ending
    format = format or ("fits" if is_folder else ending)
    if format not in FORMATS:
        raise AutogalError(f"There is no catalogue format {format!r}.", f"Use one of {', '.join(FORMATS)}.")
    return (path / f"catalogue.{format}" if is_folder else path), format


def write_catalogue(catalogue: Catalogue, path: str | Path, format: str | None = None) -> Path:
    """Write a catalogue with its covariance and its configuration.

    FITS holds the covariance in the extension COVARIANCE, [N, P, P], and the
    configuration in the extension CONFIG; ECSV and Parquet hold the
    covariance in the last column and the configuration in the metadata.

    Parameters
    ----------
    catalogue : Catalogue
    path : str or Path
        A file, or a folder for ``catalogue.<format>``.
    format : {"fits", "ecsv", "parquet"}, optional
        By default from the ending of ``path``; fits for a folder.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    AutogalError
        For an unknown format, a folder that cannot be written, a full disk.
        A file of that name from before is then left as it was.
    """
    path, format = catalogue_path(path, format)
    write, _ = FORMATS[format]
    ensure_writable(path.parent)
    with atomic(path) as temporary:
        write(catalogue, temporary)
    return path


def read_catalogue(path: str | Path) -> tuple[Table, np.ndarray, tuple[str, ...], None, str, dict]:
    """Read what :func:`write_catalogue` wrote, in any format.

    Returns
    -------
    table, covariance, parameters, cutouts, model, settings
        The arguments of :class:`Catalogue`; the cutouts are None.

    Raises
    ------
    AutogalError
        Where the file is missing or is not a catalogue of autogal.
    """
    path, format = catalogue_path(path)
    try:
        data, covariance, meta = FORMATS[format][1](path)
        parameters = tuple(meta["parameters"])
        covariance = np.asarray(covariance, dtype=float).reshape(-1, len(parameters), len(parameters))
        return declared(data), covariance, parameters, None, meta["model"], meta["config"]
    except FileNotFoundError as problem:
        raise AutogalError(f"There is no catalogue {path}.", "Give the file that `autogal fit` wrote.") from problem
    except (OSError, KeyError, ValueError) as problem:
        raise AutogalError(
            f"{path} is not a catalogue of autogal: {problem}.", "Give the file that `autogal fit` wrote."
        ) from problem


def creator() -> str:
    """Name and version of what writes."""
    try:
        return f"autogal {version('autogal')}"
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "autogal"


def ascii_text(text: str) -> str:
    """Text for a FITS header, which knows nothing but printable ASCII."""
    return " ".join(str(text).split()).encode("ascii", "backslashreplace").decode()


def _meta(catalogue: Catalogue) -> dict[str, Any]:
    return {
        "creator": creator(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": catalogue.model,
        "parameters": list(catalogue.parameters),
        "config": _plain(catalogue.settings),
    }


def _plain(settings: Any) -> Any:
    """Settings as dicts, lists and plain values, whatever library they came from."""
    if isinstance(settings, Mapping):
        return {str(key): _plain(value) for key, value in settings.items()}
    if isinstance(settings, Sequence) and not isinstance(settings, str):
        return [_plain(value) for value in settings]
    return settings if isinstance(settings, (int, float, bool, type(None))) else str(settings)


def _write_fits(catalogue: Catalogue, path: Path) -> None:
    meta = _meta(catalogue)
    primary = fits.PrimaryHDU()
    primary.header["CREATOR"] = ascii_text(meta["creator"])
    primary.header["DATE"] = (meta["date"].removesuffix("+00:00"), "UTC")
    primary.header["MODEL"] = ascii_text(meta["model"])

    # Text is written as UTF-8, so that any file name survives; most is ASCII, for which it is the same.
    # astropy would warn of the table's own metadata, and writes no descriptions: TCOMMn, as TOPCAT reads.
    table = Table(
        {n: np.char.encode(c, "utf-8") if c.dtype.kind == "U" else c for n, c in catalogue.table.columns.items()},
        copy=False,
    )
    table.meta.clear()
    rows = fits.table_to_hdu(table)
    rows.name = "CATALOGUE"
    for number, name in enumerate(table.colnames, start=1):
        rows.header[f"TCOMM{number}"] = ascii_text(catalogue.table[name].description or "")

    matrices = fits.ImageHDU(np.asarray(catalogue.covariance, dtype=float), name="COVARIANCE")
    for number, name in enumerate(catalogue.parameters, start=1):
        matrices.header[f"PAR{number}"] = (ascii_text(name), "parameter of this row and column")

    # As bytes and not as a table: with a second table, readers would ask which one is meant.
    text = np.frombuffer(json.dumps(meta["config"], indent=1).encode(), dtype=np.uint8)
    config = fits.ImageHDU(text, name="CONFIG")
    config.header["COMMENT"] = "The configuration of the run: JSON text, one byte a pixel."
    fits.HDUList([primary, rows, matrices, config]).writeto(path)


def _read_fits(path: Path) -> tuple[dict[str, np.ndarray], np.ndarray, dict]:
    with fits.open(path, memmap=False) as hdus:
        rows, header = hdus["CATALOGUE"].data, hdus["COVARIANCE"].header
        raw = rows.view(np.ndarray)
        data = {n: np.char.decode(raw[n], "utf-8") if raw[n].dtype.kind == "S" else _native(raw[n]) for n in rows.names}
        parameters = [header[f"PAR{k}"] for k in range(1, header["NAXIS1"] + 1)]
        matrices = hdus["COVARIANCE"].data
        covariance = np.empty(0) if matrices is None else _native(matrices)
        config = json.loads(hdus["CONFIG"].data.tobytes())
        return data, covariance, {"model": hdus[0].header["MODEL"], "parameters": parameters, "config": config}


def _write_ecsv(catalogue: Catalogue, path: Path) -> None:
    table = _with_covariance(catalogue)
    if not len(table):
        del table["covariance"]  # astropy does not read a column of no matrices
    table.write(path, format="ascii.ecsv")


def _read_ecsv(path: Path) -> tuple[dict[str, np.ndarray], np.ndarray, dict]:
    table = Table.read(path, format="ascii.ecsv", fill_values=None)
    data = {name: np.asarray(col) for name, col in table.columns.items()}
    return data, data.pop("covariance", np.empty(0)), table.meta["autogal"]


def _write_parquet(catalogue: Catalogue, path: Path) -> None:
    _with_covariance(catalogue).write(path, format="parquet")


def _read_parquet(path: Path) -> tuple[dict[str, np.ndarray], np.ndarray, dict]:
    from astropy.table.meta import get_header_from_yaml
    from pyarrow import parquet  # astropy's own reader needs pandas

    table = parquet.read_table(path)
    meta = get_header_from_yaml(table.schema.metadata[b"table_meta_yaml"].decode().splitlines())["meta"]
    covariance = table["covariance"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    columns = {name: table[name].to_numpy() for name in table.column_names if name != "covariance"}
    data = {name: values.astype(str) if values.dtype == object else values for name, values in columns.items()}
    return data, covariance, meta["autogal"]


def _with_covariance(catalogue: Catalogue) -> Table:
    """The table with the covariance as its last column, and all metadata."""
    table = catalogue.table.copy(copy_data=False)
    table["covariance"] = np.asarray(catalogue.covariance, dtype=float)
    table["covariance"].description = f"Covariance matrix of {', '.join(catalogue.parameters)}, in their units"
    table.meta = {"autogal": _meta(catalogue)}
    return table


def _native(array: np.ndarray) -> np.ndarray:
    """The same numbers in the byte order of this machine."""
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


FORMATS: dict[str, tuple[Callable[[Catalogue, Path], None], Callable[[Path], tuple]]] = {
    "fits": (_write_fits, _read_fits),
    "ecsv": (_write_ecsv, _read_ecsv),
    "parquet": (_write_parquet, _read_parquet),
}
"""How each format is written and read."""
