"""What the user types, and the entries it stands for."""

import gzip

import numpy as np
import pyarrow.parquet
import pytest
from astropy.io import fits
from astropy.table import Table

from autogal.errors import AutogalError
from autogal.images import find_entries, load, moffat


@pytest.fixture
def folder(tmp_path):
    """A folder of two objects, one with companions, and a PSF that belongs to both."""
    for name in ("a_image", "a_psf", "a_sigma", "a_mask", "b_image", "psf_r"):
        touch(tmp_path / f"{name}.fits")
    return tmp_path


def touch(path):
    fits.writeto(path, moffat(3.0, size=9).astype(np.float32))
    return str(path)


def ids(entries):
    return [entry.id for entry in entries]


@pytest.mark.parametrize("how", ["folder", "glob", "expanded by the shell", "a glob of folders", "slash"])
def test_images_of_a_folder_and_their_companions(folder, how):
    paths = {
        "folder": [str(folder)],
        "glob": [f"{folder}/*.fits"],
        "expanded by the shell": sorted(map(str, folder.glob("*.fits"))),
        "a glob of folders": [f"{folder.parent}/{folder.name[:-1]}[{folder.name[-1]}]"],
        "slash": [f"{folder}/"],
    }[how]
    entries = find_entries(paths)
    assert ids(entries) == ["a", "b"]
    assert entries[0].psf == str(folder / "a_psf.fits")
    assert entries[0].sigma == str(folder / "a_sigma.fits")
    assert entries[0].mask == str(folder / "a_mask.fits")
    assert (entries[1].psf, entries[1].sigma, entries[1].mask) == (None, None, None)


def test_a_folder_of_simulated_scenes_holds_no_images_but_theirs(tmp_path):
    for name in ("s_image", "s_sigma", "s_psf", "s_instances"):
        touch(tmp_path / f"{name}.fits")
    assert ids(find_entries([str(tmp_path)])) == ["s"]


def test_companions_of_plain_names_compressed_or_not(tmp_path):
    touch(tmp_path / "ngc1.fits.gz")
    touch(tmp_path / "ngc1_psf.fits")
    touch(tmp_path / "ngc1_mask.fits.gz")
    touch(tmp_path / "ngc2.fits")
    entries = find_entries([str(tmp_path)])
    assert ids(entries) == ["ngc1", "ngc2"]
    assert entries[0].psf == str(tmp_path / "ngc1_psf.fits")
    assert entries[0].mask == str(tmp_path / "ngc1_mask.fits.gz")
    assert entries[1].psf is None


def test_a_file_named_like_a_companion_is_an_image_where_it_is_alone(tmp_path):
    assert ids(find_entries([touch(tmp_path / "a_mask.fits")])) == ["a_mask"]
    touch(tmp_path / "old_psf.fits")
    assert ids(find_entries([str(tmp_path)])) == ["a_mask", "old_psf"]


@pytest.mark.parametrize(
    "name", ["a b.fits", "a=1.fits", "a[1].fits", "a,b#(c)~.fits", "é*.fits", "noending", "a.b.c.fits"]
)
def test_any_file_name(tmp_path, name):
    entry = find_entries([touch(tmp_path / name)])[0]
    assert entry.image == str(tmp_path / name)
    assert entry.id == name.removesuffix(".fits").removesuffix(".b.c") or entry.id == "a.b.c"
    assert "No such" not in (load(entry).error or "")


def test_selected_extensions_are_objects_of_their_own(tmp_path):
    path = touch(tmp_path / "a.fits")
    entries = find_entries([f"{path}[SCI,1]", f"{path}[2]", f"{tmp_path}/*.fits[3]"])
    assert [entry.image for entry in entries] == [f"{path}[SCI,1]", f"{path}[2]", f"{path}[3]"]
    assert ids(entries) == ["a_SCI_1", "a_2", "a_3"]


def test_list_is_relative_to_itself_then_to_the_working_folder(folder, tmp_path_factory, monkeypatch):
    here = tmp_path_factory.mktemp("here")
    touch(here / "c.fits")
    monkeypatch.chdir(here)
    listing = folder / "list.txt"
    listing.write_text("# galaxies\n\nb_image.fits\nc.fits\na_*.fits\n")
    assert ids(find_entries([f"@{listing}"])) == ["b", "c", "a"]


def test_missing_file_keeps_its_row_among_others(folder):
    entries = find_entries([f"{folder}/gone.fits", f"{folder}/b_image.fits"])
    assert ids(entries) == ["gone", "b"]
    assert "No such file" in load(entries[0]).error


def test_same_id_gets_a_number_that_is_free(tmp_path):
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
    paths = [touch(tmp_path / "one/a.fits"), touch(tmp_path / "two/a.fits"), touch(tmp_path / "a_2.fits"),
             touch(tmp_path / "three/a.fits")]  # fmt: skip
    entries = find_entries(paths)
    assert ids(entries) == ["a", "a_3", "a_2", "a_4"]
    assert entries[1].note == "The id a came before; this row is a_3."
    assert entries[2].note is None


