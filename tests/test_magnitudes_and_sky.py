"""Magnitudes and the sky, fixed, bounded, tied and held by priors, against a posterior that is written out
here."""

import numpy as np
import pytest

import autogal
from autogal.errors import AutogalError

from .observations import PARAMETERS, PSF, ZEROPOINT, Galaxy, Observations, observe

GALAXY = Galaxy(
    x=19.3, y=20.2, mag=13.0, r_eff=3.0, n=1.5, q=0.6, pa=40, sky=50.0, noise=10.0, shape=(40, 40)
)
COUNTS = Galaxy(
    x=19.3,
    y=20.2,
    mag=ZEROPOINT - 2.5 * np.log10(3000),
    r_eff=3.0,
    n=1.5,
    q=0.6,
    pa=40,
    sky=0.5,
    noise=0.7,
    shape=(40, 40),
)
# About as narrow as what the image says, and off by some of its errors
PRIORS = {"mag": (13.04, 0.005), "sky": (52.5, 0.4)}
PRIORS_OF_COUNTS = {"mag": (COUNTS.mag + 0.2, 0.03), "sky": (0.6, 0.02)}
STEPS = {"x": 1e-3, "y": 1e-3, "mag": 1e-4, "r_eff": 1e-3, "n": 1e-3, "q": 1e-3, "pa": 0.05, "sky": 1e-3}


@pytest.fixture(scope="module")
def observed() -> Observations:
    return observe([GALAXY], repeat=3, seed=4)


def fit(observed: Observations, likelihood="gaussian", solver="lm", start=None, zeropoint=ZEROPOINT, **said):
    given = observed.arguments() | {
        "start": observed.start if start is None else start,
        "zeropoint": zeropoint,
    }
    given |= {"sigma": None} if likelihood == "poisson" else {}
    return autogal.fit(
        **given,
        likelihood=likelihood,
        solver=solver,
        dtype="float64",
        pixel_scale=0.4,
        model={"profile": "sersic"} | said,
    )


def normal(priors) -> dict:
    return {name: {"normal": list(prior)} for name, prior in priors.items()}


def information_and_slopes(likelihood, image, sigma, model, jacobian):
    """Fisher's matrix of the data, and half the slope of the deviance."""
    match likelihood:
        case "gaussian":
            pull, weight = (model - image) / sigma**2, sigma**-2
        case "poisson":
            pull, weight = 1 - image / model, 1 / model
        case "student_t":  # of 4 degrees of freedom
            off = model - image
            pull, weight = 5 / 4 * off / sigma**2 / (1 + (off / sigma) ** 2 / 4), 5 / 7 * sigma**-2
    return np.einsum("ihw,hw,jhw->ij", jacobian, weight, jacobian), np.einsum("ihw,hw->i", jacobian, pull)


def posterior(observed: Observations, row: int, at: dict, likelihood: str, priors: dict):
    """The slope of -ln posterior and the covariance, by differences of images drawn at catalogue values."""
    moved = [at | {name: at[name] + sign * STEPS[name]} for name in PARAMETERS for sign in (1, -1)]
    table = {name: np.array([one[name] for one in (at, *moved)]) for name in PARAMETERS}
    model, *pairs = autogal.render(
        table, psf=PSF.star(25), shape=GALAXY.shape, zeropoint=ZEROPOINT, dtype="float64"
    )
    jacobian = np.stack(
        [(plus - minus) / (2 * STEPS[name]) for name, plus, minus in zip(PARAMETERS, pairs[::2], pairs[1::2])]
    )
    image, sigma = observed.images[row].astype(float), observed.sigmas[row].astype(float)
    matrix, slope = information_and_slopes(likelihood, image, sigma, model, jacobian)
    for name, (mean, width) in priors.items():
        place = PARAMETERS.index(name)
        matrix[place, place] += width**-2
        slope[place] += (at[name] - mean) / width**2
    return slope, np.linalg.inv(matrix)


