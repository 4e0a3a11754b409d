"""`autogal.fit` and `autogal.render` as people call them, and every bad input among good ones."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table

import autogal
from autogal.errors import AutogalError
from autogal.flags import Flag

from .observations import PARAMETERS, ZEROPOINT, observe, random_galaxies

NUMBERS = [*PARAMETERS, *(f"{name}_err" for name in PARAMETERS)]


@pytest.fixture(scope="module")
def good():
    return observe(random_galaxies(3, seed=30), seed=31)


@pytest.fixture(scope="module")
def alone(good):
    return autogal.fit(good.images, sigma=good.sigmas, psf=good.psf, zeropoint=ZEROPOINT)


def bad_inputs(image, sigma, psf) -> dict[str, tuple]:
    """Name -> image, sigma, PSF, mask of inputs that cannot be fitted as they are."""
    shape, none = image.shape, np.zeros(image.shape, bool)
    cube = np.stack([image, image])
    hollow = psf.copy()
    hollow[3, 4] = np.nan
    return {
        "all NaN": (np.full(shape, np.nan), sigma, psf, none),
        "all masked": (image, sigma, psf, ~none),
        "constant": (np.full(shape, 7.0), sigma, psf, none),
        "zero sigma": (image, np.zeros(shape), psf, none),
        "negative sigma": (image, -sigma, psf, none),
        "sigma NaN": (image, np.full(shape, np.nan), psf, none),
        "sigma of another shape": (image, sigma[:-1], psf, none),
        "mask of another shape": (image, sigma, psf, none[:, 1:]),
        "PSF zero": (image, sigma, np.zeros_like(psf), none),
        "PSF with NaN": (image, sigma, hollow, none),
        "PSF of no shape": (image, sigma, np.ones(5), none),
        "cube": (cube, sigma, psf, none),
        "one row": (image[:1], sigma[:1], psf, none[:1]),
        "one column": (image[:, :1], sigma[:, :1], psf, none[:, :1]),
        "empty": (image[:0], sigma[:0], psf, none[:0]),
        "infinite": (np.full(shape, np.inf), sigma, psf, none),
        "not numbers": (np.full(shape, "a"), sigma, psf, none),
    }


@pytest.fixture(scope="module")
def crowd(good):
    """All of them in one call, a good galaxy before, between and after; names, places of the good ones,
    catalogue."""
    bad = bad_inputs(good.images[0].astype(float), good.sigmas[0].astype(float), good.psf)
    rows = {
        f"good {i}": (good.images[i], good.sigmas[i], good.psf, np.zeros(good.images[i].shape, bool))
        for i in range(3)
    }
    names = ["good 0", *list(bad)[:9], "good 1", *list(bad)[9:], "good 2"]
    images, sigmas, psfs, masks = zip(*((rows | bad)[name] for name in names))
    catalogue = autogal.fit(
        list(images), sigma=list(sigmas), psf=list(psfs), mask=list(masks), ids=names, zeropoint=ZEROPOINT
    )
    return names, catalogue


def test_one_row_for_each_input_in_order(crowd):
    names, catalogue = crowd
    assert list(catalogue.table["id"]) == names and len(catalogue) == 20


def test_good_galaxies_among_bad_inputs_are_as_if_alone(crowd, alone):
    names, catalogue = crowd
    for i in range(3):
        row, own = catalogue.table[names.index(f"good {i}")], alone.table[i]
        assert row["status"] == "converged"
        errors = np.array([own[f"{name}_err"] for name in PARAMETERS])
        assert np.abs(np.array([row[name] - own[name] for name in PARAMETERS]) / errors).max() < 1e-4
        assert np.allclose(
            catalogue.covariance[names.index(f"good {i}")], alone.covariance[i], rtol=1e-3, atol=0
        )


@pytest.mark.parametrize("name", bad_inputs(np.ones((9, 9)), np.ones((9, 9)), np.ones((5, 5))))
def test_what_cannot_be_fitted_is_nan_with_a_flag_and_a_reason(name, crowd):
    names, catalogue = crowd
    row = catalogue.table[names.index(name)]
    assert row["status"] in ("failed", "skipped")
    assert np.isnan([row[column] for column in NUMBERS]).all()
    assert np.isnan(catalogue.covariance[names.index(name)]).all()
    assert row["flags"] & (Flag.BAD_INPUT | Flag.NO_TARGET | Flag.FEW_PIXELS)
    assert row["message"]


@pytest.mark.parametrize("sigma", [10.0, None])
def test_noise_alone_is_no_galaxy(sigma, good):
    images = np.random.default_rng(0).normal(0, 10, (40, 64, 64))
    table = autogal.fit(images, sigma=sigma, psf=good.psf, zeropoint=ZEROPOINT).table
    assert (np.asarray(table["flags"]) & Flag.NO_TARGET).all()
    assert set(table["status"]) == {"skipped"} and all(table["message"])
    assert all(np.isnan(np.asarray(table[column])).all() for column in NUMBERS)


def test_a_tiny_stamp_and_a_large_psf_are_fitted_or_say_why(good):
    image, sigma = good.images[0], good.sigmas[0]
    tiny = (slice(20, 28), slice(20, 28))
    large = np.pad(good.psf, 30)
    table = autogal.fit(
        [image[tiny], image], sigma=[sigma[tiny], sigma], psf=[good.psf, large], zeropoint=ZEROPOINT
    ).table
    assert table["status"][1] == "converged"  # zeros around a PSF change nothing
    own = autogal.fit([image], sigma=[sigma], psf=good.psf, zeropoint=ZEROPOINT).table
    assert abs(table["mag"][1] - own["mag"][0]) < 1e-3 * own["mag_err"][0]
    if table["status"][0] != "converged":
        assert table["flags"][0] and table["message"][0]


def test_a_start_off_the_stamp_costs_no_other_its_result(good):
    start = {name: column.copy() for name, column in good.start.items()}
    start["x"][1] += 500.0
    table = autogal.fit(**good.arguments() | {"start": start}).table
    clean = autogal.fit(**good.arguments()).table
    for i in (0, 2):
        assert abs(table["mag"][i] - clean["mag"][i]) < 1e-4 * clean["mag_err"][i]
    # never the starting value passed off as a measurement
    assert (
        table["status"][1] == "failed"
        and table["flags"][1] & Flag.BAD_INPUT
        and not np.isfinite(table["x"][1])
    )
    assert "outside" in table["message"][1]


def test_a_saturated_core_is_left_out(good):
    image = good.images[0].copy()
    level = 0.6 * image.max()
    clipped = np.minimum(image, level)
    table = autogal.fit(
        [clipped, image],
        sigma=[good.sigmas[0]] * 2,
        psf=good.psf,
        zeropoint=ZEROPOINT,
        saturation=float(level) * 0.999,
    ).table
    assert table["flags"][0] & Flag.SATURATED
    assert abs(table["mag"][0] - good.truth["mag"][0]) < 5 * table["mag_err"][0]


@pytest.mark.parametrize("kind", [">f4", "<f8", ">f8", "<i4", ">i2"])
def test_every_kind_of_number(kind, good):
    image = np.rint(good.images[0])
    table = autogal.fit(
        [image.astype(kind), image], sigma=[good.sigmas[0]] * 2, psf=good.psf, zeropoint=ZEROPOINT
    ).table
    assert table["mag"][0] == pytest.approx(table["mag"][1], abs=1e-4) and table["status"][0] == "converged"


def test_duplicate_ids_stay_two_rows(good):
    table = autogal.fit(good.images[:2], sigma=good.sigmas[:2], psf=good.psf, ids=["a", "a"]).table
    assert len(set(table["id"])) == 2 and table["id"][0] == "a"


def test_one_array_or_a_cube_of_them(good):
    cube = autogal.fit(np.stack(good.images), sigma=np.stack(good.sigmas), psf=good.psf, zeropoint=ZEROPOINT)
    single = autogal.fit(good.images[1], sigma=good.sigmas[1], psf=good.psf, zeropoint=ZEROPOINT)
    assert len(cube) == 3 and len(single) == 1
    assert single.table["mag"][0] == pytest.approx(cube.table["mag"][1], abs=1e-5)


def test_start_as_a_table_with_flux(good):
    columns = {name: good.start[name] for name in PARAMETERS if name != "mag"}
    columns["flux"] = 10 ** (0.4 * (ZEROPOINT - good.start["mag"]))
    by_flux = autogal.fit(**good.arguments() | {"start": Table(columns)}).table
    by_mag = autogal.fit(**good.arguments()).table
    assert np.allclose(by_flux["mag"], by_mag["mag"], atol=1e-6)


def test_flux_is_the_magnitude_written_otherwise(alone):
    table = alone.table
    assert np.allclose(table["flux"], 10 ** (0.4 * (ZEROPOINT - table["mag"])), rtol=1e-6)
    assert np.allclose(table["flux_err"] / table["flux"], 0.4 * np.log(10) * table["mag_err"], rtol=1e-6)


def test_another_zero_point_moves_the_magnitude_alone(good, alone):
    other = autogal.fit(good.images, sigma=good.sigmas, psf=good.psf, zeropoint=ZEROPOINT + 2.5).table
    assert np.allclose(other["mag"], alone.table["mag"] + 2.5, atol=1e-5)
    assert np.allclose(other["mag_err"], alone.table["mag_err"], rtol=1e-4) and np.allclose(
        other["flux"], alone.table["flux"], rtol=1e-5
    )


@pytest.mark.parametrize(("words", "part"), [
    ({"solver": "lmm"}, "lm"),
    ({"solvre": "lm"}, "solver"),
    ({"model": "sersik"}, "sersic"),
    ({"psf_kind": "optic"}, "optical"),
    ({"dtype": "float16"}, "float32"),
])  # fmt: skip
def test_a_setting_that_does_not_exist_says_which_was_meant(words, part, good):
    with pytest.raises(AutogalError) as error:
        autogal.fit(good.images, sigma=good.sigmas, psf=good.psf, **words)
    assert part in str(error.value)


@pytest.mark.parametrize("words", [
    {"sigma": "two"}, {"start": "two"}, {"psf": "two"}, {"zeropoint": [25.0, 25.0]}, {"ids": ["a", "b"]},
])  # fmt: skip
def test_numbers_of_items_must_match(words, good):
    short = {
        "sigma": good.sigmas[:2],
        "psf": [good.psf] * 2,
        "start": {name: column[:2] for name, column in good.start.items()},
    }
    words = {key: short[key] if value == "two" else value for key, value in words.items()}
    with pytest.raises(AutogalError):
        autogal.fit(**good.arguments() | words)


def test_no_images_at_all():
    with pytest.raises(AutogalError):
        autogal.fit([])


def galaxies(**changes):
    return {
        "x": [20.0, 22.0],
        "y": [21.0, 19.0],
        "mag": [18.0, 19.0],
        "r_eff": [3.0, 4.0],
        "n": [1.0, 4.0],
        "q": [0.5, 0.9],
        "pa": [0.0, 45.0],
    } | changes


def test_render_takes_tables_mappings_and_catalogues(good, alone):
    star = good.psf
    one = autogal.render(galaxies(), psf=star, shape=(40, 44))
    assert one.shape == (2, 40, 44) and one.dtype == np.float32
    assert np.array_equal(one, autogal.render(Table(galaxies()), psf=star, shape=(40, 44)))
    flux = 10 ** (0.4 * (25.0 - np.array([18.0, 19.0])))
    by_flux = autogal.render(
        {k: v for k, v in galaxies().items() if k != "mag"} | {"flux": flux}, psf=star, shape=(40, 44)
    )
    assert np.allclose(one, by_flux, rtol=1e-5)
    assert np.allclose(
        autogal.render(galaxies(sky=[5.0, -2.0]), psf=star, shape=(40, 44)) - one,
        np.array([5.0, -2.0])[:, None, None],
        atol=1e-3,
    )
    drawn = autogal.render(alone.table, psf=star, shape=(48, 48), zeropoint=ZEROPOINT)
    assert np.allclose(drawn[1], alone.model_image(1), rtol=1e-4, atol=1e-3)


def test_position_angle_and_axes_of_an_image(good):
    # pa = 0: the major axis along +y; pa = 45: towards -x; x along columns
    upright, tilted = autogal.render(
        galaxies(x=[20.0, 20.0], y=[20.0, 20.0], n=[1.0, 1.0], q=[0.3, 0.3]), psf=good.psf, shape=(41, 41)
    )
    assert upright[30, 20] > 3 * upright[20, 30]
    assert tilted[26, 14] > 3 * tilted[26, 26]
    off = autogal.render(galaxies(x=[30.0, 30.0], y=[10.0, 10.0]), psf=good.psf, shape=(41, 51))[0]
    assert np.unravel_index(off.argmax(), off.shape) == (10, 30)


@pytest.mark.parametrize(
    "words",
    [
        {"psf": None},
        {"psf_kind": "star"},
        {"model": "nothing"},
        {"psf": np.zeros((5, 5))},
        {"psf": np.ones((3, 5, 5)) * np.hanning(7)[1:-1]},
    ],
)
def test_render_refuses_what_it_cannot_draw(words, good):
    with pytest.raises(AutogalError):
        autogal.render(galaxies(), **{"psf": good.psf, "shape": (40, 40)} | words)


def test_render_says_which_column_is_missing(good):
    with pytest.raises(AutogalError, match="r_eff"):
        autogal.render({key: value for key, value in galaxies().items() if key != "r_eff"}, psf=good.psf)
