"""PSF images put right, and refused."""

import numpy as np
import pytest

from autogal.errors import AutogalError
from autogal.images import fwhm, moffat, prepare_psf


def star(y, x, shape=(24, 24), alpha=4.0):
    """A Moffat of beta 3 sampled at pixel centres; FWHM = 1.02 alpha."""
    rows, columns = np.indices(shape)
    return (1 + ((rows - y) ** 2 + (columns - x) ** 2) / alpha**2) ** -3.0


def centred(size, alpha=4.0):
    psf = star(size // 2, size // 2, (size, size), alpha)
    return psf / psf.sum()


def test_good_psf_stays_as_it_is_and_is_not_changed_in_place():
    psf = centred(25)
    before = psf.copy()
    prepared, notes = prepare_psf(psf)
    np.testing.assert_array_equal(prepared, psf / psf.sum())
    np.testing.assert_array_equal(psf, before)
    assert notes == [] and prepared is not psf


@pytest.mark.parametrize("scale", [1e-12, 3.0, 12507.1])
def test_sum_is_normalised_and_said(scale):
    prepared, notes = prepare_psf(centred(25) * scale)
    np.testing.assert_allclose(prepared, centred(25), rtol=1e-12)
    assert len(notes) == 1 and "normalised" in notes[0]


def test_a_sum_that_may_be_the_share_of_the_light_says_what_that_would_mean():
    assert "0.022 mag" in prepare_psf(centred(25) * 0.98)[1][0]
    assert (
        "mag" not in prepare_psf(centred(25) * 0.5)[1][0]
        and "mag" not in prepare_psf(centred(25) * 1.02)[1][0]
    )


def test_a_small_negative_constant_is_no_wing():
    drawn = centred(61)
    prepared, notes = prepare_psf(drawn - 1e-3 * drawn.max())
    assert np.abs(prepared - drawn).max() < 2e-4 * drawn.max() and "subtracted" in notes[0]


@pytest.mark.parametrize(
    "y, x", [(12, 12), (11, 11), (11, 12), (12, 11), (11.5, 11.5), (12, 11.5), (11.5, 11)]
)
def test_even_size_becomes_odd_and_centred_wherever_the_middle_is(y, x):
    prepared, notes = prepare_psf(star(y, x))
    assert prepared.shape == (25, 25)
    assert np.abs(prepared - centred(25)).max() < 2e-3 * centred(25).max()
    assert any("even size" in note for note in notes)


@pytest.mark.parametrize("lopsided", [0.0, 0.1])
@pytest.mark.parametrize("oversample", [2, 3, 5])
def test_even_oversampled_psf_has_its_origin_in_the_middle(oversample, lopsided):
    def sampled(side):
        middle = (side - 1) / 2
        shape, alpha = (side, side), 3.0 * oversample
        return star(middle, middle, shape, alpha) + lopsided * star(
            middle, middle + 0.7 * oversample, shape, alpha
        )

    even, odd = 40 * oversample, 40 * oversample + 1
    prepared, notes = prepare_psf(sampled(even), oversample)
    inner = slice(5, -5)
    assert np.abs(prepared - sampled(odd) / sampled(odd).sum())[inner, inner].max() < 2e-3 * prepared.max()
    assert "between pixels" in notes[0]


def test_even_oversampled_psf_whose_peak_is_on_a_pixel_keeps_it_there():
    psf = star(60, 60, (120, 120), 9.0)  # as shifting the zero of an even FFT to the middle leaves it
    prepared, notes = prepare_psf(psf, oversample=3)
    np.testing.assert_allclose(prepared[:120, :120], psf / psf.sum(), rtol=1e-12)
    assert "padded" in notes[0]


def test_even_size_between_pixels_of_an_undersampled_star_says_so():
    _, notes = prepare_psf(star(11.5, 11.5, alpha=2.0))
    assert any("too small for that to be exact" in note for note in notes)


@pytest.mark.parametrize("y, x, shape", [(15, 9, (25, 25)), (14, 10, (24, 24)), (20, 12, (33, 25))])
def test_off_centre_moves_by_whole_pixels(y, x, shape):
    prepared, notes = prepare_psf(star(y, x, shape))
    assert all(side % 2 for side in prepared.shape)
    middle = tuple(side // 2 for side in prepared.shape)
    assert np.unravel_index(prepared.argmax(), prepared.shape) == middle
    expected = star(*middle, prepared.shape)
    expected /= expected.sum()
    assert np.abs(prepared - expected)[2:-2, 2:-2].max() < 0.01 * expected.max()
    assert any("moved there" in note for note in notes)


def test_asymmetric_psf_keeps_its_subpixel_centroid():
    psf = star(12, 12, (25, 25)) + 0.3 * star(12, 15, (25, 25), 3.0)
    prepared, notes = prepare_psf(psf)
    np.testing.assert_allclose(prepared, psf / psf.sum(), rtol=1e-12)
    assert not any("moved" in note for note in notes)


def test_core_far_from_the_middle_pixel_is_said_but_not_shifted():
    psf = star(12.4, 11.6, (25, 25))
    prepared, notes = prepare_psf(psf)
    np.testing.assert_allclose(prepared, psf / psf.sum(), rtol=1e-12)
    assert any("-0.4" in note and "+0.4" in note for note in notes)


def test_noise_in_the_wings_is_tolerated():
    rng = np.random.default_rng(1)
    psf = star(12, 12, (25, 25)) + rng.normal(0, 2e-3, (25, 25))
    prepared, _ = prepare_psf(psf)
    assert prepared.min() < 0 and prepared.sum() == pytest.approx(1.0)
    assert np.unravel_index(prepared.argmax(), (25, 25)) == (12, 12)


def test_hot_pixel_does_not_find_the_star():
    psf = star(12, 12, (25, 25))
    psf[2, 3] = 1.5
    prepared, _ = prepare_psf(psf)
    assert prepared[12, 12] == prepared[5:20, 5:20].max()


@pytest.mark.parametrize("constant", [1000.0, -600.0])
def test_soft_bias_is_taken_off_and_said(constant):
    prepared, notes = prepare_psf(20000 * star(20, 20, (41, 41)) + constant)
    assert np.abs(prepared - centred(41)).max() < 1e-3 * centred(41).max()
    assert "subtracted" in notes[0]


def test_wings_cut_by_the_stamp_are_no_pedestal():
    psf = star(4, 4, (9, 9), 4.0)  # border at 10 to 25 % of the peak
    prepared, notes = prepare_psf(psf)
    np.testing.assert_allclose(prepared, psf / psf.sum(), rtol=1e-12)
    assert not any("constant" in note for note in notes)


BAD = {
    "zero everywhere": np.zeros((9, 9)),
    "NaN or infinite": np.where(np.eye(9), np.nan, 1.0),
    "everywhere": np.full((9, 9), 0.3),
    "no positive pixel": -star(4, 4, (9, 9)),
    "not two-dimensional": np.ones((3, 9, 9)),
    "is noise": np.pad(np.where(np.indices((15, 15)).sum(0) % 2, -0.8, 1.0), 3),
    "not an array of numbers": [["a", "b"]],
}


@pytest.mark.parametrize("reason", BAD)
def test_refused_with_the_reason(reason):
    with pytest.raises(AutogalError, match=reason):
        prepare_psf(BAD[reason])


def test_sum_that_is_not_positive_is_refused():
    psf = star(12, 12, (25, 25)) - 0.5 * star(12, 12, (25, 25), 9.0)
    assert psf.sum() < 0
    with pytest.raises(AutogalError, match="not positive"):
        prepare_psf(psf)


def test_one_pixel_is_a_psf():
    prepared, _ = prepare_psf(np.array([[4.0]]))
    np.testing.assert_array_equal(prepared, [[1.0]])


@pytest.mark.parametrize("width", [2.0, 2.7, 4.0, 9.0])
def test_fwhm_of_a_sampled_moffat(width):
    assert fwhm(moffat(width, 3.0, pixel=False)) == pytest.approx(width, rel=0.02)


def test_moffat_is_the_integral_over_each_pixel():
    effective = moffat(2.5, 3.0, 21, q=0.7, pa=30.0)
    fine = moffat(2.5 * 41, 3.0, 21 * 41, q=0.7, pa=30.0, pixel=False)
    brute = fine.reshape(21, 41, 21, 41).sum((1, 3))
    assert (
        np.abs(effective - brute / brute.sum()).max() < 1e-4 * brute.max()
    )  # the midpoint rule's own error: 6e-5
    assert effective.sum() == pytest.approx(1.0)


def test_moffat_position_angle_runs_from_y_towards_minus_x():
    psf = moffat(4.0, 3.0, 31, q=0.5, pa=30.0)
    y, x = np.indices(psf.shape) - 15
    xx, yy, xy = ((psf * w).sum() for w in (x * x, y * y, x * y))
    angle = 0.5 * np.degrees(np.arctan2(-2 * xy, yy - xx))  # counter-clockwise from +y
    assert angle == pytest.approx(30.0, abs=1.0)


@pytest.mark.parametrize(
    "arguments",
    [
        {"fwhm": 0},
        {"fwhm": 3, "beta": 1},
        {"fwhm": 3, "q": 0},
        {"fwhm": 3, "size": 10},
        {"fwhm": float("nan")},
    ],
)
def test_impossible_moffat(arguments):
    with pytest.raises(AutogalError):
        moffat(**arguments)
