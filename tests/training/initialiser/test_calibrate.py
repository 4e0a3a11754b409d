"""Errors that hold 68 % of the truths, whatever the network promised."""

from __future__ import annotations

import pytest
import torch
from torchvision.models import resnet18

from autogal.initialise.network.architecture import StartNetwork, catalogue_axes
from autogal.initialise.network.crops import FEATURES, Crops
from autogal.initialise.network.targets import decode
from autogal.training.initialiser.calibrate import calibrate

CLEAR = FEATURES.index("ln noise under target")


@pytest.fixture
def network(monkeypatch) -> StartNetwork:
    monkeypatch.setattr("autogal.initialise.network.architecture.resnet50", resnet18)
    # the photometry alone: no convolutions, no time
    monkeypatch.setattr(
        StartNetwork, "_correction", lambda self, channels, scaled, learn: scaled.new_zeros(len(scaled), 35)
    )
    torch.manual_seed(4)
    made = StartNetwork()
    torch.nn.init.normal_(made.direct[-1].weight, std=0.02)
    return made.eval()


@torch.no_grad()
def examples(network: StartNetwork, count: int, seed: int) -> dict[str, torch.Tensor]:
    """Errors three times as large as promised where a feature is above zero, half as large where it is
    below."""
    random = torch.Generator().manual_seed(seed)
    features = torch.randn(count, len(FEATURES), generator=random)
    features[:, CLEAR] = features[:, CLEAR].sign()
    channels = torch.zeros(count, 1, 1, 1)
    mean, covariance = network.predict(channels, features)
    off = torch.linalg.cholesky(covariance) @ torch.randn(count, 7, 1, generator=random).double()
    factor = torch.where(features[:, CLEAR] > 0, 3.0, 0.5)[:, None]
    return {"channels": channels, "features": features, "targets": (mean + factor * off[:, :, 0]).float()}


@torch.no_grad()
def inside(network: StartNetwork, batch: dict[str, torch.Tensor]) -> list[float]:
    mean, covariance = network.predict(batch["channels"], batch["features"])
    held = ((mean - batch["targets"]).abs() < covariance.diagonal(dim1=1, dim2=2).sqrt()).double()
    return [held[batch["features"][:, CLEAR] * sign > 0].mean().item() for sign in (1, -1)]


@torch.no_grad()
def test_errors_hold_68_percent_of_what_was_not_seen(network):
    seen, others = ([examples(network, 500, first + k) for k in range(8)] for first in (0, 100))
    others = {name: torch.cat([one[name] for one in others]) for name in others[0]}
    state = {name: value.clone() for name, value in network.state_dict().items()}
    mean, _ = network.predict(others["channels"], others["features"])
    assert inside(network, others) == pytest.approx([0.26, 0.95], abs=0.03)
    calibrate(network, seen)
    assert inside(network, others) == pytest.approx([0.683, 0.683], abs=0.03)
    assert {name for name, value in network.state_dict().items() if not torch.equal(value, state[name])} == {
        "errors.weight",
        "errors.bias",
    }
    assert torch.equal(network.predict(others["channels"], others["features"])[0], mean)


@torch.no_grad()
def test_each_error_has_a_factor_of_its_own(network):
    """Along x and y, ln flux, ln r_eff, ln n, ln q and the position angle."""
    batch = examples(network, 5, 1)
    network.errors.weight.zero_(), network.errors.bias.zero_()
    mean, before = network.predict(batch["channels"], batch["features"])
    network.errors.bias.copy_(torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5, -0.6]))
    _, after = network.predict(batch["channels"], batch["features"])
    axes = catalogue_axes(mean)
    found = [(axes @ one @ axes.mT).diagonal(dim1=1, dim2=2).log() / 2 for one in (before, after)]
    assert torch.allclose(
        found[1] - found[0],
        torch.tensor([[0.1, 0.1, 0.2, 0.3, 0.4, 0.5, -0.6]]).double().expand(5, 7),
        atol=1e-6,
    )


def test_axes_are_those_of_a_catalogue():
    targets = torch.tensor([[0.1, -0.2, 0.3, -1.0, 0.5, 0.3, -0.6]], dtype=torch.float64)
    unit = torch.ones(1, dtype=torch.float64)
    crops = Crops(unit, unit, 0 * unit, 0 * unit, unit, unit, 0 * unit)

    def catalogue(values: torch.Tensor) -> torch.Tensor:
        found = decode(values, crops)
        return torch.cat(
            [
                found["x"],
                found["y"],
                *(found[name].log() for name in ("flux", "r_eff", "n", "q")),
                found["pa"],
            ]
        )

    slopes = torch.autograd.functional.jacobian(catalogue, targets)[:, 0]
    axes = catalogue_axes(targets)[0]
    assert torch.allclose(slopes[:5], axes[:5], atol=1e-7)
    assert torch.allclose(slopes[5], -axes[5], atol=1e-7)
    assert torch.allclose(slopes[6], axes[6] * slopes[6].norm(), atol=1e-6)


def test_it_finds_the_same_again(network):
    seen = [examples(network, 500, k) for k in range(4)]
    calibrate(network, seen)
    once = network.errors.weight.clone()
    calibrate(network, seen)
    assert torch.allclose(network.errors.weight, once, atol=1e-6)
