"""Emissivities summed along the line of sight: against closed forms, and their derivatives against
differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import autogal
from autogal.batch.grid_levels import model_level, renderers_at
from autogal.model import Model
from autogal.model.inclined import InclinedComponent
from autogal.profiles import Emissivity, ShapeParameter, ThickDisk

from .brute_force import Gaussian

ZEROPOINT = torch.zeros(1, dtype=torch.float64)
SHAPE = (44, 48)
PSF = Gaussian(1.5).star(33)


class Disk(Emissivity):
    """The thick disk as a user would write it."""

    shape = (ShapeParameter("z0", 0.01, math.inf, length=True),)
    typical = ((0.2,),)

    def emissivity(self, x, y, z, z0):
        return torch.exp(-torch.sqrt(x * x + y * y)) * torch.cosh(z / z0) ** -2


class Plummer(Emissivity):
    """Plummer's sphere, flattened: it projects to (1 + m^2)^-2, a Moffat profile."""

    shape = (ShapeParameter("flattening", 0.1, 1.0),)
    typical = ((0.5,),)

    def emissivity(self, x, y, z, flattening):
        return (1 + x**2 + y**2 + (z / flattening) ** 2) ** -2.5


class Bar(Emissivity):
    """Three different axes, the first one off the line of nodes."""

    shape = (ShapeParameter("b_a", 0.1, 1.0),)
    typical = ((0.5,),)

    def emissivity(self, x, y, z, b_a):
        along, across = 0.8 * x + 0.6 * y, 0.8 * y - 0.6 * x
        return torch.exp(-(along**2 + (across / b_a) ** 2 + (z / 0.4) ** 2) / 2)


def prepared(profile, own, inclination, dtype=torch.float64):
    model = Model((InclinedComponent(profile),))
    free = model.free(
        torch.tensor([[23.3, 21.8, 0.0, *own, inclination, 40.0, 0.0]], dtype=torch.float64), ZEROPOINT
    )
    level = int(model_level(model, SHAPE, model.native(free), torch.tensor([3.5], dtype=torch.float64)))
    renderer = renderers_at(level, model, SHAPE, 1, 1, torch.device("cpu"), dtype)[0]
    return model, free, renderer, renderer.grid.psf_transform(torch.from_numpy(PSF)[None], False)


@pytest.mark.parametrize(("h", "z0", "inclination"), [
    (4.0, 0.8, 0.0), (4.0, 0.8, 55.0), (4.0, 0.3, 85.0), (3.0, 2.0, 70.0), (3.0, 0.3, 90.0),
])  # fmt: skip
def test_a_disk_and_its_derivatives_are_those_in_closed_form(h, z0, inclination):
    both = (prepared(profile, [h, z0], inclination) for profile in (Disk(), ThickDisk()))
    numerical, closed = (renderer.draw(model.native(free)[0], psf)[0] for model, free, renderer, psf in both)
    off = [
        float((one - other).abs().max() / other.abs().max().clamp(min=1e-6))
        for one, other in zip(numerical, closed)
    ]
    print(f"h {h} z0 {z0} inclination {inclination}: " + " ".join(f"{v:.0e}" for v in off))
    assert off[0] < 3e-4 and max(off[:3]) < 1e-3
    if 20 < inclination < 80:
        assert max(off) < 1e-3


@pytest.mark.parametrize(("flattening", "inclination"), [(1.0, 30.0), (0.4, 70.0), (0.15, 90.0)])
def test_a_flattened_plummer_sphere_is_a_moffat_profile(flattening, inclination):
    place, tilt = dict(x=[23.3], y=[21.8], flux=[1.0], pa=[25.0]), np.radians(inclination)
    q = np.sqrt(np.cos(tilt) ** 2 + (flattening * np.sin(tilt)) ** 2)
    settings = dict(psf=PSF, shape=SHAPE, dtype="float64")
    body = autogal.render(
        place | dict(h=[3.0], flattening=[flattening], inclination=[inclination]), model=Plummer, **settings
    )[0]
    seen = autogal.render(
        place | dict(fwhm=[6 * np.sqrt(np.sqrt(2) - 1)], beta=[2.0], q=[q]), model="moffat", **settings
    )[0]
    assert np.abs(body - seen).max() < 1e-3 * seen.max()


@pytest.mark.parametrize(
    ("profile", "own", "inclination"),
    [(Disk(), [4.0, 1.0], 65.0), (Bar(), [4.0, 0.5], 50.0)],
    ids=["disk", "bar"],
)
def test_light_follows_every_free_parameter(profile, own, inclination):
    model, free, renderer, psf = prepared(profile, own, inclination)
    rows = torch.cat(
        [renderer.draw(model.native(free)[0], psf), torch.ones(1, 1, *SHAPE, dtype=torch.float64)], dim=1
    )[0]
    slopes = torch.einsum("rp,rhw->phw", model.image_jacobian(free)[0], rows)
    for i in (0, 1, *range(3, free.shape[1] - 1)):
        step = torch.zeros_like(free)
        step[0, i] = (
            2e-2  # wide enough to even out the interpolation of the tables; the rule is of fourth order
        )
        image = lambda m: renderer.image(model.native(free + m * step)[0], psf)[0]
        expected = (8 * (image(1) - image(-1)) - (image(2) - image(-2))) / (12 * 2e-2)
        off = float((slopes[i] - expected).abs().max() / expected.abs().max())
        print(f"{profile.name} {model.parameters[i]}: {off:.1e}")
        assert off < 3e-3


class AllAround(Disk):
    axisymmetric = True


@pytest.mark.parametrize("inclination", [0.0, 40.0, 85.0])
def test_a_body_that_is_the_same_all_around_is_drawn_from_half_of_the_lines_of_sight(inclination):
    images = []
    for profile in (Disk(), AllAround()):
        model, free, renderer, psf = prepared(profile, [4.0, 0.8], inclination)
        images.append(renderer.draw(model.native(free)[0], psf)[0])
    scale = images[0].abs().amax((1, 2), keepdim=True).clamp(min=1e-6)
    assert ((images[1] - images[0]).abs() / scale)[:4].max() < 1e-12
    if inclination:
        assert ((images[1] - images[0]).abs() / scale).max() < 1e-12


@pytest.mark.parametrize("profile", [Disk(), Plummer(), Bar()], ids=lambda p: p.name)
def test_numbers_and_flux_at_every_inclination(profile):
    for inclination in (0.0, 90.0):
        for dtype in (torch.float32, torch.float64):
            model, free, renderer, psf = prepared(profile, [0.3, 0.2], inclination, dtype)
            images = renderer.draw(model.native(free)[0], psf)
            assert torch.isfinite(images).all()
            if profile.name != "Plummer":  # its wings leave the stamp
                assert float(images[0, 0].sum()) == pytest.approx(1.0, abs=1e-4)


def test_bodies_are_drawn_together_as_alone():
    model, free, renderer, psf = prepared(Disk(), [4.0, 1.0], 65.0)
    several = torch.cat(
        [model.native(free)[0] + torch.tensor([0.0, 0.0, shift, 0.0, 0.0, 0.0]) for shift in (0.0, -0.7, 0.3)]
    )
    together = renderer.image(several, psf.expand(3, -1, -1))
    for one, image in zip(several, together):
        torch.testing.assert_close(renderer.image(one[None], psf)[0], image, rtol=0, atol=1e-12)