@pytest.mark.parametrize(
    ("likelihood", "solver"),
    [
        ("gaussian", "lm"),
        ("gaussian", "adam"),
        ("gaussian", "lbfgs"),
        ("student_t", "lm"),
        ("poisson", "lm"),
        ("poisson", "lbfgs"),
    ],
)
def test_priors_move_the_fit_to_the_maximum_of_the_posterior(observed, likelihood, solver):
    priors = PRIORS
    if likelihood == "poisson":
        observed, priors = observe([COUNTS], seed=4), PRIORS_OF_COUNTS
        observed.images = [
            np.random.default_rng(4).poisson(COUNTS.flux * COUNTS.light() + COUNTS.sky).astype(np.float32)
        ]
    catalogue = fit(observed.rows([0]), likelihood, solver, priors=normal(priors))
    row = catalogue.table[0]
    at = {name: float(row[name]) for name in PARAMETERS}
    slope, matrix = posterior(observed, 0, at, likelihood, priors)
    errors = np.sqrt(np.diag(matrix))
    assert row["status"] == "converged"
    # the prior alone pulls at each by more than one error, which what is left must balance
    assert all(
        abs(at[name] - mean) / width**2 * errors[PARAMETERS.index(name)] > 0.5
        for name, (mean, width) in priors.items()
    )
    assert np.abs(slope * errors).max() < 0.05
    np.testing.assert_allclose([row[f"{name}_err"] for name in PARAMETERS], errors, rtol=0.02)


def pull_of(row, name):
    return (row[name] - getattr(GALAXY, name)) / row[f"{name}_err"]


def test_what_is_fixed_keeps_each_galaxys_own_value_and_sharpens_the_others(observed):
    truth = observed.start | {
        "mag": np.full(3, GALAXY.mag) + [0.0, 0.01, -0.01],
        "sky": np.array([50.0, 50.3, 49.7]),
    }
    free, own = (
        fit(observed, start=truth).table,
        fit(observed, start=truth, fixed={"sky": "start", "mag": "start"}).table,
    )
    np.testing.assert_allclose(own["sky"], truth["sky"], rtol=1e-12)
    np.testing.assert_allclose(own["mag"], truth["mag"], rtol=1e-12)
    assert (
        np.isnan(own["sky_err"]).all() and np.isnan(own["mag_err"]).all() and np.isnan(own["flux_err"]).all()
    )
    assert np.all(own["r_eff_err"] < 0.9 * free["r_eff_err"]) and np.all(own["n_err"] < 0.9 * free["n_err"])
    assert set(own["status"]) == {"converged"} and set(own["flag_names"]) == {""}, (
        "held is not at a bound, and not the engine's choice"
    )
    numbers = fit(
        observed.rows([1]),
        start={k: v[1:2] for k, v in observed.start.items()},
        fixed={"sky": 50.3, "mag": 13.01},
    ).table
    for name in ("r_eff", "n", "q", "x", "r_eff_err", "chi2_dof"):
        np.testing.assert_allclose(numbers[name][0], own[name][1], rtol=2e-3, err_msg=name)
    at = {name: float(own[name][0]) for name in PARAMETERS}
    slope, matrix = posterior(observed, 0, at, "gaussian", {"mag": (13.0, 1e-6), "sky": (50.0, 1e-6)})
    errors, rest = (
        np.sqrt(np.diag(matrix)),
        [PARAMETERS.index(name) for name in ("x", "y", "r_eff", "n", "q", "pa")],
    )
    assert np.abs(slope * errors)[rest].max() < 0.05
    np.testing.assert_allclose([own[f"{PARAMETERS[i]}_err"][0] for i in rest], errors[rest], rtol=0.02)


