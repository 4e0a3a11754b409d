"""Starting values by the network: any stamps together, and every way in which it cannot be asked.

The weights are random: what is tested is everything around them.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from autogal.configuration.composing import compose
from autogal.errors import AutogalError
from autogal.flags import Flag
from autogal.images import moffat
from autogal.images.cutout import Cutout
from autogal.initialise import initialise, initialise_all
from autogal.initialise.network.architecture import CARD, StartNetwork
from autogal.networks import save
from autogal.segment.segmentation import Segmentation


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    torch.manual_seed(0)
    network = StartNetwork()
    torch.nn.init.normal_(network.last.weight, std=1e-3)
    network.target_mean[3] = -1.0  # ln R: a radius that a galaxy may have
    folder = tmp_path_factory.mktemp("checkpoints")
    save(folder / "initialiser-general", network.state_dict(), {"task": "initialiser", **CARD})
    return folder


@pytest.fixture
def settings(checkpoints):
    return SettingsNode(name="resnet50", checkpoints=str(checkpoints), survey="none", band=None)


class SettingsNode(SimpleNamespace):
    """What the method reads of a configuration node."""

    def get(self, key, default=None):
        return getattr(self, key, default)


def observed(side=64, x=None, y=None, seed=0) -> tuple[Cutout, Segmentation]:
    x, y = (side / 2 if v is None else v for v in (x, y))
    rows, columns = np.mgrid[:side, :side]
    light = 40 * np.exp(-0.5 * ((columns - x) ** 2 + (rows - y) ** 2 * 1.5) / 9)
    image = (light + np.random.default_rng(seed).normal(size=light.shape)).astype(np.float32)
    cutout = Cutout(f"stamp {seed}", image, np.ones_like(image), np.zeros(image.shape, bool), moffat(3.0))
    labels = (light > 1).astype(np.int32)
    return cutout, Segmentation(labels, np.zeros(image.shape, bool), x, y, 1, False, Flag(0), [])


def test_stamps_of_all_sizes_together(settings):
    pairs = [
        observed(64, seed=1),
        observed(48, 20, 25, seed=2),
        observed(64, 30, 35, seed=3),
        observed(150, seed=4),
    ]
    together = initialise_all(*zip(*pairs, strict=True), settings)
    for (cutout, segmentation), start in zip(pairs, together, strict=True):
        assert start.flags == 0 and start.notes == []
        assert start.values["x"] == pytest.approx(segmentation.x, abs=1.5)
        assert start.values["y"] == pytest.approx(segmentation.y, abs=1.5)
        assert 0.2 < start.values["flux"] / cutout.image[segmentation.target].sum() < 5
        assert np.linalg.eigvalsh(start.covariance).min() > 0 and start.covariance.shape == (7, 7)
        alone = initialise(cutout, segmentation, settings)
        assert alone.values == pytest.approx(start.values, rel=1e-4, abs=1e-4)


def _small(cutout, segmentation):
    return observed(28)


def _no_target(cutout, segmentation):
    return cutout, Segmentation.empty(cutout)


def _covered(cutout, segmentation):
    cutout.mask = segmentation.target.copy()
    return cutout, segmentation


@pytest.mark.parametrize(
    ("harm", "reason"),
    [(_small, "smaller than 32 px"), (_no_target, "no target"), (_covered, "no pixel of the target")],
)
def test_moments_where_the_network_cannot_be_asked(settings, harm, reason):
    bad, good = harm(*observed(64)), observed(64)
    starts = initialise_all(*zip(bad, good, strict=True), settings)
    assert starts[0].flags & Flag.START_FALLBACK
    assert reason in starts[0].notes[-1]
    assert starts[0].covariance is None
    assert np.isfinite(list(starts[0].values.values())).all()
    assert starts[1].flags == 0


def test_moments_where_the_prediction_is_no_galaxy(tmp_path, settings):
    network = StartNetwork()
    network.direct[-1].bias.data[0] = 1e3  # radii away
    save(tmp_path / "initialiser-general", network.state_dict(), {"task": "initialiser", **CARD})
    settings.checkpoints = str(tmp_path)
    start = initialise(*observed(64), settings)
    assert start.flags & Flag.START_FALLBACK and "no galaxy" in start.notes[-1]
    assert start.values["x"] == pytest.approx(32, abs=0.5)


def test_no_checkpoint(tmp_path, settings, monkeypatch):
    monkeypatch.setattr("autogal.networks.ready.find", lambda *_: None)
    with pytest.raises(AutogalError, match="no checkpoint for initialise=resnet50") as caught:
        initialise(*observed(64), settings)
    assert "train initialiser" in caught.value.remedy


@pytest.mark.parametrize(
    ("card", "reason"),
    [
        ({"task": "segmenter"}, "task is 'segmenter'"),
        ({"side": 128}, "side is 128"),
        ({"version": 9}, "version is 9"),
        ({"channels": ["S/N"]}, "channels is"),
    ],
)
def test_another_networks_checkpoint(tmp_path, settings, card, reason):
    save(tmp_path / "initialiser-general", {"w": torch.zeros(1)}, {"task": "initialiser", **CARD} | card)
    settings.checkpoints = str(tmp_path)
    with pytest.raises(AutogalError, match=reason):
        initialise(*observed(64), settings)


def test_weights_that_are_not_what_the_card_promises(tmp_path, settings):
    save(tmp_path / "initialiser-general", {"w": torch.zeros(1)}, {"task": "initialiser", **CARD})
    settings.checkpoints = str(tmp_path)
    with pytest.raises(AutogalError, match="does not hold the weights"):
        initialise(*observed(64), settings)


def test_the_configuration_names_what_the_method_reads():
    node = compose(overrides=["initialise=resnet50", "survey=sdss"]).initialise
    assert (node.name, node.survey, node.band, node.checkpoints) == ("resnet50", "sdss", "r", None)
