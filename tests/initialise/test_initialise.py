"""Starting values are close to the truth on simulations, and honest where they cannot be."""

from types import SimpleNamespace

import numpy as np
import pytest

import autogal
from autogal.errors import AutogalError
from autogal.flags import Flag
from autogal.images import moffat
from autogal.images.cutout import Cutout
from autogal.images.survey import Survey
from autogal.initialise import initialise
from autogal.segment import Segmentation, segment
from autogal.simulate import Population, simulate

SEGMENT = SimpleNamespace(
    name="sep", threshold=4.0, min_area=5, deblend_levels=64, deblend_contrast=3e-5, grow=1.0
)
MOMENTS = SimpleNamespace(name="moments")
CATALOGUE = SimpleNamespace(name="catalogue")
SURVEY = Survey(
    name="test",
    pixel_scale=0.4,
    zeropoint=22.5,
    psf_fwhm=1.3,
    gain=900.0,
    sky_sigma=0.028,
    magnitude=(16.0, 19.5),
)


def starts(simulation):
    return [initialise(cutout, segment(cutout, SEGMENT), MOMENTS) for cutout in simulation.cutouts]


def scatter(values):
    return 1.4826 * np.median(np.abs(values - np.median(values)))


@pytest.fixture(scope="module")
def alone():
    """60 galaxies without neighbours, and their starts."""
    simulation = simulate(60, Population(SURVEY, neighbours=0), seed=11, shape=(100, 100))
    return simulation, starts(simulation)


def deviations(simulation, found):
    truth = simulation.truth
    value = {name: np.array([one.values[name] for one in found]) for name in found[0].values}
    flux = 10 ** (-0.4 * (truth["mag"] - SURVEY.zeropoint))
    return {
        "x": value["x"] - truth["x"],
        "y": value["y"] - truth["y"],
        "mag": -2.5 * np.log10(value["flux"] / flux),
        "r_eff": np.log(value["r_eff"] / truth["r_eff"]),
        "n": np.log(value["n"] / truth["n"]),
        "q": value["q"] - truth["q"],
        "pa": ((value["pa"] - truth["pa"] + 90) % 180 - 90)[truth["q"] < 0.7],
        "sky": (value["sky"] - truth["sky"]) / SURVEY.sky_sigma,
    }


def test_starts_are_close_to_the_truth(alone):
    simulation, found = alone
    assert np.median(simulation.truth["snr"]) < 300  # no easy sample
    deviation = deviations(simulation, found)
    limits = dict(x=0.1, y=0.1, mag=0.08, r_eff=0.15, n=0.3, q=0.08, pa=5, sky=0.05)
    for name, limit in limits.items():
        assert scatter(deviation[name]) < limit, name
        assert abs(np.median(deviation[name])) < 0.6 * limit, name
        assert np.percentile(np.abs(deviation[name]), 95) < 8 * limit, name


def test_starts_survive_neighbours():
    simulation = simulate(40, Population(SURVEY, neighbours=5, overlapping=0.2), seed=5, shape=(100, 100))
    deviation = deviations(simulation, starts(simulation))
    for name, limit in dict(x=0.15, y=0.15, mag=0.15, r_eff=0.3, n=0.45, q=0.12).items():
        assert scatter(deviation[name]) < limit, name
    assert np.mean(np.abs(deviation["mag"]) > 0.75) < 0.15


@pytest.mark.parametrize("factor", [1e-13, 1e5])
def test_units_do_not_matter(alone, factor):
    simulation, found = alone
    for cutout, before in list(zip(simulation.cutouts, found, strict=True))[:5]:
        scaled = Cutout(
            cutout.id,
            cutout.image.astype(float) * factor,
            cutout.sigma.astype(float) * factor,
            cutout.mask,
            cutout.psf,
        )
        after = initialise(scaled, segment(scaled, SEGMENT), MOMENTS)
        for name, value in before.values.items():
            expected = value * (factor if name in ("flux", "sky") else 1)
            assert after.values[name] == pytest.approx(
                expected, rel=1e-3, abs=1e-4 * factor * SURVEY.sky_sigma
            )


def test_every_value_can_start_a_fit(alone):
    for one in alone[1]:
        value = one.values
        assert list(value) == ["x", "y", "flux", "r_eff", "n", "q", "pa", "sky"]
        assert all(type(number) is float and np.isfinite(number) for number in value.values())
        assert value["flux"] > 0 and value["r_eff"] > 0 and 0 < value["q"] <= 1 and 0 <= value["pa"] < 180
        assert one.flags == 0 and not one.notes


def test_inputs_are_not_changed(alone):
    cutout = alone[0].cutouts[0]
    image, sigma, psf = cutout.image.copy(), cutout.sigma.copy(), cutout.psf.copy()
    initialise(cutout, segment(cutout, SEGMENT), MOMENTS)
    assert np.array_equal(image, cutout.image) and np.array_equal(sigma, cutout.sigma)
    assert np.array_equal(psf, cutout.psf)


