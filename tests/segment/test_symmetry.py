"""What has its like on the target's other side is the target's; what stands alone is not."""

import numpy as np
import pytest

from autogal.flags import Flag
from autogal.segment.classical.detection import prepare_field
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
    light = (
        galaxy(SHAPE, 47, 47, 1.5e4, 6, q=0.2, pa=90)
        + galaxy(SHAPE, 30, 47, 8e3, 3, q=0.6)
        + uneven * galaxy(SHAPE, 64, 47, 8e3, 3, q=0.6)
    )
    new, _ = joined(light, abs(X - 47) < 9, X <= 38, X >= 56)
    assert set(np.unique(new)) == {0, 1}


@pytest.mark.parametrize(
    "other", [galaxy(SHAPE, 60, 52, 2e4, 3), star(SHAPE, 56, 47, 5e3), galaxy(SHAPE, 66, 47, 6e4, 6)]
)
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


@pytest.mark.parametrize(("q", "pa", "width"), [(0.5, 90, 4.0), (0.35, 60, 3.0), (0.8, 20, 5.0)])
def test_halves_beside_a_lane_are_one_galaxy(q, pa, width):
    angle = np.radians(pa)
    across = (X - 47) * np.cos(angle) + (Y - 47) * np.sin(angle)
    light = galaxy(SHAPE, 47, 47, 4e4, 6, q=q, pa=pa) * (1 - np.exp(-0.5 * (across / (width / 2)) ** 2))
    new, old = joined(light, across > 0, across < 0)
    assert (old == 2).any() and set(np.unique(new)) == {0, 1}


@pytest.mark.parametrize("apart", [(16, 0), (9, 9), (0, 20)])
def test_a_pair_of_equals_stays_two(apart):
    one, two = (
        galaxy(SHAPE, 47, 47, 3e4, 4, q=0.7, pa=30),
        galaxy(SHAPE, 47 + apart[0], 47 + apart[1], 3e4, 4, q=0.7, pa=100),
    )
    new, old = joined(one + two, one >= two, two > one)
    assert np.array_equal(new, old)


def segmented(light, *pieces):
    labels = np.zeros(SHAPE, np.int32)
    for k, piece in enumerate(pieces, start=1):
        labels[piece & (light > 1)] = k
    return segment_footprints(cutout(light), labels, Grow())


def test_a_slice_of_the_target_makes_its_fit_doubtful():
    light = galaxy(SHAPE, 47, 47, 4e4, 6)
    found = segmented(light, X < 52, X >= 52)
    assert Flag.POOR_FIT in found.flags and "beside the target may be part of it" in found.notes[0]


def test_a_string_of_clumps_makes_its_fit_doubtful():
    places = [(40, 52), (52, 53), (47, 39), (36, 44)]
    light = galaxy(SHAPE, 46, 47, 2e4, 9) + sum(star(SHAPE, x, y, 1.2e3, 4.5) for x, y in places)
    pieces = [np.hypot(X - x, Y - y) < 4 for x, y in places]
    found = segmented(light, ~np.any(pieces, axis=0), *pieces)
    assert Flag.POOR_FIT in found.flags and "4 sources" in found.notes[0]


@pytest.mark.parametrize(
    "other", [galaxy(SHAPE, 62, 50, 3e4, 3), star(SHAPE, 55, 47, 1e4), galaxy(SHAPE, 60, 60, 5e3, 2, q=0.4)]
)
def test_a_neighbour_raises_no_doubt(other):
    own = galaxy(SHAPE, 47, 47, 2e4, 4)
    found = segmented(own + other, own >= other, own < other)
    assert Flag.POOR_FIT not in found.flags and found.notes == []
