"""Errors by the bootstrap: every object its own resamples, whatever company it keeps, and true ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import autogal
from autogal.flags import Flag

from .observations import PARAMETERS, Galaxy, Observations, observe, random_galaxies

BRIGHT = Galaxy(
    x=15.2, y=16.4, mag=15.0, r_eff=3.0, n=1.2, q=0.6, pa=0.4, sky=1.0, noise=10.0, shape=(32, 32)
)
KINDS = ("pixel", "block", "parametric")


def fit(observed: Observations, replicates=20, uncertainty="both", **options):
    keys = {f"uncertainty.{key}": options.pop(key) for key in ("kind", "keep") if key in options}
    return autogal.fit(
        **observed.arguments() | options,
        uncertainty=uncertainty,
        **{"uncertainty.replicates": replicates},
        **keys,
    )


def errors(catalogue, suffix="_err_boot") -> np.ndarray:
    return np.stack([np.asarray(catalogue.table[name + suffix], float) for name in PARAMETERS], axis=-1)


@pytest.fixture(scope="module")
def mixed() -> Observations:
    galaxies = [
        g
        for k, shape in enumerate([(32, 32), (29, 37)])
        for g in random_galaxies(3, seed=40 + k, shape=shape, r_eff=(2.0, 3.0))
    ]
    return observe([galaxies[i] for i in (0, 3, 1, 4, 2, 5)], seed=41)


@pytest.fixture(scope="module")
def ids(mixed):
    return [f"galaxy {i}" for i in range(len(mixed))]


@pytest.mark.parametrize("kind", KINDS)
def test_alone_in_another_order_and_in_blocks(kind, mixed, ids, monkeypatch):
    together = fit(mixed, kind=kind, ids=ids, keep=True, replicates=8)
    assert together.replicates.shape == (6, 8, 8) and np.isfinite(together.replicates).all()
    tiny = 1e-2 * errors(together)[:, None]  # a replicate's fit ends well within its scatter
    alone = fit(mixed.rows([3]), kind=kind, ids=ids[3:4], keep=True, replicates=8)
    assert (np.abs(alone.replicates - together.replicates[3:4]) < tiny[3:4]).all()
    order = [4, 1, 5, 0]
    monkeypatch.setattr("autogal.uncertainty.bootstrap._HELD", 1)
    others = fit(mixed.rows(order), kind=kind, ids=[ids[i] for i in order], keep=True, replicates=8, block=3)
    assert (np.abs(others.replicates - together.replicates[order]) < tiny[order]).all()


def test_the_same_again_another_seed_another_object(mixed, ids):
    some = mixed.rows([0, 0])
    one = fit(some, ids=["a", "b"], keep=True)
    again, other = fit(some, ids=["a", "b"], keep=True), fit(some, ids=["a", "b"], keep=True, seed=1)
    np.testing.assert_array_equal(one.replicates, again.replicates)
    # of one image: the resamples differ with the name, and with the seed
    for differs in (one.replicates[0] - one.replicates[1], one.replicates - other.replicates):
        assert np.abs(differs).min() > 0
    # more replicates begin with the same ones
    more = fit(some, ids=["a", "b"], keep=True, replicates=25)
    np.testing.assert_allclose(more.replicates[:, :20], one.replicates, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_at_a_high_signal_to_noise_ratio_it_is_the_covariance(kind):
    # there a fit is linear, and its errors known: 300 replicates know one to 4 %, a correlation to 0.06
    observed = observe([BRIGHT], seed=42)
    catalogue = fit(observed, kind=kind, replicates=300)
    ratio = errors(catalogue)[0] / errors(catalogue, "_err")[0]
    # and one image's own pixels or blocks know its noise to some 10 %
    assert np.abs(ratio - 1).max() < (0.16 if kind == "parametric" else 0.3), ratio
    scale = [np.sqrt(np.diag(matrix[0])) for matrix in (catalogue.covariance, catalogue.bootstrap)]
    correlation = [
        matrix[0] / np.outer(s, s) for matrix, s in zip((catalogue.covariance, catalogue.bootstrap), scale)
    ]
    assert np.abs(correlation[0] - correlation[1]).max() < (0.2 if kind == "parametric" else 0.3)


@pytest.mark.parametrize("likelihood", ("gaussian", "student_t"))
@pytest.mark.parametrize("known", (("n",), ("n", "sky")))
def test_what_a_prior_decides_is_as_uncertain_as_the_prior(likelihood, known):
    # tight priors: nearly all that is known of these parameters comes from them
    sky = 0.02 * BRIGHT.noise
    priors = {"n": [1.2, 0.005], "sky": {"normal": [1.0, sky]}}
    catalogue = fit(
        observe([BRIGHT], seed=49),
        replicates=60,
        likelihood=likelihood,
        **{f"model.priors.{name}": priors[name] for name in known},
    )
    width = {"n": 1.2 * np.log(10) * 0.005, "sky": sky}
    for name in known:
        assert catalogue.table[f"{name}_err"][0] == pytest.approx(width[name], rel=0.2)
        assert catalogue.table[f"{name}_err_boot"][0] == pytest.approx(
            catalogue.table[f"{name}_err"][0], rel=0.3
        )


def test_the_chosen_one_is_the_error(mixed):
    some = mixed.rows([0, 1])
    both, alone, formal = fit(some), fit(some, uncertainty="bootstrap"), autogal.fit(**some.arguments())
    np.testing.assert_array_equal(both.covariance, formal.covariance)
    np.testing.assert_array_equal(both.bootstrap, alone.covariance)
    assert alone.bootstrap is None and both.replicates is None
    assert not [name for name in alone.table.colnames if name.endswith("_boot")]
    for name in formal.table.colnames:
        np.testing.assert_array_equal(np.asarray(both.table[name]), np.asarray(formal.table[name]))
    for name in (*PARAMETERS, "flux", "mu_e_mean"):
        np.testing.assert_array_equal(both.table[f"{name}_err_boot"], alone.table[f"{name}_err"])
    assert (
        "by the bootstrap" in both.table["mag_err_boot"].description
        and both.table["x_err_boot"].unit == "pix"
    )


def test_a_sigma_that_is_wrong_by_a_factor_is_seen_by_the_pixels_alone():
    observed = observe(random_galaxies(3, seed=43, shape=(32, 32), r_eff=(2.0, 3.0)), seed=44)
    observed.sigmas = [3 * sigma for sigma in observed.sigmas]
    ratio = {
        kind: np.median(errors(c) / errors(c, "_err"))
        for kind in KINDS
        for c in [fit(observed, kind=kind, replicates=50)]
    }
    assert ratio["parametric"] == pytest.approx(1, abs=0.1)
    assert ratio["pixel"] == pytest.approx(1 / 3, rel=0.2) and ratio["block"] == pytest.approx(1 / 3, rel=0.2)


def test_correlated_noise():
    """Where the noise is correlated, the covariance allows for it, and the blocks' errors hold too."""
    galaxies = random_galaxies(5, seed=45, shape=(40, 40), snr=(150, 400), r_eff=(2.0, 3.5))
    observed, rng = observe(galaxies, 16, seed=46), np.random.default_rng(47)
    for i in range(len(observed)):
        galaxy = galaxies[i // 16]
        noise = gaussian_filter(rng.normal(size=(72, 72)), 0.8)[16:-16, 16:-16]
        noise *= np.sqrt(4 * np.pi) * 0.8  # back to unit variance
        observed.images[i] = (galaxy.flux * galaxy.light() + galaxy.sky + galaxy.sigma() * noise).astype(
            np.float32
        )
    catalogue = fit(observed, kind="block", replicates=25)
    deviations = np.stack(
        [np.asarray(catalogue.table[name], float) - observed.truth[name] for name in PARAMETERS], axis=-1
    )
    deviations[:, 6] = (deviations[:, 6] + 90) % 180 - 90
    inside = [
        np.mean(np.abs(deviations) < errors(catalogue, suffix), axis=0) for suffix in ("_err", "_err_boot")
    ]
    # 80 fits: a fraction is known to 5 %, that of all parameters together to some 3 %
    assert 0.58 < inside[0].mean() < 0.76 and inside[0].min() > 0.48
    assert 0.58 < inside[1].mean() < 0.76 and inside[1].min() > 0.48


def test_units_and_places_are_the_catalogues(mixed):
    # a high sky in other units, a position angle at the jump, a stamp that fills less than its bucket
    observed = observe([BRIGHT, Galaxy(**vars(BRIGHT) | {"shape": (31, 35)})], seed=48)
    level, gain = 500.0, 1e-3
    images = [(image.astype(float) + level) * gain for image in observed.images]
    start = observed.start | {
        "mag": observed.start["mag"] - 2.5 * np.log10(gain),
        "sky": (observed.start["sky"] + level) * gain,
    }
    catalogue = fit(
        observed,
        images=images,
        sigma=[s * gain for s in observed.sigmas],
        start=start,
        keep=True,
        replicates=30,
    )
    values = np.stack([np.asarray(catalogue.table[name], float) for name in PARAMETERS], axis=-1)
    pulls = catalogue.replicates - values[:, None]
    pulls[..., 6] = (pulls[..., 6] + 90) % 180 - 90
    pulls /= errors(catalogue, "_err")[:, None]
    assert np.abs(pulls).max() < 6 and np.abs(pulls.mean(1)).max() < 1
    assert (
        (errors(catalogue)[:, 6] < 1.6 * errors(catalogue, "_err")[:, 6]).all()
        and (catalogue.replicates[..., 6] >= 0).all()
        and (catalogue.replicates[..., 6] <= 180).all()
    )


def test_what_was_not_measured_has_no_replicates(mixed):
    some = mixed.rows([0, 1, 2])
    some.images[1] = np.full_like(some.images[1], np.nan)
    catalogue = fit(some, keep=True)
    assert (
        np.isnan(catalogue.replicates[1]).all()
        and np.isnan(catalogue.bootstrap[1]).all()
        and np.isnan(errors(catalogue)[1]).all()
    )
    assert np.isfinite(errors(catalogue)[[0, 2]]).all()


def test_no_room_for_blocks_is_flagged(mixed):
    some = mixed.rows([0, 1])
    stripes = np.zeros(some.images[0].shape, bool)
    stripes[::6] = True
    catalogue = fit(some, kind="block", mask=[stripes, np.zeros(some.images[1].shape, bool)])
    flags = np.asarray(catalogue.table["flags"])
    assert (flags & Flag.BOOTSTRAP_FAILED > 0).tolist() == [True, False]
    assert (
        np.isnan(errors(catalogue)[0]).all()
        and np.isfinite(errors(catalogue)[1]).all()
        and np.isfinite(errors(catalogue, "_err")).all()
    )
    assert "no room for its blocks" in catalogue.table["message"][0]


def test_fits_that_fail_are_left_out_and_flagged(mixed, monkeypatch):
    from autogal.batch.bucket import Bucket
    from autogal.solvers import Status

    refit = Bucket.refit

    def failing(bucket, *arguments):
        out = refit(bucket, *arguments)
        out.status[1::4] = Status.NOT_CONVERGED
        return out

    monkeypatch.setattr(Bucket, "refit", failing)
    catalogue = fit(mixed.rows([0]), keep=True)
    assert np.isnan(catalogue.replicates[0]).all(-1).tolist() == [r % 4 == 1 for r in range(20)]
    assert (
        "5 of 20 fits of the bootstrap failed" in catalogue.table["message"][0]
        and "BOOTSTRAP_FAILED" in catalogue.table["flag_names"][0]
    )
    assert np.isfinite(errors(catalogue)).all()


def test_a_parameter_at_its_bound_has_no_error_of_either_kind(mixed):
    catalogue = fit(mixed.rows([0]), **{"model.bounds.n": [0.2, 0.5], "model.priors.n": None})
    assert catalogue.table["flags"][0] & Flag.AT_BOUND
    np.testing.assert_array_equal(np.isnan(catalogue.bootstrap), np.isnan(catalogue.covariance))
    # nor has what the bound drags along, as the axis ratio; where it lies is told all the same
    assert np.isnan(catalogue.table["n_err_boot"][0]) and np.isfinite(catalogue.table["x_err_boot"][0])


def test_the_files_hold_it(mixed, tmp_path):
    catalogue = fit(mixed.rows([0, 1]), keep=True, replicates=3)
    for format in ("fits", "ecsv", "parquet"):
        again = autogal.Catalogue.read(catalogue.write(tmp_path, format))
        np.testing.assert_array_equal(again.bootstrap, catalogue.bootstrap)
        np.testing.assert_array_equal(again.replicates, catalogue.replicates)
        assert again.table.colnames == catalogue.table.colnames
