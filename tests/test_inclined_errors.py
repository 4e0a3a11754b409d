"""Errors of bodies seen edge-on and face-on, where the image has no slope by the inclination, or by the
angle."""

from __future__ import annotations

import numpy as np
import pytest

import autogal
from autogal.fitting import engine
from autogal.images import moffat

PSF = moffat(3.0, 3.5, size=31)
TRUTH = dict(x=24.3, y=23.5, mag=14.0, h=3.5, z0=1.0, pa=30.0)


def fitted(inclination, count, model="thick_disk", **settings):
    """Fits to as many images that differ in the noise."""
    row = {name: [value] for name, value in (TRUTH | {"inclination": inclination}).items()}
    clean = autogal.render(row, model="thick_disk", psf=PSF, shape=(48, 48), zeropoint=25.0, dtype="float64")[
        0
    ]
    images = clean + np.random.default_rng(9).normal(0.0, 1.0, (count, 48, 48))
    start = {
        name: [value] * count
        for name, value in dict(x=24.3, y=23.5, mag=14.0, r_eff=6.0, n=1.0, q=0.3, pa=35.0, sky=0.0).items()
    }
    return autogal.fit(
        images,
        sigma=np.ones_like(images),
        psf=PSF,
        zeropoint=25.0,
        pixel_scale=0.2,
        model=model,
        start=start,
        **settings,
    ).table


def missed(table, name, truth, error="_err"):
    off = np.asarray(table[name], float) - truth
    return (np.abs((off + 90) % 180 - 90) if name == "pa" else np.abs(off)) / np.asarray(
        table[name + error], float
    )


@pytest.mark.parametrize(("inclination", "settings"), [
    (90.0, {"uncertainty": "both", "uncertainty.replicates": 8}), (89.0, {}),
], ids=["at 90", "beside"])  # fmt: skip
def test_edge_on_all_errors_are_known(inclination, settings):
    table = fitted(inclination, 8, **settings)
    assert all(names == "" for names in table["flag_names"]) and all(
        status == "converged" for status in table["status"]
    )
    for name in ("mag", "h", "z0", "pa"):
        for error in ("_err", "_err_boot") if settings else ("_err",):
            assert np.isfinite(table[name + error]).all() and table[name + error].max() < 0.2, (name, error)
            assert (missed(table, name, TRUTH[name], error) < 2).mean() > 0.7, (name, error)
    assert np.isfinite(table["inclination_err"]).all() and table["inclination_err"].max() < 3
    assert (missed(table, "inclination", inclination) < 3).all()
    assert table["pa_err"].max() < 2 * table["pa_err"].min()


def test_face_on_the_thickness_is_not_known(monkeypatch):
    fits, write = [], engine.store_fit
    monkeypatch.setattr(
        engine, "store_fit", lambda *arguments: (fits.append(arguments[4]), write(*arguments))
    )
    table = fitted(4.0, 12)
    (less, _), (more, _) = fits[-1].sigma_points
    found = fits[-1].outcome.theta
    assert (less[:, -3:-1].norm(dim=-1) < found[:, -3:-1].norm(dim=-1)).all() and (
        more[:, -3:-1].norm(dim=-1) > found[:, -3:-1].norm(dim=-1)
    ).all()
    for name in ("mag", "h"):
        assert (
            np.isfinite(table[name + "_err"]).all() and (missed(table, name, TRUTH[name]) < 3).mean() > 0.9
        ), name
    known = np.isfinite(table["z0_err"])
    assert known.any() and (missed(table, "z0", TRUTH["z0"])[known] < 2).mean() > 0.7
    assert np.median(table["pa_err"]) > 20 and np.median(table["inclination_err"]) > 1
    clear = fitted(60.0, 2)
    assert np.isnan(fits[-1].sigma_points[0][0]).all() and (np.asarray(clear["z0_err"]) < 0.2).all()
