"""Targets and neighbours fitted together, from images to catalogue."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits

import autogal
from autogal.configuration.composing import compose
from autogal.errors import AutogalError
from autogal.flags import Flag
from autogal.results import Catalogue
from autogal.run.job import run

from .observations import PSF, ZEROPOINT

SHAPE = (72, 72)
NOISE = 1.0
STAR = PSF.star(25)
NUMBERS = ("x", "y", "mag", "r_eff", "n", "q", "pa", "sky")
TARGET = {"x": 35.3, "y": 36.2, "mag": 16.8, "r_eff": 4.0, "n": 1.5, "q": 0.6, "pa": 40.0}
CLOSE = {"x": 49.4, "y": 41.7, "mag": 16.6, "r_eff": 3.2, "n": 2.5, "q": 0.8, "pa": 110.0}
POINT = {"x": 22.2, "y": 43.6, "mag": 17.0}
FAR = {"x": 66.0, "y": 6.0, "mag": 20.0, "r_eff": 1.5, "n": 1.0, "q": 0.8, "pa": 20.0}


def light(row, model="sersic"):
    return autogal.render(
        {name: [value] for name, value in row.items()}, model, STAR, shape=SHAPE, zeropoint=ZEROPOINT
    )[0]


def scene(*sources, extra=None, seed=0):
    """An image and its noise: every source a galaxy, or a star where it has no size."""
    clean = sum((light(row, "sersic" if "n" in row else "point_source") for row in sources), np.zeros(SHAPE))
    clean = clean + (0 if extra is None else extra)
    sigma = np.sqrt(NOISE**2 + np.maximum(clean, 0) / 10)
    return (clean + sigma * np.random.default_rng(seed).normal(size=SHAPE)).astype(np.float32), sigma.astype(
        np.float32
    )


SCENES = {
    "pair": scene(TARGET, CLOSE),
    "star": scene(TARGET, POINT, seed=1),
    "alone": scene(TARGET, FAR, seed=2),
    "both": scene(TARGET, CLOSE, POINT, seed=3),
}


def fit(*names, **settings):
    images, sigmas = zip(*(SCENES[name] for name in names))
    return autogal.fit(
        np.stack(images), sigma=np.stack(sigmas), psf=STAR, zeropoint=ZEROPOINT, ids=list(names), **settings
    )


@pytest.fixture(scope="module")
def fits_of():
    return {how: fit(*SCENES, neighbours=how) for how in ("mask", "auto")}


def errors(catalogue, row, truth=TARGET):
    return {
        name: (catalogue.table[name][row] - truth[name]) / catalogue.table[f"{name}_err"][row]
        for name in truth
    }


@pytest.mark.parametrize("name", ["pair", "star", "both"])
def test_target_and_neighbours_are_recovered(fits_of, name):
    catalogue, row = fits_of["auto"], list(SCENES).index(name)
    assert catalogue.table["status"][row] == "converged"
    assert max(abs(error) for error in errors(catalogue, row).values()) < 3.5
    found = [one for one in catalogue.neighbours[row] if np.isfinite(one[0])]
    expected = {"pair": [CLOSE], "star": [POINT], "both": [CLOSE, POINT]}[name]
    assert len(found) == len(expected) and f"{len(expected)} neighbour" in catalogue.table["message"][row]
    for truth, one in zip(expected, found, strict=True):  # galaxies come before stars
        assert np.abs(one[:2] - [truth["x"], truth["y"]]).max() < 0.1 and abs(one[2] - truth["mag"]) < 0.1
        assert np.isnan(one[3:]).all() == (truth is POINT)
        if truth is not POINT:
            np.testing.assert_allclose(
                one[3:6], [truth["r_eff"], truth["n"], truth["q"]], rtol=0.25
            )  # bright neighbours weigh less


def test_what_masks_hide_is_measured_better(fits_of):
    masked, joint = (fits_of[how].table for how in ("mask", "auto"))
    assert (joint["r_eff_err"][0], joint["n_err"][0]) < (masked["r_eff_err"][0], masked["n_err"][0])
    assert np.count_nonzero(fits_of["auto"].cutouts[0].mask) < np.count_nonzero(
        fits_of["mask"].cutouts[0].mask
    )


def test_nothing_changes_where_no_neighbour_matters(fits_of):
    row = list(SCENES).index("alone")
    masked, joint = (fits_of[how] for how in ("mask", "auto"))
    assert (
        masked.table[row]["flags"] == joint.table[row]["flags"]
        and masked.table[row]["message"] == joint.table[row]["message"]
    )
    for name in NUMBERS:
        assert (
            masked.table[name][row] == joint.table[name][row]
            and masked.table[f"{name}_err"][row] == joint.table[f"{name}_err"][row]
        )
    assert np.isnan(joint.neighbours[row]).all()


def test_fit_takes_neighbours_that_auto_leaves():
    catalogue = fit("alone", neighbours="fit")
    found = catalogue.neighbours[0][np.isfinite(catalogue.neighbours[0, :, 0])]
    assert len(found) == 1 and abs(found[0, 2] - FAR["mag"]) < 0.3
    assert max(abs(error) for error in errors(catalogue, 0).values()) < 3.5


def test_no_galaxy_hangs_on_its_company(fits_of):
    for name in ("star", "both"):
        alone, row = fit(name, neighbours="auto"), list(SCENES).index(name)
        for key in NUMBERS:
            assert alone.table[key][0] == pytest.approx(fits_of["auto"].table[key][row], rel=1e-5, abs=1e-5)


def test_model_image_holds_the_neighbours(fits_of):
    catalogue = fits_of["auto"]
    for row, (_, sigma) in enumerate(SCENES.values()):
        good = ~catalogue.cutouts[row].mask
        assert np.mean(np.square(catalogue.residual(row) / sigma)[good]) == pytest.approx(1, abs=0.1)
    assert catalogue.neighbours_image(0).max() > 10 * NOISE and not catalogue.neighbours_image(2).any()
    assert not fits_of["mask"].neighbours_image(0).any()


def test_a_neighbour_that_is_no_galaxy_stays_masked():
    rows, columns = np.indices(SHAPE)
    square = np.where((np.abs(rows - 50) < 6) & (np.abs(columns - 50) < 6), 60.0, 0.0)
    image, sigma = scene(TARGET, extra=square, seed=4)
    masked, joint = (
        autogal.fit([image], sigma=[sigma], psf=STAR, zeropoint=ZEROPOINT, segment="sep", neighbours=how)
        for how in ("mask", "fit")
    )
    assert (
        joint.table["flags"][0] & Flag.NEIGHBOUR_FALLBACK
        and not masked.table["flags"][0] & Flag.NEIGHBOUR_FALLBACK
    )
    assert (
        "could not be fitted together with the target: the neighbours are not like"
        in joint.table["message"][0]
    )
    assert all(joint.table[name][0] == masked.table[name][0] for name in NUMBERS)
    assert np.isnan(joint.neighbours).all() and (joint.cutouts[0].mask == masked.cutouts[0].mask).all()


def test_one_that_is_no_galaxy_does_not_spoil_the_fit_with_the_others():
    rows, columns = np.indices(SHAPE)
    square = np.where((np.abs(rows - 18) < 6) & (np.abs(columns - 20) < 6), 60.0, 0.0)
    image, sigma = scene(TARGET, CLOSE, extra=square, seed=4)
    catalogue = autogal.fit(
        [image], sigma=[sigma], psf=STAR, zeropoint=ZEROPOINT, segment="sep", neighbours="fit"
    )
    assert (
        "1 neighbour was fitted" in catalogue.table["message"][0]
        and "stayed masked" in catalogue.table["message"][0]
    )
    assert not catalogue.table["flags"][0] & Flag.NEIGHBOUR_FALLBACK
    assert (
        abs(catalogue.neighbours[0, 0, 2] - CLOSE["mag"]) < 0.1
        and np.isnan(catalogue.neighbours[0, 1:]).all()
    )
    assert (
        catalogue.cutouts[0].mask[18, 20] and max(abs(error) for error in errors(catalogue, 0).values()) < 4
    )


def test_several_models_are_fitted_to_the_same_pixels():
    catalogue = fit("pair", "alone", neighbours="auto", model=["sersic", "exponential"])
    assert np.isfinite(catalogue.neighbours[:, 0, 0]).tolist() == [True, False]
    assert (
        catalogue.table["model"][0] == "sersic"
        and max(
            abs(catalogue.table[f"sersic_{name}"][0] - TARGET[name])
            / catalogue.table[f"sersic_{name}_err"][0]
            for name in TARGET
        )
        < 3.5
    )


@pytest.mark.parametrize("model", ["moffat", "exponential", "king", "point_source"])
def test_targets_of_every_kind_have_neighbours(model):
    catalogue = fit("pair", "alone", neighbours="auto", model=model)
    assert (
        np.isfinite(catalogue.neighbours[:, 0, 0]).tolist() == [True, False]
        and (catalogue.table["status"] == "converged").all()
    )


def test_bootstrap_and_covariance_agree():
    catalogue = fit("both", neighbours="auto", uncertainty="both", **{"uncertainty.replicates": 30})
    for name in ("x", "mag", "r_eff", "n", "q"):
        assert catalogue.table[f"{name}_err_boot"][0] == pytest.approx(
            catalogue.table[f"{name}_err"][0], rel=0.6
        )


@pytest.mark.parametrize("ending", ["fits", "ecsv", "parquet"])
def test_catalogues_keep_the_neighbours(fits_of, tmp_path, ending):
    path = fits_of["auto"].write(tmp_path / f"catalogue.{ending}")
    np.testing.assert_array_equal(Catalogue.read(path).neighbours, fits_of["auto"].neighbours)
    assert Catalogue.read(fits_of["mask"].write(tmp_path / f"masked.{ending}")).neighbours is None


def test_a_run_writes_their_light(tmp_path):
    for name in ("pair", "alone"):
        for key, array in zip(("image", "sigma"), SCENES[name]):
            fits.writeto(tmp_path / f"{name}{'' if key == 'image' else '_sigma'}.fits", array)
        fits.writeto(tmp_path / f"{name}_psf.fits", STAR)
    paths = [str(tmp_path / f"{name}.fits") for name in ("pair", "alone")]
    overrides = [
        f"out='{tmp_path}/run'",
        f"zeropoint={ZEROPOINT}",
        "neighbours=auto",
        "objects.png=false",
        "objects.fits=true",
    ]
    run(compose(overrides=overrides), paths)
    with fits.open(tmp_path / "run/objects/pair.fits") as hdus:
        assert hdus["NEIGHBOURS"].data.max() > 10 * NOISE
        assert np.std(hdus["RESIDUAL"].data) < 2 * NOISE
    assert "NEIGHBOURS" not in fits.open(tmp_path / "run/objects/alone.fits")


def test_a_wrong_word_is_refused():
    with pytest.raises(AutogalError) as caught:
        compose(overrides=["neighbours=both"])
    assert str(caught.value).count("\n") <= 1 and "auto, mask, fit" in str(caught.value)


def large(core, halo, neighbour):
    """An image that is filled by the halo around a core, with a neighbour, and its noise."""
    inner = {"x": 59.3, "y": 60.2, "mag": core, "r_eff": 3.0, "n": 4.0, "q": 0.9, "pa": 40.0}
    rows = [
        inner,
        inner | {"mag": halo, "r_eff": 25.0, "n": 0.5},
        {"r_eff": 3.0, "n": 1.5, "q": 0.8, "pa": 110.0} | neighbour,
    ]
    clean = sum(
        autogal.render(
            {name: [value] for name, value in row.items()},
            "sersic",
            STAR,
            shape=(120, 120),
            zeropoint=ZEROPOINT,
        )[0]
        for row in rows
    )
    sigma = np.sqrt(NOISE**2 + clean / 10)
    return (clean + sigma * np.random.default_rng(1).normal(size=clean.shape))[None], sigma[None]


@pytest.mark.parametrize(("core", "halo"), [(14.5, 12.5), (14.0, 13.0)])
def test_a_sky_that_the_image_does_not_tell_is_no_better_known_beside_neighbours(core, halo):
    image, sigma = large(core, halo, {"x": 96.0, "y": 96.0, "mag": 18.0})
    masked, joint = (
        autogal.fit(image, sigma=sigma, psf=STAR, zeropoint=ZEROPOINT, neighbours=how).table[0]
        for how in ("mask", "auto")
    )
    assert (
        "1 neighbour was fitted" in joint["message"]
        and joint["flags"] & Flag.SKY_FIXED
        and joint["flags"] & Flag.UNCONSTRAINED
    )
    assert "errors hold the fit of a free sky too" in joint["message"]
    for name in ("mag", "r_eff", "n", "sky"):
        assert joint[f"{name}_err"] > 0.8 * masked[f"{name}_err"], name


def test_the_message_says_nothing_of_a_fit_that_was_given_up():
    image, sigma = large(15.0, 12.5, {"x": 84.0, "y": 66.0, "mag": 17.0})
    row = autogal.fit(image, sigma=sigma, psf=STAR, zeropoint=ZEROPOINT, neighbours="mask").table[0]
    assert row["flags"] & Flag.SKY_FIXED and "was held at" in row["message"]
    assert not row["flags"] & Flag.UNCONSTRAINED and "lies within the image" not in row["message"]


def test_the_fit_beside_neighbours_alone_speaks_of_its_components():
    spread = {"x": 35.3, "y": 36.2, "mag": 15.5, "r_eff": 9.0, "n": 4.0, "q": 0.8, "pa": 40.0}
    image, sigma = scene(
        spread, spread | {"mag": 16.0, "r_eff": 3.5, "n": 1.0}, CLOSE | {"x": 60.4, "y": 57.7}
    )
    table = autogal.fit(
        image[None],
        sigma=sigma[None],
        psf=STAR,
        zeropoint=ZEROPOINT,
        model=["sersic", "bulge_disk"],
        neighbours="fit",
    ).table[0]
    assert table["flags"] & Flag.ROLES_SWAPPED and "1 neighbour was fitted" in table["message"]
    assert (
        table["message"].count("bulge_disk: The bulge ended larger")
        == table["message"].count("ended larger")
        == 1
    )
