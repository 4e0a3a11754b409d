"""What likelihoods are for: few counts without bias, wild pixels without harm, and errors that are true of
both."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits

import autogal
from autogal.configuration.help import page
from autogal.flags import Flag
from autogal.results import Catalogue

from .observations import PARAMETERS, PSF, ZEROPOINT, Galaxy, Observations, observe

# 3000 counts on a sky of half a count a pixel, and a bright galaxy in heavy-tailed noise; 72 px: the fit
# begins on binned pixels
FAINT = Galaxy(
    x=35.3,
    y=36.2,
    mag=ZEROPOINT - 2.5 * np.log10(3000),
    r_eff=4.0,
    n=1.5,
    q=0.6,
    pa=40,
    sky=0.5,
    noise=0.7,
    shape=(72, 72),
)
BRIGHT = Galaxy(x=35.3, y=36.2, mag=12.3, r_eff=4.0, n=1.5, q=0.6, pa=40, sky=5.0, noise=10.0, shape=(72, 72))


def of_counts(galaxy: Galaxy, repeat: int, seed: int) -> Observations:
    """The same galaxy with Poisson's noise in place of the normal one."""
    observed, rng = observe([galaxy], repeat, seed), np.random.default_rng(seed)
    observed.images = list(
        rng.poisson(galaxy.flux * galaxy.light() + galaxy.sky, (repeat, *galaxy.shape)).astype(np.float32)
    )
    return observed


def of_noise(galaxy: Galaxy, repeat: int, seed: int, draw) -> Observations:
    """The same galaxy with other noise: `draw` gives it in units of sigma."""
    observed, rng = observe([galaxy], repeat, seed), np.random.default_rng(seed)
    clean = galaxy.flux * galaxy.light() + galaxy.sky
    observed.images = [
        (clean + galaxy.sigma() * draw(rng, galaxy.shape)).astype(np.float32) for _ in range(repeat)
    ]
    return observed


def normal_with_wild_pixels(rng, shape) -> np.ndarray:
    noise = rng.normal(size=shape)
    wild = rng.random(shape) < 0.02
    noise[wild] += rng.uniform(10, 100, wild.sum())
    return noise


def fit(observed: Observations, **options):
    return autogal.fit(**observed.arguments() | options)


def count(observed: Observations, **options):
    return fit(observed, sigma=None, likelihood="poisson", **options)


def deviations(catalogue, observed: Observations) -> tuple[np.ndarray, np.ndarray]:
    """Fitted minus true values, and errors, [N, P] each."""
    off = np.stack(
        [np.asarray(catalogue.table[name], float) - observed.truth[name] for name in PARAMETERS], axis=-1
    )
    off[:, PARAMETERS.index("pa")] = (off[:, PARAMETERS.index("pa")] + 90) % 180 - 90
    return off, np.stack([np.asarray(catalogue.table[f"{name}_err"], float) for name in PARAMETERS], axis=-1)


@pytest.fixture(scope="module")
def counts() -> Observations:
    return of_counts(FAINT, 200, seed=60)


@pytest.fixture(scope="module")
def counted(counts):
    return count(counts)


@pytest.fixture(scope="module")
def wild() -> Observations:
    return of_noise(BRIGHT, 12, 61, normal_with_wild_pixels)


def test_few_counts_without_bias(counts, counted):
    assert set(counted.table["status"]) == {"converged"}
    off, errors = deviations(counted, counts)
    bias = off.mean(0) / (off.std(0) / np.sqrt(len(off)))
    assert np.abs(bias).max() < 4, bias  # a mean of 200, to its own error
    assert np.abs(off.mean(0) / errors.mean(0)).max() < 0.25
    # chi-square with sigma from the data loses a seventh of the light
    usual = fit(counts, sigma=[np.sqrt(np.maximum(image, 1)) for image in counts.images])
    lost, _ = deviations(usual, counts)
    mag, r_eff, sky = (PARAMETERS.index(name) for name in ("mag", "r_eff", "sky"))
    assert (
        lost[:, mag].mean() > 5 * errors[:, mag].mean() and lost[:, sky].mean() < -3 * errors[:, sky].mean()
    )
    assert lost[:, r_eff].mean() < -3 * errors[:, r_eff].mean()


def test_errors_of_few_counts_are_true(counts, counted):
    off, errors = deviations(counted, counts)
    inside = np.mean(np.abs(off) < errors, axis=0)  # each known to 3.3 %
    assert np.abs(inside - 0.683).max() < 0.11 and abs(inside.mean() - 0.683) < 0.04, inside
    pulls = off / errors
    assert np.abs(np.sqrt(np.mean(pulls**2, 0)) - 1).max() < 0.16


