"""Rows of fits: in the pixels of a larger image, in place of others, with the errors of another."""

from __future__ import annotations

import numpy as np

from autogal.model.fitted import Fitted


def test_replicates_and_their_covariance_move_with_the_values():
    fitted = Fitted.empty(2, ("x", "sky_dx", "sky_dy", "sky"))
    rng = np.random.default_rng(0)
    fitted.replicates = rng.normal(size=(2, 500, 4))
    fitted.values = fitted.replicates.mean(1)
    fitted.bootstrap = np.stack([np.cov(one.T) for one in fitted.replicates])
    fitted.covariance = 2 * fitted.bootstrap
    level = fitted.replicates[:, :, 3].copy()
    fitted.shift_origin(np.array([[10.0, 0, 0, 0], [20.0, 0, 0, 0]]))
    np.testing.assert_array_equal(fitted.replicates[:, :, 3], level)
    np.testing.assert_allclose(fitted.replicates.mean(1), fitted.values)
    np.testing.assert_allclose(fitted.bootstrap, [np.cov(one.T) for one in fitted.replicates])
    np.testing.assert_allclose(fitted.covariance, 2 * fitted.bootstrap)
    assert np.round(fitted.values[:, 0] / 10).tolist() == [1, 2]


def test_what_is_said_of_a_fit_goes_with_it():
    first, other = Fitted.empty(2, ("x", "mag")), Fitted.empty(2, ("x", "mag"))
    first.remarks = [["of the first"], ["of the first"]]
    other.remarks = [[], ["of the other"]]
    first.replace_row(0, other)
    assert first.remarks == [[], ["of the first"]]
    assert Fitted.join([first, other]).remarks == [[], ["of the first"], [], ["of the other"]]


def test_errors_hold_another_fit_that_may_be_right():
    fitted = Fitted.empty(2, ("x", "mag"))
    fitted.covariance[:] = np.diag([0.01, 0.04])
    fitted.hang([1], np.array([[0.0, -0.3]]))
    np.testing.assert_allclose(fitted.covariance, [np.diag([0.01, 0.04]), np.diag([0.01, 0.13])])
    np.testing.assert_array_equal(fitted.hanging, [[0, 0], [0, -0.3]])
