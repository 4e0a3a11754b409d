"""A new kind of light: its profile, its renderer, and its name in profiles/__init__.py; 3 files of the
package."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from autogal.batch.grid_levels import renderer_at
from autogal.profiles import PROFILES, Light, ShapeParameter
from autogal.rendering.ellipse import elliptical_form, evaluate_form
from autogal.rendering.placed import TransformRenderer

from .files import few_galaxies, fit

# -- autogal/rendering/blob.py -------------------------------------------------------------------------------


@dataclass(frozen=True)
class BlobRenderer(TransformRenderer):
    """Draws a Gaussian from its transform, exp(-R^2 k^T exp(E) k / 2), with derivatives by x, y, ln R, e1
    and e2."""

    def transform(self, native: Tensor, derivatives: bool = True) -> list[Tensor]:
        kx, ky = (
            self.grid.kx.to(self.grid.dtype)[None, :, None],
            self.grid.ky.to(self.grid.dtype)[None, None, :],
        )
        half = (torch.exp(2 * native[:, 2]) / 2).to(self.grid.dtype)[:, None, None]
        form = elliptical_form(native[:, -2], native[:, -1])
        square = half * evaluate_form(form.radius, kx, ky)
        value = torch.exp(-square)
        return [
            value,
            -2 * square * value,
            *(-half * evaluate_form(by, kx, ky) * value for by in (form.by_e1, form.by_e2)),
        ]

    def wing_error(self, native: Tensor, fwhm: Tensor) -> tuple[Tensor, Tensor]:
        there = torch.exp(
            -0.5
            * (self.reach(native) / torch.exp(native[:, 2] + torch.hypot(native[:, -2], native[:, -1]) / 2))
            ** 2
        )
        return there, there


# -- autogal/profiles/blob.py --------------------------------------------------------------------------------


class Blob(Light):
    """A Gaussian of standard deviation h along the major axis."""

    name = "blob"
    renderer = (
        BlobRenderer  # in the package "autogal.rendering.blob:BlobRenderer", for profiles know no renderers
    )
    brightness = "mag"
    size = ShapeParameter("h", 0.05, math.inf, length=True)
    shape: tuple[ShapeParameter, ...] = ()
    typical: tuple[tuple[float, ...], ...] = ()
    largest = 0.5

    def half_light(self, shape: Tensor) -> Tensor:
        return torch.full_like(shape.sum(-1), math.log(math.sqrt(2 * math.log(2))))


# -- autogal/profiles/__init__.py: one more name in PROFILES -------------------------------------------------


def test_derivatives_are_those_by_differences():
    renderer = renderer_at(1, Blob(), (40, 40), dtype=torch.float64)
    psf = renderer.grid.psf_transform(torch.ones(1, 3, 3, dtype=torch.float64) / 9, False)
    native = torch.tensor([[19.3, 20.1, 1.1, 0.3, -0.2]], dtype=torch.float64)
    drawn = renderer.draw(native, psf)
    for column in range(5):
        step = torch.zeros_like(native)
        step[:, column] = 1e-5
        difference = (renderer.image(native + step, psf) - renderer.image(native - step, psf)) / 2e-5
        torch.testing.assert_close(drawn[:, 1 + column], difference, rtol=1e-6, atol=1e-9)


def test_it_is_fitted_as_the_gaussian_that_it_is(monkeypatch):
    monkeypatch.setitem(PROFILES, "blob", Blob)
    observed = few_galaxies(2)
    new, same = fit(observed, model={"name": "new", "profile": "blob"}), fit(observed, model="gaussian")
    assert list(new.table["status"]) == ["converged"] * 2
    np.testing.assert_allclose(new.table["h"] * math.sqrt(8 * math.log(2)), same.table["fwhm"], rtol=1e-3)
    np.testing.assert_allclose(new.table["q"], same.table["q"], atol=1e-3)
    np.testing.assert_allclose(new.table["mag"], same.table["mag"], atol=1e-3)


def test_it_stands_beside_other_components(monkeypatch):
    monkeypatch.setitem(PROFILES, "blob", Blob)
    both = fit(
        few_galaxies(1),
        model={
            "name": "two",
            "components": {"core": {"profile": "blob"}, "disk": {"profile": "exponential"}},
        },
    )
    assert {"core_h", "disk_r_eff", "core_mag", "mag"} <= set(both.table.colnames)
    assert np.isfinite(both.table["mag"][0])