@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_every_solver_counts_alike(solver, counts, counted):
    some = range(6 if solver == "lbfgs" else 2)
    off, errors = deviations(count(counts.rows(some), solver=solver), counts.rows(some))
    usual, _ = deviations(counted, counts)
    assert np.abs((off - usual[: len(off)]) / errors).max() < 0.05


def test_the_statistic_is_that_of_cash(counts, counted):
    table = counted.table
    for i in (0, 5):
        n, m = counts.images[i].astype(float), counted.model_image(i).astype(float)
        cash = 2 * np.sum(m - n + np.where(n > 0, n * np.log(np.maximum(n, 1) / m), 0.0))
        assert table["chi2_dof"][i] * (n.size - 8) == pytest.approx(cash, rel=1e-4)


def test_no_sky_to_speak_of():
    """Where hardly a pixel has a count, single ones are no sources, the fit is as good, and a deviance far
    below one a pixel is no surprise."""
    galaxy = replace(FAINT, sky=0.02)
    observed = of_counts(galaxy, 40, seed=62)
    catalogue = count(observed, start=None)
    off, errors = deviations(catalogue, observed)
    assert np.abs(off.mean(0) / errors.mean(0)).max() < 0.75 and np.mean(np.abs(off) < errors) > 0.6
    assert (catalogue.table["chi2_dof"] < 0.5).all()
    assert not (
        np.asarray(catalogue.table["flags"])
        & (Flag.POOR_FIT | Flag.BLENDED | Flag.SKY_FIXED | Flag.SIGMA_ESTIMATED)
    ).any()


def test_a_bright_source_does_not_raise_a_faint_sky():
    galaxy = replace(
        FAINT, mag=ZEROPOINT - 2.5 * np.log10(1e5), x=31.4, y=32.2, r_eff=3.0, n=1.0, sky=0.01, shape=(64, 64)
    )
    observed = of_counts(galaxy, 60, seed=67)
    catalogue = count(observed)
    off, errors = deviations(catalogue, observed)
    pull = (off / errors)[:, PARAMETERS.index("sky")]
    print(f"sky: {pull.mean():+.2f} errors, {np.mean(np.abs(pull) < 1):.0%} within one")
    assert abs(pull.mean()) < 0.5 and np.mean(np.abs(pull) < 1) > 0.5
    assert (
        np.mean(catalogue.table["status"] == "converged") > 0.95 and np.mean(catalogue.table["n_iter"]) < 35
    )
    other, _ = deviations(count(observed.rows(range(2)), solver="lbfgs"), observed.rows(range(2)))
    assert np.abs((other - off[:2]) / errors[:2]).max() < 0.3


def test_a_poor_fit_to_counts_is_one():
    one = replace(FAINT, mag=FAINT.mag - 4)
    other = replace(one, x=44.0, y=28.0, r_eff=3.0)
    both = one.flux * (one.light() + other.light()) + one.sky
    observed = observe([one], 3, seed=63)
    observed.images = list(np.random.default_rng(0).poisson(both, (3, *both.shape)).astype(np.float32))
    flags = np.asarray(count(observed).table["flags"])
    assert ((flags & Flag.POOR_FIT) > 0).all()


def test_counts_in_other_units(counts, counted):
    some = counts.rows(range(3))
    some.images = [image / 3 for image in some.images]
    some.start["mag"] = some.start["mag"] - 2.5 * np.log10(1 / 3)
    some.start["sky"] = some.start["sky"] / 3
    other = count(some, gain=3.0).table
    np.testing.assert_allclose(other["mag"], counted.table["mag"][:3] + 2.5 * np.log10(3), atol=1e-4)
    np.testing.assert_allclose(other["sky"], counted.table["sky"][:3] / 3, rtol=1e-3)
    for name in ("r_eff", "n", "mag_err", "chi2_dof"):
        np.testing.assert_allclose(other[name], counted.table[name][:3], rtol=2e-3)
    assert "taken as counts" in counted.table["message"][0] and "taken as counts" not in other["message"][0]


