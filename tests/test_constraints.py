"""Ties, limits, fixed parameters and priors, from the stamp to the catalogue."""

import math

import numpy as np
import pytest

import autogal
from autogal.images import moffat

N, SHAPE = 12, (64, 64)
COMPONENTS = {"bulge": {"profile": "devaucouleurs"}, "disk": {"profile": "exponential"}}
CENTRE = {"disk.x": "bulge.x", "disk.y": "bulge.y"}


@pytest.fixture(scope="module")
def galaxies():
    """Noisy bulges turned by 10 degrees against their disks, drawn component by component; truth, sigma
    and PSF."""
    rng = np.random.default_rng(11)
    psf = moffat(3.0, 3.5, size=41)
    centre = dict(x=31 + rng.uniform(-1, 1, N), y=32 + rng.uniform(-1, 1, N))
    h, pa = rng.uniform(3.0, 5.0, N), rng.uniform(0, 180, N)
    disk = dict(
        **centre, mag=np.full(N, 12.0), r_eff=1.678347 * h, n=np.ones(N), q=rng.uniform(0.4, 0.7, N), pa=pa
    )
    bulge = dict(
        **centre,
        mag=np.full(N, 12.7),
        r_eff=h * 0.5,
        n=np.full(N, 4.0),
        q=rng.uniform(0.5, 0.8, N),
        pa=(pa + 10) % 180,
    )
    light = sum(autogal.render(part, psf=psf, shape=SHAPE, zeropoint=25.0) for part in (bulge, disk))
    sigma = np.sqrt(light + 150.0)
    truth = {f"bulge_{key}": v for key, v in bulge.items()} | {
        f"disk_{key}": v for key, v in (disk | {"h": h}).items()
    }
    return dict(images=light + sigma * rng.normal(size=light.shape), sigma=sigma, psf=psf), truth


def fit(galaxies, count=N, **said):
    nodes = {name: node | said.pop(name, {}) for name, node in COMPONENTS.items()}
    given = galaxies[0]
    return autogal.fit(
        given["images"][:count],
        sigma=given["sigma"][:count],
        psf=given["psf"],
        zeropoint=25.0,
        pixel_scale=0.4,
        segment="none",
        model={"components": nodes, "shared": CENTRE} | said,
    )


def pulls(table, truth, name):
    off = np.asarray(table[name], float) - truth[name][: len(table)]
    off = (off + 90) % 180 - 90 if name.endswith("pa") else off
    return off / np.asarray(table[f"{name}_err"], float)


TIED = dict(disk={"start": {"h": "r_eff / 1.7"}, "bounds": {"h": [0.1, 40.0]}},
            ties={"disk.r_eff": "1.678347 * disk.h", "bulge.pa": "disk.pa + 10"})  # fmt: skip


@pytest.fixture(scope="module")
def tied(galaxies):
    return fit(galaxies, **TIED)


def test_tied_parameters_follow_and_their_errors_too(galaxies, tied):
    table = tied.table
    assert set(table["status"]) == {"converged"}
    np.testing.assert_allclose(table["disk_r_eff"], 1.678347 * table["disk_h"])
    np.testing.assert_allclose(table["disk_r_eff_err"], 1.678347 * table["disk_h_err"])
    np.testing.assert_allclose((table["bulge_pa"] - table["disk_pa"]) % 180, 10.0)
    np.testing.assert_allclose(table["bulge_pa_err"], table["disk_pa_err"])
    free = fit(galaxies).table
    assert np.all(table["bulge_pa_err"] < 0.5 * free["bulge_pa_err"]), "a bulge's angle is that of the disk"
    for name in ("disk_h", "disk_r_eff", "disk_pa", "bulge_pa", "bulge_mag", "disk_mag", "bulge_r_eff"):
        pull = pulls(table, galaxies[1], name)
        assert np.all(np.abs(pull) < 4) and 0.5 < np.sqrt(np.mean(pull**2)) < 1.6, (name, pull)
    assert (
        np.all(np.isfinite(table["bt_err"]))
        and np.all(np.isfinite(table["mag_err"]))
        and np.std(tied.residual(0) / galaxies[0]["sigma"][0]) < 1.1
    )


def test_a_tie_between_magnitudes(galaxies):
    truth, table = galaxies[1], fit(galaxies, 4, ties={"bulge.mag": "disk.mag + 0.7"}).table
    np.testing.assert_allclose(table["bulge_mag"], table["disk_mag"] + 0.7)
    np.testing.assert_allclose(table["bt"], 1 / (1 + 10 ** (0.4 * 0.7)))
    np.testing.assert_allclose(table["mag_err"], table["disk_mag_err"])
    assert np.all(np.isnan(table["bt_err"])), "what cannot vary has no error"
    for name in ("disk_mag", "disk_r_eff", "bulge_r_eff"):
        assert np.all(np.abs(pulls(table, truth, name)) < 4), name
    assert np.all(table["snr"] > 100)