@pytest.mark.parametrize("likelihood", ["gaussian", "student_t", "poisson"])
def test_a_prior_narrow_beyond_the_data_is_as_good_as_fixed(observed, likelihood):
    said = {"sky": 50.5, "mag": 13.01}
    fixed, held = (
        fit(observed.rows([0]), likelihood, **one).table[0]
        for one in (
            {"fixed": said},
            {"priors": {name: {"normal": [value, 1e-6]} for name, value in said.items()}},
        )
    )
    for name in ("x", "r_eff", "n", "q", "pa"):
        assert abs(held[name] - fixed[name]) < 0.02 * fixed[f"{name}_err"], name
        assert held[f"{name}_err"] == pytest.approx(fixed[f"{name}_err"], rel=0.01), name
    assert held["sky_err"] == pytest.approx(1e-6, rel=0.01) and held["mag_err"] == pytest.approx(
        1e-6, rel=0.01
    )
    assert held["mag"] == pytest.approx(13.01, abs=1e-5) and held["sky"] == pytest.approx(50.5, abs=1e-5)


def test_a_fixed_sky_is_the_sky_that_the_engine_holds():
    # no Gaussian has wings: the fitted sky takes up what it misses of them
    winged = observe(
        [Galaxy(x=40.0, y=40.0, mag=10.5, r_eff=5.0, n=4.0, q=0.9, pa=20.0, shape=(80, 80))], seed=8
    )
    held = autogal.fit(**winged.arguments(), dtype="float64", model="gaussian").table[0]
    assert "SKY_FIXED" in held["flag_names"]
    fixed = autogal.fit(
        **winged.arguments(), dtype="float64", model="gaussian", **{"model.fixed.sky": float(held["sky"])}
    ).table[0]
    assert "SKY_FIXED" not in fixed["flag_names"]
    for name in ("mag", "fwhm", "chi2_dof"):
        np.testing.assert_allclose(fixed[name], held[name], rtol=1e-9, err_msg=name)
    # of a level that was measured not all is known, as it is of one that the user says
    assert np.isnan(fixed["sky_err"]) and held["sky_err"] > 0
    assert held["mag_err"] > fixed["mag_err"] and held["fwhm_err"] > fixed["fwhm_err"]


@pytest.mark.parametrize("solver", ["lm", "lbfgs"])
def test_bounds_hold_and_are_flagged_only_where_they_do(observed, solver):
    one = observed.rows([0])
    free, wide = (
        fit(one, solver=solver).table[0],
        fit(one, solver=solver, bounds={"mag": [12, 14], "sky": [40, None]}).table[0],
    )
    for name in ("mag", "sky", "r_eff"):
        assert abs(wide[name] - free[name]) < 0.05 * free[f"{name}_err"], name
        assert wide[f"{name}_err"] == pytest.approx(free[f"{name}_err"], rel=0.01), name
    assert wide["flag_names"] == free["flag_names"] == ""
    bound = float(free["sky"]) + 1.0
    narrow = fit(one, solver=solver, bounds={"sky": [bound, bound + 5]}).table[0]
    fixed = fit(one, solver=solver, fixed={"sky": bound}).table[0]
    assert (
        narrow["sky"] == pytest.approx(bound, abs=1e-9)
        and np.isnan(narrow["sky_err"])
        and narrow["flag_names"] == "AT_BOUND"
    )
    assert narrow["r_eff"] == pytest.approx(fixed["r_eff"], abs=0.05 * fixed["r_eff_err"])
    assert narrow["r_eff_err"] == pytest.approx(fixed["r_eff_err"], rel=0.01)
    faint = fit(one, solver=solver, bounds={"mag": [float(free["mag"]) + 0.02, None]}).table[0]
    assert faint["mag"] == pytest.approx(float(free["mag"]) + 0.02) and np.isnan(faint["mag_err"])
    assert (
        faint["flag_names"] == "START_FALLBACK AT_BOUND" and "is outside the bounds" in faint["message"]
    )  # the table's mag is too bright


