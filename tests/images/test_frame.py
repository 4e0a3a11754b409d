"""Which part of an image is fitted, and when its edge cuts the target off."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.wcs import WCS

from autogal.configuration.composing import compose
from autogal.flags import Flag
from autogal.images import Cutout, Options, find_entries, load, moffat
from autogal.images.frame import leaves_frame, window
from autogal.pipeline import fit_cutouts

NAMES = ("x", "y", "mag", "r_eff", "n", "q", "pa", "sky")


def blank(height, width, **facts):
    shape = height, width
    return Cutout(
        "field",
        np.zeros(shape, np.float32),
        np.ones(shape, np.float32),
        np.zeros(shape, bool),
        moffat(2.5),
        **facts,
    )


def galaxy(**values):
    row = {"x": 50, "y": 50, "mag": 20, "r_eff": 10, "n": 1, "q": 0.5, "pa": 0, "sky": 0} | values
    return np.array([[row[name] for name in NAMES]], float)


def test_a_cutout_is_fitted_as_it_is():
    cutout = blank(400, 900)
    assert window(cutout, {"x": 450, "y": 200, "r_eff": 5}) == (cutout, 0, 0)
    assert not cutout.notes


def test_a_large_galaxy_keeps_its_whole_image():
    cutout = blank(1500, 1500)
    assert window(cutout, {"x": 750, "y": 750, "r_eff": 80})[0] is cutout


@pytest.mark.parametrize(
    "x, y, first", [(1000.4, 800, (744, 544)), (3, 1595, (0, 1088)), (1999, 10, (1488, 0))]
)
def test_of_a_field_only_the_surroundings_of_the_target_are_fitted(x, y, first):
    cutout = blank(1600, 2000, start={"x": x, "y": y}, wcs=WCS(naxis=2))
    cutout.image[:] = np.arange(2000)
    cutout.image += 1e-3 * np.arange(1600, dtype=np.float32)[:, None]
    part, column, row = window(cutout, {"x": x, "y": y, "r_eff": 4})
    assert part.shape == part.sigma.shape == part.mask.shape == (512, 512)
    assert (column, row) == first
    assert part.image[0, 0] == cutout.image[row, column]
    assert part.start == pytest.approx({"x": x - column, "y": y - row})
    np.testing.assert_allclose(
        part.wcs.pixel_to_world_values(5, 6), cutout.wcs.pixel_to_world_values(5 + column, 6 + row)
    )
    assert cutout.start == {"x": x, "y": y}, "the caller's own cutout has not changed"
    assert "512 x 512" in cutout.notes[0] and part.notes is cutout.notes


def test_a_galaxy_in_a_field_is_found_and_measured_in_the_coordinates_of_the_field():
    from autogal import render

    shape = 1400, 1300
    truth = {"x": [700.3], "y": [611.8], "mag": [17.5], "r_eff": [6.0], "n": [1.2], "q": [0.6], "pa": [30.0]}
    cutout = blank(*shape, zeropoint=25.0, start={"x": 698.0, "y": 613.0})
    stamp = render(truth | {"x": [100.3], "y": [100.8]}, psf=cutout.psf, shape=(200, 200))[0]
    cutout.image[511:711, 600:800] = stamp
    cutout.image += np.random.default_rng(2).normal(0, 1, shape).astype(np.float32)
    result = fit_cutouts([cutout], compose(overrides=["device=cpu"]))
    assert result.status == ["converged"]
    found = dict(zip(result.parameters, result.values[0]))
    error = dict(zip(result.parameters, np.sqrt(np.diag(result.covariance[0]))))
    for name in ("x", "y", "mag", "r_eff", "n", "q", "pa"):
        assert abs(found[name] - truth[name][0]) < 5 * error[name], name
    assert result.dof[0] < 512**2 and not result.flags[0] & Flag.EDGE


@pytest.mark.parametrize("inside, changes", [
    (True, {}), (True, {"r_eff": 24}), (False, {"r_eff": 26}),
    (True, {"x": 11}), (False, {"x": 8}),  # the minor axis, 10 px, lies along x
    (True, {"y": 20}), (False, {"y": 19}), (True, {"x": 20, "pa": 90}), (False, {"x": 19, "pa": 90}),
    (False, {"x": 90, "pa": 45, "q": 1}), (False, {"x": -20}), (True, {"x": np.nan}),
])  # fmt: skip
def test_two_half_light_radii_must_fit_into_the_image(inside, changes):
    assert leaves_frame(NAMES, galaxy(**changes), [blank(101, 101)]).tolist() == [not inside]


def test_a_manifest_says_which_source_is_meant(tmp_path):
    from astropy.io import fits

    fits.writeto(tmp_path / "a.fits", np.random.default_rng(1).normal(size=(40, 40)))
    (tmp_path / "m.csv").write_text("image,x_target,y_target\na.fits,31,12\n")
    [entry] = find_entries([str(tmp_path / "m.csv")])
    cutout = load(entry, Options())
    assert cutout.start == {"x": 31.0, "y": 12.0}


def test_a_target_that_is_not_there_is_reported_with_the_place_where_it_was_looked_for():
    cutout = blank(60, 80, start={"x": 20.0, "y": 30.0})
    cutout.image[:] = np.random.default_rng(3).normal(0, 1, cutout.shape)
    result = fit_cutouts([cutout], compose(overrides=["device=cpu"]))
    assert result.status == ["skipped"] and result.flags[0] & Flag.NO_TARGET
    assert "x = 20, y = 30" in cutout.notes[-1]
