"""What has its like on the target's other side is the target's; what stands alone is not."""

import numpy as np
import pytest

from autogal.segment.detection import prepare_field
from autogal.segment.footprints import segment_footprints
from autogal.segment.symmetry import join_symmetric
from tests.segment.scenes import cutout, galaxy, star

SHAPE = (96, 96)
Y, X = np.mgrid[:96, :96]


class Grow:
    grow = 1.0


def ring(x, y, radius, width, flux, q=1.0):
    light = np.exp(-0.5 * ((np.hypot(X - x, (Y - y) / q) - radius) / width) ** 2)
    return flux * light / light.sum()


def joined(light, *pieces):
    """Labels after joining; `pieces` are the target's footprint and those of the others."""
    labels = np.zeros(SHAPE, np.int32)
    for k, piece in enumerate(pieces, start=1):
        labels[piece & (light > 1)] = k
    return join_symmetric(prepare_field(cutout(light)), labels), labels


@pytest.mark.parametrize(("radius", "q", "share"), [(14, 1.0, 0.8), (20, 0.6, 0.6), (26, 0.9, 0.7)])
def test_a_ring_is_its_galaxys_though_nothing_lies_between(radius, q, share):
    light = galaxy(SHAPE, 47.3, 48.1, 3e4 * (1 - share), 1.5) + ring(47.3, 48.1, radius, 2.0, 3e4 * share, q)
    distance = np.hypot(X - 47.3, (Y - 48.1) / q)
    new, old = joined(light, distance < 0.55 * radius, distance >= 0.55 * radius)
    assert (old == 2).any() and set(np.unique(new)) == {0, 1}


def test_a_ring_in_two_halves():
    light = galaxy(SHAPE, 47, 47, 6e3, 1.5) + ring(47, 47, 16, 2.5, 2e4)
    distance = np.hypot(X - 47, Y - 47)
    new, _ = joined(light, distance < 8, (distance >= 8) & (X < 47), (distance >= 8) & (X >= 47))
    assert set(np.unique(new)) == {0, 1}


@pytest.mark.parametrize("uneven", [1.0, 0.75])
def test_both_ends_of_a_disk(uneven):
    light = galaxy(SHAPE, 47, 47, 1.5e4, 6, q=0.2, pa=90) + galaxy(SHAPE, 30, 47, 8e3, 3, q=0.6) + uneven * galaxy(SHAPE, 64, 47, 8e3, 3, q=0.6)
    new, _ = joined(light, abs(X - 47) < 9, X <= 38, X >= 56)
    assert set(np.unique(new)) == {0, 1}


@pytest.mark.parametrize("other", [galaxy(SHAPE, 60, 52, 2e4, 3), star(SHAPE, 56, 47, 5e3), galaxy(SHAPE, 66, 47, 6e4, 6)])
def test_a_companion_stays_one(other):
    own = galaxy(SHAPE, 47, 47, 2e4, 4)
    new, old = joined(own + other, own >= other, own < other)
    assert (old == 2).any() and np.array_equal(new, old)


def test_different_sources_on_both_sides_stay():
    own, one, two = galaxy(SHAPE, 47, 47, 2e4, 4), galaxy(SHAPE, 33, 47, 3e4, 3), star(SHAPE, 62, 48, 4e3)
    brightest = np.argmax([own, one, two], axis=0)
    new, old = joined(own + one + two, brightest == 0, brightest == 1, brightest == 2)
    assert np.array_equal(new, old)


def test_a_ring_that_a_star_stands_on_leaves_the_star():
    light = galaxy(SHAPE, 47, 47, 6e3, 1.5) + ring(47, 47, 16, 2.5, 2e4) + star(SHAPE, 63, 47, 4e3)
    distance, star_ = np.hypot(X - 47, Y - 47), np.hypot(X - 63, Y - 47) < 4
    new, _ = joined(light, distance < 8, (distance >= 8) & ~star_, star_)
    assert set(np.unique(new)) == {0, 1, 3}


def test_a_target_without_neighbours_is_left_alone():
    light = galaxy(SHAPE, 47, 47, 2e4, 4)
    new, old = joined(light, light > 1)
    assert np.array_equal(new, old)


@pytest.mark.parametrize("other", [galaxy(SHAPE, 50, 50, 1e5, 8), galaxy(SHAPE, 56, 47, 5e4, 6)])
def test_growth_leaves_enough_of_the_target(other):
    own = galaxy(SHAPE, 40, 44, 1.5e4, 3)
    light = own + other
    labels = np.where(light > 1, np.where(own > other, 1, 2), 0).astype(np.int32)
    found = segment_footprints(cutout(light), labels, Grow())
    weight = np.where(found.target, light, 0) ** 2
    assert weight[found.neighbours].sum() < 0.35 * weight.sum()
    # where the neighbour has most of the light it is masked all the same
    assert found.neighbours[found.labels == 2].all()
