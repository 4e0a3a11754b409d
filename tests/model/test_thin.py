"""Thin galaxies: the prior on the axis ratio lets go of them."""

import math

import galsim
import numpy as np
import pytest
import torch

import autogal
from autogal.images import moffat
from autogal.model import Model
from autogal.model.elliptical import EllipticalComponent


def test_slope_and_curvature_are_those_of_what_is_added():
    model = Model((EllipticalComponent(priors={"q": (1.0, 0.43), "n": (2.0, 0.35)}),))
    free = torch.zeros(6, model.size, dtype=torch.float64)
    free[:, 5] = torch.tensor([0.0, 1e-3, 0.5, 1.6, 3.0, 6.0])
    free[:, 6] = 0.3 * free[:, 5]
    penalty, slope, curvature = model.prior(free)
    for place in range(model.size):
        step = torch.zeros_like(free)
        step[:, place] = 1e-5
        by_steps = (model.prior(free + step)[0] - model.prior(free - step)[0]) / 4e-5
        torch.testing.assert_close(slope[:, place], by_steps, rtol=1e-6, atol=1e-7)
    weight = (0.43 * math.log(10)) ** -2
    assert curvature[0, 5, 5].item() == pytest.approx(weight) and 0 < curvature[5, 5, 5] < 0.05 * weight
    assert (penalty[1:] > penalty[:-1]).all() and penalty[-1] < weight * math.log(10) ** 2 * math.pi / 2 + 4


@pytest.mark.parametrize("pa", [0.0, 25.0, 90.0])
def test_thin_galaxies_are_not_thickened(pa):
    rng, psf, missed = np.random.default_rng(int(pa)), moffat(3.0, 3.0), []
    star, truths = galsim.Moffat(3.0, fwhm=3.0), [0.01, 0.02, 0.035, 0.06] * 3
    images, sigmas = [], []
    for q in truths:
        light = galsim.Sersic(1.0, half_light_radius=10 * math.sqrt(q), flux=3000.0).shear(
            q=q, beta=(pa + 90) * galsim.degrees
        )
        image = galsim.Convolve(light, star).drawImage(nx=64, ny=64, scale=1.0).array.astype(float)
        sigmas.append(np.sqrt(0.2 + np.maximum(image, 0) / 5))
        images.append(image + sigmas[-1] * rng.normal(size=image.shape))
    table = autogal.fit(
        np.array(images), sigma=np.array(sigmas), psf=psf, zeropoint=25.0, pixel_scale=0.2
    ).table
    for row, q in zip(table, truths):
        if "AT_BOUND" not in row["flag_names"]:
            missed.append((row["q"] - q) / row["q_err"])
    assert np.median(missed or [0.0]) < 1.5 and all(
        abs(one) < 4 for one in missed
    )  # a thin image tells of q^2: to the thin side errors of q reach farther