def test_zero_point_and_unit_of_the_image_change_nothing(observed):
    one = observed.rows([0])
    here = fit(one, priors={"mag": {"normal": [13.01, 0.01]}}, bounds={"sky": [49.5, 50.6]}).table[0]
    one.images, one.sigmas = [100 * image for image in one.images], [100 * sigma for sigma in one.sigmas]
    one.start = one.start | {"mag": one.start["mag"] - 2.0, "sky": 100 * one.start["sky"]}
    there = fit(
        one,
        zeropoint=ZEROPOINT + 3.0,
        priors={"mag": {"normal": [11.01, 0.01]}},
        bounds={"sky": [4950.0, 5060.0]},
    ).table[0]
    for name in ("r_eff", "n", "r_eff_err", "mag_err", "chi2_dof"):
        np.testing.assert_allclose(there[name], here[name], rtol=1e-4, err_msg=name)
    assert there["mag"] + 2.0 == pytest.approx(here["mag"], abs=1e-5) and there["sky"] / 100 == pytest.approx(
        here["sky"], abs=1e-3
    )


def test_magnitudes_of_components_fixed_tied_and_held(observed):
    node = {
        "components": {
            "point": {"profile": "point_source", "fixed": {"mag": 17.0}},
            "host": {"profile": "sersic"},
        },
        "shared": {"host.x": "point.x", "host.y": "point.y"},
        "priors": {"sky": {"normal": [50.0, 0.3]}},
    }
    several = lambda node: autogal.fit(**observed.rows([0]).arguments(), pixel_scale=0.4, model=node).table[0]
    fixed = several(node)
    assert fixed["status"] == "converged" and fixed["flag_names"] == ""
    assert fixed["point_mag"] == pytest.approx(17.0, abs=1e-9) and np.isnan(fixed["point_mag_err"])
    # all of the error of the whole is that of the host, whose share of the light it is
    share = 1 / (1 + 10 ** (0.4 * (fixed["host_mag"] - 17.0)))
    assert fixed["mag_err"] == pytest.approx(fixed["host_mag_err"] * share, rel=1e-6) and 0.9 < share < 1
    node["components"] = {
        "point": {"profile": "point_source", "priors": {"mag": {"normal": [17.0, 1e-6]}}},
        "host": {"profile": "sersic"},
    }
    held = several(node)
    assert held["host_mag"] == pytest.approx(fixed["host_mag"], abs=0.05 * fixed["host_mag_err"])
    assert held["mag_err"] == pytest.approx(fixed["mag_err"], rel=0.01)
    node["components"] = {
        "point": {"profile": "point_source"},
        "host": {"profile": "sersic", "priors": {"mag": {"normal": [13.0, 1e-4]}}},
    }
    tied = several(node | {"ties": {"point.mag": "host.mag + 4"}})
    assert tied["point_mag"] == pytest.approx(tied["host_mag"] + 4) and tied[
        "point_mag_err"
    ] == pytest.approx(1e-4, rel=0.05)


def test_the_bootstrap_keeps_what_is_fixed(observed):
    kind = {"uncertainty": "bootstrap", "uncertainty.replicates": 6, "uncertainty.keep": True}
    catalogue = autogal.fit(
        **observed.rows([0]).arguments(),
        pixel_scale=0.4,
        **kind,
        model={"profile": "sersic", "fixed": {"mag": 13.0}, "priors": {"sky": {"normal": [50.0, 1e-6]}}},
    )
    at = dict(zip(catalogue.parameters, catalogue.replicates[0].T, strict=True))
    assert np.ptp(at["mag"]) < 1e-9 and np.ptp(at["sky"]) < 1e-4 and np.ptp(at["r_eff"]) > 1e-3
    assert np.isnan(catalogue.table["mag_err"][0]) and catalogue.table["r_eff_err"][0] > 0


