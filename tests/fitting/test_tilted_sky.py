"""What is said of a tilted sky holds at the centre of the whole image, also where only a window of it is
fitted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from autogal.configuration.composing import composed
from autogal.configuration.overrides import override
from autogal.fitting.engine import fit_cutouts
from autogal.flags import Flag
from autogal.images import moffat
from autogal.images.cutout import Cutout
from autogal.model_images import render
from autogal.parameters import START

PSF, SHAPE, WINDOW = (
    moffat(3.0, size=25),
    (160, 140),
    (slice(94, 142), slice(80, 126)),
)  # off the centre by 38 and 33 pixels
GALAXY = {"x": 100.2, "y": 118.4, "mag": 16.3, "r_eff": 3.0, "n": 1.2, "q": 0.6, "pa": 40.0}
NOISE, PLANE = 1.5, {"sky": 9.0, "sky_dx": 0.05, "sky_dy": -0.03}
BEGIN = np.array([[20.0, 24.6, 16.5, 3.5, 1.5, 0.7, 35.0, 9.4]])
FIXED_SLOPES = {"sky_dx": 0.051, "sky_dy": -0.0305}


def galaxy(counts=False, **changes):
    """A window of a field whose sky is a plane."""
    rng = np.random.default_rng(1)
    clean = render(
        {name: [value] for name, value in (GALAXY | PLANE | changes).items()},
        psf=PSF,
        shape=SHAPE,
        dtype="float64",
    )[0]
    image = rng.poisson(clean).astype(float) if counts else clean + NOISE * rng.normal(size=SHAPE)
    return Cutout(
        "a", image, np.full(SHAPE, NOISE), np.zeros(SHAPE, bool), PSF, gain=1.0, counts=counts
    ).window(*WINDOW)


def fit(cutout, *options, said=()):
    """Values by name, their covariance, and the whole outcome."""
    said = [
        override(f"++model.{what}.{name}", value)
        for what, one in dict(said).items()
        for name, value in one.items()
    ]
    settings = composed("model.sky=tilted", "dtype=float64", "device=cpu", "threads=1", *options, *said)
    fitted = fit_cutouts([cutout], BEGIN, settings)
    assert fitted.status == ["converged"]
    return dict(zip(fitted.parameters, fitted.values[0])), fitted.covariance[0], fitted


def known(free, matrix, parameters, said):
    """The mean and covariance of a Gaussian posterior, given also means and widths of some parameters
    (width 0: fixed)."""
    mean, matrix = np.array([free[name] for name in parameters]), matrix.copy()
    for name, (value, width) in said.items():
        place = parameters.index(name)
        gain = matrix[:, place] / (matrix[place, place] + width**2)
        mean, matrix = mean + gain * (value - mean[place]), matrix - np.outer(gain, matrix[place])
    return mean, matrix


@pytest.mark.parametrize(
    "said",
    [
        {"fixed": {"sky": 9.1}},
        {"fixed": FIXED_SLOPES},
        {"fixed": {"sky": 9.1, "sky_dx": 0.049}},
        {"priors": {"sky": (9.1, 0.05)}},
        {"priors": {"sky": (9.1, 0.05), "sky_dx": (0.051, 0.001), "sky_dy": (-0.0305, 0.002)}},
        {"fixed": {"sky_dy": -0.029}, "priors": {"sky": (9.1, 0.05)}},
    ],
    ids=[
        "level",
        "slopes",
        "level and slope",
        "prior of the level",
        "priors",
        "slope, and prior of the level",
    ],
)
def test_the_fit_follows_what_is_said(said):
    _follows(galaxy(), said)


@pytest.mark.parametrize(
    ("likelihood", "solver"),
    [("poisson", "lm"), ("student_t", "lm"), ("gaussian", "lbfgs"), ("gaussian", "adam")],
)
def test_whatever_the_likelihood_and_the_solver(likelihood, solver):
    said = {"fixed": {"sky_dx": 0.051}, "priors": {"sky": (9.2, 0.1)}}
    # noise that is Gaussian has another curvature under Student's t than Fisher's matrix
    near = 0.2 if likelihood == "student_t" else 0.1
    _follows(galaxy(likelihood == "poisson"), said, f"likelihood={likelihood}", f"solver={solver}", near=near)


def _follows(cutout, said, *options, near=0.1):
    free, matrix, whole = fit(cutout, *options)
    normal = {name: {"normal": prior} for name, prior in said.get("priors", {}).items()}
    values, own, fitted = fit(cutout, *options, said=said | {"priors": normal})
    fixed = said.get("fixed", {})
    expected, covariance = known(
        free, matrix, whole.parameters, {name: (v, 0.0) for name, v in fixed.items()} | said.get("priors", {})
    )
    errors = np.sqrt(np.diag(covariance))
    for i, name in enumerate(fitted.parameters):
        if name in fixed:
            assert values[name] == pytest.approx(fixed[name], abs=1e-12) and own[i, i] == 0
        else:
            assert values[name] == pytest.approx(expected[i], abs=near * errors[i]), name
            assert np.sqrt(own[i, i]) == pytest.approx(errors[i], rel=0.03), name
    assert any(
        abs(free[name] - values[name]) > 0.3 * np.sqrt(matrix[i, i])
        for i, name in enumerate(fitted.parameters)
    ), "nothing moved"
    assert fitted.flags[0] == 0


@pytest.mark.parametrize(("name", "bound"), [("sky", [9.3, None]), ("sky_dx", [None, 0.047])])
def test_bounds_hold_and_are_flagged_only_where_they_do(name, bound):
    cutout = galaxy()
    free, matrix, whole = fit(cutout)
    end = next(v for v in bound if v is not None)
    held, own, fitted = fit(cutout, said={"bounds": {name: bound}})
    fixed, other, _ = fit(cutout, said={"fixed": {name: end}})
    place = whole.parameters.index(name)
    assert (
        held[name] == pytest.approx(end, abs=1e-9)
        and np.isnan(own[place, place])
        and fitted.flags[0] == Flag.AT_BOUND
    )
    for i, one in enumerate(whole.parameters):
        if one != name:
            assert held[one] == pytest.approx(fixed[one], abs=0.01 * np.sqrt(matrix[i, i])), one
            assert own[i, i] == pytest.approx(other[i, i], rel=0.01), one
    wide, own, fitted = fit(cutout, said={"bounds": {name: [-90, 90]}})
    assert list(wide.values()) == pytest.approx(list(free.values()), abs=1e-3) and fitted.flags[0] == 0
    np.testing.assert_allclose(np.diag(own), np.diag(matrix), rtol=0.01)


def test_a_start_is_taken():
    held = {"sky": "start", "sky_dx": "start", "sky_dy": "start"}
    values, _, _ = fit(
        galaxy(), said={"start": {"sky": 9.05, "sky_dx": 0.049, "sky_dy": -0.031}, "fixed": held}
    )
    assert [values[name] for name in PLANE] == pytest.approx([9.05, 0.049, -0.031], abs=1e-12)
    slopes = {"sky_dx": 0.05, "sky_dy": -0.03}
    measured, _, _ = fit(galaxy(), said={"fixed": slopes | {"sky": "start"}})
    assert measured["sky"] == pytest.approx(BEGIN[0, -1] - 0.05 * 33 + -0.03 * -38, abs=1e-12), (
        "what is measured around the galaxy"
    )
    given, _, _ = fit(
        replace(galaxy(), start={"sky": BEGIN[0, -1]}), said={"fixed": slopes | {"sky": "start"}}
    )
    assert given["sky"] == pytest.approx(BEGIN[0, -1], abs=1e-12), (
        "and what is given is given at the centre of the image"
    )


def test_of_what_nothing_is_said_is_fitted_around_the_window():
    """Where the window lies in its image changes no number but the level, not even where the engine holds
    the sky."""
    poor = replace(
        galaxy(sky_dx=0.005, sky_dy=-0.003), sigma=np.full((48, 46), 0.7 * NOISE), to_centre=(-330.0, -380.0)
    )
    for far, flag in (galaxy(), 0), (poor, 0), (galaxy(mag=12.0, r_eff=60.0, n=1.0), Flag.UNCONSTRAINED):
        here, _, one = fit(replace(far, to_centre=(0.0, 0.0)), "uncertainty=none")
        there, _, other = fit(far, "uncertainty=none")
        said = Flag.UNCONSTRAINED if flag else Flag.SKY_FIXED
        assert one.flags[0] == other.flags[0] and one.flags[0] & said == flag
        assert there.pop("sky") == pytest.approx(
            here.pop("sky") + far.to_centre[0] * here["sky_dx"] + far.to_centre[1] * here["sky_dy"]
        )
        assert there == here and one.n_iter[0] == other.n_iter[0]


def test_the_bootstrap_keeps_what_is_fixed():
    _, matrix, fitted = fit(
        galaxy(),
        "uncertainty=bootstrap",
        "uncertainty.replicates=6",
        "uncertainty.keep=true",
        said={"fixed": {"sky": 9.1, "sky_dx": 0.051}},
    )
    at = dict(zip(fitted.parameters, fitted.replicates[0].T, strict=True))
    np.testing.assert_allclose(at["sky"], 9.1, rtol=1e-12)
    np.testing.assert_allclose(at["sky_dx"], 0.051, rtol=1e-12)
    place = fitted.parameters.index("sky_dy")
    assert np.ptp(at["sky_dy"]) > 0 and matrix[place, place] > 0


def test_far_from_the_centre_single_precision_is_enough():
    """The level and the slopes of a window are nearly one parameter there."""
    far = replace(galaxy(sky=9.0), to_centre=(400.0, -300.0))
    said = {"priors": {"sky": {"normal": (12, 0.3)}, "sky_dx": {"normal": (0.05, 0.01)}}}
    (double, matrix, one), (single, other, two) = (
        fit(far, f"dtype={kind}", said=said) for kind in ("float64", "float32")
    )
    errors = np.sqrt(np.diag(matrix))
    assert np.abs([double[name] - single[name] for name in double] / errors).max() < 0.02
    np.testing.assert_allclose(np.sqrt(np.diag(other)), errors, rtol=0.02)
    assert one.n_iter[0] < 12 and two.n_iter[0] < 12


def test_parts_of_a_part_know_the_centre():
    whole = replace(galaxy(), to_centre=(0.0, 0.0))
    part = whole.window(slice(10, 40), slice(6, 26)).window(slice(5, 15), slice(4, 14))
    # columns 10 to 19 of 46, and rows 15 to 24 of 48
    assert part.to_centre == (22.5 - 14.5, 23.5 - 19.5) and len(START) == BEGIN.shape[1]
