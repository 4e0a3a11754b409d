"""`autogal train` from the command line."""

from __future__ import annotations

import json

import pytest

from autogal.cli import main

SMALL = [
    "network.steps=2",
    "network.batch=4",
    "network.validate_every=2",
    "network.validate_on=8",
    "size=64",
    "trainer=cpu",
]


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ([], "What to train was not said"),
        (["initialiser", "segmenter"], "takes one of initialiser, segmenter at a time"),
        (["initialiser", "network.lrr=1"], "no key network.lrr"),
        (["initialiser", "survey=nowhere"], "no survey called nowhere"),
        (["initialiser", "size=8"], "size=8"),
        (["initialiser", "data=nowhere"], "without labels="),
        (["segmenter", "data=nowhere"], "without labels="),
        (["segmenter", "data=nowhere", "labels=sep"], "does not exist"),
        (["segmenter", "data=nowhere", "labels=sextractor"], "neither sep nor a folder"),
        (["initialiser", "data=nowhere", "labels=sep"], "labels sep cannot be read"),
        (["initialiser", "structure=strong"], "structure=strong is for a segmenter"),
        (["segmenter", "structure=stong"], "no structure=stong"),
        (["initialiser", "image.fits"], "takes no path"),
    ],
)
def test_what_cannot_be_trained(words, what, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *words]) == 2
    said = capsys.readouterr().err
    assert what in said and len(said.strip().splitlines()) == 2


def test_the_segmenter_learns_from_own_images_and_goes_on(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["simulate", "survey=sdss", "n=24", "size=48", "out=scenes"]) == 0
    words = [
        "train",
        "segmenter",
        "data=scenes/manifest.csv",
        "labels=sep",
        "out=net",
        *SMALL,
        "network.batch=2",
        "save_every=1e-6",
    ]
    assert main(words) == 0
    card = json.loads((tmp_path / "net" / "segmenter-general.json").read_text())
    assert (
        16 <= card["trained_on"]["images"] < 24
        and card["trained_on"]["labels"] == "sep"
        and "quality" in card["metrics"]
    )
    assert main([*words, "resume=true", "network.steps=3"]) == 0
    said = capsys.readouterr().out
    assert "step 3 of 3" in said and "step 2 of 3" not in said
    assert json.loads((tmp_path / "net" / "segmenter-general.json").read_text())["trained_on"]["steps"] == 3


def test_help(capsys):
    assert main(["train", "--help"]) == 0
    assert "initialiser*  segmenter" in capsys.readouterr().out


def test_the_second_word_chooses_the_network(capsys):
    assert main(["train", "segmenter", "--cfg", "job"]) == 0
    assert "name: segmenter" in capsys.readouterr().out


def test_from_the_command_line_to_a_checkpoint(tmp_path, capsys):
    assert (
        main(["train", "initialiser", "survey=sdss", f"out={tmp_path}", *SMALL, "network.calibrate_on=8"])
        == 0
    )
    card = json.loads((tmp_path / "initialiser-sdss-64-r.json").read_text())
    assert (card["task"], card["survey"], card["size"], card["band"], card["pixel_scale"]) == (
        "initialiser",
        "sdss",
        64,
        "r",
        0.396,
    )
    assert card["trained_on"]["steps"] == 2
    assert (tmp_path / "initialiser-sdss-64-r.training" / "predictions.png").stat().st_size > 10_000
    assert (tmp_path / "autogal.log").exists() and (tmp_path / "config.yaml").exists()
    assert "step 2 of 2" in capsys.readouterr().out


def test_a_sweep_is_one_device_a_job(tmp_path, capsys):
    assert (
        main(
            [
                "train",
                "initialiser",
                "-m",
                "network.lr=1e-3,1e-4",
                f"out={tmp_path}",
                *SMALL,
                "trainer.devices=2",
            ]
        )
        == 2
    )
    assert "A sweep with trainer.devices=2" in capsys.readouterr().err
