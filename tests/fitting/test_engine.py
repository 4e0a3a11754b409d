"""The engine's promises: every object its own fit, whatever company it keeps, and honest errors and flags."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import autogal
from autogal.flags import Flag

from ..observations import PARAMETERS, Galaxy, Observations, observe, random_galaxies

ERRORS = tuple(f"{name}_err" for name in PARAMETERS)


@pytest.fixture(scope="module")
def mixed() -> Observations:
    """Stamps of four shapes in one list, mixed up."""
    galaxies = [
        g
        for k, shape in enumerate([(48, 48), (41, 57), (72, 72), (64, 90)])
        for g in random_galaxies(4, seed=20 + k, shape=shape)
    ]
    return observe([galaxies[i] for i in np.random.default_rng(0).permutation(16)], seed=21)


@pytest.fixture(scope="module")
def together(mixed):
    return autogal.fit(**mixed.arguments())


def fit(observations: Observations, **options):
    return autogal.fit(**observations.arguments() | options)


def numbers(catalogue) -> np.ndarray:
    """Values and errors of every row, [N, 2 P]."""
    return np.stack([np.asarray(catalogue.table[name], float) for name in PARAMETERS + ERRORS], axis=-1)


def assert_same(one, other, sigmas: float = 1e-4):
    """Equal values to `sigmas` of their errors, equal errors to as much, the same status and flags; NaN is
    NaN."""
    a, b = numbers(one), numbers(other)
    count = len(PARAMETERS)
    assert np.array_equal(np.isnan(a), np.isnan(b))
    errors = np.where(np.isfinite(a[:, count:]), a[:, count:], 1.0)
    assert np.nanmax(np.abs(a[:, :count] - b[:, :count]) / errors, initial=0) < sigmas
    assert np.nanmax(np.abs(a[:, count:] - b[:, count:]) / errors, initial=0) < sigmas
    assert list(one.table["status"]) == list(other.table["status"])
    assert list(one.table["flags"]) == list(other.table["flags"])


def test_every_shape_in_one_call(mixed, together):
    table = together.table
    assert len(table) == len(mixed) and set(table["status"]) == {"converged"}
    deviations = numbers(together)[:, :8] - np.stack([mixed.truth[name] for name in PARAMETERS], axis=-1)
    deviations[:, 6] = (deviations[:, 6] + 90) % 180 - 90
    assert np.abs(deviations / numbers(together)[:, 8:]).max() < 5
    for i in (0, 7):
        residual = (mixed.images[i] - together.model_image(i)) / mixed.sigmas[i]
        assert residual.shape == mixed.images[i].shape and residual.std() == pytest.approx(1, abs=0.1)


def test_the_same_alone(mixed, together):
    for i in (0, 3, 6, 9, 15):
        assert_same(fit(mixed.rows([i])), together_row(together, i))


def together_row(catalogue, i):
    return autogal.Catalogue(
        catalogue.table[i : i + 1], catalogue.covariance[i : i + 1], catalogue.parameters
    )


def test_the_same_in_any_order(mixed, together):
    order = np.random.default_rng(1).permutation(len(mixed))
    shuffled = fit(mixed.rows(order))
    back = np.argsort(order)
    assert_same(
        autogal.Catalogue(shuffled.table[back], shuffled.covariance[back], shuffled.parameters), together
    )


@pytest.mark.parametrize("block", [1, 5])
def test_the_same_in_any_block(block, mixed, together):
    assert_same(fit(mixed, block=block), together)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_with_any_threads(threads, mixed, together):
    assert_same(fit(mixed, threads=threads), together)


def test_the_same_whatever_the_chunk(mixed, together, monkeypatch):
    monkeypatch.setattr("autogal.batch.bucket._CACHE", 1)
    assert_same(fit(mixed), together)


def test_the_same_among_copies_of_itself(mixed, together):
    # an error that is divided by the batch size, or shared by it, shows here
    many = fit(mixed.rows([2] * 40))
    for i in (0, 17, 39):
        assert_same(together_row(many, i), together_row(together, 2))


def test_rows_and_ids_keep_their_order(mixed):
    ids = [f"galaxy {i}" for i in range(len(mixed))][::-1]
    table = fit(mixed, ids=ids).table
    assert list(table["id"]) == ids


def test_float64_gives_the_same_galaxies(mixed, together):
    assert_same(
        fit(mixed.rows(range(4)), dtype="float64"),
        autogal.Catalogue(together.table[:4], together.covariance[:4], together.parameters),
        sigmas=0.02,
    )


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_every_solver_finds_the_same_minimum(solver, mixed, together):
    some = [0, 1, 2, 3]
    other = fit(mixed.rows(some), solver=solver)
    assert set(other.table["status"]) == {"converged"}
    a, b = numbers(other), numbers(together)[some]
    assert np.abs((a[:, :8] - b[:, :8]) / b[:, 8:]).max() < 0.05


def test_a_far_start_finds_the_same_minimum(mixed, together):
    some = mixed.rows([0, 1, 2, 3])
    some.start = {name: column.copy() for name, column in some.start.items()}
    some.start["r_eff"] *= 2.5
    some.start["n"][:] = 4.0
    some.start["q"][:] = 1.0
    some.start["pa"][:] = 0.0
    some.start["mag"] += 0.7
    a, b = numbers(fit(some)), numbers(together)[:4]
    assert np.abs((a[:, :8] - b[:, :8]) / b[:, 8:]).max() < 0.05


@pytest.mark.parametrize("model", ["exponential", "devaucouleurs"])
def test_a_profile_without_an_index_starts_where_it_is_told(model, mixed):
    some = mixed.rows([0, 1])
    table = fit(some, model=model, solver={"max_iterations": 1}, restarts=0).table  # no step is taken
    for name in ("x", "y", "r_eff", "q", "pa"):
        assert np.asarray(table[name]) == pytest.approx(
            some.start[name] % (180 if name == "pa" else np.inf), rel=1e-6
        )


def test_sky_level_and_units_change_nothing_else(mixed, together):
    # a sky of 10,000 is beyond the digits of float32 unless it is taken off first
    some = mixed.rows([0, 1, 2, 3])
    level, gain = 1e4, 1e-7
    images = [(image.astype(float) + level) * gain for image in some.images]
    start = some.start | {
        "mag": some.start["mag"] - 2.5 * np.log10(gain),
        "sky": (some.start["sky"] + level) * gain,
    }
    other = autogal.fit(
        images,
        sigma=[s * gain for s in some.sigmas],
        psf=some.psf,
        start=start,
        zeropoint=25.0,
        dtype="float32",
    )
    a, b = numbers(other), numbers(together)[:4]
    for column in (2, 7, 15):
        a[:, column] = {2: a[:, 2] + 2.5 * np.log10(gain), 7: a[:, 7] / gain - level, 15: a[:, 15] / gain}[
            column
        ]
    # float32 itself keeps 1e-3 of such a level
    assert np.abs((a[:, :8] - b[:, :8]) / b[:, 8:]).max() < 0.02


def spoilt(mixed: Observations) -> tuple[Observations, list[int]]:
    """Some observations with items in between that cannot be fitted, and the places of the sound ones."""
    many = mixed.rows([0, 1, 2, 3, 0, 1, 2, 3, 0, 1])
    many.images, many.sigmas = [i.copy() for i in many.images], [s.copy() for s in many.sigmas]
    many.images[4][:] = np.nan
    many.images[5][:] = 3.0  # constant
    many.sigmas[6][:] = -1.0  # everything is masked
    many.images[7][5:, :] = np.nan  # few pixels, far from the galaxy
    many.start = {name: column.copy() for name, column in many.start.items()}
    many.start["r_eff"][8] = 1e-30
    many.images[9][:] = np.random.default_rng(0).normal(0, 1, many.images[9].shape) * 1e30
    return many, [0, 1, 2, 3]


def test_bad_items_touch_no_other(mixed, together):
    many, sound = spoilt(mixed)
    catalogue = fit(many)
    assert_same(
        autogal.Catalogue(catalogue.table[sound], catalogue.covariance[sound], catalogue.parameters),
        autogal.Catalogue(together.table[:4], together.covariance[:4], together.parameters),
    )
    for i in (4, 5, 6):
        row = catalogue.table[i]
        assert row["status"] in ("failed", "skipped") and row["flags"] & (
            Flag.BAD_INPUT | Flag.FEW_PIXELS | Flag.NO_TARGET
        )
        assert np.isnan([row[name] for name in PARAMETERS + ERRORS]).all()
        assert np.isnan(catalogue.covariance[i]).all()


def test_what_is_masked_does_not_matter(mixed, together):
    some = mixed.rows([0, 1])
    masks = [np.zeros(image.shape, bool) for image in some.images]
    images = [image.copy() for image in some.images]
    for image, mask in zip(images, masks):
        mask[2:9, 3:12] = True
        image[2:9, 3:12] = 1e7
    nan = [np.where(mask, np.nan, image) for image, mask in zip(images, masks)]
    sigma = [np.where(mask, 0.0, s) for s, mask in zip(some.sigmas, masks)]
    given, as_nan, as_sigma = (
        fit(some, images=images, mask=masks),
        fit(some, images=nan),
        fit(some, images=images, sigma=sigma),
    )
    assert_same(given, as_nan)
    assert_same(given, as_sigma)
    a, b = numbers(given), numbers(together)[:2]
    assert np.abs((a[:, :8] - b[:, :8]) / b[:, 8:]).max() < 2  # less data, the same galaxy


def test_input_is_not_changed(mixed):
    some = mixed.rows([0, 1])
    before = [image.copy() for image in some.images], [s.copy() for s in some.sigmas], some.psf.copy()
    fit(some)
    assert all(
        np.array_equal(a, b)
        for a, b in zip([*some.images, *some.sigmas, some.psf], [*before[0], *before[1], before[2]])
    )


BRIGHT = Galaxy(x=24.2, y=23.7, mag=12.2, r_eff=3.5, n=1.5, q=0.6, pa=60.0, noise=10.0)


def test_errors_fall_with_the_noise():
    # the errors are those of the sigma map given, not of the residuals
    observed = observe([BRIGHT], seed=3)
    one = fit(observed)
    double = fit(observed, sigma=[2 * s for s in observed.sigmas])
    assert np.allclose(numbers(double)[:, 8:], 2 * numbers(one)[:, 8:], rtol=0.02)
    assert double.table["chi2_dof"][0] == pytest.approx(one.table["chi2_dof"][0] / 4, rel=1e-3)


def test_scaling_by_chi_square():
    observed = observe([BRIGHT], seed=3)
    small = [s / 2 for s in observed.sigmas]  # noise understated by a factor of two
    formal = fit(observed, sigma=small)
    scaled = fit(observed, sigma=small, uncertainty={"scale_by_chi2": True})
    reduced = formal.table["chi2_dof"][0]
    assert reduced == pytest.approx(4, rel=0.1)
    assert np.allclose(numbers(scaled)[:, 8:], np.sqrt(reduced) * numbers(formal)[:, 8:], rtol=1e-5)
    assert np.allclose(scaled.covariance, reduced * formal.covariance, rtol=1e-5)
    assert formal.table["flags"][0] & Flag.POOR_FIT
    # errors are never made smaller
    large = [2 * s for s in observed.sigmas]
    assert_same(fit(observed, sigma=large), fit(observed, sigma=large, uncertainty={"scale_by_chi2": True}))


def test_no_uncertainty_on_request():
    catalogue = fit(observe([BRIGHT], seed=3), uncertainty="none")
    assert catalogue.table["status"][0] == "converged"
    assert np.isnan(numbers(catalogue)[:, 8:]).all() and np.isnan(catalogue.covariance).all()
    assert np.isfinite(numbers(catalogue)[:, :8]).all()


def test_at_a_bound_there_is_no_error():
    observed = observe([replace(BRIGHT, n=1.5), replace(BRIGHT, r_eff=3.0, n=0.9)], seed=4)
    catalogue = fit(observed, model={"bounds": {"n": [1.2, 8.0]}})
    free, held = catalogue.table
    assert not free["flags"] & Flag.AT_BOUND and np.isfinite(free["n_err"])
    assert held["flags"] & Flag.AT_BOUND and "AT_BOUND" in held["flag_names"]
    assert held["n"] == pytest.approx(1.2, rel=1e-6) and np.isnan(held["n_err"])
    i = PARAMETERS.index("n")
    assert np.isnan(catalogue.covariance[1, i]).all() and np.isnan(catalogue.covariance[1, :, i]).all()
    # what hangs on it has none either: the bound moves the light by more than its error
    assert held["x_err"] > 0 and np.isnan(held["mag_err"]) and free["mag_err"] > 0


def test_a_galaxy_thinner_than_the_thinnest_model():
    catalogue = fit(
        observe([replace(BRIGHT, q=0.1, r_eff=8.0, n=1.0, mag=11.5)], seed=5),
        model={"bounds": {"q": [0.25, 1.0]}},
    )
    row = catalogue.table[0]
    assert (
        row["flags"] & Flag.AT_BOUND and row["q"] == pytest.approx(0.25, rel=0.02) and np.isnan(row["q_err"])
    )


def test_the_angle_of_a_round_galaxy_is_unknown_but_not_without_limit():
    galaxies = [
        replace(BRIGHT, q=1.0, mag=15.5),
        replace(BRIGHT, q=0.999),
        replace(BRIGHT, q=1.0, mag=16.5, r_eff=2.0),
    ]
    catalogue = fit(observe(galaxies, 6, seed=6))
    errors = np.asarray(catalogue.table["pa_err"])
    measured = errors[np.isfinite(errors)]
    assert len(measured) > 12 and measured.max() <= 180 / np.sqrt(12) + 1e-6 and measured.max() > 20
    assert (np.asarray(catalogue.table["q"]) <= 1).all() and np.isfinite(
        np.asarray(catalogue.table["mag_err"])
    ).all()
    assert ((np.asarray(catalogue.table["pa"]) >= 0) & (np.asarray(catalogue.table["pa"]) < 180)).all()


@pytest.mark.parametrize("pa", [0.0, 0.3, 179.8])
def test_no_jump_at_the_ends_of_the_angle(pa):
    catalogue = fit(observe([replace(BRIGHT, pa=pa)], 4, seed=7))
    off = (np.asarray(catalogue.table["pa"]) - pa + 90) % 180 - 90
    assert (np.abs(off) < 5 * np.asarray(catalogue.table["pa_err"])).all()
    assert set(catalogue.table["status"]) == {"converged"}


def test_sky_that_cannot_be_told_from_the_galaxy_is_not_measured_in_it():
    # a galaxy several times as large as its stamp leaves no sky to see
    huge = Galaxy(x=20.0, y=20.0, mag=8.0, r_eff=60.0, n=1.0, q=0.9, pa=20.0, noise=30.0, shape=(40, 40))
    usual = replace(BRIGHT, x=20.0, y=20.0, shape=(40, 40))
    observed = observe([huge, usual], 3, seed=8)
    catalogue = fit(observed)
    untold = (np.asarray(catalogue.table["flags"]) & Flag.UNCONSTRAINED) > 0
    assert untold[:3].all() and not untold[3:].any()
    for name, truth in ("mag", 8.0), ("r_eff", 60.0), ("n", 1.0):
        off = (np.asarray(catalogue.table[name]) - truth)[:3] / np.asarray(catalogue.table[f"{name}_err"])[:3]
        assert (np.abs(off[np.isfinite(off)]) < 4).all(), name
    # and its neighbours in the bucket are what they are alone
    assert_same(
        autogal.Catalogue(catalogue.table[3:], catalogue.covariance[3:], catalogue.parameters),
        fit(observed.rows([3, 4, 5])),
    )


def test_too_few_iterations_are_not_converged():
    catalogue = fit(observe([BRIGHT], 2, seed=9), solver={"max_iterations": 2})
    assert list(catalogue.table["status"]) == ["not_converged"] * 2
    assert (np.asarray(catalogue.table["flags"]) & Flag.NOT_CONVERGED).all()


def test_low_signal_is_flagged():
    galaxies = [replace(BRIGHT, mag=18.6), BRIGHT]
    assert galaxies[0].snr < 6 and galaxies[1].snr > 100
    flags = np.asarray(fit(observe(galaxies, seed=10)).table["flags"])
    assert flags[0] & Flag.LOW_SN and not flags[1] & Flag.LOW_SN


def test_a_start_on_noise_gives_no_number_that_looks_like_one():
    empty = observe([replace(BRIGHT, mag=30.0)], 12, seed=13)
    empty.start["mag"][:] = 18.0
    table = fit(empty).table
    nothing = np.isnan(np.asarray(table["mag"]))
    assert nothing.mean() > 0.3 and (np.asarray(table["snr"])[~nothing] > 3).all()
    assert (np.asarray(table["flags"]) & Flag.LOW_SN).all()
    for row in table[nothing]:
        assert row["status"] == "skipped" and row["flags"] & Flag.NO_TARGET
        assert (
            np.isnan([row[name] for name in (*PARAMETERS, "mag_err", "snr", "chi2_dof")]).all()
            and "no source" in row["message"]
        )


def test_the_faintest_galaxies_keep_their_values():
    faint = replace(BRIGHT, mag=18.2)
    assert 4.5 < faint.snr < 5.5
    table = fit(observe([faint], 12, seed=14)).table
    assert np.isfinite(np.asarray(table["mag"])).all()


def test_a_galaxy_beyond_the_edge_is_fitted_and_flagged():
    outside = replace(BRIGHT, x=-2.5, r_eff=5.0, mag=11.5)
    catalogue = fit(observe([outside], seed=11))
    row = catalogue.table[0]
    assert row["status"] == "converged" and row["flags"] & Flag.EDGE
    assert abs(row["x"] + 2.5) < 5 * row["x_err"] and abs(row["mag"] - 11.5) < 5 * row["mag_err"]


def test_a_start_table_skips_segmentation_and_initialisation(monkeypatch, mixed):
    def refuse(*_, **__):
        raise AssertionError("called")

    monkeypatch.setattr("autogal.beginning.segment_all", refuse)
    monkeypatch.setattr("autogal.beginning.initialise_all", refuse)
    assert set(fit(mixed.rows([0, 1])).table["status"]) == {"converged"}
    table = fit(mixed.rows([0, 1]), start=None).table
    assert set(table["status"]) == {"failed"} and all("called" in message for message in table["message"])


def test_without_a_start_the_same_galaxy_is_found(mixed, together):
    a, b = numbers(fit(mixed, start=None)), numbers(together)
    # masks of chance neighbours aside, it is the same image
    assert np.median(np.abs((a[:, :8] - b[:, :8]) / b[:, 8:])) < 0.02
    assert np.mean(np.abs((a[:, :8] - b[:, :8]) / b[:, 8:]).max(1) < 0.5) > 0.8
