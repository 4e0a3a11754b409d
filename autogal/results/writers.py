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
from autogal.model.fitted import NEIGHBOUR
from autogal.runtime.files import atomic, ensure_writable
from autogal.results.columns import declared

if TYPE_CHECKING:
    from autogal.results.catalogue import Catalogue

__all__ = ["FORMATS", "catalogue_path", "write_catalogue", "read_catalogue", "creator", "ascii_text"]


_DESCRIPTIONS = {"covariance": "Covariance matrix of", "bootstrap_covariance": "Covariance matrix, by the bootstrap, of",
                 "replicates": "The bootstrap's replicates of", "neighbours": "Of the neighbours fitted with each object,"}  # fmt: skip
# Arrays of a catalogue beside its table: the attribute of each, by the name in the file
_ARRAYS = {"covariance": "covariance", "bootstrap_covariance": "bootstrap", "replicates": "replicates", "neighbours": "neighbours"}


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
    covariance in the last column and the configuration in the metadata. So
    they do with what else the catalogue has: the covariance of the bootstrap,
    BOOTSTRAP_COVARIANCE, its REPLICATES, [N, R, P], and the NEIGHBOURS fitted
    together with each object, [N, K, 7].

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


def read_catalogue(path: str | Path) -> tuple:
    """Read what :func:`write_catalogue` wrote, in any format.

    Returns
    -------
    table, covariance, parameters, cutouts, model, settings, seconds, bootstrap, replicates, neighbours
        The arguments of :class:`Catalogue`; the cutouts and the times are None.

    Raises
    ------
    AutogalError
        Where the file is missing or is not a catalogue of autogal.
    """
    path, format = catalogue_path(path)
    try:
        data, arrays, meta = FORMATS[format][1](path)
        parameters = tuple(meta["parameters"])
        shapes = dict.fromkeys(_ARRAYS, (len(data["id"]), len(parameters), len(parameters)))
        shapes["replicates"] = (len(data["id"]), meta["replicates"], len(parameters))
        shapes["neighbours"] = (len(data["id"]), -1 if len(data["id"]) else 0, len(NEIGHBOUR))
        known = {name: np.asarray(array, dtype=float).reshape(shapes[name]) for name, array in arrays.items()}
        covariance, *others = known["covariance"], *(known.get(name) for name in list(_ARRAYS)[1:])
        return declared(data), covariance, parameters, None, meta["model"], meta["config"], None, *others
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
    plain = " ".join(str(text).split()).encode("ascii", "backslashreplace").decode()
    return plain if plain.isprintable() else "".join(one if one.isprintable() else f"\\x{ord(one):02x}" for one in plain)


def _meta(catalogue: Catalogue) -> dict[str, Any]:
    return {
        "creator": creator(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": catalogue.model,
        "parameters": list(catalogue.parameters),
        "replicates": 0 if catalogue.replicates is None else catalogue.replicates.shape[1],
        "config": _plain(catalogue.settings),
    }


def _arrays(catalogue: Catalogue) -> dict[str, np.ndarray]:
    """What the catalogue has of `_ARRAYS`, by the name in the file."""
    found = {name: getattr(catalogue, attribute) for name, attribute in _ARRAYS.items()}
    return {name: np.asarray(array, dtype=float) for name, array in found.items() if array is not None}


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

    arrays = [fits.ImageHDU(array, name=name.upper()) for name, array in _arrays(catalogue).items()]
    for hdu in arrays:
        what = "parameter of this row and column" if hdu.name.endswith("COVARIANCE") else "parameter of this column"
        for number, name in enumerate(NEIGHBOUR if hdu.name == "NEIGHBOURS" else catalogue.parameters, start=1):
            hdu.header[f"PAR{number}"] = (ascii_text(name), what)
    primary.header["NREPLIC"] = (meta["replicates"], "replicates kept of the bootstrap")

    # As bytes and not as a table: with a second table, readers would ask which one is meant.
    text = np.frombuffer(json.dumps(meta["config"], indent=1).encode(), dtype=np.uint8)
    config = fits.ImageHDU(text, name="CONFIG")
    config.header["COMMENT"] = "The configuration of the run: JSON text, one byte a pixel."
    fits.HDUList([primary, rows, *arrays, config]).writeto(path)


def _read_fits(path: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict]:
    with fits.open(path, memmap=False) as hdus:
        rows, header = hdus["CATALOGUE"].data, hdus["COVARIANCE"].header
        raw = rows.view(np.ndarray)
        data = {n: np.char.decode(raw[n], "utf-8") if raw[n].dtype.kind == "S" else _native(raw[n]) for n in rows.names}
        parameters = [header[f"PAR{k}"] for k in range(1, header["NAXIS1"] + 1)]
        images = {name: hdus[name.upper()].data for name in _ARRAYS if name.upper() in hdus}
        arrays = {name: np.empty(0) if image is None else _native(image) for name, image in images.items()}
        config = json.loads(hdus["CONFIG"].data.tobytes())
        primary = hdus[0].header
        return data, arrays, {"model": primary["MODEL"], "parameters": parameters, "replicates": primary.get("NREPLIC", 0), "config": config}


def _write_ecsv(catalogue: Catalogue, path: Path) -> None:
    table = _with_arrays(catalogue)
    if not len(table):
        table.remove_columns(list(_arrays(catalogue)))  # astropy does not read a column of no matrices
    table.write(path, format="ascii.ecsv")


def _read_ecsv(path: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict]:
    table = Table.read(path, format="ascii.ecsv", fill_values=None)
    data = {name: np.asarray(col) for name, col in table.columns.items()}
    arrays = {"covariance": np.empty(0)} | {name: data.pop(name) for name in _ARRAYS if name in data}
    return data, arrays, {"replicates": 0, **table.meta["autogal"]}


def _write_parquet(catalogue: Catalogue, path: Path) -> None:
    _with_arrays(catalogue).write(path, format="parquet")


def _read_parquet(path: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict]:
    from astropy.table.meta import get_header_from_yaml
    from pyarrow import parquet  # astropy's own reader needs pandas

    table = parquet.read_table(path)
    meta = get_header_from_yaml(table.schema.metadata[b"table_meta_yaml"].decode().splitlines())["meta"]
    arrays = {name: table[name].combine_chunks().flatten().to_numpy(zero_copy_only=False) for name in _ARRAYS if name in table.column_names}
    columns = {name: table[name].to_numpy() for name in table.column_names if name not in arrays}
    data = {name: values.astype(str) if values.dtype == object else values for name, values in columns.items()}
    return data, arrays, {"replicates": 0, **meta["autogal"]}


def _with_arrays(catalogue: Catalogue) -> Table:
    """The table with the covariance, and what else there is, as its last columns, and all metadata."""
    table = catalogue.table.copy(copy_data=False)
    for name, array in _arrays(catalogue).items():
        table[name] = array
        of = ", ".join(NEIGHBOUR if name == "neighbours" else catalogue.parameters)
        table[name].description = f"{_DESCRIPTIONS[name]} {of}, in their units"
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
