"""Boxy, disky, lopsided and bent galaxies: drawn against integrals in real space, and the derivatives of
what is drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

import autogal
from autogal.batch.grid_levels import model_level, renderers_at
from autogal.errors import AutogalError
from autogal.model.spec import build_model
from autogal.profiles import PROFILES, RadialProfile

from .brute_force import Contour, Gaussian, sersic_image

PSF, SHAPE = Gaussian(1.3), (72, 80)  # FWHM 3 px
PLACE = dict(x=40.3, y=35.6)
ZEROPOINT = torch.zeros(1, dtype=torch.float64)
# r_eff, n, q, pa, c0, modes (m, amplitude, phase)
GALAXIES = {
    "boxy": (6.0, 1.0, 0.6, 35.0, 0.6, ()),
    "disky": (12.0, 1.0, 0.5, 120.0, -0.6, ()),
    "small, cuspy and disky": (2.0, 4.0, 0.3, 80.0, -0.6, ()),
    "lopsided": (8.0, 0.5, 0.7, 1.0, None, ((1, 0.2, 70.0),)),
    "bent": (5.0, 2.0, 0.9, 160.0, None, ((1, 0.1, -100.0), (3, 0.2, 10.0))),
    "square": (5.0, 1.0, 0.99, 10.0, None, ((4, 0.2, 30.0),)),
    "with ten corners": (8.0, 1.0, 0.8, 10.0, None, ((10, 0.1, 5.0),)),
    "everything": (7.0, 1.5, 0.5, 100.0, 0.3, ((1, 0.15, 30.0), (3, 0.1, -20.0), (4, 0.1, 10.0))),
}


def model_of(boxiness, modes, profile="sersic", **said):
    return build_model(
        OmegaConf.create({"profile": profile, "boxiness": boxiness, "fourier": list(modes)} | said)
    )


def galaxy(name):
    """The model of one of `GALAXIES`, its catalogue values, and its free vector."""
    r_eff, n, q, pa, c0, modes = GALAXIES[name]
    model = model_of(c0 is not None, [m for m, *_ in modes])
    values = dict(PLACE, mag=0.0, r_eff=r_eff, n=n, q=q, pa=pa, sky=0.0, **({} if c0 is None else {"c0": c0}))
    values |= {f"{kind}m{m}": v for m, a, phase in modes for kind, v in (("a", a), ("p", phase))}
    return (
        model,
        values,
        model.free(torch.tensor([[values[key] for key in model.parameters]], dtype=torch.float64), ZEROPOINT),
    )


def drawing(model, free, shape=SHAPE, binning=1):
    native = model.native(free)
    level = (
        0
        if binning > 1
        else int(model_level(model, shape, native, torch.tensor([3.06], dtype=torch.float64)))
    )
    renderer = renderers_at(level, model, shape, 1, binning, torch.device("cpu"), torch.float64)[0]
    return renderer, renderer.grid.psf_transform(torch.from_numpy(PSF.star(33))[None], False), native[0]


@pytest.mark.parametrize("name", GALAXIES)
def test_against_the_integral(name):
    model, values, free = galaxy(name)
    back = dict(zip(model.parameters, model.values(free, ZEROPOINT)[0].tolist(), strict=True))
    assert all(back[key] == pytest.approx(value, rel=1e-6, abs=1e-9) for key, value in values.items())
    renderer, psf, native = drawing(model, free)
    image = renderer.image(native, psf)[0].numpy()
    r_eff, n, q, pa, c0, modes = GALAXIES[name]
    truth = sersic_image(
        PSF, SHAPE, **PLACE, r_eff=r_eff, n=n, q=q, pa=pa, panels=60, contour=Contour(c0 or 0.0, modes)
    )
    assert np.abs(image - truth).max() < 3e-4 * truth.max()
    assert np.abs(image - truth).sum() < 2e-3 * truth.sum()


def test_without_any_it_is_the_ellipse():
    model, _, free = galaxy("everything")
    plain = build_model(OmegaConf.create({"profile": "sersic"}))
    free[0, 5:12] = 0.0
    renderer, psf, native = drawing(model, free)
    expected = renderers_at(0, plain, SHAPE, 1, 1, torch.device("cpu"), torch.float64)[0]
    truth = expected.draw(torch.cat([native[:, :4], native[:, -2:]], 1), psf)[0]
    drawn = renderer.draw(native, psf)[0]
    for i, row in enumerate([0, 1, 2, 3, 4, -2, -1]):
        assert (drawn[row] - truth[i]).abs().max() < 1e-3 * truth[i].abs().max()
    assert (drawn[0] - truth[0]).abs().max() < 3e-5 * truth[0].max()


@pytest.mark.parametrize("name", GALAXIES)
def test_light_follows_every_free_parameter(name):
    model, _, free = galaxy(name)
    renderer, psf, native = drawing(model, free)
    rows = torch.cat([renderer.draw(native, psf), torch.ones(1, 1, *SHAPE, dtype=torch.float64)], dim=1)[0]
    torch.testing.assert_close(rows[0], renderer.image(native, psf)[0])
    slopes = torch.einsum("rp,rhw->phw", model.image_jacobian(free)[0], rows)
    for i in sorted(set(range(model.size)) - set(model.linear)):
        step = torch.zeros_like(free)
        turning = (
            i >= model.size - 3
        )  # ellipticities move the places in interpolated tables: a step that evens these out
        step[0, i] = h = 2e-2 if turning else 1e-5
        image = lambda k: renderer.image(model.native(free + k * step)[0], psf)[0]
        expected = (8 * (image(1) - image(-1)) - (image(2) - image(-2))) / (12 * h)
        assert (slopes[i] - expected).abs().max() < (
            5e-3 if turning else 1e-4
        ) * expected.abs().max() + 2e-4 * turning * rows[0].max(), i


@pytest.mark.parametrize("name", GALAXIES)
def test_jacobian_of_the_values(name):
    model, _, free = galaxy(name)
    got = model.values_jacobian(free)[0]
    for i in range(model.size):
        step = torch.zeros_like(free)
        step[0, i] = 1e-6
        expected = (model.values(free + step, ZEROPOINT) - model.values(free - step, ZEROPOINT))[0] / 2e-6
        torch.testing.assert_close(got[:, i], expected, rtol=1e-5, atol=1e-5)


def test_a_mode_without_amplitude_has_a_jacobian():
    model, _, free = galaxy("lopsided")
    free[0, 5:7] = 0.0
    assert (
        torch.isfinite(model.values_jacobian(free)).all()
        and float(model.values(free, ZEROPOINT)[0, 5]) < 1e-9
    )


@pytest.mark.parametrize("name", ["everything", "disky", "lopsided"])
def test_binned_image_is_the_mean_of_its_pixels(name):
    model, _, free = galaxy(name)
    (fine, psf, native), (coarse, _binned, _) = drawing(model, free), drawing(model, free, binning=2)
    sharp = torch.from_numpy(PSF.star(33))[None]
    image = fine.image(native, psf)[0].unflatten(0, (-1, 2)).unflatten(-1, (-1, 2)).mean((1, 3))
    assert (
        coarse.image(native, coarse.grid.psf_transform(sharp, False, 1))[0] - image
    ).abs().max() < 5e-3 * image.max()


@pytest.mark.parametrize("name", [name for name, kind in PROFILES.items() if issubclass(kind, RadialProfile)])
def test_every_profile_within_the_bounds(name):
    model = model_of(True, [1, 3], name)
    profile = PROFILES[name]()
    kinds = profile.typical or ((),)
    size = {"fwhm": 4.0, "r_core": 1.5}.get(profile.size.name, 3.0)
    rows = []
    for c0, a1, a3, q in [
        (-1.0, 0.5, 0.5, 0.05),
        (2.0, 0.5, 0.0, 1.0),
        (0.0, 0.0, 0.0, 0.7),
        (-1.0, 0.2, 0.0, 0.7),
        (2.0, 0.0, 0.2, 0.7),
    ]:
        own = [v * (size if s.length else 1.0) for s, v in zip(profile.shape, kinds[0], strict=True)]
        rows.append([30.2, 31.4, 0.0, size, *own, c0, a1, 20.0, a3, -30.0, q, 50.0, 0.0])
    free = model.free(torch.tensor(rows, dtype=torch.float64), torch.zeros(len(rows), dtype=torch.float64))
    renderer = renderers_at(1, model, (64, 64), 1, 1, torch.device("cpu"), torch.float32)[0]
    psf = renderer.grid.psf_transform(torch.from_numpy(PSF.star(33))[None], False).expand(len(rows), -1, -1)
    drawn = renderer.draw(model.native(free)[0], psf)
    assert torch.isfinite(drawn).all() and torch.isfinite(model.values_jacobian(free)).all()
    if name != "nuker":  # its magnitude is no total
        light = drawn[2:, 0].sum((1, 2))
        assert (light / light[0] - 1).abs().max() < 0.02


def test_magnitudes_are_of_all_the_light():
    table = dict(x=[40.0], y=[40.0], flux=[1000.0], r_eff=[4.0], q=[0.7], pa=[30.0],
                 c0=[0.6], am1=[0.2], pm1=[40.0], am3=[0.15], pm3=[10.0])  # fmt: skip
    image = autogal.render(table, model="exponential", psf=PSF.star(33), shape=(81, 81))
    assert image.sum() == pytest.approx(1000.0, rel=2e-3)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"fourier": [0]}, "fourier is"),
        ({"fourier": [2]}, "without 2"),
        ({"fourier": [1.5]}, "whole numbers"),
        ({"fourier": [11]}, "from 1 to 10"),
        ({"fourier": [3, 1, 3]}, "each mode once"),
        ({"fourier": "lopsided"}, "fourier is"),
        ({"fourier": [True]}, "fourier is"),
        ({"boxiness": 0.5}, "boxiness is 0.5"),
        ({"profile": "point_source", "fourier": [1]}, "elliptical isophotes"),
        ({"profile": "edge_on", "boxiness": True}, "elliptical isophotes"),
        ({"boxiness": True, "bounds": {"c0": [-2, 1]}}, "bounds of c0"),
        ({"boxiness": True, "fixed": {"c0": 3.0}}, "outside its bounds"),
        ({"fixed": {"c0": 0.3}}, "c0"),
        ({"fourier": [1], "priors": {"am1": [0.1, 0.2]}}, "log-normal"),
        ({"fourier": [1], "start": {"am3": 0.1}}, "am3"),
    ],
)
def test_bad_input_is_two_lines(said, words):
    with pytest.raises(AutogalError) as caught:
        build_model(OmegaConf.create({"profile": "sersic"} | said))
    assert words in str(caught.value) and len(str(caught.value).splitlines()) == 2


def test_a_contour_can_be_fixed_bounded_and_tied():
    node = {
        "components": {
            "bulge": {"profile": "sersic", "boxiness": True, "fixed": {"c0": -0.3}},
            "disk": {
                "profile": "exponential",
                "fourier": [1, 3],
                "bounds": {"am1": [0.0, 0.3]},
                "fixed": {"pm3": 10.0},
            },
        },
        "shared": {"disk.x": "bulge.x", "disk.y": "bulge.y"},
    }
    model = build_model(OmegaConf.create(node))
    at = dict(
        bulge_x=30.0,
        bulge_y=31.0,
        bulge_mag=0.0,
        bulge_r_eff=2.0,
        bulge_n=3.0,
        bulge_c0=0.0,
        bulge_q=0.8,
        bulge_pa=20.0,
        disk_x=0.0,
        disk_y=0.0,
        disk_mag=-1.0,
        disk_r_eff=6.0,
        disk_am1=0.1,
        disk_pm1=-60.0,
        disk_am3=0.05,
        disk_pm3=50.0,
        disk_q=0.5,
        disk_pa=40.0,
        sky=0.0,
        mag=0.0,
        bt=0.0,
    )
    free = model.free(torch.tensor([[at[name] for name in model.parameters]], dtype=torch.float64), ZEROPOINT)
    back = dict(zip(model.parameters, model.values(free, ZEROPOINT)[0].tolist(), strict=True))
    assert back["bulge_c0"] == pytest.approx(-0.3) and back["disk_pm3"] == pytest.approx(10.0)
    assert (
        back["disk_am1"] == pytest.approx(0.1)
        and back["disk_pm1"] == pytest.approx(-60.0)
        and back["disk_am3"] == pytest.approx(0.05)
    )
    low, high = model.bounds((64, 64), free)
    assert ((low <= free[0]) & (free[0] <= high)).all() and 0.3 in high.tolist()