@pytest.mark.parametrize("q", [0.4, 0.6])
def test_masked_pixels_do_not_pull_a_large_galaxy(q):
    psf = moffat(3.0, 3.0, size=31)
    galaxy = {"x": [48.2], "y": [47.6], "flux": [3e4], "r_eff": [10.0], "n": [1.5], "q": [q], "pa": [30.0]}
    light = autogal.render(galaxy, psf=psf, shape=(97, 97))[0]
    sigma = np.sqrt(light + 50)
    image = light + sigma * np.random.default_rng(4).normal(size=light.shape)
    mask = np.zeros(image.shape, bool)
    whole = Cutout("whole", image, sigma, mask, psf)
    before = initialise(whole, segment(whole, SEGMENT), MOMENTS).values
    mask = mask.copy()
    mask[50:54, 45:56] = True
    holed = Cutout("holed", np.where(mask, np.nan, image), sigma, mask, psf)
    after = initialise(holed, segment(holed, SEGMENT), MOMENTS).values
    assert np.hypot(after["x"] - before["x"], after["y"] - before["y"]) < 0.25
    assert after["flux"] == pytest.approx(before["flux"], rel=0.1)
    assert after["q"] == pytest.approx(before["q"], abs=0.03)


def test_masked_pixels_pull_a_population_little(alone):
    # most of these are little larger than the hole, which takes a good part of what tells their shape
    simulation, found = alone
    moved = []
    for i in np.argsort(-simulation.truth["snr"])[:9]:
        cutout, before = simulation.cutouts[i], found[i].values
        x, y = round(simulation.truth["x"][i]), round(simulation.truth["y"][i])
        image, mask = cutout.image.copy(), cutout.mask.copy()
        mask[y + 2 : y + 6, x - 3 : x + 8] = True
        image[mask] = np.nan
        holed = Cutout("holed", image, cutout.sigma, mask, cutout.psf)
        after = initialise(holed, segment(holed, SEGMENT), MOMENTS).values
        moved.append(
            (
                np.hypot(after["x"] - before["x"], after["y"] - before["y"]),
                abs(np.log(after["flux"] / before["flux"])),
                abs(after["q"] - before["q"]),
            )
        )
    assert np.all(np.median(moved, axis=0) < (0.25, 0.1, 0.07))


def test_no_target_gives_flagged_guesses():
    noise = np.random.default_rng(1).normal(10, 1, (40, 40))
    cutout = Cutout("empty", noise, np.ones((40, 40)), np.zeros((40, 40), bool), None)
    start = initialise(cutout, Segmentation.empty(cutout), MOMENTS)
    assert Flag.START_FALLBACK in start.flags and start.notes
    assert start.values["sky"] == pytest.approx(10, abs=0.2)
    assert start.values["flux"] > 0 and (start.values["x"], start.values["y"]) == (19.5, 19.5)


@pytest.mark.parametrize(
    "image",
    [np.full((9, 9), np.nan), np.zeros((9, 9)), np.full((3, 3), 5.0), np.ones((1, 30))],
    ids=["nan", "zero", "tiny", "line"],
)
@pytest.mark.parametrize("sigma", [None, 1.0])
def test_images_without_information_give_finite_flagged_guesses(image, sigma):
    cutout = Cutout(
        "bad", image, None if sigma is None else np.full(image.shape, sigma), ~np.isfinite(image), None
    )
    start = initialise(cutout, segment(cutout, SEGMENT), MOMENTS)
    assert Flag.START_FALLBACK in start.flags
    assert all(np.isfinite(value) for value in start.values.values())
    assert start.values["flux"] > 0 and start.values["r_eff"] > 0


def test_catalogue_values_are_taken_as_they_are(alone):
    cutout = alone[0].cutouts[1]
    given = dict(x=50.0, y=49.0, mag=18.0, r_eff=3.0, n=2.0, q=0.5, pa=200.0, sky=0.01)
    start = start_with(cutout, given)
    assert start.flags == 0
    expected = given | {"flux": 10 ** (-0.4 * (18.0 - 22.5)), "pa": 20.0}
    assert start.values == pytest.approx({name: expected[name] for name in start.values})


def test_missing_catalogue_values_are_measured_and_flagged(alone):
    cutout, measured = alone[0].cutouts[1], alone[1][1].values
    start = start_with(cutout, dict(x=50.0, y=50.0, flux=5.0, n=float("nan"), q=-1.0))
    assert Flag.START_FALLBACK in start.flags
    assert all(name in start.notes[0] for name in ("r_eff", "n", "q", "pa"))
    assert start.values["flux"] == 5.0
    assert start.values["n"] == pytest.approx(measured["n"], rel=0.3)


def test_only_the_sky_may_be_left_out(alone):
    given = dict(x=50.0, y=49.0, mag=18.0, r_eff=3.0, n=2.0, q=0.5, pa=20.0)
    assert start_with(alone[0].cutouts[1], given).flags == 0


def test_swapped_axes_are_put_right(alone):
    start = start_with(
        alone[0].cutouts[1], dict(x=50.0, y=49.0, mag=18.0, r_eff=3.0, n=2.0, q=2.0, pa=20.0, sky=0.0)
    )
    assert (start.values["r_eff"], start.values["q"], start.values["pa"]) == (6.0, 0.5, 110.0)


def start_with(cutout, given):
    asked = Cutout(
        cutout.id,
        cutout.image,
        cutout.sigma,
        cutout.mask,
        cutout.psf,
        zeropoint=cutout.zeropoint,
        start=given,
    )
    return initialise(asked, segment(asked, SEGMENT), CATALOGUE)


def test_unknown_name_says_what_there_is(alone):
    cutout = alone[0].cutouts[0]
    with pytest.raises(AutogalError, match="moments, catalogue"):
        initialise(cutout, Segmentation.empty(cutout), SimpleNamespace(name="guess"))