def test_bad_counts(counts, counted):
    some = counts.rows(range(4))
    images = [image.copy() for image in some.images]
    images[0][3, 4] = -1.0  # no count
    images[1][3, 4] = np.nan  # a dead pixel
    images[2][:] -= 0.5  # the sky taken off
    images[3][10:, :3] = -2.0
    masks = [np.zeros(image.shape, bool) for image in images]
    masks[3][10:, :3] = True  # known to be bad
    table = count(some, images=images, mask=masks).table
    assert list(table["status"]) == ["failed", "converged", "failed", "converged"]
    for i, number in ((0, 1), (2, np.count_nonzero(images[2] < 0))):
        assert "BAD_INPUT" in table["flag_names"][i] and np.isnan(table["mag"][i])
        assert f"{number} pixels are negative" in table["message"][i]
    assert abs(table["mag"][1] - counted.table["mag"][1]) < 0.5 * table["mag_err"][1]
    with_sigma = fit(some, images=images, likelihood="poisson").table
    assert with_sigma["status"][0] == "failed" and "negative" in with_sigma["message"][0]


def test_an_empty_image_and_one_of_single_counts():
    rng = np.random.default_rng(1)
    images = [rng.poisson(1e-3, (48, 48)).astype(np.float32), rng.poisson(0.5, (48, 48)).astype(np.float32)]
    table = autogal.fit(images, psf=PSF.star(25), likelihood="poisson").table
    assert not set(table["status"]) & {"converged"} or (np.asarray(table["flags"]) & Flag.LOW_SN).all()


@pytest.mark.parametrize("solver", ["lm", "lbfgs", "adam"])
def test_wild_pixels_do_no_harm(solver, wild):
    some = wild.rows(range(12 if solver != "adam" else 2))
    table = fit(some, likelihood="student_t", solver=solver).table
    assert set(table["status"]) == {"converged"}
    for name in ("r_eff", "n"):
        assert np.abs(table[name] / some.truth[name] - 1).max() < 0.05, name


def test_wild_pixels_ruin_chi_square(wild):
    table = fit(wild.rows(range(4)), restarts=0).table
    off = np.maximum(np.abs(table["r_eff"] / BRIGHT.r_eff - 1), np.abs(table["n"] / BRIGHT.n - 1))
    assert (off > 0.05).all()


def test_errors_in_heavy_tails_are_true():
    observed = of_noise(BRIGHT, 150, 64, lambda rng, shape: rng.standard_t(4, shape))
    catalogue = fit(observed, likelihood="student_t")
    off, errors = deviations(catalogue, observed)
    scatter = np.sqrt(np.mean((off / errors) ** 2, axis=0))  # each known to 6 %
    assert np.abs(scatter - 1).max() < 0.2 and abs(scatter.mean() - 1) < 0.07, scatter
    assert not (np.asarray(catalogue.table["flags"]) & Flag.POOR_FIT).any()
    # the deviance of such noise, as the distribution has it
    assert np.mean(catalogue.table["chi2_dof"]) == pytest.approx(1.402, rel=0.01)
    usual, too_small = deviations(fit(observed), observed)
    assert np.sqrt(np.mean((usual / too_small) ** 2)) > 1.25


@pytest.mark.parametrize("likelihood", ["poisson", "student_t"])
def test_the_same_whatever_the_company(likelihood, counts, wild, monkeypatch):
    observed = counts.rows(range(6)) if likelihood == "poisson" else wild.rows(range(6))
    together = fit(observed, likelihood=likelihood)
    off, errors = deviations(together, observed)

    def assert_same(catalogue, places):
        again, _ = deviations(catalogue, observed.rows(places))
        assert np.abs((again - off[places]) / errors[places]).max() < 1e-3

    assert_same(fit(observed.rows([3]), likelihood=likelihood), [3])
    assert_same(fit(observed.rows([5, 0, 2]), likelihood=likelihood, block=2), [5, 0, 2])
    assert_same(fit(observed, likelihood=likelihood, threads=2), list(range(6)))
    monkeypatch.setattr("autogal.batch.bucket._CACHE", 1)
    assert_same(fit(observed, likelihood=likelihood), list(range(6)))


@pytest.mark.parametrize("kind", ["pixel", "parametric"])
def test_a_bootstrap_of_counts(kind, counts):
    options = {"uncertainty": "both", "uncertainty.kind": kind, "uncertainty.replicates": 60}
    table = count(counts.rows(range(4)), **options).table
    ratio = np.stack(
        [np.asarray(table[f"{name}_err_boot"]) / np.asarray(table[f"{name}_err"]) for name in PARAMETERS]
    )
    assert np.median(ratio) == pytest.approx(1, abs=0.15) and ratio.min() > 0.6 and ratio.max() < 1.6


