"""Light added to a stamp: how far a fit moves, told from its derivatives, and the residuals it leaves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import autogal
from autogal.batch.batch_fit import fit_bucket
from autogal.batch.bucket import Bucket
from autogal.batch.stamps import Stamps
from autogal.images import Cutout, moffat
from autogal.model.model import Model
from autogal.solvers import LevenbergMarquardt

SHAPE = (48, 48)
PSF = moffat(3.0, 3.5, size=25)
TARGET = {"x": 22.3, "y": 24.1, "mag": 15.5, "r_eff": 4.0, "n": 1.5, "q": 0.7, "pa": 30.0, "sky": 2.0}


def light(**row):
    return autogal.render(
        {name: [value] for name, value in ({**TARGET, "sky": 0.0} | row).items()},
        psf=PSF,
        shape=SHAPE,
        zeropoint=25.0,
    )[0]


def stamps_of(*images):
    sigma, mask = np.ones(SHAPE, np.float32), np.zeros(SHAPE, bool)
    mask[5:8, 20:30] = True
    cutouts = [Cutout(str(i), image.astype(np.float32), sigma, mask, PSF) for i, image in enumerate(images)]
    return Stamps.from_cutouts(cutouts, np.zeros(len(images)), torch.device("cpu"), torch.float64)


def best(stamps):
    start = Model().free(
        torch.tensor([list(TARGET.values())] * len(stamps), dtype=torch.float64), stamps.zeropoint
    )
    return fit_bucket(Model(), stamps, [start], LevenbergMarquardt(tolerance=1e-8)).outcome


@pytest.fixture
def plain():
    return light() + TARGET["sky"] + np.random.default_rng(1).normal(size=SHAPE)


def test_a_fit_moves_as_its_response_says(plain):
    added = [0.004 * light(x=33.0, mag=15.0), 0.002 * light(x=10.0, y=40.0, r_eff=8.0)]
    stamps = stamps_of(plain, plain)
    fit = best(stamps)
    problem = Bucket(Model(), stamps, LevenbergMarquardt(), 1).problem(0, 1, torch.arange(2))
    images = torch.from_numpy(np.stack(added)).to(stamps.weight)[[1, 0, 0]]
    owner = torch.tensor([0, 1, 0])
    slope, hessian = problem.response(fit.theta, torch.arange(2), images * stamps.weight[owner], owner)
    told = torch.linalg.solve(hessian[owner], slope[:, :, None])[..., 0]
    moved = best(stamps_of(plain + added[1], plain + added[0])).theta - fit.theta
    error = torch.linalg.inv(hessian).diagonal(dim1=1, dim2=2).sqrt()
    assert (moved / error).abs().max() > 0.1  # there is something to tell
    torch.testing.assert_close(told[:2] / error, moved / error, atol=0.015, rtol=0.1)
    torch.testing.assert_close(
        told[2], told[1]
    )  # the second light moves the first stamp as it does the second


def test_residuals_are_what_the_model_leaves(plain):
    stamps = stamps_of(plain)
    fit, bucket = best(stamps), Bucket(Model(), stamps, LevenbergMarquardt(), 1)
    values = Model().values(fit.theta, stamps.zeropoint)[0].tolist()
    drawn = light(**dict(zip(TARGET, values[:7]))) + values[7]
    found = bucket.residuals(fit.theta, torch.arange(1), torch.zeros(1, dtype=torch.long))[0].numpy()
    used = stamps.weight[0].numpy() > 0
    np.testing.assert_allclose(found[used], (plain - drawn)[used], atol=0.02)
    assert not found[~used].any()
