"""Every profile as the engine draws it: against integrals in real space, against GalSim, and its
derivatives."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import autogal
from autogal.batch.grid_levels import model_level, renderers_at
from autogal.errors import AutogalError
from autogal.model import Model
from autogal.model.elliptical import EllipticalComponent
from autogal.model.plane import PlaneComponent, move_sky
from autogal.model.point import PointComponent
from autogal.profiles import PROFILES

from .brute_force import Gaussian, profile_image
from .galsim_truth import ACCURATE, galsim, optics, sample

PSF, SHAPE = Gaussian(1.5), (48, 52)  # FWHM 3.5 px
PLACE = dict(x=26.3, y=23.6)
ZEROPOINT = torch.zeros(1, dtype=torch.float64)
CASES = {
    "gaussian": [dict(fwhm=6.0), dict(fwhm=0.2)],
    "moffat": [dict(fwhm=4.0, beta=1.5), dict(fwhm=8.0, beta=8.0)],
    "king": [
        dict(r_core=2.0, r_tidal=15.0, alpha=2.0),
        dict(r_core=5.0, r_tidal=9.0, alpha=1.0),
        dict(r_core=0.2, r_tidal=60.0, alpha=4.0),
    ],
    "ferrer": [
        dict(r_out=15.0, alpha=2.0, beta=0.1),
        dict(r_out=12.0, alpha=0.5, beta=1.0),
        dict(r_out=0.3, alpha=1.0, beta=0.1),
    ],
    "broken_exponential": [
        dict(h_in=6.0, h_out=2.0, r_break=12.0, sharpness=5.0),
        dict(h_in=3.0, h_out=6.0, r_break=9.0, sharpness=100.0),
    ],
    "core_sersic": [
        dict(r_sersic=8.0, n=4.0, r_break=1.0, gamma=0.1, alpha=5.0),
        dict(r_sersic=4.0, n=2.0, r_break=2.0, gamma=1.0, alpha=20.0),
    ],
    "nuker": [
        dict(r_break=3.0, alpha=2.0, beta=2.5, gamma=0.2),
        dict(r_break=2.0, alpha=1.0, beta=1.2, gamma=1.0),
    ],
}
GALAXIES = [
    (name, case, q, pa)
    for name, cases in CASES.items()
    for i, case in enumerate(cases)
    for q, pa in (((0.6, 30.0), (0.05, 120.0))[i % 2],)
]


def free_vector(model, values):
    return model.free(
        torch.tensor([[values.get(name, 0.0) for name in model.parameters]], dtype=torch.float64), ZEROPOINT
    )


def drawing(model, free):
    """The renderer and the PSF of the grid that a model of one component needs."""
    level = int(model_level(model, SHAPE, model.native(free), torch.tensor([3.5], dtype=torch.float64)))
    renderer = renderers_at(level, model, SHAPE, 1, 1, torch.device("cpu"), torch.float64)[0]
    return renderer, renderer.grid.psf_transform(torch.from_numpy(PSF.star(33))[None], False)


def integral(name, case, q, pa):
    profile = PROFILES[name]()
    size = case[profile.size.name]
    shape = torch.tensor(
        [[math.log(case[s.name] / (size if s.length else 1.0)) for s in profile.shape]], dtype=torch.float64
    )
    end = case.get("r_tidal", case.get("r_out", 3000.0))
    corners = [1e-4, *([case["r_break"]] if "r_break" in case else []), end]
    return profile_image(
        PSF,
        SHAPE,
        lambda r: (
            profile.intensity(torch.log(torch.from_numpy(r)[None] / size), shape)[0].numpy() / (q * size**2)
        ),
        corners,
        **PLACE,
        q=q,
        pa=pa,
    )


@pytest.mark.parametrize(("name", "case", "q", "pa"), GALAXIES)
def test_against_the_integral(name, case, q, pa):
    model = Model((EllipticalComponent(PROFILES[name](), bounds={"q": (0.03, 1.0)}),))
    values = {**PLACE, **case, "q": q, "pa": pa}
    free = free_vector(model, values)
    back = dict(zip(model.parameters, model.values(free, ZEROPOINT)[0].tolist(), strict=True))
    assert all(back[key] == pytest.approx(value, rel=1e-9) for key, value in values.items())
    renderer, psf = drawing(model, free)
    image, truth = renderer.image(model.native(free)[0], psf)[0].numpy(), integral(name, case, q, pa)
    assert (
        np.abs(image - truth).max() < (2e-3 if name == "nuker" else 1e-3) * truth.max()
    )  # light without end, q = 0.05
    assert np.abs(image - truth).sum() < (5e-3 if name == "nuker" else 2e-3) * truth.sum()


@pytest.mark.parametrize(
    ("name", "case", "q", "pa"), [g for g in GALAXIES if next(iter(g[1].values())) >= 1 and g[2] > 0.1]
)
def test_light_follows_every_free_parameter(name, case, q, pa):
    # Lengths among the own parameters are drawn as ratios to the size: the size moves them too. Of light that
    # ends at once and is smaller than a pixel, the derivative by size is wrong by 0.6 % of the light itself,
    # which a free flux takes up.
    model = Model((EllipticalComponent(PROFILES[name]()),))
    free = free_vector(model, {**PLACE, **case, "q": q, "pa": pa})
    renderer, psf = drawing(model, free)
    rows = torch.cat(
        [renderer.draw(model.native(free)[0], psf), torch.ones(1, 1, *SHAPE, dtype=torch.float64)], dim=1
    )[0]
    slopes = torch.einsum("rp,rhw->phw", model.image_jacobian(free)[0], rows)
    peak = rows[0].max()
    for i in range(model.size):
        if i in model.linear:
            continue
        step = torch.zeros_like(free)
        step[0, i] = (
            2e-2  # wide enough to even out the interpolation of the tables; the rule is of fourth order
        )
        image = lambda m: renderer.image(model.native(free + m * step)[0], psf)[0]
        expected = (8 * (image(1) - image(-1)) - (image(2) - image(-2))) / (12 * 2e-2)
        assert (slopes[i] - expected).abs().max() < 5e-3 * expected.abs().max() + 2e-4 * peak, (
            model.parameters[i]
        )


@pytest.mark.parametrize("name", [n for n in PROFILES if n != "point_source"])
def test_jacobian_of_the_values(name):
    model = Model((EllipticalComponent(PROFILES[name]()),))
    profile = model.components[0].profile
    own = {
        s.name: v * (3.0 if s.length else 1.0)
        for s, v in zip(profile.shape, (profile.typical or ((),))[0], strict=True)
    }
    free = free_vector(model, {**PLACE, profile.size.name: 3.0, **own, "q": 0.5, "pa": 40.0})
    got = model.values_jacobian(free)[0]
    for i in range(model.size):
        step = torch.zeros_like(free)
        step[0, i] = 1e-6
        expected = (model.values(free + step, ZEROPOINT) - model.values(free - step, ZEROPOINT))[0] / 2e-6
        torch.testing.assert_close(got[:, i], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["gaussian", "moffat"])
def test_against_galsim(name):
    psf, q, pa, shape = optics(), 0.4, 70.0, (64, 60)
    light = {
        "gaussian": lambda f: galsim.Gaussian(fwhm=f, gsparams=ACCURATE),
        "moffat": lambda f: galsim.Moffat(beta=3.0, fwhm=f, gsparams=ACCURATE),
    }[name]
    table = dict(x=[29.4], y=[31.8], flux=[1.0], fwhm=[8.0], q=[q], pa=[pa]) | (
        {"beta": [3.0]} if name == "moffat" else {}
    )
    drawn = autogal.render(table, model=name, psf=sample(psf), shape=shape)[0]
    galaxy = galsim.Convolve(
        light(8.0 * np.sqrt(q)).shear(q=q, beta=(pa + 90) * galsim.degrees), psf, gsparams=ACCURATE
    )
    truth = galaxy.drawImage(
        nx=shape[1], ny=shape[0], scale=1, offset=(29.4 - 29.5, 31.8 - 31.5), dtype=float
    ).array
    assert np.abs(drawn - truth).max() < 5e-4 * truth.max()


@pytest.mark.parametrize("oversample", [1, 3])
def test_a_point_source_is_the_psf(oversample):
    psf = optics()
    drawn = autogal.render(
        dict(x=[29.37], y=[31.81], flux=[1.0]),
        model="point_source",
        shape=(64, 60),
        psf_oversample=oversample,
        psf=sample(psf, (61 * oversample, 61 * oversample), oversample=oversample),
    )[0]
    truth = psf.drawImage(nx=60, ny=64, scale=1, offset=(29.37 - 29.5, 31.81 - 31.5), dtype=float).array
    assert np.abs(drawn - truth).max() < 2e-3 * truth.max() and drawn.sum() == pytest.approx(
        truth.sum(), abs=2e-3
    )


def test_derivatives_of_a_point_source():
    model = Model((PointComponent(),))
    free = free_vector(model, PLACE)
    renderer, psf = drawing(model, free)
    _, *slopes = renderer.draw(model.native(free)[0], psf)[0]
    for i, slope in enumerate(slopes):
        step = torch.zeros_like(free)
        step[0, i] = 1e-4
        expected = (
            renderer.image(model.native(free + step)[0], psf)
            - renderer.image(model.native(free - step)[0], psf)
        )[0] / 2e-4
        torch.testing.assert_close(slope, expected, rtol=1e-6, atol=1e-9)


def test_the_level_of_a_tilted_sky_moves_with_its_place():
    parameters = ("mag", "sky_dx", "sky_dy", "sky")
    values, covariance = np.array([[20.0, 0.5, -0.25, 3.0]]), np.diag([1.0, 4.0, 9.0, 1.0])[None].copy()
    move_sky(parameters, values, covariance, np.array([[2.0, 4.0]]))
    assert values[0, 3] == 3.0 and covariance[0, 3, 3] == 1 + 4 * 4 + 16 * 9 and covariance[0, 3, 1] == 8
    assert covariance[0, 0, 0] == 1 and np.allclose(covariance[0], covariance[0].T)
    covariance = np.diag([1.0, np.nan, 9.0, 1.0])[None].copy()  # a slope at its bound
    move_sky(parameters, values, covariance, np.array([[2.0, 4.0]]))
    assert np.isnan(covariance[0, 1, 1]) and covariance[0, 3, 3] == 1 + 16 * 9


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Model((PlaneComponent(),)), "source of light"),
        (
            lambda: EllipticalComponent(
                PROFILES["gaussian"](), bounds={"q": (0.05, 1.0), "r_eff": (1.0, 2.0)}
            ),
            "bounds on 'r_eff'",
        ),
        (
            lambda: EllipticalComponent(PROFILES["moffat"](), bounds={"q": (0.05, 1.0), "beta": (0.9, 5.0)}),
            "bounds of beta",
        ),
        (
            lambda: EllipticalComponent(PROFILES["king"](), bounds={"q": (0.05, 1.0), "alpha": (3.0, 2.0)}),
            "bounds of alpha",
        ),
        (lambda: EllipticalComponent(PROFILES["king"](), fixed={"r_tidal": 3.0}), "cannot be fixed"),
    ],
)
def test_what_makes_no_sense_is_refused(make, words):
    with pytest.raises(AutogalError, match=words):
        make()
