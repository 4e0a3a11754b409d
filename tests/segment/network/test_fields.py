"""Fields: what the network sees of them, and how that is put back among SExtractor's sources."""

import numpy as np
import pytest

from autogal.configuration.composing import compose
from autogal.flags import Flag
from autogal.segment import segment
from tests.segment.scenes import cutout, galaxy, star

SHAPE = (300, 1100)


@pytest.fixture(scope="module")
def field():
    light = (
        galaxy(SHAPE, 700.3, 140.6, 2e4, 6.0)
        + star(SHAPE, 790, 150, 4000)
        + star(SHAPE, 200, 80, 9000)
        + star(SHAPE, 446, 200, 9000)
    )
    return lambda x, y: cutout(light, start={"x": x, "y": y})


def test_the_network_sees_the_surroundings_of_the_target(settings, network, field):
    one = field(701, 140)
    found = segment(one, settings)
    assert network.shapes == [(1, 160, 256)]  # 300 x 512 px, binned by two
    assert Flag.MASK_FALLBACK not in found.flags and Flag.EDGE not in found.flags
    assert np.hypot(found.x - 700.3, found.y - 140.6) < 0.5 and found.labels.shape == SHAPE
    assert found.target[141, 700] and not found.neighbours[141, 700]
    # in the window, outside of it, and a star that the window's side (x = 445) cuts
    assert found.neighbours[150, 790] and found.neighbours[80, 200] and found.neighbours[200, 440:450].all()
    assert found.n_sources == found.labels.max() and set(np.unique(found.labels)) == set(
        range(found.n_sources + 1)
    )
    union = np.zeros(SHAPE, bool)
    for number, (box, own) in found.reaches.items():
        assert number > 1 and (own[found.labels[box] == number]).all()
        union[box] |= own
    assert np.array_equal(union, found.neighbours)


def test_where_the_network_finds_nothing_the_whole_field_is_the_classical_ways(settings, network, field):
    network.sees_targets = False
    found, classical = (
        segment(field(701, 140), settings),
        segment(field(701, 140), compose(overrides=["segment=sep"]).segment),
    )
    assert Flag.MASK_FALLBACK in found.flags
    assert np.array_equal(found.labels, classical.labels) and (found.x, found.y) == (classical.x, classical.y)


@pytest.mark.parametrize("x", [3.0, 1096.0])
def test_a_target_at_the_side_of_a_field_is_cut_off(settings, network, x):
    found = segment(cutout(galaxy(SHAPE, x, 140.0, 2e4, 6.0), start={"x": x, "y": 140.0}), settings)
    assert (
        Flag.EDGE in found.flags and abs(found.x - x) < 3 and network.shapes == [(1, 160, 256), (1, 256, 160)]
    )
