"""Errors of axis ratio and position angle, near round and far from it."""

from __future__ import annotations

import math

import pytest
import torch

from autogal.model.elliptical import EllipticalComponent
from autogal.model.inclined import InclinedComponent
from autogal.uncertainty import in_plane, plane_of, shape_errors

ELLIPSE = EllipticalComponent()


def at(w, component=ELLIPSE):
    """Catalogue values of galaxies whose vectors are `w` [B, 2]."""
    block = torch.zeros((len(w), component.size), dtype=torch.float64)
    block[:, 2], block[:, -2:] = 1.0, w
    return component.values(block, torch.zeros(len(w), dtype=torch.float64))


def planes(*pairs):
    """Covariances of standard deviations along the first axis and the second."""
    return torch.diag_embed(torch.tensor(pairs, dtype=torch.float64) ** 2)


def to_first_order(values, plane, component=ELLIPSE):
    slope = plane_of(component).slopes(values)
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
        torch.testing.assert_close(
            shape_errors(ELLIPSE, values[i : i + 1], plane[i : i + 1])[0], expected, rtol=0.02, atol=0
        )


def test_two_thirds_lie_inside_whatever_the_ellipticity():
    rng = torch.Generator().manual_seed(1)
    q, angle = (
        0.4 + 0.6 * torch.rand(20_000, generator=rng, dtype=torch.float64),
        2 * math.pi * torch.rand(20_000, generator=rng, dtype=torch.float64),
    )
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
            assert (
                inside(truth, values[:, -2:], errors, times) - expected
            ).abs().max() < 0.04  # an rms, of what is not normal
        rough = first.diagonal(dim1=-2, dim2=-1).sqrt()
        assert sigma < 0.1 or (
            inside(truth, values[:, -2:], rough).min() < 0.62
            and inside(truth, values[:, -2:], rough, 2.0).min() < 0.9
        )


def test_the_angle_of_a_circle_is_any():
    error = shape_errors(ELLIPSE, at(torch.tensor([[1e-6, 0.0]], dtype=torch.float64)), planes((0.1, 0.1)))[0]
    assert error[1] == pytest.approx(180 / math.sqrt(12), rel=1e-3)
    assert 0.05 < error[0] < 0.15  # half a normal distribution on one side of q = 1


def test_what_is_elongated_beyond_doubt_is_left_to_slopes():
    w = torch.tensor([[0.5, 0.0], [0.8, 0.0]], dtype=torch.float64)
    plane = planes((0.06, 0.06), (0.06, 0.06))
    error, first = (
        shape_errors(ELLIPSE, at(w), plane),
        to_first_order(at(w), plane).diagonal(dim1=-2, dim2=-1).sqrt(),
    )
    torch.testing.assert_close(
        error[0], first[0], rtol=0.05, atol=0
    )  # no step where one goes over into the other
    assert torch.isnan(error[1]).all()


@pytest.mark.parametrize("component", [ELLIPSE, InclinedComponent()], ids=["q", "inclination"])
def test_the_plane_is_that_of_the_slopes(component):
    w = torch.tensor([[0.3, 0.1], [-0.02, 0.4]], dtype=torch.float64)
    plane = planes((0.1, 0.2), (0.02, 0.01)) + 1e-3 * torch.tensor(
        [[0.0, 1.0], [1.0, 0.0]], dtype=torch.float64
    )
    values = at(w, component)
    torch.testing.assert_close(
        in_plane(component, values, to_first_order(values, plane, component)), plane, rtol=1e-6, atol=1e-9
    )
    assert (shape_errors(component, values, plane)[0] > 0).all()


BODY = InclinedComponent()


def seen(inclination, pa):
    """Catalogue values of bodies."""
    values = torch.ones((len(inclination), BODY.size), dtype=torch.float64)
    values[:, -2:] = torch.stack([inclination, pa], -1)
    return values


@pytest.mark.parametrize("component", [ELLIPSE, BODY], ids=["q", "inclination"])
def test_slopes_of_the_planes(component):
    values = at(torch.tensor([[0.3, 0.1], [-0.5, 0.4], [0.01, -0.02]], dtype=torch.float64), component)
    plane, steps = plane_of(component), 1e-5 * torch.eye(2, dtype=torch.float64)
    moved = [
        [
            (plane.vector(values + sign * torch.nn.functional.pad(step, (component.size - 2, 0))))
            for sign in (1, -1)
        ]
        for step in steps
    ]
    by_value = torch.stack([(up - down) / 2e-5 for up, down in moved], -1)
    torch.testing.assert_close(
        plane.slopes(values) @ by_value, torch.eye(2, dtype=torch.float64).expand(3, 2, 2), rtol=0, atol=1e-6
    )


