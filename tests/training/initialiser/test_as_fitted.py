"""Examples that differ in nothing from what a fit asks the network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from autogal.configuration.composing import compose
from autogal.configuration.overrides import override
from autogal.images.survey import Survey
from autogal.initialise.network.resnet50 import cut
from autogal.initialise.network.targets import decode
from autogal.segment import segment_all
from autogal.simulate import General, Population, simulate
from autogal.simulate.structure import Structure
from autogal.training.initialiser.as_fitted import examples_as_fitted

SEED = 11


@pytest.fixture(scope="module")
def sdss() -> Population:
    return Population(
        Survey.from_settings(compose(overrides=[override("survey", "sdss")]).survey), neighbours=2
    )


@pytest.fixture(scope="module")
def segment():
    return compose(overrides=["segment=sep"]).segment


def test_they_are_what_a_fit_makes_of_the_same_stamps(sdss, segment):
    (made,) = examples_as_fitted([sdss], [64], 32, SEED, segment)
    scenes = simulate(32, sdss, SEED, (64, 64))
    _, crops = cut(scenes.cutouts, segment_all(scenes.cutouts, segment), {}, torch.device("cpu"))
    seen = {tuple(one): i for i, one in enumerate(crops.features.tolist())}
    rows = [seen[tuple(one)] for one in made["features"].tolist()]  # raises where an example is none of them
    assert len(rows) > 20 and torch.equal(made["channels"], crops.channels[rows])
    own = {name: values[rows] for name, values in decode(torch.zeros(len(crops), 7), crops).items()}
    ratio = made["targets"][:, 2].double().exp() * own["flux"]
    true = np.asarray(scenes.truth["flux"], float)
    assert np.isclose(ratio.numpy()[:, None], true, rtol=1e-5).any(1).all()


def test_populations_and_sizes_take_turns(sdss, segment):
    found = list(
        examples_as_fitted([General(structure=Structure(composite=0.0)), sdss], [64, 96], 100, SEED, segment)
    )
    reach = [
        float((one["features"][:, 0] + one["features"][:, -4]).exp().median()) for one in found
    ]  # half the side: radius times reach
    assert reach == pytest.approx([32, 32, 48, 48], rel=1e-4)
    fwhm = [float(one["features"][:, 1].std()) for one in found]
    assert max(fwhm[1::2]) < 0.5 * min(fwhm[::2])  # of a survey's seeing, and of any


def test_what_has_no_sersic_index_is_left_out(sdss, segment):
    assert (
        list(examples_as_fitted([replace(sdss, structure=Structure(composite=1.0))], [64], 32, SEED, segment))
        == []
    )