BOTH = {"components": {"bulge": {"profile": "sersic"}, "disk": {"profile": "exponential"}}}


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"priors": {"sky": {"normal": [50, 0]}}}, "The prior on sky"),
        ({"priors": {"mag": {"normal": [13, -1]}}}, "The prior on mag"),
        ({"priors": {"mag": [13, 1]}}, "log-normal prior on mag"),
        ({"priors": {"sky": [50, 1]}}, "log-normal prior on sky"),
        ({"bounds": {"mag": [14, 12]}}, "The bounds of mag are"),
        ({"bounds": {"sky": [3, 3]}}, "The bounds of sky are"),
        ({"start": {"mag": 15}, "bounds": {"mag": [12, 14]}}, "mag is to start at 15, outside its bounds"),
        ({"start": {"sky": 5}, "bounds": {"sky": [6, 9]}}, "sky is to start at 5, outside its bounds"),
        ({"start": {"sky": "mag"}}, "The start of sky is mag"),
        ({"fixed": {"mag": 15}, "bounds": {"mag": [12, 14]}}, "mag is fixed at 15, outside its bounds"),
        ({"fixed": {"sky": 15}, "start": {"sky": 14}}, "sky has a start, but it is fixed"),
        ({"fixed": {"sky": "begin"}}, "sky cannot be fixed at begin"),
        ({"bounds": {"sky_dx": [0, 1]}}, "bounds on sky_dx"),
        ({"fixed": {"sky_dx": 0}}, "sky_dx cannot be fixed"),
        ({"fixed": {"sky_dz": 0}, "sky": "tilted"}, "sky_dz cannot be fixed"),
        ({"bounds": {"sky_dx": [1, 0]}, "sky": "tilted"}, "The bounds of sky_dx are"),
        ({"priors": {"sky_dy": {"normal": [1, 0]}}, "sky": "tilted"}, "The prior on sky_dy is"),
        ({"priors": {"sky_dy": [1, 1]}, "sky": "tilted"}, "log-normal prior on sky_dy"),
        (
            {"start": {"sky_dx": 2}, "bounds": {"sky_dx": [0, 1]}, "sky": "tilted"},
            "sky_dx is to start at 2, outside its bounds",
        ),
        ({"start": {"sky_dx": "mag"}, "sky": "tilted"}, "The start of sky_dx is mag"),
        ({"start": {"sky": 2}, "fixed": {"sky": 3}, "sky": "tilted"}, "sky has a start, but it is fixed"),
        ({"ties": {"sky_dx": "0.1"}, "sky": "tilted"}, "no parameter sky_dx"),
        (
            {"components": {"bulge": {"profile": "sersic", "bounds": {"sky_dx": [0, 1]}}}, "sky": "tilted"},
            "bounds on bulge_sky_dx",
        ),
        (BOTH | {"fixed": {"n": 4}}, "fixed of n stands beside the components"),
        ({"components": {"bulge": {"profile": "sersic", "fixed": {"sky": 0}}}}, "bulge_sky cannot be fixed"),
        (BOTH | {"ties": {"disk.mag": "15"}}, "hang on the zero point"),
        (BOTH | {"ties": {"disk.mag": "bulgy.mag + 1"}}, "no parameter bulgy_mag"),
        (
            BOTH | {"ties": {"disk.mag": "bulge.mag", "bulge.mag": "disk.mag + 1"}},
            "in a circle: disk_mag -> bulge_mag -> disk_mag",
        ),
        (
            {
                "components": BOTH["components"] | {"disk": {"profile": "exponential", "fixed": {"mag": 15}}},
                "ties": {"disk.mag": "bulge.mag"},
            },
            "disk_mag is both fixed and tied",
        ),
        (
            {
                "components": BOTH["components"]
                | {"disk": {"profile": "exponential", "fixed": {"x": "start"}}},
                "shared": {"disk.x": "bulge.x"},
            },
            "disk_x is both fixed and tied or shared",
        ),
        (
            {
                "components": BOTH["components"]
                | {"disk": {"profile": "exponential", "bounds": {"mag": [12, 14]}}},
                "limits": ["disk.mag < bulge.mag"],
            },
            "disk_mag has bounds, and is tied or limited",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_before_the_run(said, words):
    with pytest.raises(AutogalError, match=words) as caught:
        autogal.fit(
            np.zeros((1, 40, 40)),
            psf=PSF.star(25),
            model={"profile": "sersic"} | said if "components" not in said else said,
        )
    assert caught.value.remedy and "\n" not in caught.value.what + caught.value.remedy
