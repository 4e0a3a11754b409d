"""Are the errors true? Thousands of fits to independent simulations, against their truth and the
Cramer-Rao bound."""

from __future__ import annotations

import numpy as np
import pytest

import autogal

from .observations import PARAMETERS, observe, random_galaxies

REPEAT = 140


@pytest.fixture(scope="module")
def galaxies():
    # small stamps, and some of the size at which the fit begins on binned pixels; nothing is cut off by their
    # edges
    return random_galaxies(18, seed=11) + random_galaxies(6, seed=12, shape=(72, 72), r_eff=(3.0, 6.0))


@pytest.fixture(scope="module")
def fits(galaxies):
    """Deviations from the truth [N, P], their reported errors [N, P], their bounds [N, P], and the table."""
    observed = observe(galaxies, REPEAT, seed=13)
    table = autogal.fit(**observed.arguments()).table
    deviations = np.stack(
        [np.asarray(table[name], float) - observed.truth[name] for name in PARAMETERS], axis=-1
    )
    angle = PARAMETERS.index("pa")
    deviations[:, angle] = (deviations[:, angle] + 90) % 180 - 90
    errors = np.stack([np.asarray(table[f"{name}_err"], float) for name in PARAMETERS], axis=-1)
    bounds = np.repeat([galaxy.bound() for galaxy in galaxies], REPEAT, axis=0)
    return deviations, errors, bounds, table


def test_the_sample_is_what_it_should_be(galaxies, fits):
    *_, table = fits
    ratios = np.array([galaxy.snr for galaxy in galaxies])
    assert ratios.min() > 50 and ratios.max() > 300 and len(table) == 24 * REPEAT
    assert np.mean(table["status"] == "converged") > 0.999
    # the reported signal-to-noise ratio is that of the simulation
    assert np.median(np.abs(np.asarray(table["snr"]).reshape(-1, REPEAT).mean(1) / ratios - 1)) < 0.02


@pytest.mark.parametrize("i", range(len(PARAMETERS)), ids=PARAMETERS)
def test_two_thirds_lie_within_one_sigma(i, fits):
    # 3360 fits: the fraction itself is known to 0.8 %
    deviations, errors, *_ = fits
    inside = np.mean(np.abs(deviations[:, i]) < errors[:, i])
    assert 0.65 < inside < 0.71, f"{inside:.1%}"
    assert 0.93 < np.mean(np.abs(deviations[:, i]) < 2 * errors[:, i]) < 0.975


@pytest.mark.parametrize("i", range(len(PARAMETERS)), ids=PARAMETERS)
def test_scatter_and_bias_against_the_cramer_rao_bound(i, fits):
    deviations, _, bounds, _ = fits
    pulls = deviations[:, i] / bounds[:, i]
    scatter, bias = np.sqrt(np.mean(pulls**2)), np.mean(pulls)
    print(f"{PARAMETERS[i]}: scatter {scatter:.3f}, bias {bias:+.3f} of the bound")
    assert 0.93 < scatter < 1.08, f"scatter {scatter:.3f}"  # known to 1.2 %
    assert abs(bias) < 0.15, f"bias {bias:+.3f}"  # known to 0.017


@pytest.mark.parametrize("i", range(len(PARAMETERS)), ids=PARAMETERS)
def test_reported_errors_are_the_cramer_rao_bound(i, fits):
    _, errors, bounds, _ = fits
    ratio = errors[:, i] / bounds[:, i]
    assert abs(np.median(ratio) - 1) < 0.03, f"{np.median(ratio):.3f}"
    assert np.percentile(ratio, 1) > 0.6 and np.percentile(ratio, 99) < 1.7


def test_chi_square_is_that_of_noise(fits):
    *_, table = fits
    reduced = np.asarray(table["chi2_dof"])
    assert abs(reduced.mean() - 1) < 0.005
    assert reduced.std() == pytest.approx(np.sqrt(2 / (48 * 48)), rel=0.15)


def test_covariance_between_parameters(galaxies):
    # whitened by the reported covariance, deviations have no scatter left but 1, and no correlation
    observed = observe(galaxies[:4], 150, seed=14)
    catalogue = autogal.fit(**observed.arguments())
    deviations = np.stack(
        [np.asarray(catalogue.table[name], float) - observed.truth[name] for name in PARAMETERS], axis=-1
    )
    angle = PARAMETERS.index("pa")
    deviations[:, angle] = (deviations[:, angle] + 90) % 180 - 90
    assert catalogue.parameters == PARAMETERS
    white = np.stack(
        [np.linalg.solve(np.linalg.cholesky(c), d) for c, d in zip(catalogue.covariance, deviations)]
    )
    scatter = white.T @ white / len(white)
    assert np.abs(scatter - np.eye(8)).max() < 0.25  # known to 0.06 on the diagonal, 0.04 off it
