"""Simulated cutouts are what the truth table says, and reproducible."""

import numpy as np
import pytest
import torch
from astropy.io import fits
from astropy.table import Table

import autogal
from autogal.errors import AutogalError
from autogal.images.survey import Survey
from autogal.simulate import Population, Templates, simulate, write_scenes
from autogal.simulate.rng import Rng

SURVEY = Survey(
    name="test",
    pixel_scale=0.4,
    zeropoint=22.5,
    psf_fwhm=1.3,
    gain=900.0,
    sky_sigma=0.028,
    magnitude=(16.0, 19.5),
)
SHAPE = (80, 90)


@pytest.fixture(scope="module")
def simulation():
    return simulate(40, SURVEY, seed=3, shape=SHAPE)


def test_number_and_first_do_not_matter(simulation):
    again = simulate(6, SURVEY, seed=3, shape=SHAPE, first=29)
    for one, other in zip(again.cutouts, simulation.cutouts[29:35], strict=True):
        assert one.id == other.id
        assert np.array_equal(one.image, other.image)
    for name in ("x", "mag", "r_eff", "n", "q", "pa", "sky", "snr"):
        assert np.array_equal(again.truth[name], simulation.truth[name][29:35])


def test_seeds_differ(simulation):
    other = simulate(2, SURVEY, seed=4, shape=SHAPE)
    assert other.truth["mag"][0] != simulation.truth["mag"][0]
    assert np.mean(other.cutouts[0].image == simulation.cutouts[0].image) < 0.01


def test_lone_galaxies_are_the_truth_plus_noise():
    alone = simulate(12, Population(SURVEY, neighbours=0), seed=9, shape=SHAPE)
    model = autogal.render(
        alone.truth,
        psf=np.stack([cutout.psf for cutout in alone.cutouts]),
        shape=SHAPE,
        zeropoint=SURVEY.zeropoint,
    )
    residual = np.concatenate(
        [
            ((cutout.image - image) / cutout.sigma).ravel()
            for cutout, image in zip(alone.cutouts, model, strict=True)
        ]
    )
    size = residual.size
    assert abs(residual.mean()) < 5 / np.sqrt(size)
    assert abs(residual.var() - 1) < 5 * np.sqrt(2 / size)
    galaxy = np.asarray(model[0], float) - alone.truth["sky"][0]
    assert alone.truth["snr"][0] == pytest.approx(
        np.sqrt(np.sum((galaxy / alone.cutouts[0].sigma) ** 2)), rel=1e-3
    )


def test_truth_has_names_units_and_neighbours(simulation):
    truth = simulation.truth
    assert truth.colnames == [
        "id",
        "x",
        "y",
        "mag",
        "flux",
        "r_eff",
        "n",
        "q",
        "pa",
        "sky",
        "snr",
        "visible",
        "analytic",
        "structure",
        "n_neighbours",
        "psf_fwhm",
    ]
    assert np.all((truth["visible"] >= 0) & (truth["visible"] <= 1))
    assert np.all(truth["visible"][truth["n_neighbours"] == 0] > 0.95)
    assert all(truth[name].description for name in truth.colnames)
    assert str(truth["pa"].unit) == "deg" and str(truth["r_eff"].unit) == "pix"
    assert np.allclose(truth["flux"], 10 ** (-0.4 * (truth["mag"] - 22.5)))
    assert [len(masks) - 1 for masks in simulation.instances] == list(truth["n_neighbours"])
    assert set(truth["n_neighbours"]) <= set(range(7)) and len(set(truth["n_neighbours"])) > 3
    assert truth["analytic"].all()


def test_instances_are_where_the_light_is(simulation):
    for row, masks in zip(simulation.truth, simulation.instances, strict=True):
        assert masks.dtype == bool and masks.shape[1:] == SHAPE
        assert masks[0, round(row["y"]), round(row["x"])]


