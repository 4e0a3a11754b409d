"""Which networks a folder of checkpoints stands for is never guessed in silence."""

from __future__ import annotations

import shutil

import pytest

from autogal.configuration.composing import compose
from autogal.errors import AutogalError
from autogal.networks import checkpoint
from autogal.networks.checkpoint import find
from autogal.networks.ready import check_checkpoints


@pytest.fixture(autouse=True)
def say_again():
    checkpoint._say_once.cache_clear()


def test_a_folder_without_a_checkpoint_is_an_error(tmp_path):
    (tmp_path / "notes.txt").write_text("none here")
    (tmp_path / "other.safetensors").write_text("of another program")
    for task in checkpoint.TASKS:
        with pytest.raises(AutogalError, match="holds no checkpoint"):
            find(task, tmp_path)
    with pytest.raises(AutogalError, match="holds no checkpoint"):
        check_checkpoints(compose(overrides=[f"checkpoints='{tmp_path}'"]))
    check_checkpoints(compose())


def test_a_folder_with_one_kind_says_where_the_other_is_from(tmp_path, repository, caplog):
    for file in (repository / "checkpoints").glob("segmenter-general.*"):
        shutil.copy(file, tmp_path)
    settings = compose(overrides=[f"checkpoints='{tmp_path}'"])
    with caplog.at_level("WARNING"):
        check_checkpoints(settings)
        check_checkpoints(settings)
    said = [record.getMessage() for record in caplog.records]
    assert (
        len(said) == 1 and "no checkpoint of the initialiser" in said[0] and "initialiser-general" in said[0]
    )
    assert find("segmenter", tmp_path).parent == tmp_path


def test_a_folder_that_no_method_uses_is_named(tmp_path, caplog):
    with caplog.at_level("WARNING"):
        check_checkpoints(
            compose(overrides=[f"checkpoints='{tmp_path}'", "segment=sep", "initialise=moments"])
        )
    assert "is not used" in caplog.text
