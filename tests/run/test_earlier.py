"""A second run in the folder of a first one."""

import logging
import subprocess
import sys

import pytest

from autogal.errors import AutogalError
from autogal.run.earlier import own_folder

RESULTS = ("config.yaml", "autogal.log", "objects/a.fits", "objects/a.png")


def results(folder, format="fits", text="first", catalogue=True):
    (folder / "objects").mkdir(parents=True, exist_ok=True)
    for name in (*RESULTS, *([f"catalogue.{format}"] if catalogue else [])):
        (folder / name).write_text("# autogal 0.1.0\n" if name == "config.yaml" else text)


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("format", ["fits", "ecsv", "parquet"])
def test_an_earlier_run_is_kept_and_nothing_of_it_stays_in_the_way(tmp_path, caplog, format):
    for number in (1, 2, 3):
        with own_folder(tmp_path):
            assert not [name for name in files(tmp_path) if not name.startswith("earlier_")]
            results(tmp_path, format, f"run {number}")
    assert (tmp_path / f"earlier_1/catalogue.{format}").read_text() == "run 1"
    assert (tmp_path / "earlier_2/objects/a.png").read_text() == "run 2"
    assert (tmp_path / f"catalogue.{format}").read_text() == "run 3"
    assert "earlier_2" in caplog.text and "overwrite=true" in caplog.text


def test_pictures_of_a_run_that_was_killed_before_its_catalogue(tmp_path):
    results(tmp_path, catalogue=False)
    with own_folder(tmp_path):
        assert files(tmp_path) == {f"earlier_1/{name}" for name in RESULTS}


def test_files_of_others_stay_where_they_are(tmp_path, caplog):
    (tmp_path / "objects").mkdir()
    for name in ("catalogue.fits", "objects/m31.fits", "config.yaml"):
        (tmp_path / name).write_text("someone else's")
    before = files(tmp_path)
    with own_folder(tmp_path):
        assert files(tmp_path) == before
    results(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with own_folder(tmp_path):
        assert {name for name in files(tmp_path) if not name.startswith("earlier_")} == {"notes.txt"}


def test_overwriting_on_request_deletes_results_alone(tmp_path):
    results(tmp_path)
    (tmp_path / "objects" / "notes.txt").write_text("mine")
    with own_folder(tmp_path, overwrite=True):
        assert files(tmp_path) == {"objects/notes.txt"}


@pytest.mark.parametrize("name", ["objects/a.fits", "objects/a.fits[IMAGE]", "catalogue.fits"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_results_that_are_to_be_read_are_not_moved(tmp_path, name, overwrite):
    results(tmp_path)
    before = files(tmp_path)
    with (
        pytest.raises(AutogalError, match="result of the earlier run") as caught,
        own_folder(tmp_path, [None, str(tmp_path / name)], overwrite),
    ):
        pass
    assert "out=" in caught.value.remedy
    assert files(tmp_path) == before


def test_two_runs_at_once_do_not_share_a_folder(tmp_path):
    pytest.importorskip("fcntl")
    code = f"from autogal.run.earlier import own_folder\nwith own_folder({str(tmp_path)!r}): pass"
    with own_folder(tmp_path):
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert other.returncode and "Another run writes to" in other.stderr
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_a_first_run_says_nothing(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    with own_folder(tmp_path / "new"):
        pass
    assert caplog.text == ""
