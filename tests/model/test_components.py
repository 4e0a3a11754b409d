"""Models of several components: what is shared and fixed, and what the catalogue says of them together."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from autogal.batch.grid_levels import renderers_at
from autogal.batch.least_squares import StampProblem
from autogal.configuration.composing import compose
from autogal.errors import AutogalError
from autogal.model import Model
from autogal.model.elliptical import EllipticalComponent
from autogal.model.plane import sky_image
from autogal.model.spec import build_model
from autogal.model.starts import component_starts
from autogal.profiles import DeVaucouleurs, Exponential, Sersic

BOUNDS = {"r_eff": (0.05, math.inf), "q": (0.05, 1.0)}
CENTRE = {"disk_x": "bulge_x", "disk_y": "bulge_y"}
MODEL = Model(
    (
        EllipticalComponent(DeVaucouleurs(), "bulge", BOUNDS),
        EllipticalComponent(Exponential(), "disk", BOUNDS),
    ),
    CENTRE,
)
ZEROPOINT = torch.tensor([25.0], dtype=torch.float64)
VALUES = dict(
    bulge_x=30.2,
    bulge_y=29.7,
    bulge_mag=19.0,
    bulge_r_eff=2.0,
    bulge_q=0.8,
    bulge_pa=40.0,
    disk_x=30.2,
    disk_y=29.7,
    disk_mag=18.0,
    disk_r_eff=6.0,
    disk_q=0.5,
    disk_pa=50.0,
    sky=0.3,
)


def test_a_tilted_sky_as_an_image():
    image = sky_image(("x", "sky", "sky_dx", "sky_dy"), np.array([7.0, 2.0, 0.1, -0.2]), (3, 5))
    assert (
        image[1, 2] == 2
        and image[0] - image[1] == pytest.approx(0.2)
        and image[:, 4] - image[:, 0] == pytest.approx(0.4)
    )
    part = sky_image(("x", "sky", "sky_dx", "sky_dy"), np.array([7.0, 2.0, 0.1, -0.2]), (2, 3), (1.0, -0.5))
    np.testing.assert_allclose(part, image[1:, :3], err_msg="a part is of the same plane")
    assert (sky_image(("x", "sky"), np.array([7.0, 2.0]), (3, 5)) == 2).all()


def given(model=MODEL, **changes):
    values = {**VALUES, **changes}
    return torch.tensor([[values.get(name, math.nan) for name in model.parameters]], dtype=torch.float64)


def test_values_survive_the_way_to_the_free_vector_and_back():
    free = MODEL.free(given(), ZEROPOINT)
    assert MODEL.size == free.shape[1] == len(MODEL.parameters) - 4, (
        "a shared centre, and two sums that are not fitted"
    )
    there = dict(zip(MODEL.parameters, MODEL.values(free, ZEROPOINT)[0].tolist(), strict=True))
    for name, value in VALUES.items():
        assert there[name] == pytest.approx(value, abs=1e-9), name
    bulge, disk = 10 ** (-0.4 * 19), 10 ** (-0.4 * 18)
    assert there["bt"] == pytest.approx(bulge / (bulge + disk))
    assert there["mag"] == pytest.approx(-2.5 * math.log10(bulge + disk))


def test_jacobian_of_values_and_sums():
    free = MODEL.free(given(), ZEROPOINT)
    got = MODEL.values_jacobian(free)[0]
    for i in range(MODEL.size):
        step = torch.zeros_like(free)
        step[0, i] = 1e-6 * max(1.0, abs(float(free[0, i])))
        expected = (MODEL.values(free + step, ZEROPOINT) - MODEL.values(free - step, ZEROPOINT))[0] / (
            2 * step[0, i]
        )
        torch.testing.assert_close(got[:, i], expected, rtol=1e-5, atol=1e-6)


def test_a_shared_parameter_moves_both():
    free = MODEL.free(given(), ZEROPOINT)
    free[0, 0] += 1.0
    there = dict(zip(MODEL.parameters, MODEL.values(free, ZEROPOINT)[0].tolist(), strict=True))
    assert there["bulge_x"] == there["disk_x"] == pytest.approx(31.2)


def test_a_fixed_parameter_stays_and_has_no_error():
    model = Model(
        (
            EllipticalComponent(Sersic(), "bulge", BOUNDS, fixed={"n": 3.0}),
            EllipticalComponent(Sersic(), "disk", BOUNDS),
        ),
        CENTRE,
    )
    free = model.free(given(model, bulge_n=1.0, disk_n=1.5), ZEROPOINT)
    there = dict(zip(model.parameters, model.values(free, ZEROPOINT)[0].tolist(), strict=True))
    assert there["bulge_n"] == pytest.approx(3.0) and there["disk_n"] == pytest.approx(1.5)
    assert (model.values_jacobian(free)[0, model.parameters.index("bulge_n")] == 0).all()


@pytest.mark.parametrize(
    ("components", "shared", "words"),
    [
        ((EllipticalComponent(name="a"), EllipticalComponent(name="a")), {}, "name of its own"),
        ((EllipticalComponent(), EllipticalComponent(name="b")), {}, "name of its own"),
        (
            (EllipticalComponent(name="a"), EllipticalComponent(name="b")),
            {"b_x": "c_x"},
            "'c_x' cannot be shared",
        ),
        (
            (EllipticalComponent(name="a"), EllipticalComponent(name="b")),
            {"b_mag": "a_mag"},
            "'b_mag' cannot be shared",
        ),
        (
            (EllipticalComponent(name="a"), EllipticalComponent(name="b"), EllipticalComponent(name="c")),
            {"c_x": "b_x", "b_x": "a_x"},
            "same parameter",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(components, shared, words):
    with pytest.raises(AutogalError, match=words):
        Model(components, shared)


def test_an_index_that_is_not_there_cannot_be_fixed():
    with pytest.raises(AutogalError, match="cannot be fixed"):
        EllipticalComponent(Exponential(), "disk", BOUNDS, fixed={"n": 1.0})


def problem(free):
    renderers = renderers_at(1, MODEL, (60, 60), 1, 1, torch.device("cpu"), torch.float64)
    y, x = np.mgrid[-12:13, -12:13]
    star = (1 + (x**2 + y**2) / 6.0) ** -3.0
    psf = renderers[0].grid.psf_transform(torch.from_numpy(star / star.sum())[None], False)
    data = torch.from_numpy(np.random.default_rng(3).normal(0, 1, (1, 60, 60)))
    for i, (renderer, native) in enumerate(zip(renderers, MODEL.native(free), strict=True)):
        data += renderer.image(native, psf) * free[0, MODEL.linear[i]]
    data += free[0, MODEL.linear[-1]]
    return StampProblem(MODEL, renderers, data, torch.ones_like(data), psf, torch.tensor([0]), 1)


def test_gradient_of_chi_square_and_the_exact_fluxes():
    truth = MODEL.free(given(bulge_mag=17.0, disk_mag=16.0), ZEROPOINT)
    here = truth.clone()
    here[0, [3, 6, 7]] += 0.1
    here[0, list(MODEL.linear)] *= 3.0
    chi2 = problem(truth)
    state = chi2.linearise(here, torch.tensor([0]))
    assert state.gradient[0, list(MODEL.linear)].abs().max() < 1e-6 * state.chi2[0], (
        "fluxes and sky are at their best"
    )
    for i in range(MODEL.size):
        if i in MODEL.linear:
            continue
        step = torch.zeros_like(here)
        step[0, i] = 1e-2
        change = (
            chi2.linearise(state.theta + step, torch.tensor([0])).chi2
            - chi2.linearise(state.theta - step, torch.tensor([0])).chi2
        )
        expected = -float(change) / (2 * 2 * 1e-2)
        scale = float(state.hessian[0, i, i].sqrt())
        assert abs(float(state.gradient[0, i]) - expected) < 0.02 * abs(expected) + 0.05 * scale, (
            f"parameter {i}"
        )


def test_components_start_from_a_single_profile_within_their_bounds():
    single = torch.tensor([[30.0, 30.0, 18.0, 5.0, 2.0, 0.6, 30.0, 0.0]], dtype=torch.float64)
    starts = component_starts(MODEL, single, ZEROPOINT)
    lower, upper = MODEL.bounds((60, 60), single)
    assert len(starts) > 1
    for start in starts:
        assert ((lower <= start) & (start <= upper)).all()
        there = dict(zip(MODEL.parameters, MODEL.values(start, ZEROPOINT)[0].tolist(), strict=True))
        assert there["bulge_r_eff"] < there["disk_r_eff"] and there["mag"] == pytest.approx(18.0)


@pytest.mark.parametrize(
    "name", sorted(p.stem for p in (Path(__file__).parents[2] / "conf" / "model").glob("*.yaml"))
)
def test_every_model_of_the_configuration_can_be_made(name):
    model = build_model(compose(overrides=[f"model={name}"]).model)
    assert "sky" in model.parameters and model.size > 2
