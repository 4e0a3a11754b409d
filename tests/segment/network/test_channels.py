"""The network's input: the same for the same galaxy, whatever the units, the pedestal or the damage."""

import numpy as np
import pytest
import torch

from autogal.segment.network.channels import CHANNELS, STRIDE, binned, input_channels
from tests.segment.scenes import galaxy, star


def stamp(shape=(64, 64)):
    height, width = shape
    light = galaxy(shape, width / 2, height / 2, 4000, 6) + star(shape, width / 4, height / 4, 300)
    image = light + np.random.default_rng(1).normal(0, 1, shape)
    return (
        torch.from_numpy(image)[None],
        torch.ones(1, *shape, dtype=torch.float64),
        torch.zeros(1, *shape, dtype=torch.bool),
    )


@pytest.mark.parametrize(("factor", "pedestal"), [(1e-12, 0.0), (1e9, 0.0), (1.0, 1e6), (1e-9, -3e-6)])
def test_units_and_pedestal_do_not_matter(factor, pedestal):
    image, sigma, mask = stamp()
    expected = input_channels(image, sigma, mask)
    torch.testing.assert_close(
        input_channels(image * factor + pedestal, sigma * factor, mask), expected, atol=2e-5, rtol=0
    )


def test_sky_is_near_zero_and_the_galaxy_is_not():
    channels = input_channels(*stamp())[0]
    assert channels.shape == (len(CHANNELS), 64, 64) and channels.dtype == torch.float32
    assert abs(channels[0, :10].median()) < 0.1 and channels[0, 32, 32] > 1.5 and channels[1, 32, 32] > 0.5


def test_bad_pixels_leave_no_trace():
    image, sigma, mask = stamp()
    expected = input_channels(image, sigma, mask)
    damaged, worse = image.clone(), sigma.clone()
    damaged[0, 32, 30:33], damaged[0, 10, 10], worse[0, 50, 50], worse[0, 51, 50] = (
        torch.nan,
        torch.inf,
        0,
        torch.nan,
    )
    damaged[0, 5, 5] = 1e30
    mask[0, 5, 5] = True
    found = input_channels(damaged, worse, mask)
    assert torch.isfinite(found).all()
    assert (
        found - expected
    ).abs().max() < 1.2  # the noise of a pixel; the core's three are filled in from around it
    assert (found - expected)[0, :, 32, 30:33].abs().max() < 0.4


@pytest.mark.parametrize(
    "image", [torch.full((1, 40, 40), torch.nan), torch.zeros(1, 40, 40), torch.full((1, 40, 40), 7.0)]
)
def test_nothing_to_see(image):
    found = input_channels(image, torch.ones_like(image), torch.zeros_like(image, dtype=torch.bool))
    assert (found[:, :2] == 0).all() and torch.isfinite(found).all()


def test_sides_grow_to_a_multiple_and_what_is_added_is_far_from_the_target():
    image, sigma, mask = stamp((50, 70))
    found = input_channels(image, sigma, mask)[0]
    assert found.shape[1:] == (2 * STRIDE, 3 * STRIDE)
    assert (found[:2, 50:] == 0).all() and (found[:2, :, 70:] == 0).all()
    assert found[2, 50:].min() > found[2, 25, 35] + 0.5


def test_the_distance_counts_from_where_the_target_should_be():
    found = input_channels(*stamp(), centre=torch.tensor([[20.0, 41.0]]))[0, 2]
    assert found.argmin() == 41 * 64 + 20 and found[41, 20] == 0
    assert found[41, 24] == found[37, 20] == pytest.approx(0.5 * np.arcsinh(1), rel=1e-6)


def test_bins_hold_means_and_their_noise():
    image, sigma, mask = stamp((65, 64))
    mask[0, :2, :2], image[0, 4, 4] = True, torch.nan
    small, noise, bad = binned(image, sigma, mask, 2)
    assert small.shape == noise.shape == bad.shape == (1, 33, 32)
    assert bad.sum() == 1 and bad[0, 0, 0]
    assert small[0, 10, 10] == pytest.approx(float(image[0, 20:22, 20:22].mean()))
    assert small[0, 2, 2] == pytest.approx(float(image[0, 4:6, 4:6].nanmean()))
    assert noise[0, 10, 10] == pytest.approx(0.5) and noise[0, 2, 2] == pytest.approx(3**-0.5)
    assert noise[0, 32, 3] == pytest.approx(2**-0.5)  # a row of its own
