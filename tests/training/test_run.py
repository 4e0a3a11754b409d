"""Training from settings to checkpoint: its card, going on after a stop, and two processes that learn as one.

The network is a stand-in of a few weights: what is tested is everything around it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import pytorch_lightning as lightning
import torch
from omegaconf import OmegaConf
from torch.utils.data import IterableDataset

from autogal.configuration.schemas import TrainSettings
from autogal.errors import AutogalError
from autogal.networks import load, save
from autogal.training import run as train_module
from autogal.training.settings import check
from autogal.training.task import Task
from autogal.training.train import train
from autogal.training.trainer import _interval

CARD = {"version": 1}


class Line(lightning.LightningModule):
    """Learns y = 2 x + 1."""

    def __init__(self, lr: float):
        super().__init__()
        self.network = torch.nn.Linear(1, 1)
        self.lr = lr

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), self.lr)

    def training_step(self, batch, index):
        return torch.nn.functional.mse_loss(self.network(batch), 2 * batch + 1)

    def validation_step(self, batch, index):
        error = torch.nn.functional.mse_loss(self.network(batch), 2 * batch + 1)
        self.log("val/loss", error, sync_dist=True, batch_size=len(batch))


class Numbers(IterableDataset):
    """Batches of eight numbers, each from its step alone; writes down which steps were asked for."""

    asked: list[int] = []  # noqa: RUF012 (of all of them)

    def __init__(self, first: int, rank: int, world: int, steps: int | None = None):
        self.first, self.rank, self.world, self.steps = first, rank, world, steps

    def __iter__(self):
        step = self.first + self.rank
        while self.steps is None or step < self.first + self.steps:
            if self.steps is None:
                Numbers.asked.append(step)
            yield torch.randn(8, 1, generator=torch.Generator().manual_seed(step))
            step += self.world


def line_task(settings) -> Task:
    return Task(
        "line",
        Line(settings.network.lr),
        CARD,
        Numbers,
        lambda rank, world: Numbers(10**6, rank, world, 4),
        "val/loss",
        "min",
        ("val/loss",),
        {"simulator": "numbers"},
    )


def no_task(settings) -> dict:
    return {}


def settings(folder: Path, *words: str):
    base = OmegaConf.merge(
        OmegaConf.structured(TrainSettings),
        {
            "out": str(folder),
            "network": {
                "name": f"{__name__}:line_task",
                "lr": 0.1,
                "batch": 8,
                "steps": 40,
                "validate_every": 10,
                "validate_on": 32,
            },
            "trainer": {"accelerator": "cpu", "devices": 1},
        },
    )
    return OmegaConf.merge(base, OmegaConf.from_dotlist(list(words)))


@pytest.fixture(autouse=True)
def nothing_asked():
    Numbers.asked.clear()


def test_a_checkpoint_and_its_card(tmp_path):
    stem = train_module.run(settings(tmp_path))
    state, card = load(stem, "line", **CARD)
    assert stem == tmp_path / "line-general"
    assert state["weight"].item() == pytest.approx(2, abs=0.1)
    assert card["trained_on"] == {"simulator": "numbers", "steps": 40, "stamps": 320, "from": None}
    assert card["metrics"]["loss"] < 0.01
    assert card["config"]["network"]["steps"] == 40
    assert {"survey", "size", "band", "pixel_scale", "versions", "date"} <= set(card)
    assert len(list(tmp_path.glob("line-general.training/log/*/metrics.csv"))) == 1


def test_training_needs_no_verb(tmp_path):
    stem = train(settings(tmp_path / "new", "network.steps=10"))
    assert load(stem, "line")[1]["trained_on"]["steps"] == 10
    assert not list(tmp_path.rglob("autogal.log"))  # that is the verb's


def test_a_survey_names_the_checkpoint(tmp_path):
    stem = train_module.run(
        settings(tmp_path, "survey.name=sdss", "survey.band=r", "size=64", "network.steps=10")
    )
    assert stem.name == "line-sdss-64-r"


class Stop(Exception):
    """Something that ends a run from outside."""


def test_going_on_after_a_stop(tmp_path, monkeypatch):
    uninterrupted = train_module.run(settings(tmp_path / "whole"))
    Numbers.asked.clear()

    def stopping(self, batch, index, step=Line.training_step):
        if self.global_step == 25:
            raise Stop
        return step(self, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(Line, "training_step", stopping)
        with pytest.raises(Stop):
            train_module.run(settings(tmp_path / "parts"))
    assert not (tmp_path / "parts" / "line-general.safetensors").exists()
    Numbers.asked.clear()
    resumed = train_module.run(settings(tmp_path / "parts", "resume=true"))
    assert Numbers.asked[0] == 25  # nothing is seen twice
    one, other = (load(stem, "line")[0] for stem in (uninterrupted, resumed))
    assert torch.allclose(one["weight"], other["weight"], atol=1e-6)
    assert json.loads((tmp_path / "parts" / "line-general.json").read_text())["trained_on"]["steps"] == 40


def wild(monkeypatch, steps):
    """The loss of these steps is not a number."""

    def stepping(self, batch, index, step=Line.training_step):
        return step(self, batch, index) * (float("nan") if index in steps else 1.0)

    monkeypatch.setattr(Line, "training_step", stepping)


def test_steps_of_no_finite_gradient_are_left_out(tmp_path, monkeypatch, caplog):
    wild(monkeypatch, {3, 4, 20})
    state, _ = load(train_module.run(settings(tmp_path)), "line")
    assert state["weight"].item() == pytest.approx(2, abs=0.1)
    assert [record.message for record in caplog.records if "left out" in record.message] == [
        f"step {step} is left out: its gradient is not finite" for step in (3, 4, 20)
    ]


def test_a_training_that_diverges_ends(tmp_path, monkeypatch):
    wild(monkeypatch, range(12, 40))
    with pytest.raises(AutogalError, match="diverged: for 20 steps, to step 31"):
        train_module.run(settings(tmp_path))
    state = torch.load(tmp_path / "line-general.training" / "last.ckpt", weights_only=True)["state_dict"]
    assert all(torch.isfinite(value).all() for value in state.values())


def test_nothing_to_resume_begins_anew(tmp_path):
    assert train_module.run(settings(tmp_path, "resume=true", "network.steps=10")).name == "line-general"
    assert Numbers.asked[0] == 0


def test_training_starts_from_weights_that_are_there(tmp_path):
    there = {"weight": torch.tensor([[5.0]]), "bias": torch.tensor([3.0])}
    save(tmp_path / "given" / "line-general", there, {"task": "line", **CARD})
    words = (f"checkpoints={tmp_path / 'given'}", "network.steps=1", "network.lr=1e-9")
    state, card = load(train_module.run(settings(tmp_path / "a", *words)), "line")
    assert state["weight"].item() == pytest.approx(5)
    assert card["trained_on"]["from"] == "line-general"
    state, card = load(train_module.run(settings(tmp_path / "b", *words, "from_scratch=true")), "line")
    assert state["weight"].item() != pytest.approx(5)
    assert card["trained_on"]["from"] is None


def test_weights_of_another_version_are_no_start(tmp_path):
    save(tmp_path / "line-general", {"weight": torch.zeros(1, 1)}, {"task": "line", "version": 0})
    with pytest.raises(AutogalError, match="version is 0"):
        train_module.run(settings(tmp_path / "out", f"checkpoints={tmp_path}"))


def test_training_ends_when_nothing_gets_better(tmp_path):
    stem = train_module.run(settings(tmp_path, "network.lr=1e-12", "patience=2", "network.steps=400"))
    assert load(stem, "line")[1]["trained_on"]["steps"] < 100


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["network.name=nothing"], "no network called 'nothing'"),
        ([f"network.name={__name__}:no_task"], "makes a dict, not a Task"),
        (["trainer.strategy=nonsense"], "trainer cannot be set up"),
        (["trainer.no_such_argument=1"], "trainer cannot be set up"),
    ],
)
def test_settings_that_mean_nothing(tmp_path, words, what):
    with pytest.raises(AutogalError, match=what):
        train_module.run(settings(tmp_path, *words))


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["network.lr=0"], "network.lr=0"),
        (["network.steps=many"], "network.steps=many"),
        (["size=16"], "size=16"),
        (["labels=sep"], "without data="),
        (["workers=-1"], "workers=-1"),
        (["out=''"], "out= is empty"),
    ],
)
def test_values_that_mean_nothing(tmp_path, words, what):
    with pytest.raises(AutogalError, match=what):
        check(settings(tmp_path, *words))


def test_two_processes_learn_as_one(tmp_path):
    """By gloo on the CPU. Lightning starts the second process by running the same command again."""
    script = tmp_path / "learn.py"
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
        "from tests.training.test_run import *\n"
        "if __name__ == '__main__':\n"
        "    train_module.run(settings(sys.argv[1], 'trainer.devices=2', 'trainer.strategy=ddp', "
        "'network.steps=20'))\n"
    )
    done = subprocess.run(
        [sys.executable, script, tmp_path / "out"],
        text=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    state, card = load(tmp_path / "out" / "line-general", "line", **CARD)
    assert card["trained_on"]["stamps"] == 320
    # The same as one process with the mean of both processes' gradients.
    torch.manual_seed(0)
    lightning.seed_everything(0, verbose=False)
    line = Line(0.1)
    optimiser = line.configure_optimizers()
    for step in range(20):
        pairs = [next(iter(Numbers(2 * step + rank, 0, 1))) for rank in (0, 1)]
        optimiser.zero_grad()
        (sum(line.training_step(batch, 0) for batch in pairs) / 2).backward()
        optimiser.step()
    assert state["weight"].item() == pytest.approx(line.network.weight.item(), abs=1e-3)


@pytest.mark.parametrize(
    ("steps", "every", "interval"), [(3200, 300, 290), (3000, 250, 250), (4, 10, 4), (10, 3, 2), (1, 1, 1)]
)
def test_the_end_of_a_training_is_validated(steps, every, interval):
    assert _interval(steps, every) == interval
    assert steps % interval <= 0.1 * steps  # steps after the last validation
