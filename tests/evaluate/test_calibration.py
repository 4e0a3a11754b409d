"""Whether errors are honest, by `autogal evaluate calibration`: the counting, the galaxies, the verb."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table

import autogal
from autogal.configuration.composing import compose, composed
from autogal.evaluate.calibration import coverage
from autogal.evaluate.galaxies import galaxies, known_values
from autogal.images import mend_psf
from autogal.model.spec import build_model

SMALL = ["survey=sdss", "size=64"]


def drawn(*overrides):
    settings = compose("evaluate", [*SMALL, "n=8", *overrides])
    (block,) = galaxies(settings)
    return block, build_model(settings.model)


def test_known_pulls_are_counted_exactly():
    found = coverage(np.array([0.5, -0.9, 1.0, 1.5, -1.5, 2.0, 2.1, -3.0, 0.0, 0.1, np.nan, np.inf]))
    assert found["errors"] == 10 and found["one"] == 0.5 and found["two"] == 0.8
    assert found["median"] == pytest.approx(0.3) and found["scatter"] == pytest.approx(1.4826 * 1.2)
    assert found["one_error"] == pytest.approx(
        np.sqrt(0.25 / 11), rel=0.01
    )  # of a share of a half, with one more galaxy
    assert 0 < found["two_error"] < found["one_error"]
    nothing = coverage(np.array([np.nan]))
    assert (
        nothing["errors"] == 0
        and np.isnan([value for name, value in nothing.items() if name != "errors"]).all()
    )


def test_normal_pulls_give_what_is_expected():
    found = coverage(np.random.default_rng(0).normal(0, 1, 100_000))
    assert found["one"] == pytest.approx(0.6827, abs=0.005) and found["two"] == pytest.approx(
        0.9545, abs=0.003
    )
    assert found["scatter"] == pytest.approx(1, abs=0.02)
    assert found["one_error"] == pytest.approx(np.sqrt(0.6827 * 0.3173 / 1e5), rel=0.01)


@pytest.mark.parametrize(
    "words",
    [
        ["model=sersic"],
        ["model=exponential"],
        ["model=bulge_disk"],
        ["survey=none"],
        ["survey=none", "likelihood=poisson"],
        ["likelihood=poisson", "model=bulge_disk"],
    ],
)
def test_the_truth_is_the_image_s(words):
    block, model = drawn(*words)
    truth = known_values(model, block.truth)
    columns = Table(truth, names=model.parameters)
    assert len(block.truth) == 8 and np.isfinite(truth).all()
    node = composed(*(word for word in words if word.startswith("model="))).model
    # stars too narrow for their pixels are drawn anew by `render`, and the scenes were drawn with them as
    # they are
    plain = [
        i
        for i, one in enumerate(block.cutouts)
        if not mend_psf(one.psf, one.psf_kind, one.psf_oversample).flags
    ]
    assert len(plain) >= 4
    for i in plain:
        cutout = block.cutouts[i]
        image = autogal.render(
            columns[i : i + 1], model={**node}, psf=cutout.psf, shape=cutout.shape, zeropoint=cutout.zeropoint
        )[0]
        pull = ((cutout.image - image) / cutout.sigma)[~cutout.mask]
        assert np.mean(pull**2) == pytest.approx(1, abs=6 * np.sqrt(2 / pull.size))
        assert abs(pull.mean()) < 5 / np.sqrt(pull.size)
    if "likelihood=poisson" in words:
        assert min(cutout.image.min() * cutout.gain for cutout in block.cutouts) >= 0


def test_a_galaxy_does_not_depend_on_how_many_there_are():
    few, many = drawn("n=3")[0], drawn("n=40")[0]
    assert (
        list(few.truth["id"]) == list(many.truth["id"][:3])
        and len(many.cutouts) == len(set(many.truth["id"])) == 40
    )
    assert np.array_equal(few.cutouts[2].image, many.cutouts[2].image)


def test_shares_and_pulls_of_the_verb(evaluate, tmp_path):
    code, shown, content = evaluate("calibration", *SMALL, "n=12")
    assert code == 0 and "68 +-3%" in shown.out and "95 +-2%" in shown.out
    good = content["tables"]["good"]["rows"]
    assert [row["parameter"] for row in good] == ["x", "y", "mag", "r_eff", "n", "q", "pa", "sky"]
    rows = Table.read(tmp_path / "here" / "evaluation.ecsv")
    some = rows[(rows["snr"] >= 50) & (rows["status"] == "converged")]
    assert len(rows) == 12 and 3 < len(some) == good[0]["galaxies"]
    pull = (some["found_mag"] - some["mag"]) / some["covariance_e_mag"]
    assert good[2]["covariance_one"] == pytest.approx(np.mean(np.abs(pull) <= 1))
    assert good[2]["covariance_median"] == pytest.approx(np.median(pull))
    assert 0.4 < np.mean([row["covariance_one"] for row in good]) < 0.9
    assert sum(
        row["galaxies"] for row in content["tables"]["snr"]["rows"] if row["parameter"] == "x"
    ) == np.sum(rows["status"] == "converged")
    assert (tmp_path / "here" / "calibration.png").stat().st_size > 10_000


def test_correlated_noise_breaks_the_covariance_and_not_the_blocks(evaluate):
    words = [
        "population.correlation=1",
        "uncertainty=both",
        "uncertainty.kind=block",
        "uncertainty.replicates=20",
    ]
    code, shown, content = evaluate("calibration", *SMALL, "n=24", *words)
    assert code == 0 and "1 sigma, cov." in shown.out and "1 sigma, boot." in shown.out
    covariance, blocks = (
        np.mean([row[f"{kind}_one"] for row in content["tables"]["good"]["rows"]])
        for kind in ("covariance", "bootstrap")
    )
    assert covariance < 0.45 and 0.5 < blocks < 0.8


def test_bulge_and_disk(evaluate, tmp_path):
    code, _, content = evaluate("calibration", *SMALL, "n=4", "model=bulge_disk")
    parameters = [row["parameter"] for row in content["tables"]["snr"]["rows"]]
    assert (
        code == 0
        and {"bulge_x", "bulge_r_eff", "disk_pa", "bt", "mag", "sky"} <= set(parameters)
        and "disk_x" not in parameters
    )
    rows = Table.read(tmp_path / "here" / "evaluation.ecsv")
    assert np.max(np.abs(rows["found_mag"] - rows["true_mag"])) < 0.3


def test_a_suite(evaluate, suite, tmp_path):
    code, _, content = evaluate(
        "calibration", f"data={suite()}", "uncertainty=bootstrap", "uncertainty.replicates=10"
    )
    rows = Table.read(tmp_path / "here" / "evaluation.ecsv")
    assert code == 0 and len(rows) == 6 and "bootstrap" in content["heading"]
    assert np.max(np.abs(rows["bootstrap_pull_pa"])) < 6  # angles of the suite are from +x


def test_a_suite_of_bulge_and_disk(suite):
    half = np.full(6, 0.5)
    own = {
        "bt": half,
        **{
            f"{name}_{end}": np.full(6, value)
            for end, n in (("b", 4.0), ("d", 1.0))
            for name, value in (("mag", 14.0), ("re", 3.0), ("n", n), ("q", 0.5), ("pa", 100.0))
        },
    }
    settings = compose("evaluate", [f"data={suite('two', **own)}", "model=bulge_disk", "part=calibration"])
    (block,) = galaxies(settings)
    model = build_model(settings.model)
    truth = dict(zip(model.parameters, known_values(model, block.truth)[0]))
    assert (
        truth["bulge_pa"] == truth["disk_pa"] == 10
        and truth["bt"] == 0.5
        and truth["bulge_x"] == truth["disk_x"] == 30.5
    )


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["uncertainty=none"], "uncertainty=none gives no errors that could be judged."),
        (["model=[sersic,bulge_disk]"], "One model at a time can be calibrated."),
        (["model=sersic_point"], "No galaxies can be drawn for model=sersic_point."),
        (["model.sky=tilted"], "No galaxies can be drawn for model=sersic."),
        (["model=king"], "The truth of sdss does not say r_core, r_tidal, alpha."),
        (["uncertainty=bootstrap", "uncertainty.kind=pixels"], "uncertainty.kind=pixels is not possible."),
        (["likelihood=gauss"], "There is no likelihood called gauss."),
    ],
)
def test_requests_that_make_no_sense(evaluate, words, what):
    code, shown, _ = evaluate("calibration", *SMALL, "n=4", *words)
    assert code == 2 and shown.err.startswith(f"error: {what}") and len(shown.err.splitlines()) == 2


def test_data_that_do_not_know_the_model(evaluate, suite):
    def said(*words):
        code, shown, _ = evaluate("calibration", *words)
        assert code == 2 and len(shown.err.splitlines()) == 2
        return shown.err

    assert "The truth of a does not say n." in said(f"data={suite('a', without=['n'])}")
    assert "does not say bulge_x" in said(f"data={suite('b')}", "model=bulge_disk")
    assert "The galaxies of b are no exponential: their n is 1.5 to 1.5." in said(
        "data=b", "model=exponential"
    )
    seg = np.ones((6, 64, 64), np.uint8)
    seg[:, :9, :9] = 2
    assert "None of the 6 targets is a sersic without neighbours." in said(f"data={suite('c', seg=seg)}")
