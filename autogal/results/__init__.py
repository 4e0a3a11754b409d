"""What comes out: the catalogue, its files, pictures, summary and progress."""

from autogal.runtime.files import ensure_writable
from autogal.results.blocks import CatalogueWriter
from autogal.results.catalogue import Catalogue
from autogal.results.columns import COLUMNS, Column, column
from autogal.results.earlier import own_folder
from autogal.results.handover import Handover
from autogal.results.objects import file_names, write_object_fits, write_objects
from autogal.results.plots import object_figure, object_png
from autogal.results.progress import FitProgress
from autogal.results.rows import MEASURED, build_table
from autogal.results.summary import print_summary, summary
from autogal.results.writers import read_catalogue, write_catalogue

__all__ = [
    "COLUMNS",
    "MEASURED",
    "Catalogue",
    "CatalogueWriter",
    "Column",
    "FitProgress",
    "Handover",
    "build_table",
    "column",
    "ensure_writable",
    "file_names",
    "object_figure",
    "object_png",
    "own_folder",
    "print_summary",
    "read_catalogue",
    "summary",
    "write_catalogue",
    "write_object_fits",
    "write_objects",
]