@pytest.mark.parametrize(
    "paths",
    [
        [],
        ["nothing/*.fits"],
        ["gone.fits"],
        ["gone1.fits", "gone2.fits"],
        ["@gone.txt"],
        ["@empty.txt"],
        ["gone.csv"],
        ["empty"],
    ],
)
def test_nothing_to_fit_is_one_error(tmp_path, monkeypatch, paths):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.txt").write_text("# nothing\n")
    with pytest.raises(AutogalError) as caught:
        find_entries(paths)
    assert caught.value.what and caught.value.remedy


ROWS = {
    "id": ["0012", "g2", "g3"],
    "image": ["sub/a_image.fits", "b_image.fits", "gone.fits"],
    "psf": ["psf_r.fits", "", ""],
    "zeropoint": [22.5, np.nan, 25.0],
    "gain": [4.0, np.nan, np.nan],
    "x": [3.25, np.nan, np.nan],
    "n": [2.5, 1.0, np.nan],
    "comment": ["nice", "", ""],
}


def write_manifest(folder, form):
    (folder / "sub").mkdir()
    touch(folder / "sub/a_image.fits")
    path = folder / f"manifest.{form}"
    table = Table(ROWS)
    if form == "csv":
        table["zeropoint"] = ["22.5", "", "25"]
        table["gain"] = ["4", "", "--"]
        table["x"] = ["3.25", "nan", ""]
        table["n"] = ["2.5", "1", ""]
        table.write(path, format="csv")
    elif form == "parquet":
        columns = {
            name: [None if value in ("", "nan") else value for value in map(str, table[name])]
            for name in ("psf",)
        }
        pyarrow.parquet.write_table(
            pyarrow.table({**{name: list(ROWS[name]) for name in ROWS}, **columns}), path
        )
    else:
        table.write(path, format={"ecsv": "ascii.ecsv", "fits": "fits"}[form])
    return str(path)


@pytest.mark.parametrize("form", ["csv", "ecsv", "fits", "parquet"])
def test_manifest(folder, form):
    entries = find_entries([write_manifest(folder, form)])
    assert ids(entries) == ["0012", "g2", "g3"]
    first, second, third = entries
    assert first.image == str(folder / "sub/a_image.fits")
    assert first.psf == str(folder / "psf_r.fits")
    assert (first.zeropoint, first.gain, first.pixel_scale) == (22.5, 4.0, None)
    assert first.start == {"x": 3.25, "n": 2.5}
    assert (second.psf, second.zeropoint, second.start) == (None, None, {"n": 1.0})
    assert third.start is None
    assert load(first).zeropoint == 22.5
    assert "No such file" in load(third).error


def test_manifest_cell_that_is_no_number_costs_its_row_only(folder):
    path = folder / "m.csv"
    path.write_text("image,zeropoint\na_image.fits,bright\n,1\nb_image.fits,25\n")
    entries = find_entries([str(path)])
    assert len(entries) == 3
    assert "zeropoint = 'bright'" in entries[0].error
    assert load(entries[0]).error == entries[0].error
    assert "names no image" in entries[1].error
    assert entries[2].error is None


@pytest.mark.parametrize(
    "text, word",
    [
        ("id,file\n1,a.fits\n", "no column `image`"),
        ("image\n", "no rows"),
        ("", "no column"),
        ("\xff\xfe\x00", "cannot be read"),
    ],
)
def test_manifest_that_is_none(folder, text, word):
    path = folder / "m.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(AutogalError, match=word):
        find_entries([str(path)])


def test_manifest_with_a_duplicate_id_keeps_every_row(folder):
    path = folder / "m.csv"
    path.write_text("id,image\ng,a_image.fits\ng,b_image.fits\ng,b_image.fits\n")
    assert ids(find_entries([str(path)])) == ["g", "g_2", "g_3"]


def test_a_fits_table_beside_an_image_is_no_manifest(tmp_path):
    hdus = fits.HDUList(
        [fits.PrimaryHDU(), fits.BinTableHDU(Table({"image": ["x"]})), fits.ImageHDU(np.ones((9, 9)))]
    )
    hdus.writeto(tmp_path / "a.fits")
    assert ids(find_entries([str(tmp_path / "a.fits")])) == ["a"]


def test_file_that_is_not_fits_by_content(tmp_path):
    path = tmp_path / "a.fits.gz"
    path.write_bytes(gzip.compress(b"no fits at all" * 500))
    entries = find_entries([str(path)])
    assert "not a FITS file" in load(entries[0]).error


def test_a_folder_of_folders_says_how_to_search_them(tmp_path, caplog):
    (tmp_path / "night 1").mkdir()
    with caplog.at_level("WARNING"), pytest.raises(AutogalError, match="No images"):
        find_entries([str(tmp_path)])
    assert f"{tmp_path}/*" in caplog.text
    (tmp_path / "night 1").rmdir()
    caplog.clear()
    with caplog.at_level("WARNING"), pytest.raises(AutogalError, match="No images"):
        find_entries([str(tmp_path)])
    assert "*" not in caplog.text
