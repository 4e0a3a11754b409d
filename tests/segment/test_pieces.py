"""What the network cuts out of the target goes back to it, true neighbours do not."""

import numpy as np
import pytest
import torch

from autogal.segment.classical.detection import prepare_field
from autogal.segment.pieces import join_pieces
from autogal.segment.sources import Sources
from tests.segment.scenes import cutout, galaxy, star

SHAPE = (64, 64)
LIGHT = galaxy(SHAPE, 31.5, 31.5, 2e4, 5.0)
TARGET = LIGHT > 1


def found(*pieces, light=LIGHT, scores):
    field = prepare_field(cutout(light))
    masks = torch.from_numpy(np.stack(pieces))
    return join_pieces(field, Sources(torch.from_numpy(TARGET), masks, 0.9, torch.tensor(scores)))


def half(side):
    return TARGET & (np.arange(64) < side)


def test_a_part_that_no_valley_parts_from_the_target_is_the_targets():
    assert np.array_equal(found(half(26), scores=[0.6]), TARGET.astype(np.int32))


def test_a_part_of_a_part_goes_with_it():
    assert np.array_equal(found(half(30), half(22), scores=[0.6, 0.7]), TARGET.astype(np.int32))


def test_what_the_network_is_sure_of_stays():
    assert np.array_equal(found(half(26), scores=[0.95]) == 2, half(26))


def test_a_galaxy_is_not_swallowed_by_a_fainter_targets_mask():
    assert np.array_equal(found(half(40), scores=[0.6]) == 2, half(40))


def disk(x, y, radius):
    rows, columns = np.indices(SHAPE)
    return TARGET & (np.hypot(columns - x, rows - y) < radius)


def test_a_target_keeps_its_core_however_sure_the_network_is():
    light = LIGHT + star(SHAPE, 31.5, 31.5, 2e4)
    for score in (0.6, 0.99):
        assert np.array_equal(
            found(disk(31.5, 31.5, 5), light=light, scores=[score]), TARGET.astype(np.int32)
        )


@pytest.mark.parametrize(
    ("x", "score", "is_core"), [(24, 0.6, False), (31, 0.6, True), (31, 0.99, True), (25, 0.99, False)]
)
def test_a_source_beside_the_targets_own_summit_is_no_core(x, score, is_core):
    light = LIGHT + star(SHAPE, x, 31.5, 8000)
    piece = disk(x, 31.5, 4.5)
    assert np.array_equal(
        found(piece, light=light, scores=[score]) == 2, np.zeros_like(piece) if is_core else piece
    )


def test_a_source_away_from_the_middle_is_no_core():
    assert np.array_equal(found(disk(22, 31.5, 7), scores=[0.99]) == 2, disk(22, 31.5, 7))


def test_a_source_on_top_of_the_target_stays():
    light = LIGHT + star(SHAPE, 19, 34, 3000)
    assert np.array_equal(found(half(26), light=light, scores=[0.6]) == 2, half(26))


def test_what_lies_beside_the_target_stays_and_covered_sources_do_no_harm():
    beside = np.zeros(SHAPE, bool)
    beside[28:36, :11] = True
    outside = beside & ~TARGET
    assert np.count_nonzero(outside) > np.count_nonzero(beside & TARGET) > 0
    labels = found(beside, half(26), half(26), scores=[0.6, 0.6, 0.6])
    assert set(np.unique(labels)) == {0, 1, 2} and np.array_equal(labels == 2, beside)
    nothing = found(TARGET, scores=[0.6])  # the same mask: the target has no pixel of its own
    assert set(np.unique(nothing)) <= {0, 1, 2}
