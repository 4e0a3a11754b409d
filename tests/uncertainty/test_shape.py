"""Errors of axis ratio and position angle, near round and far from it."""

from __future__ import annotations

import math

import pytest
import torch

from autogal.model.component import Component
from autogal.model.inclined import InclinedComponent
from autogal.uncertainty import in_plane, shape_errors

ELLIPSE = Component()


def at(w, component=ELLIPSE):
    """Catalogue values of galaxies whose vectors are `w` [B, 2]."""
    block = torch.zeros((len(w), component.size), dtype=torch.float64)
    block[:, 2], block[:, -2:] = 1.0, w
    return component.values(block, torch.zeros(len(w), dtype=torch.float64))


def planes(*pairs):
    """Covariances of standard deviations along the first axis and the second."""
    return torch.diag_embed(torch.tensor(pairs, dtype=torch.float64) ** 2)


def to_first_order(values, plane, component=ELLIPSE):
    slope = component.values_jacobian(component.block(values, torch.zeros(len(values), dtype=torch.float64)))[:, -2:, -2:]
    return slope @ plane @ slope.mT


def inside(truth, found, error, sigma=1.0):
    off = found - truth
    off[:, 1] = torch.remainder(off[:, 1] + 90, 180) - 90
    return (off.abs() < sigma * error).double().mean(0)


def test_against_draws():
    # likelihood and prior as the docstring says: draws from the one, weighed by the other
    w = torch.tensor([[0.02, 0.01], [0.1, 0.15], [0.3, -0.2], [-0.05, 0.6]], dtype=torch.float64)
    plane = planes((0.1, 0.1), (0.15, 0.25), (0.1, 0.2), (0.3, 0.2))
    values, rng = at(w), torch.Generator().manual_seed(0)
    drawn = w[:, None] + torch.randn((4, 200_000, 2), generator=rng, dtype=torch.float64) @ plane.sqrt()
    for i in range(4):
        there = at(drawn[i])[:, -2:]
        length = drawn[i].norm(dim=-1)
        weight = there[:, 0] / torch.cosh(length / math.log(20)) ** 2 / length
        off = there - values[i, -2:]
        off[:, 1] = torch.remainder(off[:, 1] + 90, 180) - 90
        expected = ((weight[:, None] * off**2).sum(0) / weight.sum()).sqrt()
        torch.testing.assert_close(shape_errors(ELLIPSE, values[i : i + 1], plane[i : i + 1])[0], expected, rtol=0.02, atol=0)


def test_two_thirds_lie_inside_whatever_the_ellipticity():
    rng = torch.Generator().manual_seed(1)
    q, angle = 0.4 + 0.6 * torch.rand(20_000, generator=rng, dtype=torch.float64), 2 * math.pi * torch.rand(20_000, generator=rng, dtype=torch.float64)
    length = math.log(20) * torch.atanh(-torch.log(q) / math.log(20))
    true = length[:, None] * torch.stack([angle.cos(), angle.sin()], -1)
    for sigma in (0.05, 0.2):
        plane = planes((sigma, sigma)).expand(len(q), 2, 2)
        values = at(true + sigma * torch.randn(true.shape, generator=rng, dtype=torch.float64))
        first = to_first_order(values, plane)
        errors = shape_errors(ELLIPSE, values, plane)
        errors = torch.where(torch.isfinite(errors), errors, first.diagonal(dim1=-2, dim2=-1).sqrt())
        truth = at(true)[:, -2:]
        for times, expected in ((1.0, 0.6827), (2.0, 0.9545)):
            assert (inside(truth, values[:, -2:], errors, times) - expected).abs().max() < 0.04  # an rms, of what is not normal
        rough = first.diagonal(dim1=-2, dim2=-1).sqrt()
        assert sigma < 0.1 or inside(truth, values[:, -2:], rough).min() < 0.62 and inside(truth, values[:, -2:], rough, 2.0).min() < 0.9


def test_the_angle_of_a_circle_is_any():
    error = shape_errors(ELLIPSE, at(torch.tensor([[1e-6, 0.0]], dtype=torch.float64)), planes((0.1, 0.1)))[0]
    assert error[1] == pytest.approx(180 / math.sqrt(12), rel=1e-3)
    assert 0.05 < error[0] < 0.15  # half a normal distribution on one side of q = 1


def test_what_is_elongated_beyond_doubt_is_left_to_slopes():
    w = torch.tensor([[0.5, 0.0], [0.8, 0.0]], dtype=torch.float64)
    plane = planes((0.06, 0.06), (0.06, 0.06))
    error, first = shape_errors(ELLIPSE, at(w), plane), to_first_order(at(w), plane).diagonal(dim1=-2, dim2=-1).sqrt()
    torch.testing.assert_close(error[0], first[0], rtol=0.05, atol=0)  # no step where one goes over into the other
    assert torch.isnan(error[1]).all()


@pytest.mark.parametrize("component", [ELLIPSE, InclinedComponent()], ids=["q", "inclination"])
def test_the_plane_is_that_of_the_slopes(component):
    w = torch.tensor([[0.3, 0.1], [-0.02, 0.4]], dtype=torch.float64)
    plane = planes((0.1, 0.2), (0.02, 0.01)) + 1e-3 * torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=torch.float64)
    values = at(w, component)
    torch.testing.assert_close(in_plane(component, values, to_first_order(values, plane, component)), plane, rtol=1e-6, atol=1e-9)
    assert (shape_errors(component, values, plane)[0] > 0).all()


def test_nothing_known_nothing_said():
    w = torch.tensor([[0.1, 0.1]] * 2, dtype=torch.float64)
    plane = torch.stack([torch.full((2, 2), torch.nan, dtype=torch.float64), torch.zeros((2, 2), dtype=torch.float64)])
    assert torch.isnan(shape_errors(ELLIPSE, at(w), plane)).all()
    assert shape_errors(ELLIPSE, at(w)[:0], plane[:0]).shape == (0, 2)
