"""Galaxies that are mostly structure: all their light is theirs, one footprint holds it, and companions
are sources of their own."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from autogal.configuration.composing import compose
from autogal.errors import AutogalError
from autogal.simulate import General, SceneSource, Structure, build_population, simulate
from autogal.simulate.rng import Rng
from autogal.simulate.shapes import KINDS, NUMBERS, Plane, shape_of
from autogal.simulate.strong import draw_strong

CPU = torch.device("cpu")
SHAPE = (128, 128)


@pytest.fixture(scope="module")
def scenes():
    """Lone galaxies, their kinds and their light."""
    population = General(
        neighbours=0, structure=Structure.named("strong"), fwhm=(2.0, 4.0), largest=1 / 8, extreme=0.0
    )
    rng = Rng(5, 0, CPU)
    scenes, strong = population.structure.strengthen(rng, population.draw(rng, 56, SHAPE))
    light = torch.zeros(56, *SHAPE)
    draw_strong(light, scenes, strong, exact=True)
    return scenes, strong, light


def test_every_kind_is_drawn_with_all_of_its_light(scenes):
    scenes, strong, light = scenes
    assert set(strong.kind[:, 0].tolist()) == set(range(1, len(KINDS) + 1))
    assert torch.allclose(light.sum((1, 2)), scenes.sources.flux[:, 0], rtol=0.06)
    assert (light.amin((1, 2)) > -1e-4 * light.amax((1, 2))).all()


def test_half_as_fine_is_the_same_galaxy(scenes):
    scenes, strong, light = scenes
    coarse = torch.zeros_like(light)
    draw_strong(coarse, scenes, strong)
    off = (coarse - light).abs().amax((1, 2)) / light.amax((1, 2))
    assert off.median() < 0.01 and off.quantile(0.9) < 0.1 and off.max() < 0.2


def test_clumps_and_disks_seen_from_the_edge_have_the_middle_of_their_light(scenes):
    scenes, strong, light = scenes
    y, x = torch.meshgrid(torch.arange(128.0), torch.arange(128.0), indexing="ij")
    kinds = [1 + list(KINDS).index(name) for name in ("clumps", "edge_on")]
    checked = 0
    for i in [i for i, kind in enumerate(strong.kind[:, 0].tolist()) if kind in kinds]:
        total = light[i].sum()
        away = torch.hypot(
            (light[i] * x).sum() / total - scenes.sources.x[i, 0],
            (light[i] * y).sum() / total - scenes.sources.y[i, 0],
        )
        assert away < 0.5
        checked += 1
    assert checked > 5


def shape(kind, **changed):
    """Face-on galaxies of one kind on 200 px of a hundredth to twice their radius."""
    step = (torch.arange(200) - 99.5) / 50
    count = 40
    along, height = (part.expand(count, 200, 200) for part in torch.meshgrid(step, step, indexing="xy"))
    q = torch.full((count, 1, 1), changed.get("q", 1.0))
    u = torch.rand(count, NUMBERS, generator=torch.Generator().manual_seed(1))
    return shape_of(list(KINDS).index(kind), Plane(along, height, q), u), Plane(along, height, q)


def test_rings_hold_most_of_the_light_and_are_darker_inside():
    image, plane = shape("ring")
    ring = (image * ((plane.radius > 0.7) & (plane.radius < 1.3))).sum((1, 2))
    assert ring.max() > 0.7 and ring.median() > 0.4
    profile = [image[(plane.radius > r - 0.05) & (plane.radius < r + 0.05)].view(-1) for r in (0.0, 0.7, 1.0)]
    assert profile[2].mean() > 1.5 * profile[1].mean() and profile[0].mean() > profile[1].mean()


def test_lanes_are_dark_and_the_rest_has_all_the_light():
    image, _plane = shape("lane", q=0.5)
    assert torch.allclose(image.sum((1, 2)), torch.ones(len(image)), atol=1e-4)
    middle = image[:, 80:120, 80:120].amin((1, 2)) / image[:, 80:120, 80:120].amax((1, 2))
    assert (middle < 0.1).float().mean() > 0.6


def test_arms_are_two_mostly_and_of_high_contrast():
    image, plane = shape("arms")
    around = (plane.radius > 0.75) & (plane.radius < 0.85)
    bins = ((plane.angle + math.pi) / (2 * math.pi) * 24).long().clamp(max=23)
    mean = torch.stack(
        [
            (image * (around & (bins == k))).sum((1, 2)) / (around & (bins == k)).sum((1, 2))
            for k in range(24)
        ],
        1,
    )
    contrast = 1 - mean.amin(1) / mean.amax(1)
    assert contrast.median() > 0.7
    waves = torch.fft.rfft(mean, dim=1).abs()[:, 1:6].argmax(1) + 1
    assert (waves == 2).float().mean() > 0.6


def test_one_galaxy_has_one_footprint():
    population = General(neighbours=0, structure=Structure(strong=1.0), snr=(200.0, 2000.0), extreme=0.0)
    batch = SceneSource(population, SHAPE, seed=4).draw(24, 0)
    assert all(len(masks) == 1 for masks in batch.instances) and not batch.analytic.any()
    assert (batch.truth["structure"] > 0).all()
    for masks, light, flux in zip(batch.instances, batch.light, batch.truth["flux"].tolist(), strict=True):
        assert 0.75 * flux < light[masks[0]].sum() < 1.1 * flux


def test_companions_are_sources_of_their_own():
    alone = General(
        neighbours=1, structure=Structure(pairs=1.0), snr=(200.0, 2000.0), extreme=0.0, smallest=1.0
    )
    batch = SceneSource(alone, SHAPE, seed=4).draw(24, 0)
    apart = [masks for masks in batch.instances if len(masks) > 1]
    assert len(apart) >= 22 and all(
        classes.tolist()[1:] == [1] * (len(classes) - 1) for classes in batch.classes
    )
    near = [
        masks
        for masks in apart
        if any(
            (torch.nn.functional.max_pool2d(masks[0][None].float(), 9, 1, 4)[0].bool() & other).any()
            for other in masks[1:]
        )
    ]
    assert len(near) > 12


def test_neighbours_as_counted_are_faint_mostly():
    population = General(neighbours=10, structure=Structure(counted=1.0))
    rng = Rng(3, 0, CPU)
    before = population.draw(rng, 64, SHAPE)
    scenes, _ = population.structure.strengthen(rng, before)
    assert torch.equal(scenes.sources.flux[:, 0], before.sources.flux[:, 0]) and torch.equal(
        scenes.sources.x, before.sources.x
    )
    flux = scenes.sources.flux[:, 1:] / (scenes.conditions.sky_sigma * scenes.seeing.fwhm)[:, None]
    ratio = (flux > 2 * flux.min()).float().mean() / (flux > 8 * flux.min()).float().mean()
    assert 3 < ratio < 6  # N(> S) as S^-1: four times as many


def test_usual_scenes_are_those_of_before():
    usual, named = (
        SceneSource(General(), (64, 72), seed=1).draw(4, 5),
        SceneSource(build_population("general", "usual"), (64, 72), seed=1).draw(4, 5),
    )
    assert torch.equal(usual.image, named.image)
    # as they were drawn when galaxies of much structure came
    assert usual.truth["x"].tolist() == pytest.approx([32.82246, 36.81468, 35.05069, 35.67017], abs=1e-4)
    assert float(usual.image.double().sum()) == pytest.approx(5513.272, rel=1e-4)


def test_a_part_of_the_scenes_is_mixed_in():
    batch = SceneSource(build_population("general", "mixed"), (64, 64), seed=1).draw(64, 0)
    assert 0.3 < (batch.truth["structure"] > 0).float().mean() < 0.6


def test_survey_scenes_too():
    population = build_population("sdss", "strong")
    found = simulate(6, replace(population, neighbours=2), seed=3, shape=(64, 64))
    assert set(found.truth["structure"]) <= set(KINDS) and len(set(found.truth["structure"])) > 1
    assert np.isfinite(found.truth["mag"]).all()


def test_any_other_name_is_refused():
    with pytest.raises(AutogalError, match="structure=stong"):
        Structure.named("stong")


@pytest.mark.parametrize("verb", ["simulate", "train", "evaluate"])
def test_the_setting_is_every_verbs(verb):
    assert compose(verb).structure == "usual"
