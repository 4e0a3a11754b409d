"""Starting values of a model's own parameters."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from autogal.configuration.composing import composed
from autogal.fitting.engine import fit_cutouts
from autogal.images import moffat
from autogal.images.cutout import Cutout
from autogal.model.spec import build_model
from autogal.model.starts import given_start
from autogal.model_images import render

VALUES = {
    "bulge_x": 31.2,
    "bulge_y": 32.5,
    "bulge_mag": 15.0,
    "bulge_r_eff": 2.5,
    "bulge_q": 0.8,
    "bulge_pa": 20.0,
    "disk_x": 31.2,
    "disk_y": 32.5,
    "disk_mag": 14.0,
    "disk_r_eff": 7.0,
    "disk_q": 0.5,
    "disk_pa": 60.0,
    "sky": 3.0,
    "sky_dx": 0.1,
    "sky_dy": -0.2,
}


@pytest.mark.parametrize("options", [(), ("model.sky=tilted",)])
def test_given_values_are_where_the_model_starts(options):
    model = build_model(composed("model=bulge_disk", *options).model)
    flux = 10 ** (-0.4 * (15 - 25)) + 10 ** (-0.4 * (14 - 25))
    known = VALUES | {"mag": 25 - 2.5 * np.log10(flux), "bt": 1e4 / flux}
    given = torch.tensor([[known[name] for name in model.parameters]], dtype=torch.float64)
    scale, sky = torch.tensor([4.0], dtype=torch.float64), torch.tensor([0.5], dtype=torch.float64)
    zeropoint = 25 - 2.5 * torch.log10(scale)
    begun = dict(
        zip(
            model.parameters,
            model.values(given_start(model, given, sky, scale, zeropoint), zeropoint)[0].tolist(),
        )
    )
    in_units = known | {"sky": 0.5, "sky_dx": 0.1 / 4, "sky_dy": -0.2 / 4}
    assert begun == pytest.approx({name: in_units[name] for name in model.parameters})


def test_a_fit_that_begins_at_the_best_place_stays_there():
    settings = composed("model=bulge_disk", "device=cpu", "threads=1")
    model = build_model(settings.model)
    psf = moffat(3.0)
    known = VALUES | {"mag": 0.0, "bt": 0.0}
    truth = np.array([[known[name] for name in model.parameters]])
    image = render(
        {name: [known[name]] for name in model.parameters}, model="bulge_disk", psf=psf, shape=(64, 64)
    )[0]
    start = np.array([[31.2, 32.5, 14.0, 5.0, 2.0, 0.6, 50.0, 3.0]])
    fits = [
        fit_cutouts(
            [Cutout("a", image, np.full_like(image, 0.03), np.zeros(image.shape, bool), psf, zeropoint=25.0)],
            start,
            settings,
            begin=begin,
        )
        for begin in (truth, None)
    ]
    own = [model.parameters.index(name) for name in VALUES if name in model.parameters]
    assert fits[0].status == ["converged"] and fits[0].values[0, own] == pytest.approx(
        truth[0, own], rel=1e-3
    )
    assert fits[0].n_iter[0] < fits[1].n_iter[0]
