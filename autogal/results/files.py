"""Catalogues on disk: which file, in which format; written whole or not at all."""

from __future__ import annotations

from pathlib import Path

from autogal.errors import AutogalError
from autogal.results.data import CatalogueData
from autogal.results.formats import CatalogueFormat, build_format, format_names
from autogal.runtime.files import atomic, ensure_writable

__all__ = ["catalogue_path", "read_catalogue", "write_catalogue"]


def catalogue_path(path: str | Path, format: str | None = None) -> tuple[Path, CatalogueFormat]:
    """The file and the format that a catalogue is written in.

    Parameters
    ----------
    path : str or Path
        A file whose ending is that of a format, or a folder.
    format : str, optional
        As `autogal.results.formats.build_format` takes it; by default from the ending, fits for a folder.

    Returns
    -------
    path : Path
    format : CatalogueFormat

    Raises
    ------
    AutogalError
        Where there is no such format.
    """
    path = Path(path)
    ending = path.suffix.removeprefix(".").lower()
    is_folder = path.is_dir() or not ending
    chosen = build_format(format or ("fits" if is_folder else ending))
    return (path / f"catalogue.{chosen.ending}" if is_folder else path), chosen


def write_catalogue(catalogue: CatalogueData, path: str | Path, format: str | None = None) -> Path:
    """Write a catalogue with its arrays and its configuration.

    FITS holds the covariance in the extension COVARIANCE, [N, P, P], and the
    configuration in the extension CONFIG; ECSV and Parquet hold the
    covariance in the last column and the configuration in the metadata. So
    they do with what else the catalogue has: the covariance of the bootstrap,
    BOOTSTRAP_COVARIANCE, its REPLICATES, [N, R, P], and the NEIGHBOURS fitted
    together with each object, [N, K, 7].

    Parameters
    ----------
    catalogue : CatalogueData
    path : str or Path
        A file, or a folder for ``catalogue.<ending>``.
    format : {"fits", "ecsv", "parquet"} or str, optional
        MODULE:CLASS for a user's own. By default from the ending of ``path``; fits for a folder.

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
    path, chosen = catalogue_path(path, format)
    ensure_writable(path.parent)
    with atomic(path) as temporary:
        chosen.write(catalogue, temporary)
    return path


def read_catalogue(path: str | Path, format: str | None = None) -> CatalogueData:
    """Read what :func:`write_catalogue` wrote, in any format.

    Parameters
    ----------
    path : str or Path
        A file, or a folder: of a run, or one that holds a ``catalogue.<ending>``; of several the newest is
        read.
    format : str, optional
        As in :func:`write_catalogue`; needed for a user's own.

    Raises
    ------
    AutogalError
        Where the file is missing or is not a catalogue of autogal.
    """
    path, chosen = catalogue_path(_newest(Path(path), format), format)
    try:
        return chosen.read(path)
    except FileNotFoundError as problem:
        raise AutogalError(
            f"There is no catalogue {path}.", "Give the file that `autogal fit` wrote."
        ) from problem
    except (OSError, KeyError, ValueError) as problem:
        raise AutogalError(
            f"{path} is not a catalogue of autogal: {problem}.", "Give the file that `autogal fit` wrote."
        ) from problem


def _newest(path: Path, format: str | None) -> Path:
    """The newest catalogue in a folder, where no format says which is meant."""
    if format is not None or not path.is_dir():
        return path
    there = [file for name in format_names() if (file := path / f"catalogue.{name}").is_file()]
    return max(there, key=lambda file: file.stat().st_mtime_ns, default=path)
