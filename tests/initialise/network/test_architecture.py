"""The network of starting values: its likelihood, its errors, its symmetry and what it learns from."""

from __future__ import annotations

import math

import numpy as np
import pytest
import pytorch_lightning as lightning
import torch
from scipy import stats
from torch.utils.data import DataLoader
from torchvision.models import resnet18

from autogal.initialise.network.architecture import StartNetwork, coverage_loss, sized, student_nll
from autogal.initialise.network.crops import FEATURES
from autogal.initialise.network.targets import TARGETS
from autogal.simulate.source import SceneSource
from autogal.training.initialiser.examples import Examples, Replayed, examples
from autogal.training.initialiser.learning import InitialiserModule
from autogal.training.initialiser.scoring import MEASURES, errors, score


@pytest.fixture(scope="module")
def batch():
    return next(iter(Examples([SceneSource("general", (64, 64), seed=3)], 24)))


def factors(count: int) -> torch.Tensor:
    torch.manual_seed(0)
    factor = torch.randn(count, 7, 7).tril(-1)
    return factor + torch.diag_embed(torch.rand(count, 7) + 0.5)


def test_likelihood_against_scipy():
    """The matrix that is predicted is that of the 68 %, as a normal distribution's covariance is."""
    factor, mean, truth = factors(5), torch.randn(5, 7), torch.randn(5, 7)
    scale = stats.t(4).ppf(stats.norm.cdf(1))
    for one, middle, value, found in zip(
        factor.double().numpy(), mean.numpy(), truth.numpy(), student_nll(mean, factor, truth)
    ):
        shape = np.linalg.inv(one @ one.T) / scale**2
        expected = -stats.multivariate_t(middle, (shape + shape.T) / 2, 4).logpdf(value) / 7
        assert float(found) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("wings", ["normal", "wide"])
def test_the_coverage_loss_is_least_where_the_errors_hold_68_percent(wings):
    torch.manual_seed(3)
    true = factors(1)[0]
    spread = torch.linalg.inv(true @ true.mT).diagonal().sqrt()
    normal = torch.randn(20_000, 7)
    truth = spread * (normal if wings == "normal" else normal.sign() * normal.abs() ** 3)
    mean = torch.zeros_like(truth).requires_grad_()
    losses = [
        float(coverage_loss(mean, (true / size).expand(len(truth), 7, 7), truth).mean())
        for size in (0.8, 1.0, 1.25)
    ]
    assert losses[1] < losses[0] and losses[1] < losses[2]
    assert not coverage_loss(mean, true.expand(len(truth), 7, 7), truth).requires_grad


def test_predicted_covariance_is_the_inverse_of_the_precision_in_the_targets_units():
    network = StartNetwork().eval()
    torch.nn.init.normal_(network.last.weight, std=0.05)
    network.target_spread.copy_(torch.arange(1.0, 8.0))
    network.target_mean.copy_(torch.full((7,), 3.0))
    channels, features = torch.randn(3, 4, 64, 64), torch.randn(3, len(FEATURES))
    with torch.no_grad():
        mean, factor = network(channels, features)
        predicted, covariance = network.predict(channels, features)
    spread = network.target_spread.double()
    expected = torch.linalg.inv(factor.double() @ factor.double().mT) * spread[:, None] * spread
    assert torch.allclose(covariance, expected, rtol=1e-6)
    assert torch.allclose(predicted, mean.double() * spread + 3)
    assert torch.allclose(network.standardise(predicted.float()), mean, atol=1e-5)


def test_the_likelihood_leaves_the_size_of_errors_alone():
    factor, mean, truth = factors(4).requires_grad_(), torch.randn(4, 7), torch.randn(4, 7)
    loss = student_nll(mean, sized(factor), truth).sum()
    assert torch.allclose(loss, student_nll(mean, factor, truth).sum(), rtol=1e-5)
    (slope,) = torch.autograd.grad(loss, factor)
    assert slope.abs().max() > 0.01
    # L -> S L scales the errors and nothing else
    assert (slope * factor).sum(2).abs().max() < 1e-4


def test_scalers_bring_every_target_near_one(batch):
    network = StartNetwork()
    network.fit_scalers(batch["features"], batch["targets"])
    low, high = torch.quantile(network.standardise(batch["targets"]), torch.tensor([0.16, 0.84]), dim=0)
    assert torch.allclose(high - low, torch.full((7,), 2.0), atol=1e-3)
    assert {"target_mean", "target_spread", "feature_mean", "feature_spread"} <= set(network.state_dict())


def test_a_feature_that_is_mostly_the_same_keeps_its_differences():
    network = StartNetwork()
    features = torch.zeros(1000, len(FEATURES))
    features[::10, 3] = torch.linspace(1, 2, 100)  # of one target in ten
    network.fit_scalers(features, torch.randn(1000, 7))
    assert float(features[:, 3].max() / network.feature_spread[3]) < 6


def test_in_the_end_the_convolutions_stand_still(batch, monkeypatch):
    monkeypatch.setattr("autogal.initialise.network.architecture.resnet50", resnet18)
    torch.manual_seed(1)
    for frozen, still in ((1.0, True), (0.0, False)):
        module = InitialiserModule(lr=1e-3, steps=2, warm_up=0.0, photometry=0.0, freeze_backbone=frozen)
        module.network.fit_scalers(batch["features"], batch["targets"])
        torch.nn.init.normal_(module.network.last.weight, std=0.01)
        before = {name: value.clone() for name, value in module.network.state_dict().items()}
        trainer = lightning.Trainer(
            accelerator="cpu",
            max_steps=2,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, DataLoader([batch, batch], batch_size=None))
        changed = {
            name
            for name, value in module.network.state_dict().items()
            if not torch.equal(value, before[name])
        }
        assert {"direct.0.weight", "first.weight", "last.weight"} <= changed
        assert any(name.startswith("body.") for name in changed) != still


