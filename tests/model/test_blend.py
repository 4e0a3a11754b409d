"""A target and its neighbours in one vector: the same light and slopes as a model of as many components."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from autogal.batch.grid_levels import renderers_at
from autogal.batch.least_squares import StampProblem
from autogal.model import Model
from autogal.model.blend import Blend
from autogal.model.constrained import ConstrainedModel
from autogal.model.constraints import Constraints, Prior
from autogal.model.elliptical import EllipticalComponent
from autogal.model.expression import Expression
from autogal.model.plane import PlaneComponent
from autogal.model.point import PointComponent
from autogal.model.priors import fading
from autogal.model.units import Units

SHAPE = (40, 40)
ZEROPOINT = torch.tensor([25.0], dtype=torch.float64)
UNITS = Units(
    ZEROPOINT,
    torch.tensor([2.0], dtype=torch.float64),
    torch.tensor([1.0], dtype=torch.float64),
    torch.tensor([[60.0, -90.0]], dtype=torch.float64),
)
OWN = {"x": 18.0, "y": 19.5, "mag": 19.0, "r_eff": 3.0, "n": 1.5, "q": 0.6, "pa": 40.0}
OTHER = {"x": 29.0, "y": 22.0, "mag": 19.5, "r_eff": 2.0, "n": 2.5, "q": 0.8, "pa": 100.0}
POINT = {"x": 9.0, "y": 30.0, "mag": 20.0}
SKY = 0.2

GALAXY = EllipticalComponent(priors={"n": (2.0, 0.35), "q": (1.0, 0.43)})
BESIDE = (replace(GALAXY, name="neighbour1"), PointComponent("neighbour2"))


def row(*parts):
    return torch.tensor([[*(v for part in parts for v in part.values())]], dtype=torch.float64)


def problem(model):
    renderers = renderers_at(0, model, SHAPE, 1, 1, torch.device("cpu"), torch.float64)
    grid = renderers[0].grid
    y, x = torch.meshgrid(torch.arange(15.0) - 7, torch.arange(15.0) - 7, indexing="ij")
    star = torch.exp(-(x**2 + y**2) / (2 * 1.4**2)).double()
    psf = grid.psf_transform((star / star.sum())[None], False, 1)
    data = torch.randn((1, *SHAPE), dtype=torch.float64, generator=torch.Generator().manual_seed(3)) * 20 + 30
    return StampProblem(
        model,
        renderers,
        data,
        torch.full_like(data, 0.1),
        psf,
        torch.zeros(1, dtype=torch.long),
        1,
        units=UNITS,
    )


def starts(target, values):
    blend = Blend(target, BESIDE)
    return blend, blend.join(
        target.free(values, ZEROPOINT), blend.beside.free(row(OTHER, POINT, {"sky": 0.0}), ZEROPOINT)
    )


def test_the_same_problem_as_a_model_of_as_many_components():
    model = Model((replace(GALAXY, name="own"), *BESIDE))
    blend, free = starts(Model((GALAXY,)), row(OWN, {"sky": SKY}))
    assert blend.size == model.size and blend.parameters == ("x", "y", "mag", "r_eff", "n", "q", "pa", "sky")
    same = model.free(row(OWN, OTHER, POINT, {"sky": SKY}), ZEROPOINT)
    torch.testing.assert_close(free, same, rtol=1e-12, atol=1e-12)
    items = torch.zeros(1, dtype=torch.long)
    for one, other in zip(
        problem(blend).linearise(free, items), problem(model).linearise(same, items), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(blend.values(free, ZEROPOINT), row(OWN, {"sky": SKY}), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(torch.stack(blend.amplitudes(free)), torch.stack(model.amplitudes(same)))


@pytest.mark.parametrize(
    "target",
    [
        Model((GALAXY, PlaneComponent())),
        ConstrainedModel((GALAXY,), {}, Constraints(ties={"pa": Expression.parse("180 * q - 68")})),
        ConstrainedModel(
            (GALAXY,), {}, Constraints(priors={"mag": Prior(18.0, 0.1), "sky": Prior(0.5, 0.1)})
        ),
        ConstrainedModel(
            (GALAXY, PlaneComponent()),
            {},
            Constraints(priors={"sky": Prior(0.5, 0.1), "sky_dx": Prior(0.0, 0.01)}),
        ),
        Model((GALAXY,), holds_sky=True),
    ],
    ids=["tilted sky", "tied", "held by priors", "tilted sky held by priors", "sky held"],
)
def test_slopes_by_differences(target):
    sky = {"sky": 30.0 if target.holds_sky else SKY}  # far off, its pull would show what tables interpolate
    values = row(OWN, {"sky_dx": 0.01, "sky_dy": -0.02} if "sky_dx" in target.parameters else {}, sky)
    blend, free = starts(target, values)
    stamps, items = problem(blend), torch.zeros(1, dtype=torch.long)
    # at the best linear parameters nothing moves but what is asked for
    free = stamps.linearise(free, items).theta
    state = stamps.linearise(free, items)
    for place in set(range(blend.size)) - set(blend.linear):
        step = torch.zeros_like(free)
        step[:, place] = 1e-5
        costs = [_cost(stamps, free + sign * step, items) for sign in (1, -1)]
        slope = (costs[1] - costs[0]) / 2e-5 / 2
        assert slope.item() == pytest.approx(
            state.gradient[0, place].item(), rel=0.02, abs=0.05
        )  # tables are interpolated
    jacobian = blend.values_jacobian(free)
    for place in range(blend.size):
        step = torch.zeros_like(free)
        step[:, place] = 1e-6 * free[:, place].abs().clamp(min=1.0)
        by_steps = (blend.values(free + step, ZEROPOINT) - blend.values(free - step, ZEROPOINT)) / (
            2 * step[:, place]
        )
        torch.testing.assert_close(jacobian[..., place], by_steps, rtol=1e-5, atol=1e-6)


def _cost(stamps, free, items):
    return stamps.residuals(free, items).square().sum() + stamps.penalty(free, items)[0]


@pytest.mark.parametrize("target", [EllipticalComponent(), GALAXY], ids=["without priors", "with priors"])
@pytest.mark.parametrize(
    "beside", [BESIDE, (PointComponent("neighbour1"),)], ids=["a galaxy and a star", "a star"]
)
def test_moved_means_of_priors_come_to_the_model_that_has_them(target, beside):
    blend = Blend(Model((target,)), beside)
    parts = [row(OTHER, POINT, {"sky": 0.0}) if len(beside) == 2 else row(POINT, {"sky": 0.0})]
    free = blend.join(
        blend.target.free(row(OWN, {"sky": SKY}), ZEROPOINT), blend.beside.free(*parts, ZEROPOINT)
    )
    moved = torch.linspace(0.5, 1.5, len(blend.prior_terms), dtype=torch.float64)[None]
    (one, slope, curvature), (was, before, _same) = blend.prior(free, moved=moved), blend.prior(free)
    # in units of the widths: (off - moved)^2 - off^2
    missed = [
        pull.missed({}, torch.cat(model.blocks(part), 1)) * pull.precision**0.5
        for model, part in zip((blend.target, blend.beside), blend.split(free))
        for pull in model.prior_terms
    ]
    weight = torch.tensor([pull.precision for pull in blend.prior_terms], dtype=torch.float64)
    off = torch.stack(missed, 1) if missed else moved
    square, kept = fading(blend.prior_terms, (off - moved) / weight.sqrt())
    torch.testing.assert_close(one, (square * weight).sum(1))
    torch.testing.assert_close(was, (fading(blend.prior_terms, off / weight.sqrt())[0] * weight).sum(1))
    assert bool((curvature.diagonal(dim1=1, dim2=2) >= 0).all()) and (kept is None or bool((kept <= 1).all()))
    assert bool((slope != before).any()) == bool(blend.prior_terms)
