"""Catalogue values and the free vector that the solver moves: one to one, smooth, and differentiated
right."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from autogal.model import Model

ZEROPOINT = torch.tensor([25.0], dtype=torch.float64)
NAMES = ("x", "y", "mag", "r_eff", "n", "q", "pa", "sky")


def values(**changes):
    row = {
        "x": 31.2,
        "y": 30.1,
        "mag": 18.3,
        "r_eff": 5.0,
        "n": 1.7,
        "q": 0.6,
        "pa": 40.0,
        "sky": -0.3,
    } | changes
    return torch.tensor([[row[name] for name in NAMES]], dtype=torch.float64)


def random_values(count=200, seed=0):
    rng = np.random.default_rng(seed)
    columns = [
        rng.uniform(-20, 150, count),
        rng.uniform(-20, 150, count),
        rng.uniform(14, 28, count),
        np.exp(rng.uniform(-2, 4, count)),
        np.exp(rng.uniform(np.log(0.2), np.log(10), count)),
        rng.uniform(0.055, 0.999, count),
        rng.uniform(0, 180, count),
        rng.normal(0, 10, count),
    ]
    return torch.from_numpy(np.stack(columns, axis=1))


def test_parameters_in_the_order_of_the_catalogue():
    assert Model().parameters == NAMES and Model().size == 8


def test_values_come_back():
    model, there = Model(), random_values()
    zeropoint = torch.linspace(20, 30, len(there), dtype=torch.float64)
    back = model.values(model.free(there, zeropoint), zeropoint)
    turn = (back[:, 6] - there[:, 6] + 90) % 180 - 90
    back[:, 6] = there[:, 6] + turn
    torch.testing.assert_close(back, there, rtol=1e-8, atol=1e-7)


def test_flux_of_the_zero_point_is_one():
    assert Model().free(values(mag=25.0), ZEROPOINT)[0, 2].item() == pytest.approx(1.0)
    assert Model().free(values(mag=22.5), ZEROPOINT)[0, 2].item() == pytest.approx(10.0)


def test_angle_stays_in_range_and_turns_without_a_jump():
    model = Model()
    free = torch.cat([model.free(values(pa=pa), ZEROPOINT) for pa in (179.99, 0.01, 180.01, -0.01)])
    # 179.99 and -0.01 degrees are the same ellipse, and next to 0.01 in the free vector
    torch.testing.assert_close(free[0], free[3], rtol=0, atol=1e-9)
    assert (free[0] - free[1]).abs().max() < 2e-3
    angles = model.values(free, ZEROPOINT.expand(4))[:, 6]
    assert ((angles >= 0) & (angles < 180)).all()


def test_roundness_is_passed_through_smoothly():
    # a straight line in the free vector across q = 1 turns the ellipse by 90 degrees, and q touches 1 only
    # there
    model = Model()
    free = model.free(values(q=0.9, pa=20.0), ZEROPOINT)
    line = torch.linspace(1, -1, 41, dtype=torch.float64)
    path = free.repeat(41, 1)
    path[:, 5:7] *= line[:, None]
    out = model.values(path, ZEROPOINT.expand(41))
    assert out[0, 6].item() == pytest.approx(20.0) and out[-1, 6].item() == pytest.approx(110.0)
    assert out[20, 5].item() == pytest.approx(1.0, abs=1e-9)
    assert (
        torch.isfinite(out).all() and (out[:, 5] <= 1).all() and (out[1:, 5] - out[:-1, 5]).abs().max() < 0.02
    )
    assert torch.isfinite(model.native(path)[0]).all() and torch.isfinite(model.image_jacobian(path)).all()


def test_thinnest_is_never_passed():
    model = Model()
    free = model.free(values(), ZEROPOINT).repeat(3, 1)
    free[:, 5:7] = torch.tensor([[5.0, 0.0], [50.0, -20.0], [0.0, 1e4]])
    q = model.values(free, ZEROPOINT.expand(3))[:, 5]
    assert ((q >= 0.01 * (1 - 1e-12)) & (q < 0.03)).all()
    assert (
        torch.isfinite(model.free(values(q=0.01), ZEROPOINT)).all()
        and torch.isfinite(model.free(values(q=0.001), ZEROPOINT)).all()
    )


def numerical(function, free, step=1e-6):
    columns = []
    for i in range(free.shape[1]):
        move = torch.zeros_like(free)
        move[:, i] = step * free[:, i].abs().clamp(min=1.0)
        columns.append((function(free + move) - function(free - move)) / (2 * move[:, i : i + 1]))
    return torch.stack(columns, dim=-1)


def test_jacobian_of_the_values():
    model, there = Model(), random_values(60, seed=1)
    there[:, 2] = there[:, 2].clamp(min=20)
    zeropoint = ZEROPOINT.expand(len(there))
    free = model.free(there, zeropoint)
    expected = numerical(lambda f: model.values(f, zeropoint), free)
    usual = ((there[:, 6] > 0.1) & (there[:, 6] < 179.9) & (there[:, 5] < 0.99))[:, None, None]
    got = model.values_jacobian(free)
    assert usual.sum() > 50
    torch.testing.assert_close(
        torch.where(usual, got, 0), torch.where(usual, expected, 0), rtol=1e-4, atol=1e-4
    )


def test_jacobian_of_a_round_galaxy_is_finite_but_for_its_angle():
    jacobian = Model().values_jacobian(Model().free(values(q=1.0), ZEROPOINT))[0]
    others = [i for i, name in enumerate(NAMES) if name != "pa"]
    assert torch.isfinite(jacobian[others]).all()


def test_light_follows_the_free_vector_as_what_is_drawn_does():
    model = Model()
    free = model.free(random_values(50, seed=2), ZEROPOINT.expand(50))
    keep = [i for i in range(model.size) if i not in model.linear]
    expected = numerical(lambda f: model.native(f)[0], free)[:, :, keep]
    lift = model.image_jacobian(free)
    torch.testing.assert_close(
        lift[:, 1:-1][:, :, keep] / free[:, 2, None, None], expected, rtol=1e-5, atol=1e-6
    )
    assert (lift[:, 0, 2] == 1).all() and (lift[:, -1, -1] == 1).all()


def test_box_holds_the_start_and_keeps_the_centre_near_the_stamp():
    model = Model()
    lower, upper = model.bounds((64, 100), torch.zeros(1, dtype=torch.float64))
    free = model.free(values(), ZEROPOINT)[0]
    assert ((lower < free) & (free < upper)).all()
    assert lower[0] == -25 and upper[0] == 125 and lower[1] == -16 and upper[1] == 80
