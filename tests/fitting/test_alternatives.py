"""A choice that was close: what the values would be the other way is said, where it matters."""

from __future__ import annotations

import numpy as np
import pytest

from autogal.configuration.composing import compose
from autogal.fitting.alternatives import weigh_choices
from autogal.fitting.engine import fit_cutouts
from autogal.flags import Flag
from autogal.images.cutout import Cutout

from ..observations import PSF, ZEROPOINT, Galaxy

TARGET = Galaxy(x=23.2, y=24.6, mag=16.9, r_eff=4.0, n=1.5, q=0.6, pa=40.0)
BESIDE = Galaxy(x=33.4, y=27.0, mag=18.6, r_eff=2.0, n=1.0, q=0.9, pa=0.0)
SETTINGS = compose("fit", ["device=cpu", "threads=1"])
START = np.array([[*TARGET.truth.values()]])


@pytest.fixture
def fitted():
    """A galaxy, fitted with its neighbour masked; and the mask."""
    clean = TARGET.flux * TARGET.light() + BESIDE.flux * BESIDE.light()
    image = clean + np.random.default_rng(0).normal(size=clean.shape) * TARGET.sigma()
    y, x = np.indices(clean.shape)
    near = np.hypot(x - BESIDE.x, y - BESIDE.y) < 6
    cutout = Cutout("a", image, TARGET.sigma(), near, PSF.star(25), zeropoint=ZEROPOINT)
    return cutout, fit_cutouts([cutout], START, SETTINGS)


def test_light_that_may_be_its_own(fitted):
    cutout, found = fitted
    before, mask = found.values.copy(), cutout.mask.copy()
    flags = weigh_choices([cutout], {0: np.zeros(cutout.shape, bool)}, START, SETTINGS, found)
    assert flags.tolist() == [int(Flag.BLENDED)]
    (note,) = cutout.notes
    assert "Masked the other way" in note and "of its errors" in note
    # the numbers are those of a fit to all of the light
    whole = fit_cutouts(
        [
            Cutout(
                "b", cutout.image, cutout.sigma, np.zeros(cutout.shape, bool), cutout.psf, zeropoint=ZEROPOINT
            )
        ],
        START,
        SETTINGS,
    )
    named = [name for name in found.parameters if f" {name} by " in note]
    assert len(named) == 3
    for name in named:
        k = found.parameters.index(name)
        moved = whole.values[0, k] - before[0, k]
        error = np.sqrt(found.covariance[0, k, k])
        assert f"{name} by {moved:+.3g} ({abs(moved) / error:.1f} of its errors)" in note
    # nothing else is changed
    assert np.array_equal(found.values, before) and np.array_equal(cutout.mask, mask)


def test_a_choice_that_changes_nothing_is_none(fitted):
    cutout, found = fitted
    other = cutout.mask.copy()
    other[0, :2] = True
    assert not weigh_choices([cutout], {0: other}, START, SETTINGS, found).any() and not cutout.notes


def test_what_was_not_measured_has_no_choice(fitted):
    cutout, found = fitted
    found.values[:] = np.nan
    assert not weigh_choices([cutout], {0: cutout.mask}, START, SETTINGS, found).any() and not cutout.notes


def test_the_other_way_there_may_be_nothing(fitted):
    cutout, found = fitted
    assert (
        weigh_choices([cutout], {0: np.ones(cutout.shape, bool)}, START, SETTINGS, found)[0] == Flag.BLENDED
    )
    assert cutout.notes[0].endswith("it could not be fitted.")
