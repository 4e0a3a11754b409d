"""What the network is told of how far its photometry can be trusted: each number does what its name says."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import avg_pool2d

from autogal.initialise.network.crops import FEATURES
from autogal.initialise.photometry.reliability import SKY_NAMES, sky_reliability
from autogal.initialise.photometry.rings import from_rings, narrow_rings
from tests.initialise.network.test_crops import cut, galaxy

SIDE = 96


def sky(light: torch.Tensor, known: torch.Tensor | None = None) -> dict[str, float]:
    known = torch.ones(1, *light.shape, dtype=torch.bool) if known is None else known
    return dict(
        zip(SKY_NAMES, sky_reliability(light[None], known, torch.tensor([12.0]))[0].tolist(), strict=True)
    )


def noise(seed: int = 1) -> torch.Tensor:
    return torch.randn(SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def measured(image, sigma, target, excluded=None) -> dict[str, float]:
    return dict(zip(FEATURES, cut(image, sigma, target, excluded).features[0].tolist(), strict=True))


def test_a_flat_sky_with_the_noise_it_is_said_to_have():
    found = sky(noise())
    assert found.pop("ln reach") == pytest.approx(math.log(4))
    assert all(abs(value) < limit for value, limit in zip(found.values(), (0.05, 0.1, 0.3), strict=True)), (
        found
    )


def test_skies_that_are_not():
    plain = sky(noise())
    assert sky(2 * noise())["ln noise of 1 px"] == pytest.approx(math.log(2), abs=0.1)  # less what is clipped
    correlated = avg_pool2d(noise()[None, None], 3, 1, 1)[0, 0] * 3
    assert sky(correlated)["ln noise of 1 px"] == pytest.approx(0, abs=0.1)
    assert sky(correlated)["ln noise of 3 px"] > plain["ln noise of 3 px"] + 0.5
    gradient = noise() + torch.linspace(-0.3, 0.3, SIDE)
    assert sky(gradient)["ln noise of 3 px"] < plain["ln noise of 3 px"] + 0.25
    assert sky(gradient)["ln noise of 9 px"] > plain["ln noise of 9 px"] + 0.4


def test_without_sky_there_is_nothing_to_say():
    assert list(sky(noise(), torch.zeros(1, SIDE, SIDE, dtype=torch.bool)).values())[1:] == [0.0, 0.0, 0.0]


def test_the_noise_of_the_light_itself():
    image, sigma, target, _ = galaxy()
    assert measured(image, sigma, target)["ln noise under target"] == pytest.approx(0, abs=1e-5)
    brighter = torch.where(target, 3.0, 1.0)
    assert measured(image, brighter, target)["ln noise under target"] == pytest.approx(math.log(3), abs=0.01)


def test_what_is_hidden_and_what_the_other_side_tells():
    image, sigma, target, _ = galaxy(side=97, x=48.0, y=48.0)
    free = measured(image, sigma, target)
    assert [free[name] for name in ("ln hidden core", "ln hidden", "ln unknown")] == pytest.approx(
        3 * [math.log(0.01)], abs=0.02
    )
    half = torch.zeros_like(target)
    half[:, :, 49:] = True
    found = measured(image, sigma, target, half)
    assert math.exp(found["ln hidden"]) == pytest.approx(
        0.45, abs=0.1
    )  # the centre is that of the light that is seen
    assert 0.1 < math.exp(found["ln hidden core"]) < math.exp(found["ln hidden"])
    assert found["ln unknown"] < math.log(0.05)
    half[:, :, :40] = True
    assert measured(image, sigma, target, half)["ln unknown"] > math.log(0.3)


def test_what_no_ellipse_explains():
    image, sigma, target, _ = galaxy(flux=4e3)
    plain = measured(image, sigma, target)
    assert plain["ln scatter"] == pytest.approx(0, abs=0.15)
    assert plain["ln outer scatter"] == pytest.approx(0, abs=0.1)
    clumpy = image.clone()
    clumpy[:, 46:49, 54:57] += 30
    found = measured(clumpy, sigma, target)
    assert found["ln scatter"] > plain["ln scatter"] + 0.5
    assert found["ln relative scatter"] > plain["ln relative scatter"] + 0.2
    assert found["ln outer scatter"] == pytest.approx(plain["ln outer scatter"], abs=0.1)
    neighbour = image.clone()
    neighbour[:, 20:24, 50:54] += 10
    found = measured(neighbour, sigma, target)
    assert found["ln outer scatter"] > plain["ln outer scatter"] + 0.2


def test_rings_give_back_a_profile():
    rows, columns = torch.meshgrid(torch.arange(SIDE) - 47.3, torch.arange(SIDE) - 48.1, indexing="ij")
    squares = ((rows**2 + columns**2) / 15**2)[None]
    light = 100 * torch.exp(-squares)
    radius = torch.tensor([15.0])
    _, mean, _ = narrow_rings(light, torch.ones_like(light, dtype=torch.bool), squares, radius)
    inside = squares < 4
    assert float((from_rings(mean, squares, radius) - light)[inside].abs().max()) < 4
    assert float((from_rings(mean, squares, radius) - light)[inside].square().mean().sqrt()) < 1
