"""Simulated scenes are what the truth table says, and reproducible."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from scipy import stats

import autogal
from autogal.errors import AutogalError
from autogal.images.survey import Survey
from autogal.simulate import Population, poisson_quantile, simulate, write_scenes

SURVEY = Survey(name="test", pixel_scale=0.4, zeropoint=22.5, psf_fwhm=1.3, gain=900.0, sky_sigma=0.028,
                magnitude=(16.0, 19.5))
SHAPE = (80, 90)


@pytest.fixture(scope="module")
def simulation():
    return simulate(24, SURVEY, seed=3, shape=SHAPE)


def test_batch_size_and_first_do_not_matter(simulation):
    again = simulate(7, SURVEY, seed=3, shape=SHAPE, first=5, batch=3)
    for one, other in zip(again.cutouts, simulation.cutouts[5:12], strict=True):
        assert one.id == other.id
        # A rounding error of the renderer may turn single counts, never the noise of a stamp.
        assert np.mean(one.image != other.image) < 1e-2
        assert np.abs(one.image - other.image).max() < 0.1 * SURVEY.sky_sigma
    for name in ("x", "mag", "r_eff", "n", "q", "pa", "sky"):
        assert np.array_equal(again.truth[name], simulation.truth[name][5:12])


def test_seeds_differ(simulation):
    other = simulate(2, SURVEY, seed=4, shape=SHAPE)
    assert other.truth["mag"][0] != simulation.truth["mag"][0]
    assert np.mean(other.cutouts[0].image == simulation.cutouts[0].image) < 0.01


def test_lone_galaxies_are_the_truth_plus_noise():
    alone = simulate(12, Population(SURVEY, neighbours=0), seed=9, shape=SHAPE)
    model = autogal.render(alone.truth, psf=np.stack([cutout.psf for cutout in alone.cutouts]), shape=SHAPE,
                           zeropoint=SURVEY.zeropoint)
    residual = np.concatenate([((cutout.image - image) / cutout.sigma).ravel()
                               for cutout, image in zip(alone.cutouts, model, strict=True)])
    size = residual.size
    assert abs(residual.mean()) < 5 / np.sqrt(size)
    assert abs(residual.var() - 1) < 5 * np.sqrt(2 / size)
    galaxy = np.asarray(model[0], float) - alone.truth["sky"][0]
    assert alone.truth["snr"][0] == pytest.approx(np.sqrt(np.sum((galaxy / alone.cutouts[0].sigma) ** 2)), rel=1e-3)


def test_stars_agree_with_galsim():
    galsim = pytest.importorskip("galsim")
    from autogal.simulate.population import Scene, Source
    from autogal.simulate.scenes import _star

    scene = Scene(psf_fwhm=3.0, psf_q=0.8, psf_pa=30.0, sky=0.0)
    star = _star(Source(40.3, 22.8, 22.5, 0.0, 0.5, 1.0, 0.0), scene, SURVEY, SHAPE)
    # FWHM is along the major axis; GalSim's shear keeps the area.
    profile = galsim.Moffat(beta=SURVEY.psf_beta, fwhm=3.0 * np.sqrt(0.8)).shear(q=0.8, beta=120 * galsim.degrees)
    offset = (40.3 - (SHAPE[1] - 1) / 2, 22.8 - (SHAPE[0] - 1) / 2)
    expected = profile.drawImage(nx=SHAPE[1], ny=SHAPE[0], scale=1, offset=offset, method="auto", dtype=float).array
    assert np.abs(star - expected).max() < 2e-3 * expected.max()
    assert star.sum() == pytest.approx(expected.sum(), rel=2e-3)


def test_truth_has_names_units_and_neighbours(simulation):
    truth = simulation.truth
    assert truth.colnames == ["id", "x", "y", "mag", "flux", "r_eff", "n", "q", "pa", "sky", "snr", "n_neighbours",
                              "psf_fwhm"]
    assert all(truth[name].description for name in truth.colnames)
    assert str(truth["pa"].unit) == "deg" and str(truth["r_eff"].unit) == "pix"
    assert np.allclose(truth["flux"], 10 ** (-0.4 * (truth["mag"] - 22.5)))
    assert {len(masks) - 1 for masks in simulation.instances} == set(truth["n_neighbours"])
    assert set(truth["n_neighbours"]) <= set(range(7)) and len(set(truth["n_neighbours"])) > 3


def test_instances_are_where_the_light_is(simulation):
    for row, masks in zip(simulation.truth, simulation.instances, strict=True):
        assert masks.dtype == bool and masks.shape[1:] == SHAPE
        assert masks[0, round(row["y"]), round(row["x"])]


def test_population_stays_in_its_ranges():
    population = Population(SURVEY)
    scenes = [population.draw(np.random.default_rng(i), SHAPE) for i in range(400)]
    targets = [scene.sources[0] for scene in scenes]
    sizes = np.array([target.r_eff for target in targets])
    assert 0.25 * population.psf_width <= sizes.min() and sizes.max() <= 0.2 * 80
    assert len(np.unique(sizes)) == 400  # nothing piles up at a limit
    assert all(0.5 <= target.n <= 8 and 0.19 < target.q <= 1 and 0 <= target.pa < 180 for target in targets)
    assert all(16 <= target.mag <= 19.5 for target in targets)
    neighbours = [source for scene in scenes for source in scene.sources[1:]]
    assert 0.2 < np.mean([source.is_star for source in neighbours]) < 0.4


def test_survey_without_facts_is_refused():
    with pytest.raises(AutogalError, match="pixel_scale.*magnitude"):
        simulate(1, Survey())


@pytest.mark.parametrize("mean", [0.0, 0.3, 4.0, 29.0, 31.0, 200.0, 1e5])
def test_poisson_quantile_is_poisson(mean):
    normal = np.random.default_rng(7).standard_normal(40_000)
    counts = poisson_quantile(np.full(normal.size, mean), normal)
    assert np.array_equal(counts, np.rint(counts)) and counts.min() >= 0
    if mean == 0:
        assert not counts.any()
        return
    quantiles = np.array([0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.999])
    levels = np.unique(stats.poisson.ppf(quantiles, mean))
    expected = stats.poisson.cdf(levels, mean)
    measured = np.array([(counts <= level).mean() for level in levels])
    assert np.all(np.abs(measured - expected) < 5 * np.sqrt(expected * (1 - expected) / counts.size) + 1e-3)


def test_poisson_quantile_follows_its_mean():
    normal = np.random.default_rng(2).standard_normal(20_000)
    mean = np.geomspace(0.1, 1e4, normal.size)
    same = poisson_quantile(mean, normal) == poisson_quantile(mean * (1 + 1e-7), normal)
    assert same.mean() > 0.99


def test_written_scenes_can_be_read_back(simulation, tmp_path):
    manifest = write_scenes(tmp_path / "scenes", simulation.cutouts[:3], simulation.truth[:3])
    rows = Table.read(manifest)
    assert list(rows["id"]) == list(simulation.truth["id"][:3])
    assert {"image", "sigma", "psf", "zeropoint", "pixel_scale", "gain"} <= set(rows.colnames)
    for row, cutout in zip(rows, simulation.cutouts, strict=False):
        assert np.array_equal(fits.getdata(manifest.parent / row["image"]), cutout.image)
        assert np.array_equal(fits.getdata(manifest.parent / row["sigma"]), cutout.sigma)
        assert np.allclose(fits.getdata(manifest.parent / row["psf"]), cutout.psf, atol=1e-7)
    truth = Table.read(manifest.parent / "truth.ecsv")
    assert np.allclose(truth["mag"], simulation.truth["mag"][:3]) and truth["mag"].unit == "mag"


def test_folder_that_cannot_be_written_is_refused(simulation, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(AutogalError, match="cannot be written"):
        write_scenes(tmp_path / "file" / "scenes", simulation.cutouts[:1], simulation.truth[:1])