def test_every_target_is_learnt_on_its_own(batch, monkeypatch):
    """A few steps on one batch bring every error down: no target is lost, neither ellipticity is."""
    monkeypatch.setattr("autogal.initialise.network.architecture.resnet50", resnet18)  # a sixth of the time
    torch.manual_seed(1)
    module = InitialiserModule(lr=2e-3, steps=1000)
    network = module.network.train()
    network.fit_scalers(batch["features"], batch["targets"])
    truth = network.standardise(batch["targets"]).clamp(-3, 3)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    before = None
    for _ in range(14):
        mean, _factor = network(batch["channels"], batch["features"])
        loss = torch.nn.functional.huber_loss(mean, truth)
        before = (mean - truth).detach().abs().mean(0) if before is None else before
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    after = (mean - truth).detach().abs().mean(0)
    assert (after < 0.8 * before).all(), dict(zip(TARGETS, (after / before).tolist()))


def test_examples_are_reproducible_and_shared_out():
    sources = [SceneSource("general", (size, size), seed=5) for size in (64, 96)]
    alone = list(Examples(sources, 4, steps=4))
    shared = [list(Examples(sources, 4, steps=4, rank=rank, world=2)) for rank in (0, 1)]
    for step, one in enumerate(alone):
        assert torch.equal(one["channels"], shared[step % 2][step // 2]["channels"])
    later = list(Examples(sources, 4, first=3, steps=1))
    assert torch.equal(later[0]["targets"], alone[3]["targets"])
    assert not torch.equal(alone[0]["targets"][0], alone[2]["targets"][0])


def test_examples_hold_no_target_without_a_truth():
    scenes = SceneSource("general", (64, 64), seed=5).draw(32, 0)
    found = examples(scenes)
    assert 0 < len(found["snr"]) < 32
    assert found["targets"].isfinite().all()
    assert len(found["snr"]) <= int(scenes.analytic.sum())
    assert all(len(values) == len(found["snr"]) for values in found.values())


def test_scatter_of_known_errors():
    torch.manual_seed(2)
    count = 4000
    truth = torch.zeros(count, 7)
    truth[:, 5] = 0.8  # q = 0.45
    sizes = torch.tensor([0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07])
    predicted = truth + sizes * torch.randn(count, 7)
    covariance = torch.diag(sizes**2).expand(count, 7, 7)
    found = score(predicted, covariance, truth, torch.full((count,), 10.0), torch.full((count,), 100.0))
    expected = {
        "dx": 0.1,
        "dy": 0.2,
        "mag": 0.03 * 2.5 / math.log(10),
        "ln R": 0.04,
        "dex n": 0.05 / math.log(10),
        "q": 0.06 * math.exp(-0.8),
        "e1": 0.06,
        "e2": 0.07,
        "pa": math.degrees(0.07 / 0.8 / 2),
    }
    assert {name: found[f"50-200/{name}"] for name in expected} == pytest.approx(expected, rel=0.08)
    assert found["50-200/within 1 sigma"] == pytest.approx(0.683, abs=0.015)
    assert not any(name.startswith("5-20/") for name in found)


def test_position_angles_wrap_and_need_a_thin_galaxy():
    truth = torch.tensor([[0, 0, 0, 0, 0, -0.8, 0.01], [0, 0, 0, 0, 0, 0.1, 0.0]])
    predicted = torch.tensor([[0, 0, 0, 0, 0, -0.8, -0.01], [0, 0, 0, 0, 0, 0.0, 0.1]])
    pa = errors(predicted, truth, torch.ones(2))[:, MEASURES.index("pa")]
    assert abs(float(pa[0])) < 1
    assert math.isnan(float(pa[1]))


def test_examples_are_seen_again_once_enough_are_kept():
    source = Examples([SceneSource("general", (64, 64), seed=3)], 4, steps=6)
    new = list(source)
    seen = list(Replayed(source, times=3, pool=8))
    # until two batches are kept each is seen once, then each brings two mixed ones
    assert len(seen) == 1 + 5 * 3
    assert torch.equal(seen[1]["features"], new[1]["features"]) and torch.equal(
        seen[4]["features"], new[2]["features"]
    )
    for position, last in ((2, 1), (3, 1), (14, 5)):
        before = torch.cat([batch["features"] for batch in new[last - 1 : last + 1]])
        assert len(seen[position]["snr"]) == 4
        assert all((before == row).all(1).any() for row in seen[position]["features"])
    again = list(Replayed(source, times=3, pool=8))
    assert all(
        torch.equal(one["channels"], other["channels"]) for one, other in zip(seen, again, strict=True)
    )
    # until 6 batches: the mixed one after the third new batch, and no other
    ending = list(Replayed(source, times=3, pool=8, until=6))
    assert len(ending) == 1 + 2 * 3 - 1 + 3
    assert all(
        torch.equal(one["features"], other["features"])
        for one, other in zip(ending[-3:], new[-3:], strict=True)
    )


def test_untrained_it_says_what_the_photometry_says(batch):
    network = StartNetwork()
    network.fit_scalers(batch["features"], batch["targets"])
    mean, _ = network(batch["channels"], batch["features"])
    found = mean * network.target_spread + network.target_mean
    names = ("mean x", "mean y", "fitted ln flux", "fitted ln R", "fitted ln n", "fitted e1", "fitted e2")
    measured = batch["features"][:, [FEATURES.index(name) for name in names]]
    assert torch.allclose(found, measured, atol=1e-4)
