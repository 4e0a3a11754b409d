"""When a joint fit is not to be trusted."""

from __future__ import annotations

import numpy as np
import pytest

from autogal.configuration.composing import compose
from autogal.model.fitted import Fitted
from autogal.model.spec import build_model
from autogal.neighbours.joint import _half_light, _outgrown, _taken_apart

PARAMETERS = ("x", "y", "mag", "r_eff", "n", "q", "pa", "sky")


def row(mag, r_eff):
    fitted = Fitted.empty(1, PARAMETERS)
    fitted.values[0] = 30, 30, mag, r_eff, 1, 0.7, 20, 0
    return fitted


def neighbours(distance, r_eff):
    return np.array([[30 + distance, 30, 19, r_eff, 1, 0.8, 0], 7 * [np.nan]])


@pytest.mark.parametrize(
    ("mag", "distance", "r_eff", "expected"),
    [
        (20.0, 6.0, 5.0, True),  # the larger part of the galaxy is the neighbour
        (19.2, 6.0, 5.0, False),  # most of it is still the target's
        (20.0, 15.0, 5.0, False),  # wings that were the neighbour's
        (20.0, 6.0, np.nan, False),
        (20.0, 2.0, np.nan, True),
    ],
)  # a star beside it, and on it
def test_a_galaxy_taken_apart(mag, distance, r_eff, expected):
    assert _taken_apart(row(mag, 3.0), row(19.0, 9.0), neighbours(distance, r_eff), 0, 3.0) == expected


@pytest.mark.parametrize(
    ("n", "r_eff", "expected"),
    [(10.0, 25.0, True), (10.0, 5.0, False), (4.0, 25.0, False), (np.nan, np.nan, False)],
)
def test_a_neighbour_that_stands_for_the_sky(n, r_eff, expected):
    assert (
        _outgrown(np.array([[50.0, 30, 19, r_eff, n, 1, 0], 7 * [np.nan]]), np.array([30.0, 30.0]))
        == expected
    )


@pytest.mark.parametrize(
    ("model", "values", "expected"),
    [
        ("sersic", [0, 0, 18, 6, 4, 0.5, 0, 0], 6.0),
        ("gaussian", [0, 0, 18, 5, 0.5, 0, 0], 2.5),
        ("bulge_disk", [0, 0, 18, 2, 0.9, 0, 18, 7, 0.5, 0, 0], 7.0),
        ("point_source", [0, 0, 18, 0], 0.0),
    ],
)
def test_half_light_radius_of_every_kind_of_target(model, values, expected):
    target = build_model(compose(overrides=[f"model={model}"]).model)
    row = np.full((1, len(target.parameters)), np.nan)
    names = [
        name for c in target.measured for name in c.parameters if not name.startswith(("disk_x", "disk_y"))
    ] + ["sky"]
    row[0, [target.parameters.index(name) for name in names]] = values
    assert _half_light(target, row)[0] == pytest.approx(expected, rel=1e-3)