def test_population_stays_in_its_ranges():
    population = Population(SURVEY)
    sources = population.draw(Rng(0, 0, torch.device("cpu")), 400, SHAPE).sources
    r_eff, n, q, pa = (getattr(sources, name)[:, 0] for name in ("r_eff", "n", "q", "pa"))
    assert 0.25 * population.psf_width <= r_eff.min() and r_eff.max() <= 0.2 * 80
    assert r_eff.unique().numel() > 396  # nothing piles up at a limit
    assert (
        n.min() >= 0.5
        and n.max() <= 8
        and q.min() > 0.19
        and q.max() <= 1
        and pa.min() >= 0
        and pa.max() < 180
    )
    mag = SURVEY.zeropoint - 2.5 * sources.flux[:, 0].log10()
    assert mag.min() >= 15.999 and mag.max() <= 19.501
    assert 0.2 < sources.star[:, 1:][sources.alive[:, 1:]].float().mean() < 0.4
    assert not sources.star[:, 0].any() and sources.alive[:, 0].all()


def test_survey_without_facts_is_refused():
    with pytest.raises(AutogalError, match="pixel_scale.*magnitude"):
        simulate(1, Survey())


def test_unknown_gain_is_said(caplog):
    population = Population(
        Survey(pixel_scale=0.2, zeropoint=0.0, psf_fwhm=0.7, sky_sigma=2.5e-12, magnitude=(16.0, 23.0))
    )
    assert "does not say its gain" in caplog.text
    assert (population.gain * 2.5e-12) ** 2 == pytest.approx(1000)


def test_galaxies_of_a_catalogue(tmp_path):
    path = tmp_path / "mine.ecsv"
    Table(
        {
            "mag": [17.0, 18.0, np.nan],
            "r_eff_arcsec": [2.0, 1.0, 1.0],
            "n": [1.0, 4.0, 2.0],
            "q": [0.3, 0.8, 0.5],
        }
    ).write(path)
    population = Population(SURVEY, neighbours=0, templates=Templates.read(path))
    sources = population.draw(Rng(0, 0, torch.device("cpu")), 300, SHAPE).sources
    small = sources.r_eff < 3.5
    assert 0.35 < small.float().mean() < 0.65
    assert sources.r_eff[small].median() == pytest.approx(2.5, rel=0.05)
    assert (sources.q[small] == 0.8).all() and sources.n[small].median() == pytest.approx(4, rel=0.05)
    assert sources.n.unique().numel() > 290


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"mag": [1.0]}, "no column r_eff, n, q"),
        ({"mag": [np.nan], "r_eff": [1.0], "n": [1.0], "q": [0.5]}, "no row"),
        ({"mag": ["bright"], "r_eff": [1.0], "n": [1.0], "q": [0.5]}, "words where numbers"),
    ],
)
def test_catalogues_without_galaxies_are_refused(columns, message, tmp_path):
    Table(columns).write(tmp_path / "bad.csv")
    with pytest.raises(AutogalError, match=message):
        Templates.read(tmp_path / "bad.csv")
    with pytest.raises(AutogalError, match="cannot be read"):
        Templates.read(tmp_path / "none.csv")


def test_written_scenes_can_be_read_back(simulation, tmp_path):
    manifest = write_scenes(tmp_path / "scenes", simulation.cutouts[:3], simulation.truth[:3])
    rows = Table.read(manifest)
    assert list(rows["id"]) == list(simulation.truth["id"][:3])
    assert {"image", "sigma", "psf", "zeropoint", "pixel_scale", "gain"} <= set(rows.colnames)
    for row, cutout in zip(rows, simulation.cutouts[:3], strict=True):
        with fits.open(manifest.parent / row["image"]) as opened:
            assert np.array_equal(opened[0].data, cutout.image)
            assert opened[0].header["MAGZERO"] == 22.5 and opened[0].header["GAINEFF"] == 900.0
    truth = Table.read(manifest.parent / "truth.ecsv")
    assert np.allclose(truth["mag"], simulation.truth["mag"][:3]) and truth["mag"].unit == "mag"


def test_folder_that_cannot_be_written_is_refused(simulation, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(AutogalError, match="cannot be written"):
        write_scenes(tmp_path / "file" / "scenes", simulation.cutouts[:1], simulation.truth[:1])
