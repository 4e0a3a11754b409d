"""FITS: the table, an image extension an array, and the configuration as JSON text."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table

from autogal.results.data import ARRAYS, CatalogueData
from autogal.results.formats import CatalogueFormat

__all__ = ["Fits", "ascii_text"]


class Fits(CatalogueFormat):
    """FITS: CATALOGUE, COVARIANCE and the other arrays, CONFIG."""

    ending = "fits"

    def write(self, catalogue: CatalogueData, path: Path) -> None:
        meta = catalogue.meta
        primary = fits.PrimaryHDU()
        primary.header["CREATOR"] = ascii_text(meta["creator"])
        primary.header["DATE"] = (meta["date"].removesuffix("+00:00"), "UTC")
        primary.header["MODEL"] = ascii_text(meta["model"])

        arrays = []
        for what, array in catalogue.arrays.items():
            arrays.append(fits.ImageHDU(array, name=what.in_file.upper()))
            for number, name in enumerate(what.names(catalogue.parameters), start=1):
                arrays[-1].header[f"PAR{number}"] = (ascii_text(name), what.label)
        primary.header["NREPLIC"] = (meta["replicates"], "replicates, or samples, of each row")

        # As bytes and not as a table: with a second table, readers would ask which one is meant.
        text = np.frombuffer(json.dumps(meta["config"], indent=1).encode(), dtype=np.uint8)
        config = fits.ImageHDU(text, name="CONFIG")
        config.header["COMMENT"] = "The configuration of the run: JSON text, one byte a pixel."
        fits.HDUList([primary, _rows(catalogue.table), *arrays, config]).writeto(path)

    def read(self, path: Path) -> CatalogueData:
        with fits.open(path, memmap=False) as hdus:
            rows, header = hdus["CATALOGUE"].data, hdus["COVARIANCE"].header
            raw = rows.view(np.ndarray)
            columns = {
                n: np.char.decode(raw[n], "utf-8") if raw[n].dtype.kind == "S" else _native(raw[n])
                for n in rows.names
            }
            parameters = [header[f"PAR{k}"] for k in range(1, header["NAXIS1"] + 1)]
            images = {
                what.in_file: hdus[what.in_file.upper()].data
                for what in ARRAYS
                if what.in_file.upper() in hdus
            }
            arrays = {
                name: np.empty(0) if image is None else _native(image) for name, image in images.items()
            }
            config = json.loads(hdus["CONFIG"].data.tobytes())
            primary = hdus[0].header
            meta = {
                "model": primary["MODEL"],
                "parameters": parameters,
                "replicates": primary.get("NREPLIC", 0),
                "config": config,
            }
            return CatalogueData.of_parts(columns, arrays, meta)


def ascii_text(text: str) -> str:
    """Text for a FITS header, which knows nothing but printable ASCII."""
    plain = " ".join(str(text).split()).encode("ascii", "backslashreplace").decode()
    return (
        plain
        if plain.isprintable()
        else "".join(one if one.isprintable() else f"\\x{ord(one):02x}" for one in plain)
    )


def _rows(table: Table) -> fits.BinTableHDU:
    """The table. Text is written as UTF-8, so that any file name survives; most is ASCII, for which it is
    the same."""
    encoded = Table(
        {n: np.char.encode(c, "utf-8") if c.dtype.kind == "U" else c for n, c in table.columns.items()},
        copy=False,
    )
    encoded.meta.clear()  # astropy would warn of it
    rows = fits.table_to_hdu(encoded)
    rows.name = "CATALOGUE"
    for number, name in enumerate(
        table.colnames, start=1
    ):  # astropy writes no descriptions: TCOMMn, as TOPCAT reads
        rows.header[f"TCOMM{number}"] = ascii_text(table[name].description or "")
    return rows


def _native(array: np.ndarray) -> np.ndarray:
    """The same numbers in the byte order of this machine."""
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
