"""Derivatives of the drawn image, and the gradient of chi-square, against central differences in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from autogal.batch.grid_levels import model_level, renderer_at
from autogal.batch.least_squares import StampProblem
from autogal.model import Model

from .brute_force import Gaussian, sersic_image

ZEROPOINT = torch.tensor([0.0], dtype=torch.float64)
SHAPE = (48, 56)
PSF = Gaussian(1.7)  # FWHM 4 px
GALAXIES = {
    "usual": dict(x=27.3, y=23.6, r_eff=4.0, n=1.5, q=0.6, pa=40.0),
    "round": dict(x=27.3, y=23.6, r_eff=4.0, n=1.0, q=1.0, pa=0.0),
    "nearly round": dict(x=27.3, y=23.6, r_eff=3.0, n=2.0, q=0.9999, pa=77.0),
    "thin": dict(x=28.0, y=23.0, r_eff=6.0, n=1.0, q=0.06, pa=110.0),
    "angle just above 0": dict(x=27.0, y=24.0, r_eff=4.0, n=1.0, q=0.4, pa=0.01),
    "angle just below 180": dict(x=27.0, y=24.0, r_eff=4.0, n=1.0, q=0.4, pa=179.99),
    "all wing": dict(x=26.6, y=22.9, r_eff=40.0, n=4.0, q=0.5, pa=60.0),
    "large disk": dict(x=26.6, y=22.9, r_eff=35.0, n=0.8, q=0.7, pa=15.0),
    "off the stamp": dict(x=-4.3, y=30.2, r_eff=8.0, n=1.5, q=0.5, pa=100.0),
    "cuspy": dict(x=27.2, y=23.4, r_eff=3.0, n=8.0, q=0.7, pa=140.0),
    "flat core": dict(x=27.2, y=23.4, r_eff=5.0, n=0.3, q=0.7, pa=140.0),
    "point-like": dict(x=27.2, y=23.4, r_eff=0.1, n=1.0, q=0.7, pa=140.0),
}


def free_vector(galaxy, flux=1.0, sky=0.0):
    row = [
        galaxy["x"],
        galaxy["y"],
        -2.5 * np.log10(flux),
        galaxy["r_eff"],
        galaxy["n"],
        galaxy["q"],
        galaxy["pa"],
        sky,
    ]
    return Model().free(torch.tensor([row], dtype=torch.float64), ZEROPOINT)


def drawing(free, binning=1, psf=None):
    """The renderer that the galaxy needs, and the PSF on its grid."""
    model = Model()
    level = (
        0
        if binning > 1
        else int(model_level(model, SHAPE, model.native(free), torch.tensor([4.0], dtype=torch.float64)))
    )
    renderer = renderer_at(
        level, model.components[0].profile, SHAPE, 1, binning, torch.device("cpu"), torch.float64
    )
    star = torch.from_numpy(PSF.star(33) if psf is None else psf)
    return renderer, renderer.grid.psf_transform(star[None], False)


def test_the_set_of_galaxies_needs_every_kind_of_grid():
    grids = {drawing(free_vector(g))[0].grid.period for g in GALAXIES.values()}
    assert len(grids) >= 3


def integral(native):
    """The same galaxy, of the renderer's own parameters, by the independent integral."""
    x, y, log_r, log_n, e1, e2 = native[0].tolist()
    eta = np.hypot(e1, e2)
    return sersic_image(PSF, SHAPE, x=x, y=y, r_eff=np.exp(log_r + eta / 2), n=np.exp(log_n), q=np.exp(-eta),
                        pa=np.degrees(np.arctan2(e2, e1)) / 2 - 90)  # fmt: skip


@pytest.mark.parametrize("name", GALAXIES)
def test_image_by_every_parameter_of_the_renderer(name):
    # differences of the integral, not of the renderer: its interpolated tables are smooth to 1e-5, their
    # slopes less so
    free = free_vector(GALAXIES[name])
    renderer, psf = drawing(free)
    native = Model().native(free)[0]
    image, *columns = renderer.draw(native, psf)[0].numpy()
    truth = integral(native)
    assert np.abs(image - truth).max() < 2e-4 * truth.max()
    for i, column in enumerate(columns):
        step = torch.zeros_like(native)
        step[0, i] = 1e-3
        expected = (integral(native + step) - integral(native - step)) / 2e-3
        error = np.abs(column - expected).max() / max(np.abs(expected).max(), 0.01 * truth.max())
        assert error < 2e-3, f"parameter {i}: {error:.1e}"


