"""One device, whichever of two keys names it."""

from __future__ import annotations

import pytest

from autogal.configuration.composing import compose
from autogal.errors import AutogalError
from autogal.fitting.choices import device_name, is_shared


@pytest.mark.parametrize(("words", "name"), [
    ([], "auto"), (["device=cpu"], "cpu"), (["device=cuda:1"], "cuda:1"), (["trainer.accelerator=gpu"], "cuda"),
    (["trainer=cpu"], "cpu"), (["trainer=cpu", "device=cpu"], "cpu"), (["trainer=ddp", "device=cuda"], "cuda"),
])
def test_the_device(words, name):
    assert device_name(compose(overrides=words)) == name


@pytest.mark.parametrize(("words", "what"), [
    (["device=cpu", "trainer=ddp"], "device=cpu and trainer.accelerator=gpu contradict"),
    (["device=cuda:1", "trainer=cpu"], "device=cuda:1 and trainer.accelerator=cpu contradict"),
    (["device=cuda:1", "trainer.devices=2"], "device=cuda:1 is one device"),
    (["trainer.accelerator=tpu"], "trainer.accelerator=tpu is not possible"),
])
def test_contradictions(words, what):
    with pytest.raises(AutogalError, match=what) as caught:
        device_name(compose(overrides=words))
    assert caught.value.remedy


@pytest.mark.parametrize(("words", "shared"), [
    ([], False), (["trainer=cpu"], False), (["trainer.devices='1'"], False), (["trainer.devices=2"], True), (["trainer.devices=-1"], True),
    (["trainer.devices=[1]"], True), (["trainer.num_nodes=2"], True), (["trainer=ddp"], True), (["+trainer.anything=1"], True),
])
def test_when_a_trainer_is_needed(words, shared):
    assert is_shared(compose(overrides=words)) is shared
