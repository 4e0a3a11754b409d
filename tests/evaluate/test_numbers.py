"""What the evaluations compute, against cases whose answer is known."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import torch
from astropy.table import Table
from rich.console import Console

from autogal.evaluate.initialiser import start_errors
from autogal.evaluate.parameters import CATALOGUE, differences, summarise
from autogal.evaluate.statistics import SNR, Bins, bins_of_magnitude, scatter, share_interval
from autogal.evaluate.truth import true_segmentations
from autogal.initialise import Start
from autogal.report.evaluation_files import write_report
from autogal.report.facts import Grid, Report
from autogal.report.terminal import print_report
from autogal.segment.sources import Sources
from autogal.simulate import General, SceneSource, simulate
from autogal.training.segmenter.scoring import match_neighbours, score_stamp


def test_scatter_is_the_standard_deviation_of_a_gaussian_and_knows_no_outlier():
    values = np.random.default_rng(0).normal(5, 2, 20_000)
    values[:200] = 1e6
    values[200:210] = np.nan
    assert scatter(values) == pytest.approx(2, rel=0.03)
    assert np.isnan(scatter(np.array([np.nan])))


def test_every_value_is_in_one_bin():
    values = np.array([0, 19.9, 20, 5000, np.inf])
    assert sum(members.sum() for _, members in SNR.split(values)) == len(values)
    assert [
        name for name, _ in Bins("x", "x", (-np.inf, 0, 1, np.inf)).split(np.array([-1, 0.5, np.inf]))
    ] == ["< 0", "0 to 1", "> 1"]
    for magnitudes in ([17.2], [14.0, 20.0], [10.3, 31.9], np.linspace(18.5, 18.9, 4)):
        bins = bins_of_magnitude(magnitudes)
        assert len(bins.edges) <= 7 and sum(
            members.sum() for _, members in bins.split(np.asarray(magnitudes))
        ) == len(magnitudes)


def test_intervals_of_shares():
    assert share_interval(50, 100) == pytest.approx((0.45, 0.55), abs=1e-3)
    assert share_interval(0, 10) == pytest.approx((0, 1 / 11)) and share_interval(10, 10) == pytest.approx(
        (10 / 11, 1)
    )
    low, high = share_interval(np.array([0, 1, 5, 9]), 9)
    assert np.all(low >= 0) and np.all(high <= 1) and np.all(high - low > 0.05)


def test_differences_and_their_summary():
    truth = Table(
        {
            "x": [10.0, 10, 10],
            "y": [10.0, 10, 10],
            "mag": [18.0, 18, 18],
            "r_eff": [4.0, 4, 4],
            "n": [2.0, 2, 2],
            "q": [0.5, 0.9, 0.5],
            "pa": [2.0, 2, 2],
        }
    )
    found = {name: np.array(truth[name]) for name in CATALOGUE}
    found["pa"] = np.array([178.0, 90, np.nan])
    found["r_eff"] = np.array([5.0, 4, np.nan])
    found["n"] = np.array([2.0, 4.1, np.nan])
    found["mag"] = np.array([18.4, 18, np.nan])
    off = differences(found, truth)
    assert off["d_pa"][0] == pytest.approx(-4) and np.isnan(off["d_pa"][1])  # over the jump at 180; round
    assert off["d_r_eff"][0] == pytest.approx(0.25) and off["d_n"][1] == pytest.approx(np.log10(2.05))
    assert list(off["wrong"]) == [False, True, True]
    rows = Table({**off, **{f"e_{name}": np.full(3, 0.3) for name in CATALOGUE}})
    summary = summarise(rows)
    assert summary["mag_inside"] == 0.5 and summary["r_eff_inside"] == 1 and summary["pa_inside"] == 0
    assert summary["stamps"] == 3 and summary["wrong"] == pytest.approx(2 / 3)


def test_errors_of_starting_values_against_draws():
    generator = np.random.default_rng(1)
    factor = 0.02 * np.tril(generator.normal(size=(7, 7))) + 0.02 * np.eye(7)
    covariance = factor @ factor.T
    q, pa, r_eff = 0.4, 70.0, 5.0
    eta, angle = -np.log(q), 2 * np.radians(pa + 90)
    mean = np.array(
        [30, 31, 3.0, np.log(r_eff * np.sqrt(q)), np.log(2.0), eta * np.cos(angle), eta * np.sin(angle)]
    )
    start = Start(
        {"x": 30, "y": 31, "flux": np.exp(3.0), "r_eff": r_eff, "n": 2.0, "q": q, "pa": pa, "sky": 0},
        covariance=covariance,
    )
    x, y, ln_flux, ln_r, ln_n, e1, e2 = generator.multivariate_normal(mean, covariance, 200_000).T
    drawn_eta = np.hypot(e1, e2)
    turn = np.degrees(np.arctan2(e2, e1)) / 2 - 90
    drawn = {
        "x": x,
        "y": y,
        "mag": -2.5 / np.log(10) * ln_flux,
        "r_eff": np.exp(ln_r + drawn_eta / 2) / r_eff,
        "n": ln_n / np.log(10),
        "q": np.exp(-drawn_eta),
        "pa": (turn - pa + 90) % 180 - 90,
    }
    errors = start_errors(start)
    assert list(errors) == list(CATALOGUE)
    for name in CATALOGUE:
        assert errors[name] == pytest.approx(drawn[name].std(), rel=0.05), name
    assert np.isnan(list(start_errors(Start(start.values)).values())).all()


def test_neighbours_are_matched_once_each_and_by_their_light():
    instances = torch.zeros(4, 20, 20, dtype=torch.bool)
    instances[0, 8:12, 8:12], instances[1, 2:6, 2:6], instances[2, 14:18, 14:18], instances[3, 2:4, 15:18] = (
        True,
        True,
        True,
        True,
    )
    image = torch.zeros(20, 20)
    for k, level in enumerate((10.0, 10 * 10**0.4, 10 * 10**-0.4, 1e-4)):
        image[instances[k]] = level
    sources = Sources(
        instances[0], instances[1:3].any(0, keepdim=True), 1.0, torch.ones(1)
    )  # the two neighbours as one
    pairs = match_neighbours(sources, instances, image)
    assert [round(difference, 3) for difference, _ in pairs[:2]] == [-1, 1] and pairs[2][0] > 10
    assert [found for _, found in pairs] == [True, False, False]
    assert score_stamp(sources, instances, image)["bright_found"] == 1


def test_a_mask_too_large_is_not_false_and_one_on_the_sky_is():
    instances = torch.zeros(2, 20, 20, dtype=torch.bool)
    instances[0, 8:12, 8:12], instances[1, 3:5, 3:5] = True, True
    generous, nothing = torch.zeros(20, 20, dtype=torch.bool), torch.zeros(20, 20, dtype=torch.bool)
    generous[1:7, 1:7], nothing[15:18, 2:5] = True, True
    score = score_stamp(
        Sources(instances[0], torch.stack([generous, nothing]), 1.0, torch.ones(2)),
        instances,
        torch.ones(20, 20),
    )
    assert (score["sources"], score["false"]) == (3, 1)


def test_how_much_of_a_target_is_seen():
    batch = SceneSource(General(neighbours=0), (64, 64), seed=4).draw(8, 0)
    assert (batch.truth["visible"] == 1).all()
    crowded = (
        SceneSource(General(neighbours=10, overlapping=1.0), (64, 64), seed=4).draw(48, 0).truth["visible"]
    )
    assert (crowded >= 0).all() and (crowded <= 1).all() and crowded.min() < 0.8


def test_true_segmentations_hold_the_truth():
    scenes = simulate(6, General(), seed=8, shape=(64, 64))

    class Settings:
        grow = 1.0

    for found, masks in zip(
        true_segmentations(scenes.cutouts, scenes.instances, Settings), scenes.instances, strict=True
    ):
        assert found.target.any() and not (found.target & ~masks[0]).any()
        outside = masks[1:].any(axis=0) & ~masks[0]
        assert (found.neighbours & outside).sum() == outside.sum()


def test_a_report_is_printed_and_written_whole(tmp_path):
    grid = Grid(
        "good",
        "All of it",
        {"S/N": "{group}", "": "{method}", "found": "{found:.1%} {bias:+.2f}"},
        [
            {"group": "> 20", "method": "sep", "found": 0.5, "bias": np.float32(-0.25)},
            {"group": "> 20", "method": "x", "found": np.nan, "bias": np.nan},
        ],
        {"found": ">= 99 %"},
    )
    report = Report(
        "Heading", [grid], ["A note."], {"rows": Table({"a": [1, 2]})}, facts={"count": np.int64(3)}
    )
    text = io.StringIO()
    print_report(report, Console(file=text))
    assert (
        "50.0% -0.25" in text.getvalue()
        and ">= 99 %" in text.getvalue()
        and "nan" not in text.getvalue()
        and text.getvalue().count("> 20") == 1
    )
    assert [path.name for path in write_report(report, tmp_path)] == ["evaluation.json", "rows.ecsv"]
    content = json.loads((tmp_path / "evaluation.json").read_text())
    assert content["count"] == 3 and content["tables"]["good"]["rows"][1]["found"] is None
