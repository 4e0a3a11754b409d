"""The edge-on disk: against GalSim, against its own light in real space, and its derivatives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import autogal
from autogal.batch.grid_levels import model_level, renderers_at
from autogal.model import Model
from autogal.model.elliptical import EllipticalComponent
from autogal.profiles import EdgeOn

from .brute_force import Gaussian
from .galsim_truth import ACCURATE, galsim, optics, sample

ZEROPOINT = torch.zeros(1, dtype=torch.float64)
MODEL = Model((EllipticalComponent(EdgeOn(), bounds={"q": (0.03, 1.0)}),))


@pytest.mark.parametrize(
    ("h", "q", "pa"),
    [(6.0, 0.15, 35.0), (12.0, 0.05, 100.0), (0.4, 0.3, 10.0), (3.0, 0.8, 160.0), (30.0, 0.1, 90.0)],
)
def test_against_galsim(h, q, pa):
    psf, shape = optics(), (64, 61)
    drawn = autogal.render(
        dict(x=[30.3], y=[31.8], flux=[1.0], h=[h], q=[q], pa=[pa]),
        model="edge_on",
        psf=sample(psf),
        shape=shape,
    )[0]
    disk = galsim.InclinedExponential(
        90 * galsim.degrees, scale_radius=h, scale_height=q * h, gsparams=ACCURATE
    ).rotate((pa + 90) * galsim.degrees)
    truth = (
        galsim.Convolve(disk, psf, gsparams=ACCURATE)
        .drawImage(nx=61, ny=64, scale=1, offset=(30.3 - 30, 31.8 - 31.5), dtype=float)
        .array
    )
    off = np.abs(drawn - truth).max() / truth.max()
    print(f"h {h} q {q}: {off:.1e} of the peak, sum {np.abs(drawn - truth).sum():.1e}")
    assert off < 1e-3


@pytest.mark.parametrize(("h", "q"), [(6.0, 0.15), (3.0, 0.6), (12.0, 0.08)])
def test_light_follows_every_free_parameter(h, q):
    shape = (48, 52)
    free = MODEL.free(torch.tensor([[25.7, 23.4, 0.0, h, q, 40.0, 0.0]], dtype=torch.float64), ZEROPOINT)
    level = int(model_level(MODEL, shape, MODEL.native(free), torch.tensor([3.5], dtype=torch.float64)))
    renderer = renderers_at(level, MODEL, shape, 1, 1, torch.device("cpu"), torch.float64)[0]
    psf = renderer.grid.psf_transform(torch.from_numpy(Gaussian(1.5).star(33))[None], False)
    rows = torch.cat(
        [renderer.draw(MODEL.native(free)[0], psf), torch.ones(1, 1, *shape, dtype=torch.float64)], dim=1
    )[0]
    slopes = torch.einsum("rp,rhw->phw", MODEL.image_jacobian(free)[0], rows)
    for i in (0, 1, 3, 4, 5):
        step = torch.zeros_like(free)
        step[0, i] = 1e-4
        expected = (
            renderer.image(MODEL.native(free + step)[0], psf)
            - renderer.image(MODEL.native(free - step)[0], psf)
        )[0] / 2e-4
        torch.testing.assert_close(slopes[i], expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


def test_numbers_at_every_shape():
    renderer = renderers_at(0, MODEL, (32, 32), 1, 1, torch.device("cpu"), torch.float32)[0]
    psf = renderer.grid.psf_transform(torch.from_numpy(Gaussian(1.5).star(33))[None], False)
    for h, e1, e2 in ((0.05, 0.0, 0.0), (8.0, 3.5, 0.0), (0.05, 0.0, -3.5), (8.0, 1e-9, 1e-9)):
        native = torch.tensor([[15.0, 16.0, np.log(h), e1, e2]], dtype=torch.float64)
        assert torch.isfinite(renderer.draw(native, psf)).all()
