"""Checkpoints: what is written comes back, and what cannot be used is refused with the reason."""

from __future__ import annotations

import json

import pytest
import torch

from autogal.errors import AutogalError
from autogal.networks.checkpoint import find, load, save, stem_name

CARD = {"task": "initialiser", "version": 1, "channels": 4}


@pytest.fixture
def stem(tmp_path):
    state = {
        "layer.weight": torch.randn(3, 4),
        "norm.running_var": torch.tensor([1e6, 3.1415927]),
        "count": torch.tensor(7),
    }
    save(tmp_path / "initialiser-general", state, CARD)
    return tmp_path / "initialiser-general"


def test_weights_come_back_as_float32_and_vectors_unrounded(stem):
    state, card = load(stem, "initialiser", channels=4)
    assert state["layer.weight"].dtype == torch.float32
    assert state["norm.running_var"].tolist() == pytest.approx([1e6, 3.1415927], rel=1e-7)
    assert state["count"].item() == 7
    assert card["channels"] == 4


def test_kernels_are_stored_in_half_precision(tmp_path):
    save(tmp_path / "a", {"w": torch.zeros(1000, 100)}, CARD)
    assert 200_000 < (tmp_path / "a.safetensors").stat().st_size < 201_000


@pytest.mark.parametrize(
    ("task", "expected", "reason"),
    [
        ("segmenter", {}, "task is 'initialiser'"),
        ("initialiser", {"channels": 3}, "channels is 4, 3 is needed"),
        ("initialiser", {"version": 2}, "version is 1"),
        ("initialiser", {"classes": 3}, "classes is None"),
    ],
)
def test_another_network_is_refused(stem, task, expected, reason):
    with pytest.raises(AutogalError, match=reason):
        load(stem, task, **expected)


def _truncate(stem):
    path = stem.with_suffix(".safetensors")
    path.write_bytes(path.read_bytes()[:-10])


def _garbage(stem):
    """Not safetensors at all, with a card that vouches for it."""
    import hashlib

    stem.with_suffix(".safetensors").write_bytes(b"no weights")
    card = json.loads(stem.with_suffix(".json").read_text())
    stem.with_suffix(".json").write_text(
        json.dumps(card | {"sha256": hashlib.sha256(b"no weights").hexdigest()})
    )


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (_truncate, "cut short"),
        (_garbage, "no weights that can be read"),
        (lambda stem: stem.with_suffix(".safetensors").unlink(), "cannot be read"),
        (lambda stem: stem.with_suffix(".json").unlink(), "card .* cannot be read"),
        (lambda stem: stem.with_suffix(".json").write_text("{"), "not a checkpoint's card"),
        (lambda stem: stem.with_suffix(".json").write_bytes(b"\xff\xfe\x00"), "not a checkpoint's card"),
        (lambda stem: stem.with_suffix(".json").write_text("[1]"), "not a checkpoint's card"),
    ],
)
def test_a_damaged_checkpoint_is_refused(stem, harm, reason):
    harm(stem)
    with pytest.raises(AutogalError, match=reason) as caught:
        load(stem, "initialiser")
    assert caught.value.remedy


def test_weights_that_are_not_finite_are_not_written(tmp_path):
    with pytest.raises(AutogalError, match="not finite"):
        save(tmp_path / "a", {"w": torch.full((2, 2), 1e6)}, CARD)  # infinite in half precision
    assert list(tmp_path.iterdir()) == []


def test_names():
    assert stem_name("segmenter") == "segmenter-general"
    assert stem_name("segmenter", "sdss", 128, "r") == "segmenter-sdss-128-r"
    assert stem_name("segmenter", "none") == "segmenter-general"


@pytest.mark.parametrize(
    ("there", "survey", "size", "band", "found"),
    [
        (["general", "sdss-128-r"], "sdss", 128, "r", "sdss-128-r"),
        (["general", "sdss-128-r"], None, 128, None, "general"),
        (["general", "sdss-128-r"], "desi", 128, "r", "general"),
        (["sdss-128-g", "sdss-64-r"], "sdss", 128, "r", "sdss-64-r"),
        (["sdss-64-r", "sdss-256-r"], "sdss", 200, "r", "sdss-256-r"),
        (["desi-64-r"], "sdss", 64, "r", "desi-64-r"),
    ],
)
def test_the_best_checkpoint_of_a_folder(tmp_path, there, survey, size, band, found):
    for name in there:
        save(tmp_path / f"initialiser-{name}", {"w": torch.zeros(1)}, CARD)
    save(tmp_path / "segmenter-general", {"w": torch.zeros(1)}, CARD)
    assert find("initialiser", tmp_path, survey, size, band) == tmp_path / f"initialiser-{found}"


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(AutogalError, match="no folder"):
        find("initialiser", tmp_path / "missing")


def test_nothing_found(tmp_path):
    assert find("no-such-task", tmp_path) is None
