"""One device, whichever of two keys names it, and how many processes."""

from __future__ import annotations

import pytest
import torch

from autogal.configuration.composing import compose
from autogal.errors import AutogalError
from autogal.runtime.devices import device_name, is_shared, resolve_processes


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ([], "auto"),
        (["device=cpu"], "cpu"),
        (["device=cuda:1"], "cuda:1"),
        (["trainer.accelerator=gpu"], "cuda"),
        (["trainer=cpu"], "cpu"),
        (["trainer=cpu", "device=cpu"], "cpu"),
        (["trainer=ddp", "device=cuda"], "cuda"),
    ],
)
def test_the_device(words, name):
    assert device_name(compose(overrides=words)) == name


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["device=cpu", "trainer=ddp"], "device=cpu and trainer.accelerator=gpu contradict"),
        (["device=cuda:1", "trainer=cpu"], "device=cuda:1 and trainer.accelerator=cpu contradict"),
        (["device=cuda:1", "trainer.devices=2"], "device=cuda:1 is one device"),
        (["trainer.accelerator=tpu"], "trainer.accelerator=tpu is not possible"),
    ],
)
def test_contradictions(words, what):
    with pytest.raises(AutogalError, match=what) as caught:
        device_name(compose(overrides=words))
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("words", "shared"),
    [
        ([], False),
        (["trainer=cpu"], False),
        (["trainer.devices=1"], False),
        (["trainer.devices='1'"], False),
        (["trainer.devices=2"], True),
        (["trainer.devices=-1"], True),
        (["trainer.devices=[1]"], True),
        (["trainer.num_nodes=2"], True),
        (["trainer=ddp"], True),
        (["+trainer.anything=1"], True),
    ],
)
def test_when_a_trainer_is_needed(words, shared):
    assert is_shared(compose(overrides=words)) is shared


@pytest.mark.parametrize(
    ("words", "cutouts", "processes", "threads"),
    [
        ([], 511, 1, None),
        ([], 512, 2, 2),
        ([], 1100, 4, 1),
        ([], 100_000, 4, 1),
        (["threads=2"], 100_000, 2, 1),
        (["threads=1"], 100_000, 1, 1),
        (["threads=64"], 100_000, 8, 8),
        (["trainer.devices=3"], 10, 3, None),
        (["trainer.devices=1"], 100_000, 1, None),
        (["trainer.num_nodes=2"], 100_000, 1, None),
    ],
)
def test_many_cutouts_are_shared_out_to_a_process_a_core(words, cutouts, processes, threads, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    settings = compose(overrides=["device=cpu", *words])
    resolved = resolve_processes(settings, cutouts)
    assert (resolved.trainer.devices, resolved.threads) == (processes, threads)
    assert is_shared(resolved) == (processes > 1 or "trainer.num_nodes=2" in words)
    assert settings == compose(
        overrides=["device=cpu", *words]
    )  # what the user asked for stays, for config.yaml


@pytest.mark.parametrize("name", ["SLURM_NTASKS", "TORCHELASTIC_RUN_ID"])
def test_where_a_launcher_begins_the_processes_there_are_no_more(name, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.setenv(name, "1")
    assert resolve_processes(compose(overrides=["device=cpu"]), 100_000).trainer.devices == 1


def test_a_gpu_is_shared_only_where_the_user_says_so(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_processes(compose(), 100_000).trainer.devices == 1
