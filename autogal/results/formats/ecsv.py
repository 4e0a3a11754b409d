"""ECSV: text; the arrays are the last columns, the configuration is in the metadata."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.table import Table

from autogal.results.data import ARRAYS, CatalogueData
from autogal.results.formats import CatalogueFormat

__all__ = ["Ecsv", "with_arrays"]


class Ecsv(CatalogueFormat):
    """Enhanced character-separated values, as astropy reads and writes them."""

    ending = "ecsv"

    def write(self, catalogue: CatalogueData, path: Path) -> None:
        table = with_arrays(catalogue)
        if not len(table):
            table.remove_columns(
                [what.in_file for what in catalogue.arrays]
            )  # astropy does not read a column of no matrices
        table.write(path, format="ascii.ecsv")

    def read(self, path: Path) -> CatalogueData:
        table = Table.read(path, format="ascii.ecsv", fill_values=None)
        columns = {name: np.asarray(column) for name, column in table.columns.items()}
        found = {what.in_file: columns.pop(what.in_file) for what in ARRAYS if what.in_file in columns}
        return CatalogueData.of_parts(
            columns, {"covariance": np.empty(0), **found}, {"replicates": 0, **table.meta["autogal"]}
        )


def with_arrays(catalogue: CatalogueData) -> Table:
    """The table with the arrays as its last columns, and all metadata."""
    table = catalogue.table.copy(copy_data=False)
    for what, array in catalogue.arrays.items():
        table[what.in_file] = array
        table[
            what.in_file
        ].description = f"{what.description} {', '.join(what.names(catalogue.parameters))}, in their units"
    table.meta = {"autogal": catalogue.meta}
    return table
