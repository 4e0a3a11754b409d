"""What lies around a target: masks by neighbour, and what each neighbour looks like alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import autogal
from autogal.configuration.composing import composed
from autogal.fitting.context import fit_context
from autogal.images import Cutout
from autogal.neighbours import Surroundings
from autogal.neighbours.measure import look
from autogal.neighbours.points import TRIAL, are_points, is_point

SHAPE = (60, 64)
FWHM = 3.0
CPU = torch.device("cpu")


def star(size=25):
    y, x = np.indices((size, size)) - size // 2
    image = np.exp(-(x**2 + y**2) / (2 * (FWHM / 2.355) ** 2))
    return image / image.sum()


def around(*boxes, bad=None):
    """The target in the middle, and neighbours in boxes of rows and columns, each reaching 2 px beyond."""
    labels, reaches = np.zeros(SHAPE, np.int32), {}
    labels[26:34, 28:36] = 1
    for label, (rows, columns) in enumerate(boxes, start=2):
        labels[slice(*rows), slice(*columns)] = label
        box = tuple(
            slice(low - 2, min(high + 2, length)) for (low, high), length in zip((rows, columns), SHAPE)
        )
        reaches[label] = box, np.ones(tuple(side.stop - side.start for side in box), bool)
    return Surroundings(labels, reaches, np.zeros(SHAPE, bool) if bad is None else bad)


def test_the_mask_without_some():
    bad = np.zeros(SHAPE, bool)
    bad[45, 45] = True
    both = around(((40, 50), (40, 50)), ((5, 12), (5, 12)), bad=bad)
    assert (both.without(()) == (bad | both.reach(2) | both.reach(3))).all()
    assert (both.without((2,)) == (bad | both.reach(3))).all()
    assert (both.without((2, 3)) == bad).all()


def test_a_window_has_what_lies_in_it():
    both = around(((40, 50), (40, 50)), ((5, 12), (5, 12)))
    part = both.window(slice(20, 50), slice(10, 60))
    assert part.labels.shape == part.bad.shape == (30, 50) and set(part.reaches) == {2}
    assert (part.reach(2) == both.reach(2)[20:50, 10:60]).all()
    assert both.window(slice(0, 60), slice(0, 64)) is both


def test_touching_neighbours():
    assert around(((34, 40), (30, 40)), ((45, 50), (10, 20))).touching() == {2}


def draw(r_eff=None, noise=0.0, mag=17.5, n=1.5, q=0.7, x=44.3, y=44.6):
    row = {"x": [x], "y": [y], "mag": [mag]} | (
        {} if r_eff is None else {"r_eff": [r_eff], "n": [n], "q": [q], "pa": [30.0]}
    )
    light = autogal.render(
        row, "point_source" if r_eff is None else "sersic", star(), shape=SHAPE, zeropoint=25.0
    )[0]
    return (light + noise * np.random.default_rng(4).normal(size=SHAPE)).astype(np.float32)


def cutout_of(image):
    return Cutout("one", image, np.ones(SHAPE, np.float32), np.zeros(SHAPE, bool), star())


@pytest.mark.parametrize("r_eff", [2.0, 6.0])
def test_what_a_neighbour_looks_like(r_eff):
    image = draw(r_eff, noise=1.0)
    ((found,),) = look([cutout_of(image)], [around(((39, 51), (39, 51)))], [image], [[2]], CPU)
    assert (
        abs(found.start["x"] - 44.3) < 0.3
        and abs(found.start["y"] - 44.6) < 0.3
        and abs(found.start["mag"] - 17.5) < 0.3
    )
    assert found.low[0] < 39 < 50 < found.high[0] and abs(np.log(found.start["r_eff"] / r_eff)) < 0.4
    assert abs(found.start["q"] - 0.7) < 0.1 and abs(found.start["pa"] - 30) < 8


def test_a_neighbour_looks_the_same_in_any_company():
    images = [
        draw(r_eff, noise=1.0, x=x) for r_eff, x in ((2.0, 44.3), (6.0, 62.8))
    ]  # one of them leaves the image
    places = [around(((39, 51), (39, 51))), around(((39, 51), (54, 64)), ((5, 12), (5, 12)))]
    together = look([cutout_of(image) for image in images], places, images, [[2], [2, 3]], CPU)
    for image, place, labels, found in zip(images, places, [[2], [2, 3]], together):
        for label, one in zip(labels, found):
            ((alone,),) = look([cutout_of(image)], [place], [image], [[label]], CPU)
            assert one.label == label and one.start == pytest.approx(alone.start, rel=1e-4)
    assert abs(together[1][0].start["x"] - 62.8) < 1.5


def test_light_of_others_is_left_out():
    image = draw(3.0, x=40.3) + draw(3.0, mag=15.0, x=52.3, y=50.0)
    both = around(((39, 50), (35, 46)), ((44, 56), (46, 58)))
    ((one,),) = look([cutout_of(image)], [both], [image], [[2]], CPU)
    assert abs(one.start["x"] - 40.3) < 0.7 and abs(one.start["mag"] - 17.5) < 0.4


@pytest.mark.parametrize(
    ("r_eff", "mag", "expected"),
    [
        (None, 16.0, True),
        (None, 18.5, True),
        (None, 20.5, True),
        (1.5, 16.0, False),
        (1.5, 18.5, False),
        (4.0, 18.5, False),
        (4.0, 22.0, True),
    ],
)
def test_a_star_is_a_point_and_a_galaxy_is_none_unless_noise_hides_it(r_eff, mag, expected):
    width = FWHM / 2.355
    rows, columns = np.indices(SHAPE)
    x, y = 44.35, 44.55  # not quite where it is
    use = np.hypot(columns - x, rows - y) < 6 * width
    pair = draw(mag=25.0, x=x, y=y), draw(TRIAL * width, mag=25.0, n=1.0, q=1.0, x=x, y=y)
    image = draw(r_eff, noise=1.0, mag=mag) + 0.5
    assert is_point(image, np.ones(SHAPE), use, *pair) == expected


def test_a_neighbour_without_light_is_none():
    image = np.random.default_rng(4).normal(size=SHAPE).astype(np.float32)
    image[39:51, 39:51] = -5
    place = around(((39, 51), (39, 51)))
    assert look([cutout_of(image)], [place], [image], [[2]], CPU) == [[]]
    assert place.near(np.maximum(image, 5), 32, 30, 0.0) == [2]
    assert around(((39, 51), (39, 51)), bad=np.ones(SHAPE, bool)).near(image, 32, 30, 0.0) == []


def test_points_are_told_apart_at_the_border_too():
    with fit_context(composed(), 2) as how:
        for r_eff, expected in ((None, True), (4.0, False)):
            image = draw(r_eff, noise=1.0, mag=16.5, x=61.3, y=44.6)
            place = around(((39, 51), (56, 64)))
            ((one,),) = look([cutout_of(image)], [place], [image], [[2]], CPU)
            assert (
                are_points([one, one], [cutout_of(image)] * 2, [image] * 2, [place] * 2, how)
                == [expected] * 2
            )
