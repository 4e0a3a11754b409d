"""Samples of posteriors: exact where the posterior is known, within bounds, each galaxy's own, and right
in their ranks."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

import autogal
from autogal.errors import AutogalError
from autogal.evaluate.ranks import ranks, uniformity
from autogal.flags import Flag
from autogal.results import Catalogue
from autogal.uncertainty import Posterior

from ..observations import Galaxy, observe
from .sbc import drawn, priors

GALAXY = Galaxy(x=23.2, y=24.4, mag=16.0, r_eff=3.0, n=1.2, q=0.6, pa=178.0, sky=1.0, noise=10.0)
SHAPE = torch.tensor([[1.0, 0.6, 0.0], [0.6, 2.0, -0.3], [0.0, -0.3, 0.5]], dtype=torch.float64)
MEAN = torch.tensor([3.0, -1.0, 100.0], dtype=torch.float64)
NOWHERE = torch.full((3,), torch.inf, dtype=torch.float64)


def normal(theta, which):
    off = theta - MEAN
    return (off @ torch.linalg.inv(SHAPE) * off).sum(-1)


def sample(cost=normal, best=MEAN, covariance=SHAPE, lower=-NOWHERE, upper=NOWHERE, names=("a",), **settings):
    many = [
        one.expand(len(names), *one.shape) if one.dim() == 1 or one.shape == (3, 3) else one
        for one in (best, covariance, lower, upper)
    ]
    return Posterior(**settings).draw(cost, *many, list(names))


@pytest.mark.parametrize("about", [1.0, 0.3, 4.0])
def test_a_normal_posterior_whatever_the_covariance_is_thought_to_be(about):
    found = sample(covariance=SHAPE * about, best=MEAN + 0.5, samples=4000, rounds=60)
    assert found.effective[0] >= 4000 and not found.cut.any()
    error = SHAPE.diagonal().sqrt() / 4000**0.5
    assert ((found.theta[0].mean(0) - MEAN).abs() < 4 * error).all()
    torch.testing.assert_close(torch.cov(found.theta[0].T), SHAPE, rtol=0.12, atol=0.08)
    wide = found.theta[0, :, 0].quantile(torch.tensor([0.158655, 0.841345], dtype=torch.float64))
    torch.testing.assert_close(wide, torch.tensor([2.0, 4.0], dtype=torch.float64), rtol=0, atol=0.09)


def test_bounds_hold_and_are_told_where_the_posterior_runs_into_them():
    lower = torch.tensor([2.8, -torch.inf, -torch.inf], dtype=torch.float64)
    found = sample(lower=lower, samples=2000, rounds=60)
    first = found.theta[0, :, 0]
    assert (first >= 2.8).all() and found.cut[0].tolist() == [True, False, False]
    hazard = np.exp(-0.02) / np.sqrt(2 * np.pi) / 0.57926  # of a normal one beyond -0.2 sigma
    assert float(first.mean()) == pytest.approx(3 + hazard, abs=0.06)
    flat = sample(lambda theta, which: 0 * theta[:, 0], lower=MEAN - 1, upper=MEAN + 1, samples=500)
    assert flat.cut.all() and float(flat.theta[0, :, 1].std()) == pytest.approx(2 / 12**0.5, rel=0.12)
    far = sample(lower=MEAN - 5 * SHAPE.diagonal().sqrt(), samples=500)
    assert not far.cut.any()


def test_what_has_no_variance_is_held():
    covariance = SHAPE.clone()
    covariance[1], covariance[:, 1] = 0.0, 0.0
    covariance[2], covariance[:, 2] = torch.nan, torch.nan
    found = sample(lambda theta, which: (theta[:, 0] - 3.0) ** 2, covariance=covariance, samples=300)
    assert (found.theta[0, :, 1:] == MEAN[1:]).all() and float(found.theta[0, :, 0].std()) == pytest.approx(
        1.0, rel=0.2
    )


def test_draws_hang_on_the_name_alone():
    def cost(theta, which):
        return normal(theta, which) * (1.0 + 0.0 * which)

    alone, again = sample(cost, names=["b"], samples=200), sample(cost, names=["a", "b", "c"], samples=200)
    torch.testing.assert_close(alone.theta[0], again.theta[1], rtol=1e-12, atol=1e-12)
    assert (alone.theta[0] != again.theta[0]).any() and (
        sample(cost, names=["b"], samples=200, seed=1).theta[0] != alone.theta[0]
    ).any()


def test_rows_that_cannot_be_sampled_cost_no_other():
    best = torch.stack([MEAN, MEAN * torch.nan, MEAN, MEAN])

    def cost(theta, which):
        assert not (which == 1).any()
        return torch.where(which == 2, torch.nan, normal(theta, which))

    found = sample(cost, best=best, names=["a", "b", "c", "d"], samples=200, rounds=3)
    assert (
        torch.isfinite(found.theta[[0, 3]]).all()
        and torch.isnan(found.theta[1:3]).all()
        and found.draws[1] == 0
    )
    assert Posterior(samples=200).enough(found.effective.numpy()).tolist() == [True, False, False, True]


@pytest.mark.parametrize(("settings", "what"), [({"samples": 5}, "samples=5"), ({"rounds": 0}, "rounds=0")])
def test_settings_that_make_no_sense(settings, what):
    with pytest.raises(AutogalError, match=what):
        Posterior(**settings)


def fit(observed, model="sersic", **settings):
    keys = {
        f"uncertainty.{key}": settings.pop(key) for key in ("keep", "samples", "rounds") if key in settings
    }
    return autogal.fit(
        **observed.arguments() | settings, pixel_scale=0.2, uncertainty="posterior", model=model, **keys
    )


@pytest.fixture(scope="module")
def kept():
    return fit(observe([GALAXY, GALAXY], seed=3), keep=True, samples=300)


def test_columns_are_quantiles_of_the_samples(kept):
    table = kept.table
    assert kept.replicates.shape == (2, 300, 8)
    for k, name in enumerate(kept.parameters):
        expected = np.quantile(kept.replicates[:, :, k], [0.158655, 0.5, 0.841345], axis=1)
        np.testing.assert_allclose(
            [table[f"{name}_{end}"] for end in ("p16", "p50", "p84")], expected, rtol=1e-9
        )
        np.testing.assert_allclose(table[f"{name}_err"], kept.replicates[:, :, k].std(1, ddof=1), rtol=1e-6)
        assert (
            table[f"{name}_p16"].unit == table[name].unit
            and "quantile of the posterior" in table[f"{name}_p16"].description
        )
    at = dict(zip(kept.parameters, np.moveaxis(kept.replicates, 2, 0)))
    brightness = at["mag"] + 2.5 * np.log10(2 * np.pi * at["q"] * (0.2 * at["r_eff"]) ** 2)
    for name, samples in {
        "flux": 10 ** (-0.4 * (at["mag"] - 25)),
        "r_eff_arcsec": 0.2 * at["r_eff"],
        "mu_e_mean": brightness,
    }.items():
        np.testing.assert_allclose(table[f"{name}_p50"], np.median(samples, 1), rtol=1e-3)
        np.testing.assert_allclose(table[f"{name}_p16"], np.quantile(samples, 0.158655, axis=1), rtol=2e-3)
        assert (table[f"{name}_p16"] < table[f"{name}_p50"]).all() and (
            table[f"{name}_p50"] < table[f"{name}_p84"]
        ).all()
    assert (table["pa_p16"] < table["pa_p84"]).all() and (
        (table["pa_p84"] > 180) | (table["pa_p16"] < 0)
    ).any()  # angles go on beyond 0 and 180 deg


@pytest.mark.parametrize("ending", ["fits", "ecsv", "parquet"])
def test_files_hold_them(kept, ending, tmp_path):
    again = autogal.read(kept.write(tmp_path / f"c.{ending}"))
    np.testing.assert_array_equal(again.replicates, kept.replicates)
    for name in ("mag_p16", "flux_p50", "pa_p84"):
        np.testing.assert_array_equal(again.table[name], kept.table[name])
        assert again.table[name].description == kept.table[name].description
    assert Catalogue.join([again, again]).table["mag_p16"].tolist() == 2 * kept.table["mag_p16"].tolist()


def test_samples_stay_out_unless_asked_for(kept):
    catalogue = fit(observe([GALAXY, GALAXY], seed=3), samples=300)
    assert catalogue.replicates is None
    np.testing.assert_allclose(catalogue.table["mu_e_mean_p16"], kept.table["mu_e_mean_p16"], rtol=1e-9)
    with pytest.raises(AutogalError, match="There are no samples of 0"):
        catalogue.to_arviz(0)


def test_arviz_has_one_chain_of_them_or_is_missed(kept, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "arviz", None)
        with pytest.raises(AutogalError, match="need the package arviz"):
            kept.to_arviz(0)
    pytest.importorskip("arviz")
    np.testing.assert_array_equal(
        np.asarray(kept.to_arviz(-1)["posterior"]["mag"])[0], kept.replicates[1, :, 2]
    )


def test_the_same_alone_and_what_was_not_measured():
    observed = observe([GALAXY] * 3, seed=4)
    images = [observed.images[0], np.full_like(observed.images[1], np.nan), observed.images[2]]
    ids = ["a", "b", "c"]
    catalogue = fit(observed, images=images, ids=ids, keep=True, samples=100)
    assert np.isnan(catalogue.replicates[1]).all() and all(
        np.isnan(catalogue.table[f"mag_{end}"][1]) for end in ("p16", "p50", "p84")
    )
    alone = fit(observed.rows([2]), ids=["c"], keep=True, samples=100)
    np.testing.assert_allclose(
        alone.replicates[0],
        catalogue.replicates[2],
        rtol=0,
        atol=0.05 * np.nanstd(alone.replicates[0], axis=0).max(),
    )
    np.testing.assert_allclose(
        alone.table["mag_p16"], catalogue.table["mag_p16"][2:], atol=0.02 * alone.table["mag_err"][0]
    )


def test_a_held_parameter_and_a_held_sky():
    catalogue = fit(
        observe([GALAXY], seed=5),
        model={"profile": "sersic", "fixed": {"n": 1.2, "sky": 1.0}},
        keep=True,
        samples=100,
    )
    row = dict(zip(catalogue.parameters, catalogue.replicates[0].T))
    np.testing.assert_allclose(row["n"], 1.2, rtol=1e-9)
    np.testing.assert_allclose(row["sky"], 1.0, atol=1e-5)
    free = fit(observe([GALAXY], seed=5), samples=100)
    assert 0 < catalogue.table["mag_err"][0] < free.table["mag_err"][0]
    assert np.isnan(catalogue.table["n_err"][0])


def test_several_components():
    catalogue = fit(
        observe([Galaxy(23.2, 24.4, 14.0, 4.0, 2.0, 0.6, 40.0, noise=10.0)], seed=6),
        model="bulge_disk",
        samples=50,
    )
    table = catalogue.table
    for name in ("mag", "bt", "bulge_mag", "disk_r_eff", "disk_r_eff_arcsec"):
        assert table[f"{name}_p16"][0] < table[f"{name}_p50"][0] < table[f"{name}_p84"][0]
    assert table["mag_err"][0] < table["bulge_mag_err"][0]  # what is traded moves no sum
    assert table["bt_p16"][0] >= 0 and table["bt_p84"][0] <= 1


def test_several_models():
    table = fit(observe([GALAXY], seed=7), model=["exponential", "sersic"], samples=50).table
    for name in ("exponential_mag", "sersic_mag", "sersic_n", "sersic_flux"):
        assert table[f"{name}_p16"][0] < table[f"{name}_p84"][0]


def test_a_posterior_without_an_end_is_said():
    faint = Galaxy(x=23.5, y=23.5, mag=17.6, r_eff=4.0, n=2.0, q=0.9, pa=40.0, noise=10.0)
    model = {"profile": "sersic", "priors": {"n": None, "q": None}}
    endless, held = (
        fit(observe([faint], seed=8), model=one, samples=100, rounds=4).table
        for one in (model, {"profile": "sersic", "priors": priors(15.0)})
    )
    assert "runs into its bound, and without it may have no end" in endless["message"][0]
    assert "runs into its bound" not in held["message"][0]


def test_ranks_of_known_samples():
    rng = np.random.default_rng(0)
    samples, truth = rng.normal(size=(400, 99)), rng.normal(size=400)
    assert uniformity(ranks(truth, samples))[1] > 1e-3 and uniformity(ranks(truth, samples))[0].sum() == 400
    assert (
        uniformity(ranks(truth, 0.6 * samples))[1] < 1e-3
        and uniformity(ranks(truth, samples + 0.4))[1] < 1e-3
    )
    assert ranks([179.0], [[178.0, 181.0, 182.0, 170.0]], 180.0).tolist() == [1.0]
    assert np.isnan(ranks([1.0], [[np.nan, 1.0]])).all() and np.isnan(uniformity(np.full(5, 0.5))[1])


def test_ranks_of_the_truth_are_uniform():
    found, count = {}, 32
    for snr in (15.0, 40.0):
        observed = drawn(snr, count, seed=12 + int(snr))
        catalogue = fit(observed, model={"profile": "sersic", "priors": priors(snr)}, keep=True, samples=100)
        assert np.mean(np.isfinite(catalogue.table["mag_p50"])) > 0.95
        assert 0.7 * snr < np.median(catalogue.table["snr"]) < 1.4 * snr
        assert np.mean(np.asarray(catalogue.table["flags"]) & Flag.BOOTSTRAP_FAILED > 0) < 0.05
        for k, name in enumerate(catalogue.parameters):
            found.setdefault(name, []).append(
                ranks(observed.truth[name], catalogue.replicates[:, :, k], 180.0 if name == "pa" else 0.0)
            )
    p = {name: uniformity(np.concatenate(some))[1] for name, some in found.items()}
    assert min(p.values()) > 1e-3, p