def test_vectors_of_bodies_follow_the_sine():
    w = torch.tensor([[0.3, 0.1], [-2.0, 1.4], [8.0, 9.0], [1e-4, -2e-4]], dtype=torch.float64)
    sin2, slope = BODY.by_sine(w)
    place = plane_of(BODY).vector(at(w, BODY))
    torch.testing.assert_close(place.norm(dim=-1), sin2, rtol=1e-9, atol=0)
    step = 1e-3 * w
    there = plane_of(BODY).vector(at(w + step, BODY)) - plane_of(BODY).vector(at(w - step, BODY))
    torch.testing.assert_close((slope @ there[:, :, None])[..., 0], 2 * step, rtol=1e-3, atol=0)
    assert torch.isfinite(BODY.by_sine(torch.zeros((1, 2), dtype=torch.float64))[1]).all()
    torch.testing.assert_close(
        BODY.by_sine(torch.zeros((1, 2), dtype=torch.float64))[1][0], slope[3], rtol=1e-2, atol=1e-2
    )


def test_edge_on_the_inclination_is_as_far_off_as_disks_seen_from_anywhere_are():
    # an error of 1e-4 of cos^2 i, at 90 deg and beside it: the rms distance, by a sum over cos i; the angle
    # is known all the same
    values = seen(
        torch.tensor([90.0, 89.9, 89.0], dtype=torch.float64), torch.full((3,), 30.0, dtype=torch.float64)
    )
    sigma = torch.tensor([2e-4, 1e-3], dtype=torch.float64)  # along 2 (30 + 90) deg, and across
    turn = torch.tensor([[-0.5, -math.sqrt(0.75)], [math.sqrt(0.75), -0.5]], dtype=torch.float64).mT
    plane = (turn @ torch.diag(sigma**2) @ turn.mT).expand(3, 2, 2)
    error = shape_errors(BODY, values, plane)
    cos = torch.linspace(0, 0.1, 100_001, dtype=torch.float64)
    weight = torch.exp(-(((cos**2 - torch.deg2rad(values[:, -2:-1]).cos() ** 2) / sigma[0]) ** 2) / 2)
    off = torch.rad2deg(torch.acos(cos)) - values[:, -2:-1]
    expected = ((weight * off**2).sum(-1) / weight.sum(-1)).sqrt()
    torch.testing.assert_close(error[:, 0], expected, rtol=0.02, atol=0)
    torch.testing.assert_close(
        error[:, 1], torch.full((3,), math.degrees(sigma[1] / 2), dtype=torch.float64), rtol=0.02, atol=0
    )
    assert 0.5 < error[0, 0] < 1.0


@pytest.mark.parametrize(("low", "high"), [(80.0, 90.0), (0.0, 25.0)])
def test_two_thirds_of_bodies_lie_inside(low, high):
    rng = torch.Generator().manual_seed(2)
    ends = torch.deg2rad(torch.tensor([low, high], dtype=torch.float64)).cos()
    inclination = torch.rad2deg(
        torch.acos(ends[0] + (ends[1] - ends[0]) * torch.rand(5000, generator=rng, dtype=torch.float64))
    )
    truth = seen(inclination, 180 * torch.rand(5000, generator=rng, dtype=torch.float64))
    place = plane_of(BODY).vector(truth) + 0.01 * torch.randn((5000, 2), generator=rng, dtype=torch.float64)
    length, angle = (
        place.norm(dim=-1).clamp(max=1.0),
        torch.rad2deg(torch.atan2(place[:, 1], place[:, 0])) / 2 - 90,
    )
    values = seen(torch.rad2deg(torch.asin(length.sqrt())), angle)
    plane = planes((0.01, 0.01)).expand(5000, 2, 2)
    errors, first = (
        shape_errors(BODY, values, plane),
        to_first_order(values, plane, BODY).diagonal(dim1=-2, dim2=-1).sqrt(),
    )
    errors = torch.where(torch.isfinite(errors), errors, first)
    for times, expected in ((1.0, 0.6827), (2.0, 0.9545)):
        assert (
            inside(truth[:, -2:].clone(), values[:, -2:], errors, times) - expected
        ).abs().max() < 0.05  # an rms, of what is not normal
    assert low < 50 or first[:, 0].quantile(0.9) > 3 * errors[:, 0].quantile(
        0.9
    )  # slopes alone say nothing edge-on


def test_nothing_known_nothing_said():
    w = torch.tensor([[0.1, 0.1]] * 2, dtype=torch.float64)
    plane = torch.stack(
        [torch.full((2, 2), torch.nan, dtype=torch.float64), torch.zeros((2, 2), dtype=torch.float64)]
    )
    assert torch.isnan(shape_errors(ELLIPSE, at(w), plane)).all()
    assert shape_errors(ELLIPSE, at(w)[:0], plane[:0]).shape == (0, 2)
