"""A whole run: files in, catalogue out, with every bad file among good ones."""

from __future__ import annotations

import csv
import errno
import gzip

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

import autogal
from autogal import pipeline
from autogal.configuration.composing import compose
from autogal.errors import AutogalError
from autogal.flags import Flag
from autogal.run import blocks, job

from .observations import PARAMETERS, ZEROPOINT, observe, random_galaxies

NUMBERS = [*PARAMETERS, *(f"{name}_err" for name in PARAMETERS)]


@pytest.fixture(scope="module")
def good():
    return observe(random_galaxies(3, seed=40), seed=41)


def run(out, *paths, **settings):
    overrides = [
        f"out='{out}'",
        "psf.path=null",
        "objects.png=false",
        "objects.fits=false",
        f"zeropoint={ZEROPOINT}",
        "pixel_scale=0.4",
    ]
    return job.run(
        compose(overrides=overrides + [f"{key}={value}" for key, value in settings.items()]),
        [str(path) for path in paths],
    )


def write_manifest(path, rows):
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, ["id", "image", "sigma", "psf", "mask"], restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory, good):
    """Good and bad files, and a manifest of all; images 1 and 2 are written in unusual but sound ways."""
    folder = tmp_path_factory.mktemp("images")
    image, sigma = good.images[0], good.sigmas[0]
    write = lambda name, data, **header: fits.writeto(folder / name, data, fits.Header(header))
    write("psf.fits", good.psf)
    for i in range(3):
        write(f"good{i}.fits", good.images[i])
        write(f"sigma{i}.fits", good.sigmas[i])
    rows = [{"id": "good 0", "image": "good0.fits", "sigma": "sigma0.fits", "psf": "psf.fits"}]

    def bad(name, **files):
        rows.append({"id": name, "image": "good0.fits", "sigma": "sigma0.fits", "psf": "psf.fits"} | files)

    bad("missing", image="nowhere.fits")
    (folder / "text.fits").write_text("This is no image.\n")
    bad("not FITS", image="text.fits")
    whole = (folder / "good0.fits").read_bytes()
    (folder / "half.fits").write_bytes(whole[: len(whole) // 2])
    bad("truncated", image="half.fits")
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU(Table({"a": [1.0]}))]).writeto(folder / "table.fits")
    bad("no image", image="table.fits")
    write("cube.fits", np.stack([image] * 3))
    bad("cube", image="cube.fits")
    write("nan.fits", np.full_like(image, np.nan))
    bad("all NaN", image="nan.fits")
    write("mask.fits", np.ones(image.shape, np.uint8))
    bad("all masked", mask="mask.fits")
    rows.append({"id": "good 1", "image": "packed.fits.gz", "sigma": "sigma1.fits", "psf": "psf.fits"})
    with gzip.open(folder / "packed.fits.gz", "wb") as file:
        file.write((folder / "good1.fits").read_bytes())
    write("constant.fits", np.full_like(image, 5.0))
    bad("constant", image="constant.fits")
    write("zero.fits", np.zeros_like(sigma))
    bad("zero sigma", sigma="zero.fits")
    write("negative.fits", -sigma)
    bad("negative sigma", sigma="negative.fits")
    write("small.fits", sigma[:20])
    bad("sigma of another shape", sigma="small.fits")
    bad("sigma missing", sigma="nowhere.fits")
    write("dark.fits", np.zeros_like(good.psf))
    bad("PSF zero", psf="dark.fits")
    hollow = good.psf.copy()
    hollow[10, 11] = np.nan
    write("hollow.fits", hollow)
    bad("PSF with NaN", psf="hollow.fits")
    write("row.fits", image[:1])
    bad("one row", image="row.fits")
    fits.HDUList(
        [fits.PrimaryHDU(), fits.CompImageHDU(good.images[2], compression_type="GZIP_2", quantize_level=0)]
    ).writeto(folder / "last.fits.fz")
    rows.append({"id": "good 2", "image": "last.fits.fz", "sigma": "sigma2.fits", "psf": "psf.fits"})
    write_manifest(folder / "all.csv", rows)
    write_manifest(
        folder / "good.csv",
        [
            {"id": f"good {i}", "image": f"good{i}.fits", "sigma": f"sigma{i}.fits", "psf": "psf.fits"}
            for i in range(3)
        ],
    )
    return folder


@pytest.fixture(scope="module")
def clean(folder, tmp_path_factory):
    return run(tmp_path_factory.mktemp("clean"), folder / "good.csv")


def assert_rows_equal(table, names, expected):
    for name in names:
        row, own = table[list(table["id"]).index(name)], expected[list(expected["id"]).index(name)]
        assert row["status"] == own["status"] == "converged"
        for parameter in PARAMETERS:
            assert abs(row[parameter] - own[parameter]) < 1e-4 * own[f"{parameter}_err"], (name, parameter)
            assert row[f"{parameter}_err"] == pytest.approx(own[f"{parameter}_err"], rel=1e-3)


def test_bad_files_cost_no_good_one_its_result(folder, clean, tmp_path):
    catalogue = run(tmp_path / "out", folder / "all.csv")
    table = catalogue.table
    with open(folder / "all.csv", newline="") as file:
        assert list(table["id"]) == [row["id"] for row in csv.DictReader(file)]
    assert_rows_equal(table, ["good 0", "good 1", "good 2"], clean.table)
    for row in table:
        if not row["id"].startswith("good"):
            assert row["status"] in ("failed", "skipped"), row["id"]
            assert np.isnan([row[name] for name in NUMBERS]).all(), row["id"]
            assert row["flags"] & (Flag.BAD_INPUT | Flag.NO_TARGET | Flag.FEW_PIXELS) and row["message"], row[
                "id"
            ]
    written = Table.read(tmp_path / "out" / "catalogue.fits", hdu=1)
    assert list(written["id"]) == list(table["id"])
    assert np.array_equal(np.asarray(written["mag"], float), np.asarray(table["mag"], float), equal_nan=True)


