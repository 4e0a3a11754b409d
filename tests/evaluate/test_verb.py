"""`autogal evaluate` from the command line: tables, numbers, figures, and requests that make no sense."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table

from autogal import cli

SMALL = ["survey=sdss", "size=64"]


def row(content, grid, method):
    return next(one for one in content["tables"][grid]["rows"] if one["method"] == method)


def test_masks_by_both_methods(evaluate, checkpoints, tmp_path):
    code, shown, content = evaluate("segmenter", *SMALL, "n=10", f"checkpoints={checkpoints}")
    assert code == 0 and "required" in shown.out and ">= 99.5%" in shown.out and "By magnitude" in shown.out
    assert row(content, "good", "sep")["found"] > 0.5 and row(content, "good", "maskrcnn")["fallback"] >= 0
    rows = Table.read(tmp_path / "here" / "evaluation.ecsv")
    assert len(rows) == 20 and set(rows["method"]) == {"sep", "maskrcnn"}
    # the tables are of the rows
    good = rows[(rows["method"] == "sep") & (rows["snr"] >= 20) & (rows["visible"] >= 0.5)]
    assert row(content, "good", "sep")["iou"] == pytest.approx(np.median(good["iou"]))
    assert row(content, "good", "sep")["stamps"] == len(good)
    near = Table.read(tmp_path / "here" / "neighbours.ecsv")
    assert (
        np.count_nonzero((near["method"] == "sep") & (near["difference"] < 2))
        == rows["bright"][rows["method"] == "sep"].sum()
    )
    for name in ("segmenter", "segmenter_sep_first", "segmenter_sep_worst", "segmenter_maskrcnn_first"):
        assert (tmp_path / "here" / f"{name}.png").stat().st_size > 10_000


def test_galaxies_that_are_mostly_structure_are_fitted_too(evaluate, tmp_path):
    code, shown, content = evaluate(
        "segmenter", "structure=strong", "n=24", "size=96", "compare=false", "seed=5"
    )
    assert code == 0 and "One galaxy, one fit" in shown.out
    rows = Table.read(tmp_path / "here" / "whole.ecsv")
    assert (
        set(rows["method"]) == {"maskrcnn", "true masks"}
        and np.all(rows["snr"] > 50)
        and np.all(rows["structure"] != "")
    )
    every = [one for one in content["tables"]["whole"]["rows"] if one["kind"] == "all"]
    light = {one["method"]: one["light"] for one in every}
    for method, part in light.items():
        assert part == pytest.approx(np.mean(np.abs(rows["d_mag"][rows["method"] == method]) <= 0.1))
    whole = {one["method"]: one["honest"] for one in every}
    assert all(0.3 < value <= 1 for value in whole.values())
    assert evaluate("segmenter", *SMALL, "n=4", "compare=false")[2]["tables"].get("whole") is None


def test_starting_values_by_both_methods(evaluate, checkpoints, tmp_path):
    code, shown, content = evaluate(
        "initialiser", *SMALL, "n=24", f"checkpoints={checkpoints}", "population.neighbours=0"
    )
    assert code == 0 and "64-72%" in shown.out
    moments, network = (row(content, "good", name) for name in ("moments", "resnet50"))
    assert moments["stamps"] == network["stamps"] > 5
    assert (
        moments["mag_scatter"] < 0.1 and network["mag_scatter"] < 0.3
    )  # untrained, it says what its photometry says
    assert moments["inside"] is None and 0 <= network["inside"] <= 1
    assert [one["method"] for one in content["tables"]["good_inside"]["rows"]] == ["resnet50"]
    assert (tmp_path / "here" / "initialiser.png").stat().st_size > 10_000


def test_whole_fits(evaluate, checkpoints, tmp_path):
    code, shown, content = evaluate("pipeline", *SMALL, "n=8", f"checkpoints={checkpoints}")
    assert code == 0 and "stamps/s" in shown.out
    classical = row(content, "reached", "sep + moments")
    assert classical["reached"] >= 0.5 and classical["iterations"] > 1 and classical["from_truth"] > 1
    assert {one["method"] for one in content["tables"]["parameters"]["rows"]} == {
        "true masks",
        "sep + moments",
        "maskrcnn + resnet50",
        "neighbours fitted",
    }
    assert {one["method"] for one in content["tables"]["reached"]["rows"]} == {
        "sep + moments",
        "maskrcnn + resnet50",
    }
    assert (
        "neighbours" in content["seconds"]["neighbours fitted"]
        and "neighbours" not in content["seconds"]["sep + moments"]
    )
    rows = Table.read(tmp_path / "here" / "evaluation.ecsv")
    best = rows[(rows["method"] == "true masks") & (rows["snr"] > 50)]
    assert np.median(np.abs(best["d_mag"])) < 0.05 and np.all(best["excess"] == 0)
    assert np.all(rows["analytic"])
    assert {"segment", "initialise", "fit"} <= set(content["seconds"]["sep + moments"])
    assert row(content, "time", "sep + moments")["rate"] == pytest.approx(
        8 / sum(content["seconds"]["sep + moments"].values())
    )
    for name in ("pipeline", "pipeline_parameters"):
        assert (tmp_path / "here" / f"{name}.png").stat().st_size > 10_000


def test_the_same_seed_gives_the_same_numbers(evaluate):
    first, again, other = (
        evaluate("initialiser", *SMALL, "n=12", seed)[2]["tables"] for seed in ("seed=3", "seed=3", "seed=4")
    )
    assert first == again != other


def test_the_general_mix_has_no_magnitudes_and_a_network_that_is_not_there_is_left_out(evaluate, monkeypatch):
    monkeypatch.setattr("autogal.evaluate.methods.find", lambda *_: None)
    code, shown, content = evaluate("segmenter", "n=6", "size=64", "segment=sep")
    assert code == 0 and "By magnitude" not in shown.out and "of general" in content["heading"]
    assert "segment=maskrcnn is left out" in " ".join(content["notes"])


def test_a_suite(evaluate, suite, tmp_path):
    code, _shown, content = evaluate(
        "pipeline", f"data={suite()}", "compare=false", "segment=sep", "initialise=moments"
    )
    assert code == 0
    reached = row(content, "reached", "sep + moments")
    assert reached["galaxies"] == 6 and reached["reached"] == 1 and reached["lost"] == 0
    rows = Table.read(tmp_path / "here" / "evaluation.ecsv")
    assert (
        np.max(np.abs(rows["d_pa"])) < 3
        and np.max(np.abs(rows["d_x"])) < 0.1
        and np.max(np.abs(rows["d_mag"])) < 0.1
    )


def test_scenes_of_the_simulator_in_files(evaluate, tmp_path, capsys):
    cli.main(["simulate", *SMALL, "n=5", "out=scenes", "population.defects=1", "threads=1"])
    code, _, content = evaluate("initialiser", "data=scenes", "n=4", "true_masks=false", "segment=sep")
    assert (
        code == 0
        and "on 4 stamps of sdss" in content["heading"]
        and "masks of segment=sep" in content["heading"]
    )
    for path in (tmp_path / "scenes").glob("*2_instances.fits"):
        path.unlink()
    code, shown, _ = evaluate("segmenter", "data=scenes")
    assert code == 2 and "instances=true" in shown.err


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ([None], "What to evaluate was not said."),
        (["segmenter", "pipeline"], "autogal evaluate takes one of segmenter, pipeline at a time."),
        (["segmenter", "n=0"], "n=0 is not possible."),
        (["segmenter", "size=20"], "size=20 is not possible."),
        (["segmenter", "segmnt=sep"], "There is no key segmnt."),
        (["segmenter", "segment=maskrcn"], "There is no segment called maskrcn."),
        (["segmenter", "survey=nowhere"], "There is no survey called nowhere."),
        (["segmenter", "a.fits"], "`autogal evaluate` takes no path, but a.fits was given."),
        (["segmenter", "population.neighbours=0"], "population.KEY= is for a survey"),
        (["segmenter", "survey=sdss", "population.stars=2"], "population.stars=2.0 is not possible."),
        (["segmenter", "structure=stong"], "There is no structure=stong."),
        (
            ["segmenter", "structure=strong", "data=."],
            "structure=strong is for fresh scenes, but data= is given.",
        ),
        (["calibration", "structure=strong"], "structure=strong has no part in a calibration."),
        (["segmenter", "data=nowhere"], "There is no nowhere to evaluate on."),
        (["segmenter", "data=."], ". holds no scenes: manifest.csv is missing."),
        (["segmenter", "checkpoints=nowhere"], "There is no folder nowhere with checkpoints."),
        (["segmenter", "device=gpu"], "device=gpu is not possible."),
    ],
)
def test_requests_that_make_no_sense(evaluate, words, what):
    code, shown, _ = evaluate(*words)
    assert code == 2 and shown.err.startswith(f"error: {what}")
    assert len(shown.err.splitlines()) == 2


@pytest.mark.parametrize(
    ("part", "choice"),
    [
        ("segmenter", "segment=maskrcnn"),
        ("initialiser", "initialise=resnet50"),
        ("pipeline", "segment=maskrcnn"),
    ],
)
def test_a_network_that_was_asked_for_must_be_there(evaluate, monkeypatch, part, choice):
    monkeypatch.setattr("autogal.networks.ready.find", lambda *_: None)
    code, shown, _ = evaluate(part, "n=2", "size=64", choice)
    assert code == 2 and f"no checkpoint for {choice}" in shown.err


def test_suites_that_are_none(evaluate, suite, tmp_path):
    def said(name):
        code, shown, _ = evaluate("segmenter", f"data={name}")
        assert code == 2 and len(shown.err.splitlines()) == 2
        return shown.err

    suite("whole")
    assert "whole" in said(".")  # a folder of suites: one must be named
    assert "no seg" in said(suite("a", without=["seg"]))
    assert "no column snr" in said(suite("b", without=["snr"]))
    assert "6 rows for 4 stamps" in said(
        suite("c", images=np.zeros((4, 64, 64)), sigma=np.ones((4, 64, 64)), seg=np.ones((4, 64, 64)))
    )
    (tmp_path / "d.npz").write_bytes(b"no archive")
    assert "cannot be read" in said("d")
    stem = suite("e")
    stem.with_name("e_truth.csv").unlink()
    assert "e_truth.csv cannot be read" in said(stem)


def test_galaxies_without_a_sersic_profile_have_no_parameters_to_compare(evaluate, suite):
    stem = suite(without=["n"])
    code, shown, _ = evaluate("initialiser", f"data={stem}")
    assert code == 2 and "No target is one Sersic profile" in shown.err
    code, _, content = evaluate("segmenter", f"data={stem}")
    assert code == 0 and row(content, "good", "sep")["found"] == 1


def test_help(capsys):
    assert cli.main(["evaluate", "--help"]) == 0
    page = capsys.readouterr().out
    assert "maskrcnn" in page and "sdss" in page and max(map(len, page.splitlines())) <= 120