@pytest.mark.parametrize("kind", ["pixel", "block", "parametric"])
def test_a_bootstrap_in_heavy_tails(kind):
    observed = of_noise(BRIGHT, 3, 65, lambda rng, shape: rng.standard_t(4, shape))
    table = fit(
        observed,
        likelihood="student_t",
        uncertainty="both",
        **{"uncertainty.kind": kind, "uncertainty.replicates": 50},
    ).table
    ratio = np.stack(
        [np.asarray(table[f"{name}_err_boot"]) / np.asarray(table[f"{name}_err"]) for name in PARAMETERS]
    )
    assert np.median(ratio) == pytest.approx(1, abs=0.15)


def test_the_choice_of_a_model_is_by_the_likelihood(counts):
    some = counts.rows(range(3))
    both = count(some, model=["sersic", "devaucouleurs"]).table
    each = {name: count(some, model=name).table for name in ("sersic", "devaucouleurs")}
    pixels, size = FAINT.shape[0] * FAINT.shape[1], {"sersic": 8, "devaucouleurs": 7}
    bic = {
        name: each[name]["chi2_dof"] * (pixels - size[name]) + size[name] * np.log(pixels) for name in each
    }
    assert list(both["model"]) == ["sersic"] * 3
    np.testing.assert_allclose(
        both["devaucouleurs_delta_bic"], bic["devaucouleurs"] - bic["sersic"], rtol=1e-3
    )
    assert (both["devaucouleurs_delta_bic"] > 20).all()


TIED = {
    "components": {"bulge": {"profile": "devaucouleurs"}, "disk": {"profile": "exponential"}},
    "shared": {"disk.x": "bulge.x", "disk.y": "bulge.y"},
    "ties": {"disk.mag": "bulge.mag - 0.4"},
}


@pytest.mark.parametrize("model", ["bulge_disk", TIED], ids=["free", "tied"])
@pytest.mark.parametrize("likelihood", ["poisson", "student_t"])
def test_several_components(likelihood, model):
    truth = {
        "bulge_x": [35.3],
        "bulge_y": [36.1],
        "bulge_mag": [13.2],
        "bulge_r_eff": [2.5],
        "bulge_q": [0.8],
        "bulge_pa": [20.0],
        "disk_x": [35.3],
        "disk_y": [36.1],
        "disk_mag": [12.8],
        "disk_r_eff": [9.0],
        "disk_q": [0.5],
        "disk_pa": [30.0],
        "sky": [20.0],
        "mag": [0.0],
        "bt": [0.0],
    }
    clean = autogal.render(truth, psf=PSF.star(25), shape=(80, 80), zeropoint=ZEROPOINT, model="bulge_disk")
    rng = np.random.default_rng(66)
    if likelihood == "poisson":
        images, sigma = rng.poisson(clean).astype(np.float32), None
    else:
        sigma = np.sqrt(clean)
        images = (clean + sigma * normal_with_wild_pixels(rng, clean.shape)).astype(np.float32)
    table = autogal.fit(
        images, sigma=sigma, psf=PSF.star(25), zeropoint=ZEROPOINT, model=model, likelihood=likelihood
    ).table
    assert table["status"][0] == "converged"
    for name in ("bulge_mag", "disk_mag", "disk_r_eff", "disk_q", "sky"):
        assert abs(table[name][0] - truth[name][0]) < 5 * table[f"{name}_err"][0], name


def test_on_the_command_line(counts, tmp_path, autogal_command):
    for i in range(2):
        fits.writeto(tmp_path / f"g{i}.fits", counts.images[i] - (0 if i == 0 else 5))
    fits.writeto(tmp_path / "psf.fits", counts.psf)
    done = autogal_command(
        "fit",
        str(tmp_path / "g0.fits"),
        str(tmp_path / "g1.fits"),
        f"psf={tmp_path / 'psf.fits'}",
        "likelihood=poisson",
        "zeropoint=25",
        f"out={tmp_path / 'run'}",
        "device=cpu",
        OMP_NUM_THREADS="1",
    )
    assert done.returncode == 0, done.stderr
    table = Catalogue.read(tmp_path / "run" / "catalogue.fits").table
    assert list(table["status"]) == ["converged", "failed"] and "BAD_INPUT" in table["flag_names"][1]
    assert "likelihood           gaussian*  poisson  student_t" in page("fit")


def test_a_likelihood_that_cannot_be_is_refused_before_any_work(counts):
    for given in ({"likelihood": "cash"}, {"likelihood": "student_t", "likelihood.dof": 0.0}):
        with pytest.raises(autogal.AutogalError, match="likelihood"):
            autogal.fit([None], **given)
