"""segment=maskrcnn from cutouts to masks, with a stand-in for the trained network, and every checkpoint
that cannot be used."""

import json

import numpy as np
import pytest
import torch

from autogal.configuration.composing import compose
from autogal.errors import AutogalError
from autogal.flags import Flag
from autogal.images.cutout import Cutout
from autogal.networks import save
from autogal.segment import segment, segment_all
from autogal.segment.network import maskrcnn
from autogal.segment.network.architecture import CLASSES, OTHER, VERSION, build_network
from autogal.segment.network.channels import CHANNELS
from tests.segment.scenes import cutout, galaxy, star


def scene(side=96, scale=3.0, seed=0, width=None):
    shape = (side, width or side)
    light = galaxy(shape, shape[1] / 2, side / 2 - 1, 3000 * (scale / 3) ** 2, scale) + star(
        shape, shape[1] * 0.2, side * 0.25, 2000
    )
    return cutout(light, seed=seed)


def test_target_and_neighbour(settings, network):
    made = scene()
    before = made.image.copy()
    found = segment(made, settings)
    assert not found.flags & (Flag.NO_TARGET | Flag.MASK_FALLBACK) and found.n_sources == 2
    assert abs(found.x - 48) < 0.3 and abs(found.y - 47) < 0.3
    assert found.target[47, 48] and not found.neighbours[47, 48] and np.array_equal(made.image, before)
    # the neighbour's mask leaves none of its wings: what is left around it is noise
    light = star((96, 96), 96 * 0.2, 24, 2000)
    assert light[~found.neighbours].sum() < 0.02 * 2000 and light[~found.neighbours].max() < 0.5
    assert np.count_nonzero(found.neighbours) < 0.15 * found.neighbours.size


def test_a_block_of_mixed_sizes_comes_back_in_order(settings, network):
    made = [scene(96), scene(20), scene(64), scene(96, seed=1), scene(50, width=90), scene(300, scale=9)]
    together = segment_all(made, settings)
    alone = [segment(one, settings) for one in made]
    for one, both, single in zip(made, together, alone):
        assert both.labels.shape == one.shape and np.array_equal(both.labels, single.labels)
        assert np.array_equal(both.neighbours, single.neighbours) and (both.x, both.y) == (single.x, single.y)
    assert [bool(found.flags & Flag.MASK_FALLBACK) for found in together] == [
        False,
        True,
        False,
        False,
        False,
        False,
    ]
    assert (
        network.shapes[0] == (2, 96, 96) and (1, 160, 160) in network.shapes
    )  # equal stamps together, large ones binned
    assert abs(together[-1].x - 150) < 1 and abs(together[-1].y - 149) < 1


def test_without_a_target_the_classical_way_is_taken_and_said(settings, network):
    network.sees_targets = False
    found = segment(scene(), settings)
    classical = segment(scene(), compose().segment)
    assert Flag.MASK_FALLBACK in found.flags and Flag.NO_TARGET not in found.flags
    assert np.array_equal(found.labels, classical.labels) and "network found no target" in found.notes[-1]


@pytest.mark.parametrize(
    ("first", "second", "counts"), [(0.9, 0.95, 0), (0.4, 0.8, 1), (0.5, 0.2, 0), (None, 0.8, 1)]
)
def test_a_doubtful_stamp_is_looked_at_in_the_mirror_too_and_the_surer_view_counts(
    first, second, counts, settings, network, monkeypatch
):
    wide, tall, finds = (64, 96), (96, 64), network.detect

    def detect(stamp):
        view = int(stamp.shape[1:] == tall)
        found = finds(stamp)
        score = (first, second)[view]
        found["scores"][:] = score or 0.9
        if score is None:
            found["labels"][:] = OTHER
        if view == 1:  # sees half of every source
            found["masks"][:, :, 14:] = 0
        return found

    monkeypatch.setattr(network, "detect", detect)
    found = segment(scene(64, width=96), settings)
    assert network.shapes == [(1, *wide), (1, *tall)][: 1 if first == 0.9 else 2]
    whole = np.argwhere(found.target)
    assert found.target.shape == wide and Flag.MASK_FALLBACK not in found.flags
    # half of it, and the half on the left: rows of the mirror image are columns
    assert (whole[:, 1].max() < 50) == bool(counts) and whole[:, 1].min() < 45


@pytest.mark.parametrize(
    "spoil",
    [
        lambda one: one.image.fill(np.nan),
        lambda one: one.mask.fill(True),
        lambda one: one.sigma.fill(0),
        lambda one: one.image.fill(3.0),
        lambda one: setattr(one, "sigma", None),
        lambda one: setattr(one, "psf", None),
        lambda one: one.image.__imul__(np.where(np.arange(96) % 7, 1, 1e30)),
    ],
)
def test_no_cutout_breaks_the_block(settings, network, spoil):
    bad = scene()
    spoil(bad)
    empty = Cutout("empty", np.zeros((0, 0)), None, np.zeros((0, 0), bool), None)
    found = segment_all([scene(), bad, empty, scene()], settings)
    assert [one.labels.shape for one in found] == [(96, 96), (96, 96), (0, 0), (96, 96)]
    assert found[0].n_sources == found[3].n_sources == 2 and Flag.NO_TARGET in found[2].flags


CARD = {"task": "segmenter", "version": VERSION, "channels": list(CHANNELS), "classes": list(CLASSES)}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    save(folder / "segmenter-general", build_network().state_dict(), CARD)
    return folder


def test_a_checkpoint_is_loaded_once_and_used(weights, settings):
    settings.checkpoints = str(weights)
    device = torch.device("cpu")
    network = maskrcnn.load_network(settings, 128, device)
    assert network is maskrcnn.load_network(settings, 64, device) and not network.training
    found = segment_all(
        [scene(64), scene(64, seed=1)], settings
    )  # knows nothing yet: whatever it says, there is a target
    assert all(Flag.NO_TARGET not in one.flags and one.target.any() for one in found)


def test_no_checkpoint(settings, monkeypatch, tmp_path):
    settings.checkpoints = str(tmp_path / "nowhere")
    with pytest.raises(AutogalError, match="nowhere"):
        segment(scene(), settings)
    monkeypatch.setattr("autogal.networks.ready.find", lambda *_: None)
    with pytest.raises(AutogalError, match="checkpoints=FOLDER"):
        segment(scene(), settings)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"task": "initialiser"}, "task"),
        ({"version": VERSION + 1}, "version"),
        ({"channels": ["flux"]}, "channels"),
        ({"classes": ["sky", "galaxy"]}, "classes"),
    ],
)
def test_a_checkpoint_of_another_network_is_refused_with_the_reason(
    weights, tmp_path, settings, change, reason
):
    for file in weights.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    card = tmp_path / "segmenter-general.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | change))
    settings.checkpoints = str(tmp_path)
    with pytest.raises(AutogalError, match=reason):
        segment(scene(), settings)


def test_other_weights_under_the_right_card_are_refused(tmp_path, settings):
    save(tmp_path / "segmenter-general", {"weight": torch.zeros(3, 3)}, CARD)
    settings.checkpoints = str(tmp_path)
    with pytest.raises(AutogalError, match="does not hold the weights"):
        segment(scene(), settings)
