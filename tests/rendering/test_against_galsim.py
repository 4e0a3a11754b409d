"""What autogal draws, against GalSim."""

from __future__ import annotations

import numpy as np
import pytest

from .comparison import differences, render
from .galsim_truth import (
    ACCURATE,
    AXIS_RATIOS,
    INDICES,
    PLACES,
    SIZES,
    Galaxy,
    draw,
    galaxies,
    galsim,
    optics,
    sample,
)

LARGEST, MEDIAN, TOTAL = 1e-3, 2e-4, 2e-3


def assert_close(images, truths, cases=None):
    largest, total = differences(images, truths)
    report = (
        f"largest {largest.max():.1e} (median {np.median(largest):.1e}) of the peak, sum {total.max():.1e} "
        f"of the flux"
    )
    if cases is not None:
        report += f"; worst {cases[largest.argmax()]}, {cases[total.argmax()]}"
    print(report)  # for `pytest -s`
    assert largest.max() <= LARGEST, report
    assert np.median(largest) <= MEDIAN, report
    assert total.max() <= TOTAL, report


@pytest.fixture(scope="module")
def psf():
    return optics()


@pytest.fixture(scope="module")
def star(psf):
    return sample(psf)


@pytest.fixture(scope="module")
def spread(psf):
    """Each combination of index, size and axis ratio at one of the five places, and its image.

    The few that take GalSim many seconds are left to the slow test, all but one.
    """
    every = [galaxies(places=[PLACES[i % 5]])[i] for i in range(75)]
    cases = [g for g in every if g.n * g.r_eff < 80 or (g.n, g.r_eff, g.q) == (4.0, 40.0, 0.1)]
    return cases, [draw(g, psf) for g in cases]


def test_the_spread_covers_every_axis(spread):
    cases, _ = spread
    for name, values in {
        "n": INDICES,
        "r_eff": SIZES,
        "q": AXIS_RATIOS,
        "shape": {place[1] for place in PLACES},
    }.items():
        assert {getattr(g, name) for g in cases} == set(values)
    assert len(cases) > 60


def test_every_index_size_and_shape(spread, star):
    cases, truths = spread
    assert_close(render(cases, star), truths, cases)


def test_optical_psf_is_given_its_pixel(spread, psf):
    cases, truths = spread
    assert_close(render(cases, sample(psf, pixel=False), psf_kind="optical"), truths, cases)


@pytest.mark.slow
def test_the_full_grid(psf, star):
    cases = galaxies()
    assert_close(render(cases, star), [draw(g, psf) for g in cases], cases)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: f"{place[1][0]}x{place[1][1]}")
@pytest.mark.parametrize("n", [1.0, 4.0])
def test_doubling_the_stamp_changes_no_pixel(n, place, star):
    # light that wraps round, or is cut off, would depend on where the stamp ends
    (dx, dy), (height, width), (px, py), pa = place
    small = Galaxy(n, 12.0, 0.3, pa, px + dx, py + dy, (height, width))
    large = Galaxy(n, 12.0, 0.3, pa, px + dx + 30, py + dy + 40, (2 * height + 9, 2 * width + 6))
    one, other = render([small, large], star)
    inside = other[40 : 40 + height, 30 : 30 + width]
    assert np.abs(one - inside).max() <= LARGEST * inside.max()


SMALL_SET = [
    Galaxy(n, r, q, pa, x, y, (49, 56))
    for n, r, q, pa, x, y in (
        (0.5, 0.7, 0.9, 10.0, 27.3, 24.1),
        (1.0, 1.5, 0.3, 60.0, 28.0, 23.5),
        (2.5, 4.0, 0.1, 110.0, 26.8, 24.4),
        (4.0, 4.0, 0.9, 160.0, 27.5, 20.2),
        (6.0, 1.5, 0.3, 85.0, 4.2, 45.9),
        (1.0, 9.0, 0.1, 135.0, 57.5, 30.0),
    )
]


def test_the_kind_of_psf_matters(psf, star):
    # the two mistakes that can be made with a PSF's kind are ten times larger than what the tests above allow
    truths = [draw(g, psf) for g in SMALL_SET]
    double_pixel = differences(render(SMALL_SET, star, psf_kind="optical"), truths)[0]
    no_pixel = differences(render(SMALL_SET, sample(psf, pixel=False)), truths)[0]
    assert np.median(double_pixel) > 10 * LARGEST and np.median(no_pixel) > 10 * LARGEST


def test_an_asymmetric_psf_is_not_mirrored(psf, star):
    truths = [draw(g, psf) for g in SMALL_SET]
    assert np.median(differences(render(SMALL_SET, star[::-1, ::-1]), truths)[0]) > 10 * LARGEST


