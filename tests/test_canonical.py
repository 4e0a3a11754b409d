"""What is found in an image does not hang on how it lies, on its units, its pedestal, or an empty frame
around it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from autogal.canonical import views
from autogal.configuration.composing import compose
from autogal.images import estimate_sigma
from autogal.images.orientation import ORIENTATIONS, Orientation
from autogal.initialise import initialise_all
from autogal.initialise.start import STEP
from autogal.segment import segment_all
from autogal.simulate import General, simulate

SHAPES = (64, 64), (51, 63), (64, 47)
WAYS = {"networks": ("maskrcnn", "resnet50"), "classical": ("sep", "moments")}
FRAME = (5, 18), (11, 2)
TURNED = ORIENTATIONS[1:]


@pytest.fixture(scope="module")
def crowded():
    """Galaxies among neighbours, on frames of even and odd sides."""
    scenes = [simulate(1, General(), 4100 + k, shape).cutouts[0] for k, shape in enumerate(SHAPES)]
    for i, cutout in enumerate(scenes):
        cutout.mask[i : i + 2, 3:9] = True
        cutout.image[40, 10 + i] = np.nan
        cutout.mask[40, 10 + i] = True
    return scenes


@pytest.fixture(scope="module", params=WAYS)
def look(request):
    """Segmentations and starts of cutouts, as they are in the cutouts."""
    segment, initialise = WAYS[request.param]
    settings = compose("fit", [f"segment={segment}", f"initialise={initialise}", "device=cpu", "threads=1"])

    def found(cutouts):
        seen = views(cutouts)
        segmentations = segment_all([one.cutout for one in seen], settings.segment, "cpu")
        starts = initialise_all([one.cutout for one in seen], segmentations, settings.initialise, "cpu")
        return [
            (one.segmentation(what), one.start(start))
            for one, what, start in zip(seen, segmentations, starts)
        ]

    return found


@pytest.fixture(scope="module")
def plain(look, crowded):
    return look(crowded)


def assert_same(one, other, shift=(0, 0), scale=1.0, level=0.0, rtol=1e-9, how=Orientation(), shape=None):
    """`one`, brought into the frame of `other`."""
    (was, first), (now, then) = one, other
    inner = tuple(
        slice(begin, begin + length) for begin, length in zip(shift[::-1], how.array(was.labels).shape)
    )
    assert np.array_equal(now.labels[inner], how.array(was.labels)) and np.count_nonzero(
        now.labels
    ) == np.count_nonzero(was.labels)
    assert np.array_equal(now.neighbours[inner], how.array(was.neighbours))
    assert (now.flags, now.notes, now.n_sources, now.reaches.keys()) == (
        was.flags,
        was.notes,
        was.n_sources,
        was.reaches.keys(),
    )
    for label, (box, mask) in now.reaches.items():
        whole = np.zeros(now.labels.shape, bool)
        whole[box] = mask
        old = np.zeros(was.labels.shape, bool)
        old[was.reaches[label][0]] = was.reaches[label][1]
        assert np.array_equal(whole[inner], how.array(old))
    expected = how.values(first.values, was.labels.shape)
    expected |= {"x": expected["x"] + shift[0], "y": expected["y"] + shift[1]}
    expected |= {"flux": expected["flux"] * scale, "sky": expected["sky"] * scale + level}
    if (
        first.covariance is not None
    ):  # a network's numbers hang, in their last digits, on what is computed together with them
        rtol = max(rtol, 2 * STEP)
        assert np.allclose(then.covariance, how.covariance(first.covariance), rtol=rtol, atol=1e-4)
    turn = (then.values.pop("pa") - expected.pop("pa") + 90) % 180 - 90
    assert abs(turn) <= 50 * rtol
    assert then.values == pytest.approx(expected, rel=rtol, abs=rtol * max(1.0, abs(level), scale))


def test_turned_and_mirrored_images(look, plain, crowded):
    turned = look([cutout.turned(how) for how in TURNED for cutout in crowded])
    for k, other in enumerate(turned):
        assert_same(plain[k % len(crowded)], other, how=TURNED[k // len(crowded)])


def framed(cutout):
    grow = lambda plane, filling: np.pad(plane, FRAME, constant_values=filling)
    height, width = cutout.shape
    return replace(
        cutout,
        image=grow(cutout.image, np.nan),
        sigma=grow(cutout.sigma, np.nan),
        mask=grow(cutout.mask, True),
        start={"x": (width - 1) / 2 + FRAME[1][0], "y": (height - 1) / 2 + FRAME[0][0]},
    )


def test_a_larger_frame_of_nothing(look, crowded):
    told = [
        replace(cutout, start={"x": (cutout.shape[1] - 1) / 2, "y": (cutout.shape[0] - 1) / 2})
        for cutout in crowded
    ]
    for one, other in zip(look(told), look([framed(cutout) for cutout in crowded]), strict=True):
        assert_same(one, other, shift=(FRAME[1][0], FRAME[0][0]))


@pytest.mark.parametrize(("scale", "height"), [(1e-6, 0.0), (1e6, -3.0), (1.0, 1e4)])
def test_other_units_and_pedestals(look, plain, crowded, scale, height):
    moved = []
    for cutout in crowded:
        noise = float(np.median(cutout.sigma))
        moved.append(
            replace(
                cutout,
                image=np.asarray(cutout.image, float) * scale + height * noise,
                sigma=np.asarray(cutout.sigma, float) * scale,
                gain=None if cutout.gain is None else cutout.gain / scale,
            )
        )
    for cutout, one, other in zip(crowded, plain, look(moved), strict=True):
        assert_same(one, other, scale=scale, level=height * float(np.median(cutout.sigma)), rtol=2e-3)


@pytest.mark.parametrize("start", [{"x": 24.2, "y": 31.9}, {"x": 24.2, "sky": 0.4, "flux": 50.0, "pa": 30.0}])
@pytest.mark.parametrize("how", TURNED[::2])
def test_where_the_target_should_be_turns_too(crowded, how, start):
    """Also where only a part of it is given."""
    cutout = replace(crowded[1], start=start)
    one, other = views([cutout, cutout.turned(how)])
    assert one.cutout.start == pytest.approx(other.cutout.start)
    assert np.array_equal(one.cutout.image, other.cutout.image, equal_nan=True) and np.array_equal(
        one.cutout.psf, other.cutout.psf
    )


@pytest.mark.parametrize("how", TURNED)
def test_a_sloped_sky_is_taken_off_alike(crowded, how):
    rows, columns = np.indices(crowded[0].shape)
    image = crowded[0].image + float(np.median(crowded[0].sigma)) * (0.2 * columns - 0.1 * rows)
    sloped = replace(crowded[0], image=image.astype(np.float32))
    (one, steep), (other, _) = (
        (view.flat.cutout.image, view.cutout.image) for view in views([sloped, sloped.turned(how)])
    )
    assert np.allclose(one, other, rtol=1e-6, atol=1e-5, equal_nan=True)

    def leans(image):
        return max(
            abs(np.nanmedian(plane[:, -8:]) - np.nanmedian(plane[:, :8])) for plane in (image, image.T)
        )

    assert leans(one) < 0.3 * leans(steep)


def test_psfs_that_are_shared_stay_shared(crowded):
    one = replace(crowded[0], psf=crowded[1].psf)
    seen = views([one, crowded[1], replace(crowded[1])])
    assert seen[1].cutout.psf is seen[2].cutout.psf
    assert all(
        not np.shares_memory(view.cutout.image, cutout.image) for view, cutout in zip(seen, [one, crowded[1]])
    )


def test_nothing_usable_is_no_trouble(crowded):
    cutout = replace(crowded[0], mask=np.ones(crowded[0].shape, bool))
    (seen,) = views([cutout])
    assert seen.cutout is cutout and seen.unit == 1


@pytest.mark.parametrize("how", TURNED[::2])
@pytest.mark.parametrize("side", [90, 261])
def test_noise_that_is_estimated(how, side):
    """Also where a sample of the pixels serves."""
    rng = np.random.default_rng(side)
    y, x = np.indices((side, side + 13))
    image = 30 * np.exp(-np.hypot(x - side / 2 - 3, y - side / 2 + 5) / 9) + rng.normal(0, 2, x.shape) + 1e4
    sigma, notes = estimate_sigma(image, None, 3.0)
    turned, again = estimate_sigma(how.array(image), None, 3.0)
    assert np.allclose(turned, how.array(sigma), rtol=1e-9) and notes == again
