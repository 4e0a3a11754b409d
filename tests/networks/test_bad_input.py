"""What cannot be used, from the command line: two lines that say what is wrong and what to do, and no
network where it cannot help."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from astropy.io import fits
from astropy.table import Table

import autogal
from autogal.cli import main
from autogal.flags import Flag
from autogal.initialise.network.architecture import CARD as INITIALISER
from autogal.networks import save
from autogal.training.segmenter.task import CARD as SEGMENTER

CARDS = {"segmenter": SEGMENTER, "initialiser": INITIALISER}
CHOICES = {"segmenter": "segment=maskrcnn", "initialiser": "initialise=resnet50"}
CLASSICAL = {"segmenter": "initialise=moments", "initialiser": "segment=sep"}  # in place of the other network


def galaxy(side: int, seed: int = 0) -> np.ndarray:
    rows, columns = np.mgrid[:side, :side] - (side - 1) / 2
    return 40 * np.exp(-0.5 * (columns**2 + 1.5 * rows**2) / 6) + np.random.default_rng(seed).normal(
        size=(side, side)
    )


@pytest.fixture
def image(tmp_path):
    fits.writeto(tmp_path / "galaxy.fits", galaxy(48).astype(np.float32))
    return str(tmp_path / "galaxy.fits")


@pytest.fixture
def folder(tmp_path):
    """Checkpoints of both networks with the right cards; nothing here gets as far as the weights."""
    for task, card in CARDS.items():
        save(tmp_path / "checkpoints" / f"{task}-general", {"w": torch.zeros(64, 64)}, {"task": task, **card})
    return tmp_path / "checkpoints"


def said(words, capsys) -> str:
    """The error's two lines."""
    capsys.readouterr()
    assert main(words) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 1 and len(lines) - lines.index(errors[0]) == 2, lines
    return "\n".join(lines[-2:])


def _truncated(stem):
    weights = stem.with_suffix(".safetensors")
    weights.write_bytes(weights.read_bytes()[:100])


def _another_sum(stem):
    card = stem.with_suffix(".json")
    card.write_text(json.dumps(json.loads(card.read_text()) | {"sha256": "0" * 64}))


def _broken_card(stem):
    stem.with_suffix(".json").write_text('{"task": "seg')


def _other_network(stem):
    other = stem.with_name(
        {"segmenter-general": "initialiser-general", "initialiser-general": "segmenter-general"}[stem.name]
    )
    for ending in (".json", ".safetensors"):
        stem.with_suffix(ending).write_bytes(other.with_suffix(ending).read_bytes())


HARMS = [
    (_truncated, "cut short, altered or exchanged"),
    (_another_sum, "cut short, altered or exchanged"),
    (_broken_card, "is not a checkpoint's card"),
    (_other_network, "its task is"),
    (lambda stem: None, "does not hold the weights that its card promises"),
]


@pytest.mark.parametrize("task", CARDS)
@pytest.mark.parametrize(("harm", "what"), HARMS)
def test_a_fit_refuses_a_checkpoint_that_cannot_be_used(task, harm, what, image, folder, tmp_path, capsys):
    harm(folder / f"{task}-general")
    text = said(
        ["fit", image, CHOICES[task], CLASSICAL[task], f"checkpoints={folder}", f"out={tmp_path / 'out'}"],
        capsys,
    )
    assert what in text and "general" in text


@pytest.mark.parametrize("task", CARDS)
@pytest.mark.parametrize(("harm", "what"), HARMS[:4])
def test_training_does_not_start_from_one(task, harm, what, folder, tmp_path, capsys):
    harm(folder / f"{task}-general")
    text = said(
        ["train", task, f"checkpoints={folder}", f"out={tmp_path / 'out'}", "size=64", "trainer=cpu"], capsys
    )
    assert what in text


@pytest.mark.parametrize("task", CARDS)
def test_a_fit_without_a_checkpoint_says_how_to_get_one(task, image, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("autogal.networks.ready.find", lambda *_: None)  # whatever is shipped
    text = said(["fit", image, CHOICES[task], CLASSICAL[task], f"out={tmp_path / 'out'}"], capsys)
    assert f"no checkpoint for {CHOICES[task]}" in text and f"autogal train {task}" in text


@pytest.mark.parametrize("task", CARDS)
def test_a_folder_of_checkpoints_that_is_not_there(task, image, tmp_path, capsys):
    text = said(
        [
            "fit",
            image,
            CHOICES[task],
            CLASSICAL[task],
            f"checkpoints={tmp_path / 'nowhere'}",
            f"out={tmp_path / 'out'}",
        ],
        capsys,
    )
    assert "nowhere" in text and "checkpoints=" in text


def test_no_usable_image_and_labels_of_none(tmp_path, capsys):
    (tmp_path / "blank").mkdir()
    for i in range(3):
        fits.writeto(
            tmp_path / "blank" / f"blank{i}.fits",
            np.random.default_rng(i).normal(size=(40, 40)).astype(np.float32),
        )
    out = f"out={tmp_path / 'out'}"
    assert "usable images" in said(
        ["train", "segmenter", f"data={tmp_path / 'blank'}", "labels=sep", out], capsys
    )
    values = dict(
        x=20.0,
        y=20.0,
        flux=900.0,
        r_eff=3.0,
        n=1.0,
        q=0.8,
        pa=0.0,
        chi2_dof=1.0,
        status="converged",
        flags=0,
        snr=90.0,
    )
    for ids, what in (("galaxy", "No image of"), ("blank", "usable images")):
        Table([dict(id=f"{ids}{i}", **values) for i in range(3)]).write(tmp_path / f"{ids}.fits")
        assert what in said(
            ["train", "initialiser", f"data={tmp_path / 'blank'}", f"labels={tmp_path / ids}.fits", out],
            capsys,
        )


def test_empty_label_masks(tmp_path, capsys):
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    for i in range(3):
        fits.writeto(tmp_path / "images" / f"galaxy{i}.fits", galaxy(48, i).astype(np.float32))
        fits.writeto(tmp_path / "labels" / f"galaxy{i}.fits", np.zeros((48, 48), np.int16))
    words = [
        "train",
        "segmenter",
        f"data={tmp_path / 'images'}",
        f"labels={tmp_path / 'labels'}",
        f"out={tmp_path / 'out'}",
    ]
    assert "Only 0 usable images" in said(words, capsys)
    assert (tmp_path / "out" / "autogal.log").read_text().count("its label mask is empty") == 3


def test_a_stamp_too_small_for_the_networks_is_fitted_without_them(folder):
    """The networks are not even loaded for it: their weights could not be."""
    catalogue = autogal.fit(
        [galaxy(28)],
        sigma=[np.ones((28, 28))],
        segment="maskrcnn",
        initialise="resnet50",
        checkpoints=str(folder),
    )
    row = catalogue.table[0]
    assert row["status"] == "converged" and row["x"] == pytest.approx(13.5, abs=0.2)
    assert (
        Flag(int(row["flags"])) & (Flag.MASK_FALLBACK | Flag.START_FALLBACK)
        == Flag.MASK_FALLBACK | Flag.START_FALLBACK
    )
    assert "smaller than 32 px" in row["message"]
