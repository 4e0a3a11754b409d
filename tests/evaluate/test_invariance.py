"""`autogal evaluate invariance`: what it tries, what it reads, and that it sees what is not the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from autogal.evaluate import invariance
from autogal.evaluate.samples import read_suite
from autogal.evaluate.transformations import GROUPS, chosen
from autogal.images.orientation import ORIENTATIONS

CLASSICAL = ("segment=sep", "initialise=moments")


def rows_of(content):
    return {row["name"]: row for row in content["tables"]["invariance"]["rows"]}


def test_every_transformation_of_a_suite(evaluate, suite, tmp_path):
    code, shown, content = evaluate("invariance", f"data={suite()}", "n=3", *CLASSICAL)
    assert code == 0 and "turned by 90" in shown.out and "required" in shown.out
    rows = rows_of(content)
    assert set(rows) == {one.name for group in GROUPS.values() for one in group}
    for name, row in rows.items():
        # of 0.6 times 64 px only the smallest galaxies have three half-light radii left
        assert row["images"] == 3 or ("crop" in name and row["images"] >= 1), name
        # and other pixels may tell other values, by an error now and then
        assert row["same"] == 1.0 if "crop" not in name else row["same"] >= 0.5, (name, row)
    table = Table.read(tmp_path / "here" / "evaluation.ecsv")
    turned = table[table["transformation"] == "turned by 90"]
    assert np.all(np.asarray(turned["d_mag"]) != 0) and np.all(
        turned["worst"] < 0.01
    )  # another computation, the same result


def test_images_of_ones_own(evaluate, suite, tmp_path):
    (block,) = list(read_suite(suite(), 2))
    folder = tmp_path / "mine"
    folder.mkdir()
    for cutout in block.cutouts:
        for end, plane in (("", cutout.image), ("_psf", cutout.psf)):  # sigma is estimated, in each anew
            fits.writeto(folder / f"{cutout.id}{end}.fits", np.asarray(plane, np.float32))
    code, _, content = evaluate(
        "invariance", f"data={folder}", "transformations=[turns,mirrors,pedestal]", *CLASSICAL
    )
    assert code == 0 and set(rows_of(content)) == {
        one.name for one in chosen(["turns", "mirrors", "pedestal"])
    }
    assert all(row["images"] == 2 and row["same"] == 1.0 for row in rows_of(content).values())


def test_what_is_not_the_same_is_seen(evaluate, suite, monkeypatch):
    """Values that come back where they are not: a tenth of a pixel is many errors of a bright galaxy."""
    (plain,) = GROUPS["pedestal"]
    wrong = replace(plain, back=lambda values, cutout: plain.back(values, cutout) | {"x": values["x"] + 0.1})
    monkeypatch.setattr(invariance, "chosen", lambda names: [wrong])
    code, _, content = evaluate(
        "invariance", f"data={suite()}", "n=2", "transformations=[pedestal]", *CLASSICAL
    )
    row = rows_of(content)["on a pedestal"]
    assert code == 0 and row["same"] == 0.0 and row["silent"] == 2 and row["much"] == 0 and row["median"] > 1


def test_all_orientations_are_tried(suite):
    (block,) = list(read_suite(suite(), 1))
    cutout = block.cutouts[0]
    seen = {one.apply(cutout).image.tobytes() for one in chosen(["turns", "mirrors"])} | {
        cutout.image.tobytes()
    }
    assert seen == {np.ascontiguousarray(how.array(cutout.image)).tobytes() for how in ORIENTATIONS}


@pytest.mark.parametrize("words", [["transformations=[turned]"], ["transformations=[]"]])
def test_transformations_that_there_are_not(evaluate, suite, words):
    code, shown, _ = evaluate("invariance", f"data={suite()}", "n=1", *words, *CLASSICAL)
    assert code != 0 and "turns, mirrors, shift" in shown.err + shown.out
