"""The slope of a sky, whatever lies in it."""

import numpy as np
import pytest

from autogal.images.noise.slope import slope_about

ROWS, COLUMNS = np.indices((90, 110)).astype(float)


def light(x, y, flux, size):
    r = np.hypot(COLUMNS - x, ROWS - y)
    return flux * np.exp(-r / size) / (2 * np.pi * size**2)


@pytest.mark.parametrize(("dx", "dy"), [(0.03, -0.01), (0.0, 0.02), (0.0, 0.0)])
def test_it_is_found_beside_a_galaxy_and_its_neighbours(dx, dy):
    image = (
        dx * COLUMNS
        + dy * ROWS
        + light(55.0, 44.0, 2e5, 8.0)
        + light(20.0, 70.0, 3e4, 3.0)
        + light(95.0, 20.0, 2e3, 1.5)
    )
    image += np.random.default_rng(3).normal(size=image.shape)
    slope = slope_about(image, np.ones(image.shape, bool), 55.0, 44.0, 1.0)
    assert abs(slope.dx - dx) < max(4 * slope.dx_err, 0.002) and abs(slope.dy - dy) < max(
        4 * slope.dy_err, 0.002
    )
    assert slope.is_steep(image.shape, 1.0) == bool(dx or dy)


def test_a_corner_tells_nothing():
    assert slope_about(np.zeros((50, 50)), np.ones((50, 50), bool), 1.0, 1.0, 1.0) is None
