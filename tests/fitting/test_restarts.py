"""Other starts of fits that fail: as far apart as they should be, the same in any company, and of use."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from autogal.configuration.composing import compose, composed
from autogal.fitting.engine import fit_cutouts
from autogal.fitting.restarts import other_starts
from autogal.images.survey import Survey
from autogal.parameters import START as START_NAMES
from autogal.simulate import simulate

START = np.array([[30.0, 31.0, 18.0, 6.0, 2.0, 0.5, 20.0, 0.1], [50.0, 12.0, 20.0, 2.0, 1.0, 1.0, 0.0, -3.0]])
NOTHING = np.full((2, 7, 7), np.nan)


def native(values):
    """x, y, ln R, ln n, e1, e2 of values [..., 8]."""
    x, y, _, r_eff, n, q, pa, _ = np.moveaxis(values, -1, 0)
    angle = 2 * np.radians(pa + 90)
    return np.stack(
        [x, y, np.log(r_eff * np.sqrt(q)), np.log(n), -np.log(q) * np.cos(angle), -np.log(q) * np.sin(angle)],
        -1,
    )


def test_they_scatter_as_the_covariance_says():
    matrix = np.random.default_rng(0).normal(size=(7, 7)) * 0.05
    covariance = np.stack([matrix @ matrix.T, np.diag([0.04] * 7)])
    starts = other_starts(START, covariance, 4000)
    kept = [0, 1, 3, 4, 5, 6]
    for i in range(2):
        moved = native(starts[:, i]) - native(START[i])
        assert np.cov(moved.T) == pytest.approx(
            covariance[i][np.ix_(kept, kept)], abs=0.1 * covariance[i].max()
        )
        assert np.abs(moved.mean(0)).max() < 0.02
    assert (starts[:, :, 2] == START[:, 2]).all() and (starts[:, :, 7] == START[:, 7]).all()


def test_without_a_covariance_they_scatter_in_units_of_the_galaxy():
    starts = other_starts(START, NOTHING, 400)
    spread = (native(starts) - native(START)).std(0)
    radius = START[:, 3] * np.sqrt(START[:, 5])
    assert spread[:, 0] == pytest.approx(0.3 * radius, rel=0.15)
    assert spread[:, 2] == pytest.approx([0.5, 0.5], rel=0.15)
    assert (starts[..., 4] >= 0.3).all() and (starts[..., 4] <= 8).all() and (starts[..., 5] <= 1).all()


def test_the_same_in_any_company():
    covariance = np.stack([0.01 * np.eye(7), NOTHING[0]])
    together = other_starts(START, covariance, 6)
    for i in range(2):
        assert np.array_equal(other_starts(START[i : i + 1], covariance[i : i + 1], 6)[:, 0], together[:, i])
    assert len({tuple(row) for row in together[:, 0].round(9)}) == 6


@pytest.mark.parametrize(
    "broken",
    [
        np.zeros((2, 7, 7)),
        -np.ones((2, 7, 7)),
        np.full((2, 7, 7), np.inf),
        np.full((2, 7, 7), 1e9 * np.eye(7)),
    ],
)
def test_starts_are_finite_whatever_the_covariance(broken):
    with np.errstate(over="ignore"):
        starts = other_starts(START, broken, 5)
    assert np.isfinite(starts).all() and (starts[..., 3] > 0).all() and (starts[..., 5] > 0).all()


def test_none_are_asked_for():
    assert other_starts(START, NOTHING, 0).shape == (0, 2, 8)


def test_galaxies_that_the_fit_lost_are_found_again():
    """From starts 20 px away, known to be that uncertain, some fits find nothing but noise; other starts
    find those galaxies."""
    survey = Survey.from_settings(compose(overrides=["survey=sdss"]).survey)
    found = simulate(12, survey, seed=3, shape=(64, 64))
    which = [0, 0, 0, 5, 5, 5, 10, 10, 10]
    cutouts, truth = [replace(found.cutouts[i], notes=[]) for i in which], found.truth[which]
    start = np.stack([np.asarray(truth[name], float) for name in START_NAMES], 1)
    start[:, 0] += [20, -20, 24] * 3
    start[:, 3] *= 0.3
    covariance = np.diag([100.0, 100, 0.1, 0.1, 0.1, 0.05, 0.05])[None].repeat(9, 0)
    once, often = (
        fit_cutouts(cutouts, start, composed(f"restarts={count}"), spread=covariance) for count in (0, 6)
    )

    lost = np.flatnonzero(np.array(once.status) == "skipped")
    again = np.hypot(often.values[lost, 0] - truth["x"][lost], often.values[lost, 1] - truth["y"][lost]) < 1
    assert len(lost) >= 2 and np.mean(again) > 0.6
    assert (often.n_iter[lost] > once.n_iter[lost]).all()
    one = lost[again][-1:]
    alone = fit_cutouts([cutouts[one[0]]], start[one], composed("restarts=6"), spread=covariance[one])
    assert alone.values[0] == pytest.approx(often.values[one[0]], rel=1e-4, abs=1e-4)