@pytest.mark.parametrize("name", [n for n in GALAXIES if n != "point-like"])
def test_gradient_of_chi_square(name):
    model = Model()
    free = free_vector(GALAXIES[name], flux=1000.0, sky=0.2)
    renderer, psf = drawing(free)
    rng = np.random.default_rng(5)
    truth = free.clone()
    truth[0, [0, 1, 3, 4, 5, 6]] += torch.from_numpy(rng.normal(0, 0.05, 6))
    image = renderer.draw(model.native(truth)[0], psf)[:, 0] * truth[0, 2]
    sigma = float(image.max()) / 50
    data = (image + 0.1 * sigma + torch.from_numpy(rng.normal(0, sigma, image.shape))) / sigma
    weight = torch.ones_like(data)
    weight[0, 10:14, 8:20] = 0.0  # a masked neighbour
    problem = StampProblem(
        model=model,
        renderers=(renderer,),
        data=data,
        weight=weight,
        psf=psf,
        psf_index=torch.tensor([0]),
        chunk=1,
    )
    free[0, 2] /= sigma
    item = torch.tensor([0])
    state = problem.linearise(free, item)
    assert (
        state.gradient[0, list(model.linear)].abs().max() < 1e-6 * state.chi2[0]
    )  # flux and sky are at their best
    errors = state.hessian.diagonal(dim1=-2, dim2=-1).rsqrt()[0]
    for i in (0, 1, 3, 4, 5, 6):
        step = torch.zeros_like(free)
        step[0, i] = (
            3e-2  # wide enough to even out the interpolation of the tables; the rule is of fourth order
        )
        one, two = (
            float(
                problem.linearise(state.theta + m * step, item).chi2
                - problem.linearise(state.theta - m * step, item).chi2
            )
            for m in (1, 2)
        )
        numerical = (8 * one - two) / (12 * 3e-2)
        # in units of the parameter's error: how far from the minimum a solver would stop
        off = abs(numerical + 2 * float(state.gradient[0, i])) * float(errors[i])
        assert off < 0.01 * (1 + abs(numerical) * float(errors[i])), f"parameter {i}: {off:.1e}"


def test_linearise_does_not_depend_on_the_company():
    model = Model()
    free = torch.cat([free_vector(g, flux=500.0) for g in list(GALAXIES.values())[:3]])
    renderer, psf = drawing(free[:1])
    data = torch.from_numpy(np.random.default_rng(1).normal(0, 1, (3, *SHAPE)))
    make = lambda chunk: StampProblem(
        model=model,
        renderers=(renderer,),
        data=data,
        weight=torch.ones_like(data),
        psf=psf,
        psf_index=torch.zeros(3, dtype=torch.long),
        chunk=chunk,
    )
    together = make(3).linearise(free, torch.arange(3))
    for i in range(3):
        alone = make(1).linearise(free[i : i + 1], torch.tensor([i]))
        for one, many in zip(alone, together, strict=True):
            torch.testing.assert_close(one[0], many[i], rtol=1e-9, atol=1e-9)


def test_pixels_of_no_weight_hold_anything():
    model, free = Model(), free_vector(GALAXIES["usual"], flux=500.0)
    renderer, psf = drawing(free)
    data = torch.from_numpy(np.random.default_rng(1).normal(0, 1, (1, *SHAPE)))
    weight = torch.ones_like(data)
    weight[0, :, 40:] = 0.0
    other = data.clone()
    other[0, :, 40:] = 1e6
    states = [
        StampProblem(
            model=model,
            renderers=(renderer,),
            data=d,
            weight=weight,
            psf=psf,
            psf_index=torch.tensor([0]),
            chunk=1,
        ).linearise(free, torch.tensor([0]))
        for d in (data, other)
    ]
    for one, two in zip(*states, strict=True):
        torch.testing.assert_close(one, two)


@pytest.mark.parametrize("name", ["usual", "round", "thin", "off the stamp"])
def test_binned_image_is_the_mean_of_its_pixels(name):
    free = free_vector(GALAXIES[name])
    fine = drawing(free)
    coarse = drawing(free, binning=2)
    image = fine[0].draw(Model().native(free)[0], fine[1])[0, 0]
    binned = coarse[0].draw(Model().native(free)[0], coarse[1])[0, 0]
    means = torch.nn.functional.avg_pool2d(image[None, None], 2)[0, 0]
    assert (binned - means).abs().max() < 5e-3 * means.max()
