"""The segmenter learns: losses fall, truth and input turn together, metrics come out."""

from types import SimpleNamespace

import pytest
import torch

from autogal.segment.network.architecture import _SMALLEST
from autogal.training.segmenter.learning import SegmenterModule, _augmented, find_sources
from autogal.training.segmenter.plots import plot_samples
from tests.segment.network.test_architecture import disk


def batch(shape=(64, 64), empty=False):
    generator = torch.Generator().manual_seed(1)
    centres = [(shape[1] / 2, shape[0] / 2), (12, 14)]
    instances = torch.stack([disk(*centre, radius, shape) for centre, radius in zip(centres, (7, 4))])
    image = torch.randn(2, *shape, generator=generator) + 30 * instances.any(0)
    kept = instances[:0] if empty else instances
    return SimpleNamespace(
        image=image,
        sigma=torch.ones(2, *shape),
        mask=torch.zeros(2, *shape, dtype=torch.bool),
        light=image,
        findable=torch.tensor([True, False]),
        instances=[instances, kept],
        centre=torch.tensor([[(shape[1] - 1) / 2, (shape[0] - 1) / 2]]).repeat(2, 1),
        classes=[torch.tensor([2, 1]), torch.tensor([2, 1])[: len(kept)]],
    )


@pytest.mark.parametrize("cropped", [0.0, 1.0])
@pytest.mark.parametrize("shape", [(64, 64), (64, 96), (50, 50)])
def test_input_and_truth_turn_together(shape, cropped, monkeypatch):
    monkeypatch.setattr("autogal.training.segmenter.learning._CROPPED", cropped)
    torch.manual_seed(0)
    seen = set()
    for _ in range(6):
        for stamp, truth in zip(*_augmented(batch(shape))):
            inside = truth["masks"].bool().any(0)
            assert stamp.shape[1:] == inside.shape
            # of a source at the edge of a crop may be left what is too little to be found
            assert stamp[0][inside].min() > 1 and (stamp[0][~inside] > 1.2).sum() < (
                _SMALLEST if cropped else 1
            )
            assert truth["labels"][0] == 2 and stamp[2][truth["masks"][0].bool()].min() == stamp[2].min()
            if len(truth["masks"]) > 1:
                assert stamp[2][truth["masks"][0].bool()].mean() < stamp[2][truth["masks"][1].bool()].mean()
            seen.add(int((stamp[0] == 0).sum()))  # what was added to make the sides multiples
    assert len(seen) > 1 or not cropped


def test_losses_fall_and_reach_every_weight():
    torch.manual_seed(0)
    module = SegmenterModule(lr=1e-3, steps=10, warm_up=1)
    optimiser = module.configure_optimizers()["optimizer"]
    module.log = lambda *_, **__: None
    losses = []
    for _ in range(8):
        loss = module.training_step(batch(), 0)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-2:]) < 0.7 * sum(losses[:2])
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in module.parameters())


def test_a_stamp_without_a_source_is_a_lesson_too():
    module = SegmenterModule()
    module.log = lambda *_, **__: None
    assert torch.isfinite(module.training_step(batch(empty=True), 0))


def test_the_schedule_rises_falls_and_goes_on():
    module = SegmenterModule(steps=100, warm_up=10)
    rates = [module._rate(step) for step in range(200)]
    assert rates[0] == 0.1 and max(rates) == 1 and rates.index(1) in (9, 10)
    assert rates[100:] == [pytest.approx(1 / 30)] * 100


def test_validation_counts_the_bright_targets_only(tmp_path):
    module = SegmenterModule().eval()
    logged = {}
    module.log = lambda name, value, **_: logged.update({name: value})
    module.validation_step(batch(), 0)
    assert len(module._stamps) == 1
    module.on_validation_epoch_end()
    assert set(logged) == {
        f"val/{name}" for name in ("found", "iou", "neighbours", "covered", "false", "quality")
    }
    assert module._stamps == [] and 0 <= logged["val/quality"] <= 1
    some = batch()
    path = plot_samples(
        tmp_path / "sample.png", some.image, some.sigma, some.instances, find_sources(module.network, some)
    )
    assert path.stat().st_size > 5000
