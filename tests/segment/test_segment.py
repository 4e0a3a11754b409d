"""The target is found, its neighbours are masked, and nothing in an image can stop the run."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import sep
from scipy import ndimage

from autogal.errors import AutogalError
from autogal.flags import Flag
from autogal.segment import segment

from .scenes import cutout, galaxy, star

SHAPE = (96, 110)
CENTRE = (54.5, 47.5)


def settings(name="sep", **changed):
    values = dict(name=name, threshold=4.0, min_area=5, deblend_levels=64, deblend_contrast=3e-5, grow=1.0)
    return SimpleNamespace(**(values | changed))


def test_isolated_galaxy_is_the_target_and_nothing_is_masked():
    light = galaxy(SHAPE, 53, 49, 2e4, 5, q=0.5, pa=30)
    found = segment(cutout(light), settings())
    assert np.hypot(found.x - 53, found.y - 49) < 0.5
    assert found.flags == 0 and found.n_sources == 1
    assert not found.neighbours.any()
    assert light[found.target].sum() > 0.9 * light.sum()


def test_wings_of_a_bright_cuspy_galaxy_are_not_masked():
    light = galaxy(SHAPE, *CENTRE, 3e5, 0.02, q=0.7, n=4)
    masked = [segment(cutout(light, seed), settings()).neighbours.mean() for seed in range(5)]
    assert np.mean(masked) < 0.01


@pytest.mark.parametrize("factor", [1e-13, 1e-6, 1e5])
@pytest.mark.parametrize("sky", [0.0, 30.0, -400.0])
def test_units_and_sky_level_do_not_matter(factor, sky):
    scene = cutout(galaxy(SHAPE, *CENTRE, 8e3, 4) + star(SHAPE, 75, 60, 3e3))
    expected = segment(scene, settings())
    scene.image, scene.sigma = factor * (scene.image + sky), factor * scene.sigma
    found = segment(scene, settings())
    assert found.n_sources == expected.n_sources == 2
    assert (found.labels != expected.labels).mean() < 1e-3
    assert (found.neighbours != expected.neighbours).mean() < 1e-3


@pytest.mark.parametrize("flux", [300, 3e3, 3e4, 3e5])
def test_neighbour_masks_leave_no_wing_light(flux):
    target = galaxy(SHAPE, *CENTRE, 5e3, 3)
    neighbour = star(SHAPE, 82, 60, flux)
    found = segment(cutout(target + neighbour), settings())
    assert np.hypot(found.x - CENTRE[0], found.y - CENTRE[1]) < 1
    left = neighbour[~found.neighbours]
    assert left.max() < 0.5  # of the noise of a pixel
    assert found.neighbours[target > 0.1 * target.max()].mean() < 0.05


def test_growth_follows_the_brightness_of_the_neighbour():
    areas = [
        segment(
            cutout(galaxy(SHAPE, *CENTRE, 5e3, 3) + star(SHAPE, 85, 70, flux)), settings()
        ).neighbours.sum()
        for flux in (300, 3e3, 3e4, 3e5)
    ]
    assert np.all(np.diff(areas) > 20)


def test_grow_scales_the_masks():
    scene = cutout(galaxy(SHAPE, *CENTRE, 5e3, 3) + star(SHAPE, 85, 70, 2e4))
    bare, normal, wide = (segment(scene, settings(grow=grow)) for grow in (0.0, 1.0, 1.5))
    assert np.array_equal(bare.neighbours, bare.labels > 1)
    assert bare.neighbours.sum() < normal.neighbours.sum() < wide.neighbours.sum()


def test_overlapping_neighbour_is_split_off():
    light = galaxy(SHAPE, *CENTRE, 2e4, 4) + galaxy(SHAPE, CENTRE[0] + 14, CENTRE[1] + 3, 1.5e4, 3)
    found = segment(cutout(light), settings())
    assert np.hypot(found.x - CENTRE[0], found.y - CENTRE[1]) < 1
    assert found.neighbours[50, 68] and not found.neighbours[47, 54]
    assert found.blended and Flag.BLENDED in found.flags


def test_spiral_is_not_shredded():
    yy, xx = np.mgrid[:128, :128] - 63.5
    radius, angle = np.hypot(xx, yy), np.arctan2(yy, xx)
    disk = galaxy((128, 128), 63.5, 63.5, 2e5, 9)
    arms = 1 + 0.7 * np.cos(2 * angle - 4 * np.log(radius + 3)) * (1 - np.exp(-((radius / 8) ** 2)))
    found = segment(cutout(disk * arms), settings())
    inside = radius < 25
    assert found.target[inside].mean() > 0.95
    assert not found.neighbours[inside].any()


def test_target_is_chosen_by_place_and_flux():
    faint, bright = galaxy(SHAPE, *CENTRE, 1.5e3, 2), star(SHAPE, 80, 70, 1e5)
    found = segment(cutout(faint + bright), settings())
    assert np.hypot(found.x - CENTRE[0], found.y - CENTRE[1]) < 1
    assert found.neighbours[70, 80]


def test_start_position_overrules_the_centre():
    light = galaxy(SHAPE, *CENTRE, 2e4, 4) + star(SHAPE, 85, 70, 5e3)
    found = segment(cutout(light, start={"x": 84.0, "y": 71.0}), settings())
    assert np.hypot(found.x - 85, found.y - 70) < 0.5
    assert found.neighbours[47, 54]


def test_faint_extended_target_is_found_by_smoothing():
    light = galaxy((128, 128), 63.5, 63.5, 1500, 8)
    signal = np.sqrt((light**2).sum())
    found = [segment(cutout(light, seed), settings()) for seed in range(10)]
    assert 20 < signal < 60
    assert all(np.hypot(one.x - 63.5, one.y - 63.5) < 8 for one in found)
    assert not any(Flag.NO_TARGET in one.flags for one in found)


def noise_alone(kind, size, seed):
    """A cutout of nothing else."""
    rng, scene = np.random.default_rng(seed), cutout(np.zeros((size, size)))
    noise = rng.normal(0, 1, (size, size))
    if kind == "correlated":
        noise = ndimage.gaussian_filter(noise, 1.0, mode="wrap") * 2 * np.sqrt(np.pi)
    if kind == "sloping":
        slope = rng.normal(0, 3.0 / size, 2)
        noise += slope[0] * np.arange(size) + slope[1] * np.arange(size)[:, None]
    scene.image = noise
    return scene


@pytest.mark.parametrize("size", [64, 128])
@pytest.mark.parametrize("kind", ["white", "correlated", "sloping"])
def test_noise_alone_has_no_target(kind, size):
    found = [segment(noise_alone(kind, size, seed), settings()) for seed in range(30)]
    assert sum(Flag.NO_TARGET not in one.flags for one in found) <= 1


@pytest.mark.parametrize("size", [64, 128])
def test_faint_targets_stand_out_of_the_noise(size):
    middle = (size - 1) / 2
    light = star((size, size), middle, middle, 1.0)
    light *= 9 / np.sqrt((light**2).sum())  # the signal-to-noise ratio of the whole
    found = [segment(cutout(light, seed), settings()) for seed in range(20)]
    assert (
        sum(Flag.NO_TARGET not in one.flags and np.hypot(one.x - middle, one.y - middle) < 3 for one in found)
        >= 18
    )


def test_a_large_faint_plateau_is_a_target():
    # no brighter in the middle than a few seeing discs further out
    light = galaxy((128, 128), 63.5, 63.5, 1.0, 22, n=0.4)
    light *= 30 / np.sqrt((light**2).sum())
    found = [segment(cutout(light, seed), settings()) for seed in range(10)]
    assert sum(Flag.NO_TARGET not in one.flags for one in found) >= 9


def test_empty_centre_is_no_target_but_neighbours_are_masked():
    found = segment(cutout(star(SHAPE, 15, 20, 2e4)), settings())
    assert Flag.NO_TARGET in found.flags and found.notes
    assert not found.target.any()
    assert (found.x, found.y) == CENTRE
    assert found.neighbours[20, 15] and found.n_sources >= 1


def test_flags_of_edge_and_low_signal():
    assert Flag.EDGE in segment(cutout(galaxy((24, 24), 11.5, 11.5, 3e4, 8)), settings()).flags
    assert (
        Flag.EDGE
        in segment(cutout(galaxy((64, 64), 31.5, 3.5, 3e4, 4), start={"x": 31.5, "y": 3.5}), settings()).flags
    )
    faint_outskirts = segment(cutout(galaxy((64, 64), 31.5, 31.5, 1e6, 5, n=2.0)), settings())
    assert faint_outskirts.target[0].any() and Flag.EDGE not in faint_outskirts.flags
    assert Flag.EDGE not in segment(cutout(galaxy((64, 64), 31.5, 31.5, 3e3, 2)), settings()).flags
    weak = segment(cutout(star((64, 64), 31.5, 31.5, 38)), settings(threshold=3.0))
    assert Flag.LOW_SN in weak.flags
    assert Flag.LOW_SN not in segment(cutout(star((64, 64), 31.5, 31.5, 3e3)), settings()).flags


def test_holes_in_the_target_do_not_split_it():
    light = galaxy(SHAPE, *CENTRE, 5e4, 6)
    mask = np.zeros(SHAPE, bool)
    mask[47, 30:80] = mask[:, 54] = True
    scene = cutout(light, mask=mask)
    scene.image[mask] = np.nan
    found = segment(scene, settings())
    assert np.hypot(found.x - CENTRE[0], found.y - CENTRE[1]) < 1
    assert not found.neighbours.any()


def test_masked_neighbours_are_not_detected_again():
    light = galaxy(SHAPE, *CENTRE, 5e3, 3) + star(SHAPE, 85, 70, 1e5)
    mask = star(SHAPE, 85, 70, 1e5) > 0.3
    found = segment(cutout(light, mask=mask), settings())
    assert not (found.labels[mask] > 0).any()
    assert not (
        found.target & (np.hypot(*(np.indices(SHAPE) - np.array([70, 85])[:, None, None])) < 20)
    ).any()


@pytest.mark.parametrize("name", ["none", "given"])
def test_without_segmentation_only_the_target_is_found(name):
    light = galaxy(SHAPE, *CENTRE, 5e3, 3) + star(SHAPE, 85, 70, 1e4)
    found = segment(cutout(light), settings(name))
    assert not found.neighbours.any()
    assert found.n_sources == 1 and found.target[47, 54] and not found.target[70, 85]


def test_unknown_name_says_what_there_is():
    with pytest.raises(AutogalError, match="sep, none, given"):
        segment(cutout(np.zeros(SHAPE)), settings("sex"))


@pytest.mark.parametrize("shape", [(1, 40), (2, 2), (3, 3), (8, 8), (16, 16), (5, 200), (512, 300)])
@pytest.mark.parametrize("name", ["sep", "none", "given"])
def test_any_shape_is_handled(shape, name):
    light = galaxy(shape, (shape[1] - 1) / 2, (shape[0] - 1) / 2, 2e3, 1.5)
    found = segment(cutout(light), settings(name))
    assert found.labels.shape == found.neighbours.shape == shape
    assert found.target.any() != (Flag.NO_TARGET in found.flags)
    if min(shape) >= 8:
        assert found.target.any()


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((40, 40)),
        np.full((40, 40), 7.0),
        np.full((40, 40), np.nan),
        np.full((40, 40), 1e30),
        np.where(np.arange(1600).reshape(40, 40) % 2, np.nan, 1.0),
        np.full((40, 40), np.inf),
    ],
    ids=["zero", "constant", "nan", "huge", "half nan", "inf"],
)
@pytest.mark.parametrize("sigma", [1.0, None, np.nan, 0.0])
def test_images_without_information_have_no_target(image, sigma):
    scene = cutout(np.zeros((40, 40)))
    scene.image = image
    scene.sigma = None if sigma is None else np.full((40, 40), sigma)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = segment(scene, settings())
    assert Flag.NO_TARGET in found.flags


def test_input_is_not_changed():
    scene = cutout(galaxy(SHAPE, *CENTRE, 5e3, 3) + star(SHAPE, 85, 70, 1e4))
    scene.image[3, 4] = np.nan
    scene.mask[3, 4] = True
    image, sigma, mask = scene.image.copy(), scene.sigma.copy(), scene.mask.copy()
    segment(scene, settings())
    assert np.array_equal(scene.image, image, equal_nan=True)
    assert np.array_equal(scene.sigma, sigma) and np.array_equal(scene.mask, mask)


def test_small_library_buffer_is_raised():
    before = sep.get_extract_pixstack()
    try:
        sep.set_extract_pixstack(50)
        found = segment(cutout(galaxy(SHAPE, *CENTRE, 1e6, 12)), settings())
    finally:
        sep.set_extract_pixstack(before)
    assert found.target.sum() > 1000


def test_deblending_overflow_falls_back_with_a_flag(monkeypatch):
    real, calls = sep.extract, []

    def overflowing(*args, deblend_cont, **kwargs):
        calls.append(deblend_cont)
        if deblend_cont < 1:
            raise Exception("object deblending overflow: limit of sub-objects reached")
        return real(*args, deblend_cont=deblend_cont, **kwargs)

    monkeypatch.setattr(sep, "extract", overflowing)
    found = segment(cutout(galaxy(SHAPE, *CENTRE, 5e3, 3)), settings())
    assert Flag.MASK_FALLBACK in found.flags and found.notes
    assert found.target.any() and calls[-1] == 1
    assert sep.get_sub_object_limit() == 1024


def test_many_peaks_in_one_source_do_not_overflow():
    yy, xx = np.mgrid[:240, :240]
    grid = 60 * np.exp(-0.5 * (((xx % 5) - 2) ** 2 + ((yy % 5) - 2) ** 2)) + 30.0
    grid[:20] = grid[-20:] = grid[:, :20] = grid[:, -20:] = 0
    found = segment(cutout(grid), settings())
    assert found.labels.any()
