"""Whatever fails for one cutout fails for it alone, whichever stage it reaches."""

from __future__ import annotations

import csv
import errno

import numpy as np
import pytest
import torch
from astropy.io import fits
from astropy.table import Table

import autogal
from autogal import beginning, pipeline
from autogal.configuration.composing import compose
from autogal.errors import AutogalError
from autogal.flags import Flag
from autogal.initialise.photometry.reliability import evenly_spaced
from autogal.neighbours import Surroundings
from autogal.run import job

from .observations import PARAMETERS, ZEROPOINT, observe, random_galaxies

QUICK = {"segment": "sep", "initialise": "moments", "neighbours": "mask", "restarts": 0}


@pytest.fixture(scope="module")
def good():
    return observe(random_galaxies(4, seed=70), seed=71)


def fit(good, **settings):
    words = (
        {
            "images": good.images,
            "sigma": good.sigmas,
            "psf": good.psf,
            "zeropoint": ZEROPOINT,
            "pixel_scale": 0.4,
        }
        | QUICK
        | settings
    )
    return autogal.fit(**words)


@pytest.fixture(scope="module")
def clean(good):
    return fit(good).table


def assert_others_unmoved(table, clean, bad):
    for i in set(range(4)) - {bad}:
        for name in PARAMETERS:
            assert abs(table[name][i] - clean[name][i]) < 1e-3 * clean[f"{name}_err"][i]


@pytest.mark.parametrize(
    "name, value",
    [
        ("mag", -999.0),
        ("mag", 1e300),
        ("flux", 1e308),
        ("x", 1e300),
        ("x", -1e9),
        ("y", 1e5),
        ("r_eff", 1e300),
        ("r_eff", 1e-300),
        ("pa", 1e308),
        ("sky", -1e38),
        ("n", 1e9),
        ("q", 1e-300),
    ],
)
def test_starting_values_that_no_galaxy_has(good, name, value):
    start = {key: column.copy() for key, column in good.start.items()}
    own = fit(good, start=start).table
    if name == "flux":
        start.pop("mag")
        start["flux"] = 10 ** (0.4 * (ZEROPOINT - good.start["mag"]))
    start[name][1] = value
    table = fit(good, start=start).table
    assert len(table) == 4
    assert_others_unmoved(table, own, 1)


@pytest.mark.parametrize("stage", ["segment_all", "initialise_all", "fit_starts"])
@pytest.mark.parametrize(
    "failure", [IndexError("index 9 is out of bounds"), MemoryError(), OverflowError("too large")]
)
def test_an_unforeseen_failure_of_any_stage(stage, failure, good, clean, monkeypatch, caplog):
    module = pipeline if stage == "fit_starts" else beginning
    work = getattr(module, stage)

    def fails(cutouts, *arguments, **words):
        if any(cutout.id == "2" and cutout.error is None for cutout in cutouts):
            raise failure
        return work(cutouts, *arguments, **words)

    monkeypatch.setattr(module, stage, fails)
    with caplog.at_level("INFO"):
        table = fit(good).table
    assert list(table["status"]) == ["converged", "converged", "failed", "converged"]
    assert (
        table["flags"][2] & Flag.BAD_INPUT
        and ("memory" if isinstance(failure, MemoryError) else type(failure).__name__) in table["message"][2]
    )
    assert any(record.exc_info and record.exc_info[1] is failure for record in caplog.records)
    assert_others_unmoved(table, clean, 2)
    # what was tried before is not told twice
    assert all(message.count("sources") < 2 for message in table["message"])


def test_a_request_that_makes_no_sense_is_still_one_error(good, tmp_path):
    with pytest.raises(AutogalError, match="holds no checkpoint"):
        fit(good, checkpoints=str(tmp_path), segment="maskrcnn")


class Small:
    """A network's double whose device has memory for `most` stamps at a time; the CPU has always enough."""

    def __init__(self, network, most):
        self.network, self.most, self.seen = network, most, []

    def __call__(self, stamps, *arguments):
        self.seen.append(len(stamps))
        if len(stamps) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        return self.network(stamps, *arguments)

    predict = __call__


@pytest.mark.parametrize("most", [3, 1, 0])
@pytest.mark.parametrize("part", ["segment", "initialise"])
def test_a_gpu_too_small_for_a_network(part, most, good, monkeypatch):
    from autogal.initialise.network import resnet50
    from autogal.segment.network import maskrcnn

    settings = {"segment": "maskrcnn", "initialise": "resnet50"}
    usual = fit(good, **settings).table
    module = maskrcnn if part == "segment" else resnet50
    load, made, first = module.load_network, [], []

    def small(*arguments):
        network = load(*arguments)
        if first and most == 0:  # asked for again: for the CPU
            return network
        first.append(1)
        made.append(Small(network if part == "segment" else network.predict, most))
        return made[-1]

    monkeypatch.setattr(module, "load_network", small)
    table = fit(good, **settings).table
    assert list(table["status"]) == list(usual["status"])
    assert max(made[0].seen) == 4 and (most == 0 or min(made[0].seen) <= most)
    for name in PARAMETERS:
        assert (
            np.abs(np.asarray(table[name] - usual[name])).max()
            < 1e-2 * np.asarray(usual[f"{name}_err"]).max()
        )
    assert all(
        ("on the CPU: the GPU's memory was full" in message) == (most == 0) for message in table["message"]
    )


