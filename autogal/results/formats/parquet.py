"""Parquet: columns on disk; the arrays are the last columns, the configuration is in the metadata."""

from __future__ import annotations

from pathlib import Path

from autogal.results.data import ARRAYS, CatalogueData
from autogal.results.formats import CatalogueFormat
from autogal.results.formats.ecsv import with_arrays

__all__ = ["Parquet"]


class Parquet(CatalogueFormat):
    """Apache Parquet, with astropy's metadata."""

    ending = "parquet"

    def write(self, catalogue: CatalogueData, path: Path) -> None:
        with_arrays(catalogue).write(path, format="parquet")

    def read(self, path: Path) -> CatalogueData:
        from astropy.table.meta import get_header_from_yaml
        from pyarrow import parquet  # astropy's own reader needs pandas

        table = parquet.read_table(path)
        meta = get_header_from_yaml(table.schema.metadata[b"table_meta_yaml"].decode().splitlines())["meta"]
        known = [what.in_file for what in ARRAYS if what.in_file in table.column_names]
        arrays = {
            name: table[name].combine_chunks().flatten().to_numpy(zero_copy_only=False) for name in known
        }
        columns = {name: table[name].to_numpy() for name in table.column_names if name not in arrays}
        columns = {
            name: values.astype(str) if values.dtype == object else values for name, values in columns.items()
        }
        return CatalogueData.of_parts(columns, arrays, {"replicates": 0, **meta["autogal"]})