def test_a_limit_that_does_not_bind_changes_nothing_and_one_that_does_is_flagged(galaxies):
    free, wide = fit(galaxies, 3).table, fit(galaxies, 3, limits=["bulge.r_eff < disk.r_eff"]).table
    for name in ("bulge_r_eff", "disk_r_eff", "bt"):
        np.testing.assert_allclose(wide[name], free[name], atol=0.05 * np.min(free[f"{name}_err"]))
        np.testing.assert_allclose(wide[f"{name}_err"], free[f"{name}_err"], rtol=0.02)
    narrow = fit(galaxies, 3, limits=["bulge.r_eff < 0.1 * disk.r_eff"]).table
    same = fit(galaxies, 3, ties={"bulge.r_eff": "0.1 * disk.r_eff"}).table
    np.testing.assert_allclose(narrow["bulge_r_eff"], 0.1 * narrow["disk_r_eff"])
    assert np.all(np.isnan(narrow["bulge_r_eff_err"])) and all(
        "AT_BOUND" in names for names in narrow["flag_names"]
    )
    assert not any("AT_BOUND" in names for names in same["flag_names"])
    for name in ("disk_r_eff", "bt"):
        np.testing.assert_allclose(narrow[name], same[name], atol=0.05 * np.min(same[f"{name}_err"]))
        np.testing.assert_allclose(narrow[f"{name}_err"], same[f"{name}_err"], rtol=0.02)


def test_what_is_fixed_stays(galaxies):
    table = fit(galaxies, 2, disk={"fixed": {"q": 0.5, "r_eff": 6.0}}).table
    np.testing.assert_allclose(table["disk_q"], 0.5, rtol=1e-6)
    np.testing.assert_allclose(table["disk_r_eff"], 6.0, rtol=1e-6)
    assert np.all(np.isnan(table["disk_q_err"])) and np.all(np.isfinite(table["disk_pa_err"]))


@pytest.mark.parametrize("solver", ["lm", "lbfgs"])
def test_a_narrow_prior_holds_its_parameter_and_says_so_in_the_error(galaxies, solver):
    prior = {"bulge": {"priors": {"r_eff": {"normal": [3.0, 0.001]}}}}
    given = galaxies[0]
    nodes = {"bulge": COMPONENTS["bulge"] | prior["bulge"], "disk": COMPONENTS["disk"]}
    table = autogal.fit(
        given["images"][:2],
        sigma=given["sigma"][:2],
        psf=given["psf"],
        zeropoint=25.0,
        segment="none",
        solver=solver,
        model={"components": nodes, "shared": CENTRE},
    ).table
    np.testing.assert_allclose(table["bulge_r_eff"], 3.0, atol=0.005)
    np.testing.assert_allclose(table["bulge_r_eff_err"], 0.001, rtol=0.05)


def test_a_prior_as_good_as_the_image_halves_the_variance(galaxies):
    free = fit(galaxies, 1).table
    value, error = float(free["bulge_r_eff"][0]), float(free["bulge_r_eff_err"][0])
    held = fit(galaxies, 1, bulge={"priors": {"r_eff": {"normal": [value + error, error]}}}).table
    assert float(held["bulge_r_eff_err"][0]) == pytest.approx(error / math.sqrt(2), rel=0.1)
    assert float(held["bulge_r_eff"][0]) == pytest.approx(value + error / 2, abs=0.1 * error)


def test_more_parameters_than_pixels_is_a_flagged_row(galaxies):
    given = galaxies[0]
    mask = np.ones(SHAPE, bool)
    mask[30:34, 30:34] = False
    row = autogal.fit(
        given["images"][:1],
        sigma=given["sigma"][:1],
        psf=given["psf"],
        mask=mask[None],
        zeropoint=25.0,
        segment="none",
        start={
            "x": [31.0],
            "y": [32.0],
            "mag": [12.0],
            "r_eff": [4.0],
            "n": [1.0],
            "q": [0.6],
            "pa": [0.0],
            "sky": [0.0],
        },
        model={"components": COMPONENTS, "shared": CENTRE, "ties": {"bulge.pa": "disk.pa"}},
    ).table[0]
    assert row["status"] == "skipped" and "FEW_PIXELS" in row["flag_names"] and np.isnan(row["bulge_mag"])


