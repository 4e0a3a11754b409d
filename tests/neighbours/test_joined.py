"""Pieces of a galaxy that were taken for neighbours, fitted as one galaxy with the rest."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table

import autogal
from autogal.configuration.composing import compose
from autogal.fitting.engine import fit_cutouts
from autogal.flags import Flag
from autogal.images import from_arrays, moffat
from autogal.neighbours.joined import fit_as_one
from autogal.neighbours.neighbour_map import Neighbour, Surroundings
from autogal.runtime.stopwatch import Stopwatch

PSF = moffat(3.0, 3.0, size=31)


def cut_disk(pa, end, seed, noise=1.0):
    """An edge-on disk, one end of which has been taken for a neighbour: the cutout, what lies around, and
    the truth."""
    truth = {"x": 47.3, "y": 48.1, "mag": 15.0, "r_eff": 11.0, "n": 1.0, "q": 0.25, "pa": pa, "sky": 0.0}
    light = autogal.render(Table([truth]), psf=PSF, shape=(96, 96), zeropoint=25.0)[0]
    image = light + noise * np.random.default_rng(seed).normal(size=light.shape)
    rows, columns = np.indices(light.shape)
    along = -(columns - truth["x"]) * np.sin(np.radians(pa)) + (rows - truth["y"]) * np.cos(np.radians(pa))
    labels = np.where(light > noise, np.where(along > end, 2, 1), 0).astype(np.int32)
    reach = {2: ((slice(0, 96), slice(0, 96)), labels == 2)}
    (cutout,) = from_arrays(
        image[None], sigma=np.full((1, 96, 96), noise), psf=PSF, zeropoint=25.0, pixel_scale=0.3
    )
    return cutout, Surroundings(labels, reach, np.zeros(labels.shape, bool), frozenset({2})), truth


@pytest.mark.parametrize(("pa", "end", "seed"), [(20.0, 4.0, 1), (75.0, -3.0, 2), (140.0, 7.0, 3)])
def test_the_end_of_a_disk_goes_back_to_it(pa, end, seed):
    cutout, around, truth = cut_disk(pa, end, seed)
    cutout.mask = around.without(())
    settings = compose("fit", ["device=cpu", "threads=1"])
    start = np.array([[truth[name] for name in ("x", "y", "mag", "r_eff", "n", "q", "pa", "sky")]]) + [
        [1.0, -1.0, 0.5, -4.0, 0.2, 0.2, 5.0, 0.0]
    ]
    inside = fit_cutouts([cutout], start, settings)
    assert fit_as_one([cutout], {0: around}, {"": inside}, {"": settings}, Stopwatch()) == [0]
    for name in ("mag", "r_eff", "n", "q"):
        p = inside.parameters.index(name)
        assert abs(inside.values[0, p] - truth[name]) < 4 * np.sqrt(inside.covariance[0, p, p]), name
    assert (
        not cutout.mask.any()
        and "fitted as one galaxy" in cutout.notes[-1]
        and inside.flags[0] & Flag.POOR_FIT
    )


def test_what_no_profile_holds_stays_as_it_was():
    cutout, around, truth = cut_disk(20.0, 4.0, 4)
    cutout.image = np.where(
        around.labels == 2, 400.0, cutout.image
    )  # a slab far brighter than the galaxy, up to its edge
    cutout.mask = around.without(())
    settings = compose("fit", ["device=cpu", "threads=1", "model.bounds.n=[0.5,4]"])
    start = np.array([[truth[name] for name in ("x", "y", "mag", "r_eff", "n", "q", "pa", "sky")]])
    inside = fit_cutouts([cutout], start, settings)
    before, mask = inside.values.copy(), cutout.mask.copy()
    assert fit_as_one([cutout], {0: around}, {"": inside}, {"": settings}, Stopwatch()) == []
    assert np.array_equal(inside.values, before) and np.array_equal(cutout.mask, mask) and not cutout.notes
    assert fit_as_one([cutout], {}, {"": inside}, {"": settings}, Stopwatch()) == []


@pytest.mark.parametrize(
    ("mag", "covered", "is_point", "unseen"),
    [
        (17.0, True, False, True),
        (17.0, False, False, False),
        (19.1, True, True, False),
        (17.0, False, True, True),
        (18.2, False, True, False),
    ],
)
def test_a_neighbour_with_more_light_than_is_seen_of_it_is_none(mag, covered, is_point, unseen):
    from autogal.neighbours.joint import _unseen

    start = {"x": 20.0, "y": 30.0, "mag": 19.0, "r_eff": 3.0, "n": 1.0, "q": 0.7, "pa": 0.0}
    neighbour = Neighbour(2, start, (15.0, 25.0), (25.0, 35.0), 9.0, is_point=is_point)
    # a star of magnitude 18.5 stands there
    light = autogal.render(
        Table([start | {"x": 21.0, "y": 34.0, "mag": 18.5, "r_eff": 0.02, "n": 0.5, "sky": 7.0}]),
        psf=PSF,
        shape=(64, 64),
        zeropoint=25.0,
    )
    (cutout,) = from_arrays(
        light + np.random.default_rng(1).normal(size=light.shape),
        sigma=np.ones(light.shape),
        psf=PSF,
        zeropoint=25.0,
    )
    cutout.bad = np.zeros((64, 64), bool)
    cutout.bad[32:40, 16:26] = covered
    values = [21.0, 34.0, mag, *([np.nan] * 4 if is_point else [3.0, 1.0, 0.7, 0.0])]
    assert _unseen(np.array([values, [np.nan] * 7]), [neighbour], cutout, 7.0) == ({2} if unseen else set())
