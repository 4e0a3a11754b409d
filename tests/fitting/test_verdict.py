"""What a row says of its fit: the flags of galaxies that their images do not tell, and none on those that
they do."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table

import autogal
from autogal.flags import Flag
from autogal.images import moffat

from ..observations import observe, random_galaxies

PSF = moffat(3.0, 3.0, size=31)


def draw(side, seed=0, noise=1.0, sky=0.0, **galaxy):
    """A noisy galaxy in a stamp, in units of its noise, and what was drawn."""
    centre = (side - 1) / 2
    row = dict(x=centre + 0.3, y=centre - 0.2, mag=15.0, r_eff=5.0, n=1.5, q=0.7, pa=40.0, sky=sky) | galaxy
    light = autogal.render(Table([row]), psf=PSF, shape=(side, side), zeropoint=25.0)[0]
    return light + noise * np.random.default_rng(seed).normal(size=light.shape), row


def fit(image, noise=1.0, **how):
    given = {"segment": "none", "initialise": "moments"} | how
    sigma = given.pop("sigma", np.full(np.shape(image), noise))
    return autogal.fit(
        np.asarray(image)[None],
        sigma=sigma[None],
        psf=PSF,
        zeropoint=25.0,
        pixel_scale=0.3,
        threads=1,
        **given,
    )


def flags(catalogue, row=0):
    return Flag(int(catalogue.table["flags"][row]))


def pulls(table, truth, names=("mag", "r_eff", "n", "q")):
    return np.array(
        [(float(table[name][0]) - truth[name]) / float(table[f"{name}_err"][0]) for name in names]
    )


@pytest.mark.parametrize(
    ("side", "ratio", "n", "brightness"),
    [(40, 0.5, 2.0, 30.0), (64, 1.0, 4.0, 20.0), (64, 1.4, 1.0, 10.0), (48, 0.35, 1.0, 5.0)],
)
def test_a_galaxy_as_large_as_its_stamp_is_right_or_said_not_to_be_told(side, ratio, n, brightness):
    r_eff = ratio * side
    image, truth = draw(
        side, seed=side, r_eff=r_eff, n=n, mag=25 - 2.5 * np.log10(brightness * 2 * np.pi * 0.7 * r_eff**2)
    )
    catalogue = fit(image)
    off = pulls(catalogue.table, truth)
    assert (np.abs(off[np.isfinite(off)]) < 4).all(), catalogue.table["r_eff", "r_eff_err", "mag", "mag_err"]
    assert (Flag.UNCONSTRAINED in flags(catalogue)) >= (ratio >= 1)


def test_galaxies_well_inside_their_stamps_are_told():
    for seed, (mag, r_eff, n) in enumerate(
        [(17.5, 3.0, 1.0), (15.0, 6.0, 4.0), (13.0, 5.0, 6.0), (16.0, 8.0, 0.7)]
    ):
        catalogue = fit(draw(96, seed=seed, mag=mag, r_eff=r_eff, n=n)[0])
        assert not flags(catalogue) & (
            Flag.UNCONSTRAINED | Flag.SKY_FIXED | Flag.SKY_SLOPED | Flag.POOR_FIT | Flag.AT_BOUND
        )
        assert catalogue.table["quality"][0] == "good"


@pytest.mark.parametrize("side", [48, 96, 250])
def test_a_star_beside_the_centre_is_a_misfit_whatever_the_size_of_the_stamp(side):
    image, truth = draw(side, mag=15.5)
    star = autogal.render(
        Table([truth | {"x": truth["x"] + 2.0, "mag": 15.5, "r_eff": 0.05, "n": 0.5}]),
        psf=PSF,
        shape=image.shape,
        zeropoint=25.0,
    )
    assert Flag.POOR_FIT in flags(fit(image + star[0]))
    assert Flag.POOR_FIT not in flags(fit(image))


def test_photons_that_nobody_counted_are_no_misfit():
    """Without sigma map and gain the light's own noise stays above what was estimated: grain, which no
    model could take up."""
    seen = observe(random_galaxies(40, seed=1, snr=(40, 200)), seed=1)
    table = autogal.fit(seen.images, psf=seen.psf, zeropoint=25.0, start=seen.start, threads=1).table
    assert not (np.asarray(table["flags"]) & Flag.POOR_FIT).any()
    with_star = []
    for image, light in zip(seen.images, 10 ** (0.4 * (25.0 - seen.truth["mag"]))):
        star = np.zeros_like(image)
        star[14:39, 8:33] = 0.5 * light * seen.psf  # 3 px above the middle of the stamp, and 3 px to the left
        with_star.append(image + star)
    table = autogal.fit(with_star, psf=seen.psf, zeropoint=25.0, start=seen.start, threads=1).table
    assert np.mean((np.asarray(table["flags"]) & Flag.POOR_FIT) > 0) > 0.8


@pytest.mark.parametrize(("mag", "part"), [(10.0, 0.01), (9.0, 0.004)])
def test_what_is_missed_of_a_very_bright_galaxy_is_a_misfit_too(mag, part):
    image, truth = draw(96, mag=mag, r_eff=6.0)
    star = autogal.render(
        Table([truth | {"x": truth["x"] + 3.0, "mag": mag - 2.5 * np.log10(part), "r_eff": 0.05, "n": 0.5}]),
        psf=PSF,
        shape=image.shape,
        zeropoint=25.0,
    )
    assert Flag.POOR_FIT in flags(fit(image + star[0])) and fit(image + star[0]).table["quality"][0] == "poor"
    assert Flag.POOR_FIT not in flags(fit(image))
    short = flags(
        fit(image, sigma=np.full(image.shape, 0.4))
    )  # a map that is too small is no fault of the model
    assert Flag.NOISE_MISMATCH in short and Flag.POOR_FIT not in short


@pytest.mark.parametrize("q", [0.02, 0.05])
def test_a_needle_is_as_thin_as_it_is(q):
    catalogue = fit(draw(112, mag=15.5, r_eff=14.0, n=1.0, q=q)[0])
    off = pulls(catalogue.table, dict(mag=15.5, r_eff=14.0, n=1.0, q=q))
    assert (np.abs(off[np.isfinite(off)]) < 4).all() and Flag.POOR_FIT not in flags(catalogue)


def test_what_a_bound_drags_along_has_no_error():
    image, truth = draw(112, mag=15.0, r_eff=14.0, n=1.0, q=0.04)
    bound = fit(image, **{"model.bounds.q": [0.2, 1.0]})
    assert Flag.AT_BOUND in flags(bound) and np.isnan(bound.table["q_err"][0])
    off = pulls(bound.table, truth)
    assert (np.abs(off[np.isfinite(off)]) < 5).all(), "what is far from the truth has no error"
    flat = fit(draw(64, mag=16.0, r_eff=6.0, n=4.0)[0], **{"model.bounds.n": [0.2, 1.5]})
    assert (
        Flag.AT_BOUND in flags(flat)
        and np.isnan([flat.table[name][0] for name in ("n_err", "mag_err", "r_eff_err")]).all()
    )
    assert np.isfinite([flat.table[name][0] for name in ("x_err", "pa_err")]).all()


@pytest.mark.parametrize("angle", [0.0, 140.0])
def test_a_sloped_sky_is_fitted_or_said(angle):
    image, truth = draw(96, mag=16.0, r_eff=6.0)
    rows, columns = np.indices(image.shape) - 47.5
    image = image + 5.0 / 96 * (np.cos(np.radians(angle)) * columns + np.sin(np.radians(angle)) * rows)
    whole = {"segment": "sep"}
    assert Flag.SKY_SLOPED in flags(fit(image, **whole))
    tilted = fit(image, **whole, **{"model.sky": "tilted"})
    assert (np.abs(pulls(tilted.table, truth)) < 4).all() and tilted.table["quality"][0] in ("good", "fair")


@pytest.mark.parametrize(("radius", "raised"), [(4.5, Flag.CORE_MASKED), (1.0, Flag(0))])
def test_masks_over_the_core_are_said(radius, raised):
    image, truth = draw(80, mag=14.0, r_eff=8.0)
    rows, columns = np.indices(image.shape)
    mask = np.hypot(columns - truth["x"] - 1, rows - truth["y"]) < radius
    found = flags(fit(image, mask=mask[None], start=Table([truth]))) & (Flag.CORE_MASKED | Flag.TARGET_MASKED)
    assert bool(found & Flag.CORE_MASKED) == bool(raised)
    if radius < 2:
        assert not found


def test_masks_of_neighbours_over_most_of_the_target_are_said_with_a_number():
    image, truth = draw(80, mag=14.0, r_eff=8.0)
    columns = np.indices(image.shape)[1]
    mask = (columns > truth["x"] - 1.5) & (columns < 76)  # up to the edge it would be the image's end
    catalogue = fit(image, mask=mask[None], start=Table([truth]))
    assert Flag.TARGET_MASKED in flags(catalogue) and "Masks hide" in catalogue.table["message"][0]


def test_a_bulge_larger_than_its_disk_is_said():
    inner, _truth = draw(96, mag=15.0, r_eff=4.0, n=1.0)
    outer = draw(96, noise=0.0, mag=14.0, r_eff=16.0, n=4.0)[0]
    swapped = fit(inner + outer, model="bulge_disk", **{"model.priors.size_ratio": None})
    assert Flag.ROLES_SWAPPED in flags(swapped) and "ended larger" in swapped.table["message"][0]
    assert (
        swapped.table["bulge_r_eff"][0] > swapped.table["disk_r_eff"][0]
        and swapped.table["quality"][0] == "poor"
    )
    sane = draw(96, mag=15.0, r_eff=3.0, n=4.0)[0] + draw(96, noise=0.0, mag=14.0, r_eff=14.0, n=1.0)[0]
    assert Flag.ROLES_SWAPPED not in flags(fit(sane, model="bulge_disk"))