KNOWN = ("x", "y", "mag", "r_eff", "n", "q", "pa")


def known(galaxies):
    """The disk of the first galaxy as a model of which all is fixed, and what of its image there is
    without the bulge."""
    given, truth = galaxies
    row = {name: float(truth[f"disk_{name}"][0]) for name in KNOWN}
    image = autogal.render(
        {name: [value] for name, value in row.items()}, psf=given["psf"], shape=SHAPE, zeropoint=25.0
    )
    return row | {"sky": 0.0}, dict(
        images=image + galaxies[0]["sigma"][:1] * np.random.default_rng(4).normal(size=image.shape),
        sigma=given["sigma"][:1],
        psf=given["psf"],
        zeropoint=25.0,
        pixel_scale=0.4,
    )


@pytest.mark.parametrize("free", [(), ("sky",)])
@pytest.mark.parametrize("how", ["numbers", "start"])
def test_a_model_of_which_all_is_known_is_photometry(galaxies, how, free):
    values, given = known(galaxies)
    table = {name: [value] for name, value in values.items()}
    fixed = {
        name: value if how == "numbers" else "start" for name, value in values.items() if name not in free
    }
    found = autogal.fit(
        **given,
        start=table,
        model={"profile": "sersic", "fixed": fixed},
        uncertainty="both",
        **{"uncertainty.replicates": 3},
    )
    row = found.table[0]
    assert (
        row["status"] == "converged"
        and row["flag_names"] == ""
        and row["snr"] > 100
        and 0.9 < row["chi2_dof"] < 1.1
    )
    for name in fixed:
        assert (
            row[name] == pytest.approx(values[name], abs=1e-9)
            and math.isnan(row[f"{name}_err"])
            and math.isnan(row[f"{name}_err_boot"])
        )
    assert all(row[f"{name}_err"] > 0 and row[f"{name}_err_boot"] > 0 for name in free)


def test_a_model_of_which_all_is_known_has_neighbours(galaxies):
    values, given = known(galaxies)
    beside = {
        name: [value] for name, value in (values | {"x": values["x"] + 15, "mag": 13.0, "r_eff": 3.0}).items()
    }
    given["images"] = given["images"] + autogal.render(beside, psf=given["psf"], shape=SHAPE, zeropoint=25.0)
    found = autogal.fit(
        **given,
        model={"profile": "sersic", "fixed": values},
        segment="sep",
        initialise="moments",
        neighbours="fit",
    )
    assert found.table["status"][0] == "converged" and "was fitted together" in found.table["message"][0]
    assert (
        found.neighbours[0, 0, 2] == pytest.approx(13.0, abs=0.05) and found.table["mag"][0] == values["mag"]
    )


@pytest.mark.parametrize(
    "fixed", [{"q": 1}, {"q": 1, "pa": 0}, {"q": 1, "pa": 30}, {"q": 0.9999}, {"q": "start"}]
)
def test_what_is_held_round_keeps_its_errors(galaxies, fixed):
    values, given = known(galaxies)
    start = (
        {name: [value] for name, value in (values | {"q": 1.0}).items()}
        if "start" in fixed.values()
        else None
    )
    row = autogal.fit(
        **given, start=start, model={"profile": "sersic", "fixed": fixed}, segment="none"
    ).table[0]
    assert row["status"] == "converged" and "SINGULAR" not in row["flag_names"] and row["n_iter"] < 60
    assert all(0 < row[f"{name}_err"] < 1 for name in ("x", "y", "mag", "r_eff", "n", "sky"))
    if fixed["q"] == 1:
        assert row["pa"] == pytest.approx(fixed.get("pa", 0), abs=1e-9) and math.isnan(row["pa_err"])
    else:  # free, and known to be somewhere
        assert 40 < row["pa_err"] < 52


@pytest.mark.parametrize(
    "said",
    [
        dict(bulge={"fixed": {"q": 1}}),
        dict(ties={"bulge.q": 1}),
        dict(disk={"fixed": {"q": 1}}, ties={"bulge.q": "disk.q"}),
    ],
)
def test_a_round_bulge_keeps_the_errors_of_its_disk(galaxies, said):
    table = fit(galaxies, 3, **said).table
    assert (
        set(table["status"]) == {"converged"}
        and (table["bulge_q"] == 1).all()
        and np.allclose(table["bulge_pa"], 0)
    )
    assert all(
        (table[f"{name}_err"] > 0).all()
        for name in ("bulge_mag", "bulge_r_eff", "disk_mag", "disk_r_eff", "mag", "bt")
    )