@pytest.fixture
def files(good, tmp_path):
    for i in range(4):
        fits.writeto(tmp_path / f"g{i}.fits", good.images[i])
        fits.writeto(tmp_path / f"g{i}_sigma.fits", good.sigmas[i])
    fits.writeto(tmp_path / "star.fits", good.psf)
    return tmp_path


def run(folder, manifest, **settings):
    with open(folder / "m.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["id", "image", "sigma", "psf", "x", "y", "mag"], restval="")
        writer.writeheader()
        writer.writerows(manifest)
    words = {"out": f"'{folder}/out'", "zeropoint": ZEROPOINT, "pixel_scale": 0.4} | QUICK | settings
    return job.run(
        compose(overrides=[f"{key}={value}" for key, value in words.items()]), [str(folder / "m.csv")]
    )


def rows(count):
    return [
        {"id": f"g{i}", "image": f"g{i}.fits", "sigma": f"g{i}_sigma.fits", "psf": "star.fits"}
        for i in range(count)
    ]


def test_ids_and_paths_of_any_characters(files):
    manifest = rows(4)
    manifest[0]["id"], manifest[1]["id"], manifest[2]["id"] = "a\x00b", "esc\x1b[31m", "bell\x07\udcff"
    manifest[3]["image"] = "g\x003.fits"
    text = "id,image,sigma,psf\n" + "\n".join(",".join(row.values()) for row in manifest)
    (files / "raw.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    words = [
        f"out='{files}/out'",
        f"zeropoint={ZEROPOINT}",
        *(f"{key}={value}" for key, value in QUICK.items()),
    ]
    table = job.run(compose(overrides=words), [str(files / "raw.csv")]).table
    assert list(table["status"]) == ["converged"] * 3 + ["failed"] and "No such file" in table["message"][3]
    assert all(text.isprintable() for name in ("id", "path", "message") for text in table[name])
    assert (
        len(list((files / "out" / "objects").glob("*.fits"))) == 3
        and len(list((files / "out" / "objects").glob("*.png"))) == 3
    )
    assert list(Table.read(files / "out" / "catalogue.fits", hdu=1)["id"]) == list(table["id"])


def test_a_disk_that_fills_while_an_objects_file_is_written(files, monkeypatch):
    from autogal.report import object_files as objects

    write, told = objects.write_object_fits, []

    def full(path, *arguments):
        told.append(path)
        if path.name == "g1.fits":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, *arguments)

    monkeypatch.setattr(objects, "write_object_fits", full)
    table = run(files, rows(3), **{"objects.png": "false"}).table
    assert list(table["status"]) == ["converged"] * 3
    assert (
        "files in objects/ are missing" in table["message"][1]
        and "missing" not in table["message"][0] + table["message"][2]
    )
    assert sorted(path.name for path in (files / "out" / "objects").iterdir()) == ["g0.fits", "g2.fits"]
    assert "missing" in Table.read(files / "out" / "catalogue.fits", hdu=1)["message"][1]


@pytest.mark.parametrize("side", [4097, 8000, 30000])
def test_pixels_of_large_images_are_counted_exactly(side):
    pick = evenly_spaced(side * side, 4096, torch.device("cpu"))
    assert pick[0] == 0 and pick[-1] == side * side - 1 and (pick.diff() > 0).all()


def test_masks_of_neighbours_stay_in_their_boxes():
    rng = np.random.default_rng(3)
    labels, reaches = np.zeros((400, 500), np.int32), {}
    for label in range(2, 40):
        y, x = int(rng.integers(0, 380)), int(rng.integers(0, 480))
        box = slice(y, min(y + 30, 400)), slice(x, min(x + 25, 500))
        own = rng.random((box[0].stop - y, box[1].stop - x)) < 0.5
        labels[box][own], reaches[label] = label, (box, own)
    whole = Surroundings(labels, reaches, np.zeros((400, 500), bool))
    part = slice(100, 260), slice(150, 333)
    window = whole.window(*part)
    seen = {label for label in reaches if whole.reach(label)[part].any()}
    assert set(window.reaches) == seen and 0 < len(seen) < len(reaches)
    for label in seen:
        assert (window.reach(label) == whole.reach(label)[part]).all()
        mask = window.reaches[label][1]
        assert mask.size <= 30 * 25 and (mask.base is None or mask.base.size <= 30 * 25)