@pytest.mark.parametrize("kind", ["effective", "optical"])
@pytest.mark.parametrize("oversample", [3, 5])
def test_oversampled_psf(kind, oversample, psf):
    size = 41 * oversample
    fine = sample(psf, (size, size), pixel=kind == "effective", oversample=oversample)
    truths = [draw(g, psf) for g in SMALL_SET]
    assert_close(render(SMALL_SET, fine, psf_kind=kind, psf_oversample=oversample), truths, SMALL_SET)


@pytest.mark.parametrize("kind", ["effective", "optical"])
def test_undersampled_image_of_an_oversampled_psf(kind):
    # FWHM 1.6 px: a tenth of the transfer function lies beyond Nyquist and folds back
    sharp = optics(1.6)
    fine = sample(sharp, (165, 165), pixel=kind == "effective", oversample=5)
    truths = [draw(g, sharp) for g in SMALL_SET]
    assert_close(render(SMALL_SET, fine, psf_kind=kind, psf_oversample=5), truths, SMALL_SET)


def test_flux_is_kept_whatever_the_sampling(psf):
    galaxy = Galaxy(1.0, 2.0, 0.6, 30.0, 40.2, 39.7, (80, 80))
    sums = [
        render([galaxy], sample(psf, (41 * k, 41 * k), oversample=k), psf_oversample=k)[0].sum()
        for k in (1, 2, 3, 4, 5)
    ]
    assert np.allclose(sums, draw(galaxy, psf).sum(), atol=2e-3)


@pytest.mark.parametrize("fwhm", [4.0, 3.0])
@pytest.mark.parametrize("shape", [(52, 52), (52, 51), (40, 61)])
def test_even_sized_psf_centred_between_pixels(shape, fwhm):
    # as GalSim centres even stamps; autogal moves it by half a pixel on to a pixel
    wide = optics(fwhm)
    assert_close(render(SMALL_SET, sample(wide, shape)), [draw(g, wide) for g in SMALL_SET], SMALL_SET)


@pytest.mark.parametrize("shape", [(24, 25), (25, 24), (24, 24)])
def test_small_even_sized_psf(shape):
    # its wings end within the small array
    compact = galsim.Moffat(beta=5, fwhm=3.0, gsparams=ACCURATE).shear(g1=0.03, g2=0.05)
    assert_close(render(SMALL_SET, sample(compact, shape)), [draw(g, compact) for g in SMALL_SET], SMALL_SET)


@pytest.mark.parametrize(
    "oversample, shape", [(2, (122, 122)), (3, (154, 154)), (3, (154, 153)), (4, (164, 164)), (5, (206, 206))]
)
def test_even_sized_oversampled_psf(oversample, shape, psf):
    images = render(SMALL_SET, sample(psf, shape, oversample=oversample), psf_oversample=oversample)
    assert_close(images, [draw(g, psf) for g in SMALL_SET], SMALL_SET)


def test_psf_larger_than_the_stamp(psf):
    galaxy = Galaxy(1.0, 3.0, 0.6, 30.0, 11.2, 12.7, (24, 25))
    assert_close(render([galaxy], sample(psf, (91, 91))), [draw(galaxy, psf)])


def test_float64_agrees_with_float32(star):
    single, double = render(SMALL_SET, star), render(SMALL_SET, star, dtype="float64")
    assert differences(single, double)[0].max() < 1e-5


def test_a_psf_for_each_row(psf):
    sharp = optics(2.6)
    kernels = np.stack([sample(psf), sample(sharp)])
    galaxy = SMALL_SET[1]
    images = render([galaxy, galaxy], kernels)
    assert differences(images, [draw(galaxy, psf), draw(galaxy, sharp)])[0].max() < LARGEST
    assert np.abs(images[0] - images[1]).max() > 1e-2 * images[0].max()


def test_galsim_agrees_with_itself_tightened(psf):
    # the yardstick: with its parameters ten times tighter GalSim moves by far less than what is allowed
    tight = galsim.GSParams(
        folding_threshold=5e-5,
        maxk_threshold=1e-5,
        kvalue_accuracy=1e-7,
        xvalue_accuracy=1e-7,
        stepk_minimum_hlr=20,
        maximum_fft_size=24000,
    )
    for galaxy in SMALL_SET[1:5]:
        truth = draw(galaxy, psf)
        light = galsim.Sersic(n=galaxy.n, half_light_radius=galaxy.r_eff * np.sqrt(galaxy.q), gsparams=tight)
        both = galsim.Convolve(
            light.shear(q=galaxy.q, beta=(galaxy.pa + 90) * galsim.degrees),
            psf,
            gsparams=tight,
            propagate_gsparams=True,
        )
        offset = (galaxy.x - (galaxy.shape[1] - 1) / 2, galaxy.y - (galaxy.shape[0] - 1) / 2)
        tighter = both.drawImage(
            nx=galaxy.shape[1], ny=galaxy.shape[0], scale=1, offset=offset, dtype=float
        ).array
        assert np.abs(truth - tighter).max() < 1e-4 * truth.max()
