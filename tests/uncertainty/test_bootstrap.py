"""The scatter of replicates as a covariance, and what a bootstrap may be."""

from __future__ import annotations

import pytest
import torch

from autogal.configuration.composing import compose
from autogal.errors import AutogalError
from autogal.fitting.choices import build_bootstrap
from autogal.uncertainty import replicate_covariance


def draws(count=4_000, seed=0):
    rng = torch.Generator().manual_seed(seed)
    truth = torch.tensor([[4.0, 1.2, 0.0], [1.2, 9.0, -2.0], [0.0, -2.0, 1.0]], dtype=torch.float64)
    normal = torch.randn((2, count, 3), generator=rng, dtype=torch.float64)
    return (
        torch.tensor([[5.0, 1.0, 179.0], [5.0, 178.0, 0.5]], dtype=torch.float64),
        normal @ torch.linalg.cholesky(truth).mT,
        truth,
    )


def test_the_covariance_of_draws():
    best, scatter, truth = draws()
    got = replicate_covariance(best, best[:, None] + scatter, [])
    torch.testing.assert_close(got, truth.expand(2, 3, 3), rtol=0.1, atol=0.25)
    torch.testing.assert_close(got[0], torch.cov(scatter[0].mT))


def test_a_few_lengths_without_limit_have_a_scatter_and_normal_ones_keep_theirs():
    best, scatter, _truth = draws()
    replicates = best[:, None] + scatter
    torch.testing.assert_close(
        replicate_covariance(best, replicates, [], [1]),
        replicate_covariance(best, replicates, []),
        rtol=0.02,
        atol=0.05,
    )
    replicates[0, :80, 1] = 1e6
    replicates[:, 80:90, 0] = torch.nan
    got = replicate_covariance(best, replicates, [], [1])
    assert got[0, 1, 1] == pytest.approx(9.0, rel=0.1) and got[0, 0, 0] == pytest.approx(4.0, rel=0.1)
    assert (torch.linalg.eigvalsh(got) > 0).all()
    assert replicate_covariance(best, replicates, [])[0, 1, 1] > 1e9


def test_angles_are_the_same_after_half_a_turn():
    best, scatter, _ = draws(500)
    replicates = best[:, None] + scatter
    replicates[..., 2] %= 180
    assert replicates[0, :, 2].std() > 50
    got = replicate_covariance(best, replicates, [(2, 180.0, [])])
    torch.testing.assert_close(got, replicate_covariance(best, best[:, None] + scatter, []))


def test_phases_turn_with_the_angle_that_they_are_counted_from():
    best, scatter, _ = draws(500)
    replicates = best[:, None] + scatter
    over = torch.div(replicates[..., 2], 180, rounding_mode="floor")
    replicates[..., 2] -= 180 * over
    replicates[..., 1] = torch.remainder(replicates[..., 1] - 180 * over + 60, 120) - 60
    got = replicate_covariance(best, replicates, [(2, 180.0, [1]), (1, 120.0, [])])
    torch.testing.assert_close(got, replicate_covariance(best, best[:, None] + scatter, []))


def test_what_is_fixed_has_no_scatter():
    best, scatter, _ = draws(50)
    replicates = best[:, None] + scatter
    replicates[..., 1] = best[:, None, 1] * (1 + 2e-16 * torch.arange(50))
    assert (replicate_covariance(best, replicates, [])[:, 1] == 0).all()


def test_failed_replicates_are_left_out_and_one_alone_has_no_scatter():
    best, scatter, _ = draws(500)
    replicates = best[:, None] + scatter
    replicates[0, 5:40] = torch.nan
    replicates[1, 1:] = torch.nan
    got = replicate_covariance(best, replicates, [])
    torch.testing.assert_close(got[0], torch.cov(torch.cat([scatter[0, :5], scatter[0, 40:]]).mT))
    assert got[1].isnan().all()


@pytest.mark.parametrize(
    ("words", "what", "remedy"),
    [
        ("replicates=0", "uncertainty.replicates=0 is not possible", "at least 2"),
        ("replicates=1", "uncertainty.replicates=1 is not possible", "at least 2"),
        ("replicates=many", "uncertainty.replicates=many is not possible", "whole number"),
        ("kind=jackknife", "uncertainty.kind=jackknife is not possible", "auto, pixel, block, parametric"),
        ("block=0", "uncertainty.block=0 is not possible", "at least 1"),
        (
            "name=jackknife",
            "no uncertainty called 'jackknife'",
            "covariance, bootstrap, both, posterior, none",
        ),
        ("+wild=1", "The uncertainty both does not take these settings: wild", "both.yaml"),
        ("+replicats=9", "does not take these settings: replicats", "Did you mean uncertainty.replicates?"),
    ],
)
def test_what_a_bootstrap_cannot_be(words, what, remedy):
    added, key = ("+", words[1:]) if words[0] == "+" else ("", words)
    with pytest.raises(AutogalError, match=what) as caught:
        build_bootstrap(compose(overrides=["uncertainty=both", f"{added}uncertainty.{key}"]))
    assert remedy in caught.value.remedy and len(str(caught.value).splitlines()) == 2


def test_a_negative_seed_is_refused_only_where_it_is_used():
    assert build_bootstrap(compose(overrides=["seed=-1"])) is None
    with pytest.raises(AutogalError, match="seed=-1"):
        build_bootstrap(compose(overrides=["uncertainty=bootstrap", "seed=-1"]))
