"""What was measured: the catalogue, its columns and arrays, and its files. Reading one needs no torch."""

from autogal.flags import MEASURED
from autogal.results.catalogue import Catalogue
from autogal.results.columns import COLUMNS, Column, column
from autogal.results.data import CatalogueData
from autogal.results.files import read_catalogue, write_catalogue

__all__ = [
    "COLUMNS",
    "MEASURED",
    "Catalogue",
    "CatalogueData",
    "Column",
    "column",
    "read_catalogue",
    "write_catalogue",
]
