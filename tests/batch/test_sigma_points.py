"""Fisher's matrices beside the best fit, which tell of valleys that are bent."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import autogal
from autogal.batch.curvature import sigma_along, weakest_direction
from autogal.fitting import engine
from autogal.images import moffat


def test_a_standard_deviation_along_what_is_known_least():
    rng = torch.Generator().manual_seed(0)
    root = torch.randn((5, 4, 4), generator=rng, dtype=torch.float64)
    hessian, frozen = root @ root.mT, torch.zeros((5, 4), dtype=torch.bool)
    frozen[2, 1] = True
    unit = torch.tensor([1e-3, 1.0, 50.0, 1e4], dtype=torch.float64)
    step = weakest_direction(hessian, frozen)
    torch.testing.assert_close(
        torch.einsum("bi,bij,bj->b", step, hessian, step), torch.ones(5, dtype=torch.float64)
    )
    assert step[2, 1] == 0 and (step[:2] != 0).all()
    torch.testing.assert_close(
        (weakest_direction(hessian * unit[:, None] * unit, frozen) * unit).abs(), step.abs()
    )  # whatever the units


def test_the_standard_deviation_of_a_product():
    rng = torch.Generator().manual_seed(1)
    root, along = (
        torch.randn((5, 4, 4), generator=rng, dtype=torch.float64),
        torch.randn((5, 4), generator=rng, dtype=torch.float64),
    )
    hessian, frozen = root @ root.mT, torch.zeros((5, 4), dtype=torch.bool)
    expected = torch.einsum("bi,bij,bj->b", along, torch.linalg.inv(hessian), along).sqrt()
    torch.testing.assert_close(sigma_along(hessian, frozen, along), expected)
    frozen[:, 2] = True
    kept = [0, 1, 3]
    expected = torch.einsum(
        "bi,bij,bj->b", along[:, kept], torch.linalg.inv(hessian[:, kept][:, :, kept]), along[:, kept]
    ).sqrt()
    torch.testing.assert_close(sigma_along(hessian, frozen, along), expected)


@pytest.mark.parametrize(("model", "points"), [("sersic", 0), ("bulge_disk", 2)])
def test_several_components_have_points_beside(model, points, monkeypatch):
    rng, psf, fits = np.random.default_rng(2), moffat(3.0, 3.5, size=31), []
    write = engine.store_fit
    monkeypatch.setattr(
        engine, "store_fit", lambda *arguments: (fits.append(arguments[4]), write(*arguments))
    )
    parts = [
        dict(x=23.5, y=23.5, mag=15.0, r_eff=r_eff, n=n, q=q, pa=20.0)
        for r_eff, n, q in ((2.0, 4.0, 0.9), (6.0, 1.0, 0.5))
    ]
    image = sum(
        autogal.render(
            {name: [value] for name, value in part.items()}, psf=psf, shape=(48, 48), zeropoint=25.0
        )[0]
        for part in parts
    )
    sigma = np.sqrt(image + 100)
    start = dict(x=[23.5], y=[23.5], mag=[14.2], r_eff=[4.0], n=[2.0], q=[0.7], pa=[20.0], sky=[0.0])
    autogal.fit(
        [image + sigma * rng.normal(size=image.shape)],
        sigma=[sigma],
        psf=psf,
        zeropoint=25.0,
        model=model,
        start=start,
    )
    fit = fits[-1]
    assert len(fit.sigma_points) == points
    for theta, hessian in fit.sigma_points:
        # the same matrix, but for what a standard deviation changes
        ratio = hessian.diagonal(dim1=-2, dim2=-1) / fit.outcome.hessian.diagonal(dim1=-2, dim2=-1)
        assert (ratio > 0.05).all() and (ratio < 20).all() and ratio.log().abs().max() > 0.1
        assert (theta - fit.outcome.theta).abs().max() > 0.01
