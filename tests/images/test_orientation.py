"""The eight orientations: what is turned there and back is what it was, and what is drawn lies as it says."""

from __future__ import annotations

import numpy as np
import pytest

import autogal
from autogal.images.cutout import Cutout
from autogal.images.orientation import ORIENTATIONS, Orientation

SHAPE = (41, 54)
GALAXY = {"x": 21.3, "y": 23.9, "mag": 17.0, "r_eff": 5.0, "n": 1.3, "q": 0.4, "pa": 25.0}
# mirrored along either axis, then transposed
PLAIN = {
    Orientation(True): lambda a: a[:, ::-1],
    Orientation(False, True): lambda a: a[::-1],
    Orientation(True, True): lambda a: np.rot90(a, 2),
    Orientation(transposed=True): lambda a: a.T,
    Orientation(True, False, True): lambda a: np.rot90(a),
    Orientation(): lambda a: a,
    Orientation(False, True, True): lambda a: np.rot90(a, -1),
    Orientation(True, True, True): lambda a: np.rot90(a, 2).T,
}


def draw(galaxy, shape, psf):
    return autogal.render(
        {name: [value] for name, value in galaxy.items()}, psf=psf, shape=shape, zeropoint=25.0
    )[0]


def test_there_are_eight():
    assert len(set(ORIENTATIONS)) == 8 and set(ORIENTATIONS) == set(PLAIN) and not ORIENTATIONS[0].changes


@pytest.mark.parametrize("how", ORIENTATIONS)
def test_arrays_boxes_and_points_move_together(how):
    plane = np.arange(SHAPE[0] * SHAPE[1]).reshape(SHAPE)
    turned = how.array(plane)
    assert np.array_equal(turned, PLAIN[how](plane)) and np.array_equal(how.inverse.array(turned), plane)
    x, y = how.point(11, 30, SHAPE)
    assert turned[y, x] == plane[30, 11] and how.inverse.point(x, y, turned.shape) == (11, 30)
    box = slice(3, 17), slice(20, 51)
    assert np.array_equal(turned[how.box(box, SHAPE)], how.array(plane[box]))
    assert how.inverse.vector(*how.vector(2.5, -1.0)) == (2.5, -1.0)


@pytest.mark.parametrize("how", ORIENTATIONS)
def test_a_galaxy_of_turned_values_is_the_turned_galaxy(how):
    y, x = np.indices((25, 25)) - 12
    psf = np.exp(-0.5 * ((x + 0.4 * y) ** 2 / 4 + (y - 0.3) ** 2 / 2))  # lopsided: it turns too
    psf /= psf.sum()
    cutout = Cutout("a", draw(GALAXY, SHAPE, psf), np.ones(SHAPE), np.zeros(SHAPE, bool), psf, start=GALAXY)
    turned = cutout.turned(how)
    there = draw(turned.start, turned.shape, np.ascontiguousarray(turned.psf))
    assert np.abs(there - turned.image).max() < 1e-4 * turned.image.max()
    back = turned.turned(how.inverse)
    assert back.start == pytest.approx(GALAXY) and np.array_equal(back.image, cutout.image)


@pytest.mark.parametrize("how", ORIENTATIONS)
def test_covariances_turn_with_the_values(how):
    """Scattered starts, turned one by one, have the turned covariance."""
    rng = np.random.default_rng(3)
    root = rng.normal(size=(7, 7))
    vectors = rng.normal(size=(4000, 7)) @ root.T * 0.01 + np.array([20, 15, 3, 1, 0.3, 0.5, 0.2])

    def turn(vector):
        e1, e2 = vector[5:]
        values = how.values(
            {"x": vector[0], "y": vector[1], "pa": np.degrees(np.arctan2(e2, e1)) / 2 - 90}, SHAPE
        )
        angle = 2 * np.radians(values["pa"] + 90)
        return [
            values["x"],
            values["y"],
            *vector[2:5],
            np.hypot(e1, e2) * np.cos(angle),
            np.hypot(e1, e2) * np.sin(angle),
        ]

    turned = np.array([turn(vector) for vector in vectors])
    assert np.allclose(how.covariance(np.cov(vectors.T)), np.cov(turned.T), rtol=1e-6, atol=1e-12)


def test_values_that_are_not_all_there():
    how = Orientation(True, False, True)
    assert how.values({"x": 3.0, "mag": 20.0}, SHAPE) == {"y": 50.0, "mag": 20.0}
    assert how.values({"y": float("nan"), "pa": None}, SHAPE) == {"pa": None}
