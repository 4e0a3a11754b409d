"""A format of the catalogue's file: a class with `write` and `read`. One file in the package, or none:
MODULE:CLASS."""

from __future__ import annotations

import pytest

from autogal.errors import AutogalError
from autogal.results.formats import build_format, format_names

FORMAT = '''
"""Numpy's own archive."""

import json

import numpy as np

from autogal.results.data import CatalogueData
from autogal.results.formats import CatalogueFormat

__all__ = ["Npz"]


class Npz(CatalogueFormat):
    """One array a column, and one an array of the catalogue."""

    ending = "npz"

    def write(self, catalogue, path):
        columns = {f"column {name}": np.asarray(column) for name, column in catalogue.table.columns.items()}
        arrays = {f"array {what.in_file}": array for what, array in catalogue.arrays.items()}
        with open(path, "wb") as file:
            np.savez(file, meta=json.dumps(catalogue.meta), **columns, **arrays)

    def read(self, path):
        with np.load(path) as file:
            parts = {kind: {name.removeprefix(kind): file[name] for name in file if name.startswith(kind)} for kind in ("column ", "array ")}
            return CatalogueData.of_parts(parts["column "], parts["array "], json.loads(str(file["meta"])))
'''
SAME = """
import numpy as np
def same(one, other):
    assert one.table.colnames == other.table.colnames and one.parameters == other.parameters and one.settings == other.settings
    for name in one.table.colnames:
        np.testing.assert_array_equal(one.table[name], other.table[name])
        assert one.table[name].unit == other.table[name].unit and one.table[name].description == other.table[name].description
    np.testing.assert_array_equal(one.covariance, other.covariance)
"""


def test_a_format_of_the_package_is_one_file(changed_package):
    run = changed_package({"results/formats/npz.py": FORMAT}, most=1)
    run(
        SAME
        + """
FIT
same(autogal.read(catalogue.write("run", format="npz")), catalogue)
same(autogal.read("run"), catalogue)
same(autogal.read("run/catalogue.npz"), catalogue)
same(autogal.read(catalogue.write("b.npz")), catalogue)
try:
    catalogue.write("a.csv")
except autogal.AutogalError as error:
    assert error.remedy == "Use one of fits, ecsv, npz, parquet, or MODULE:CLASS for your own.", error.remedy
"""
    )


def test_a_format_of_ones_own_is_none(program, tmp_path, write_galaxy):
    (tmp_path / "my_formats.py").write_text(FORMAT)
    write_galaxy(tmp_path / "galaxy.fits", tmp_path / "galaxy_psf.fits")
    program(
        SAME
        + """
import sys
sys.argv = ["autogal", "fit", "galaxy.fits", "zeropoint=25", "device=cpu", "out=run", "catalogue.format=my_formats:Npz"]
from autogal.cli import main
assert main() == 0
import autogal
catalogue = autogal.read("run", format="my_formats:Npz")
assert len(catalogue) == 1 and catalogue.table["status"][0] == "converged"
assert sorted(__import__("os").listdir("run")) == ["autogal.log", "catalogue.npz", "config.yaml", "objects"]
same(autogal.read(catalogue.write("again.npz", format="my_formats:Npz"), "my_formats:Npz"), catalogue)
assert main() == 0  # the earlier run is set aside, its catalogue with it
assert sorted(__import__("os").listdir("run/earlier_1")) == ["autogal.log", "catalogue.npz", "config.yaml", "objects"]
"""
    )


@pytest.mark.parametrize(
    ("name", "what", "remedy"),
    [
        ("csv", "There is no catalogue format 'csv'.", "Use one of fits, ecsv, parquet, or MODULE:CLASS"),
        ("no_such_module:Csv", "There is no module no_such_module", "working directory"),
        ("autogal.results.formats.fits:Csv", "There is no Csv in ", "It has Fits."),
        ("autogal.results.formats.fits:ascii_text", "is not a catalogue format.", "Derive it from"),
    ],
)
def test_what_is_no_format_is_explained(name, what, remedy):
    with pytest.raises(AutogalError) as caught:
        build_format(name)
    assert what in caught.value.what and remedy in caught.value.remedy
    assert format_names() == ["fits", "ecsv", "parquet"]


def test_an_unknown_format_is_known_before_any_image_is_read(autogal_command, tmp_path, write_galaxy):
    write_galaxy(tmp_path / "galaxy.fits")
    done = autogal_command("fit", "galaxy.fits", "catalogue.format=csv")
    assert (
        done.returncode == 2
        and "There is no catalogue format 'csv'." in done.stderr
        and "fits, ecsv, parquet" in done.stderr
    )