def test_blocks_change_no_number(folder, clean, tmp_path):
    catalogue = run(tmp_path / "out", folder / "all.csv", block=4)
    assert_rows_equal(catalogue.table, ["good 0", "good 1", "good 2"], clean.table)
    assert len(Table.read(tmp_path / "out" / "catalogue.fits", hdu=1)) == len(catalogue)


def test_file_and_array_give_the_same_fit(good, clean):
    table = autogal.fit(
        good.images,
        sigma=good.sigmas,
        psf=good.psf,
        ids=[f"good {i}" for i in range(3)],
        zeropoint=ZEROPOINT,
        pixel_scale=0.4,
    ).table
    assert_rows_equal(table, ["good 0", "good 1", "good 2"], clean.table)


@pytest.mark.parametrize("kind", ["big-endian", "integer", "scaled", "extension"])
def test_unusual_but_sound_files(kind, good, folder, clean, tmp_path):
    image = np.rint(good.images[0])
    header = fits.Header()
    path = str(tmp_path / "image.fits")
    if kind == "extension":
        fits.HDUList(
            [
                fits.PrimaryHDU(),
                fits.ImageHDU(np.zeros((4, 4)), name="OTHER"),
                fits.ImageHDU(image, name="SCI"),
            ]
        ).writeto(path)
        path += "[SCI]"
    elif kind == "scaled":
        hdu = fits.PrimaryHDU(image)
        hdu.scale("int32", bscale=0.5, bzero=1000)
        hdu.writeto(path)
    else:
        fits.writeto(path, image.astype({"big-endian": ">f8", "integer": "i4"}[kind]), header)
    rows = [{"id": "one", "image": path, "sigma": folder / "sigma0.fits", "psf": folder / "psf.fits"}]
    row = run(tmp_path / "out", write_manifest(tmp_path / "one.csv", rows)).table[0]
    own = clean.table[0]
    assert row["status"] == "converged"
    # pixels were rounded to whole numbers, a thirtieth of the noise
    assert all(abs(row[name] - own[name]) < 0.3 * own[f"{name}_err"] for name in PARAMETERS)


def test_the_same_id_twice_stays_two_rows(folder, tmp_path):
    rows = [
        {
            "id": "a",
            "image": folder / f"good{i}.fits",
            "sigma": folder / f"sigma{i}.fits",
            "psf": folder / "psf.fits",
        }
        for i in (0, 1)
    ]
    table = run(tmp_path / "out", write_manifest(tmp_path / "two.csv", rows)).table
    assert len(set(table["id"])) == 2 and abs(table["x"][0] - table["x"][1]) > 1e-3


@pytest.mark.parametrize(
    "settings", [{"device": "tpu"}, {"device": "cuda:77"}, {"solver.max_iterations": 0.5}]
)
def test_a_request_that_cannot_be_met_is_one_clear_error(settings, folder, tmp_path):
    with pytest.raises(AutogalError):
        run(tmp_path / "out", folder / "good.csv", **settings)
    assert not (tmp_path / "out" / "catalogue.fits").exists()


def test_float64_gives_the_same_galaxies(folder, clean, tmp_path):
    table = run(tmp_path / "out", folder / "good.csv", dtype="float64").table
    for i in range(3):
        assert all(
            abs(table[name][i] - clean.table[name][i]) < 0.02 * clean.table[f"{name}_err"][i]
            for name in PARAMETERS
        )


def test_an_output_folder_that_cannot_be_is_found_before_any_work(folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(blocks, "load_unreported", lambda *_: pytest.fail("an image was read"))
    with pytest.raises(AutogalError):
        run(tmp_path / "file" / "out", folder / "good.csv")


def test_nothing_to_fit_is_one_clear_error(tmp_path):
    with pytest.raises(AutogalError):
        run(tmp_path / "out", tmp_path / "*.fits")


def test_a_full_disk_is_one_clear_error(folder, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(AutogalError, match="(?i)disk|space"):
        run(tmp_path / "out", folder / "good.csv")
    assert not (tmp_path / "out" / "catalogue.fits").exists()


def test_ctrl_c_keeps_what_is_done(folder, clean, tmp_path, monkeypatch):
    calls, fit_cutouts = [], pipeline.fit_cutouts

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return fit_cutouts(*arguments)

    monkeypatch.setattr(blocks, "fit_cutouts", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "out", folder / "good.csv", block=1)
    kept = Table.read(tmp_path / "out" / "catalogue.fits", hdu=1)
    assert list(kept["id"]) == ["good 0", "good 1"]
    assert_rows_equal(kept, ["good 0", "good 1"], clean.table)


def test_starting_values_of_a_manifest_skip_segmentation(good, folder, tmp_path, monkeypatch):
    table = Table(
        {
            "id": ["one"],
            "image": [str(folder / "good0.fits")],
            "sigma": [str(folder / "sigma0.fits")],
            "psf": [str(folder / "psf.fits")],
        }
    )
    for name in PARAMETERS:
        table[name] = good.start[name][:1]
    table.write(tmp_path / "starts.ecsv")
    monkeypatch.setattr("autogal.beginning.segment_all", lambda *_: pytest.fail("segmented"))
    assert run(tmp_path / "out", tmp_path / "starts.ecsv").table["status"][0] == "converged"


def test_seconds_of_every_stage(clean):
    assert set(clean.seconds) >= {"read", "segment", "initialise", "fit", "write"}
    assert all(seconds >= 0 for seconds in clean.seconds.values())
