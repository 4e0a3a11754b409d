"""One galaxy is one source, from raw stamp to catalogue: rings with nothing between, opaque lanes, bright
ends."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import fftconvolve

import autogal
from autogal.configuration.composing import compose
from autogal.flags import Flag
from autogal.images.cutout import Cutout
from autogal.segment import segment_all

SIDE = 100
ZEROPOINT = 25.0
Y, X = np.mgrid[: 5 * SIDE, : 5 * SIDE] / 5 - 0.4  # five samples a pixel
STAR = np.mgrid[-20:21, -20:21]
PSF = (1 + np.square(STAR).sum(0) / (3.0 / (2 * np.sqrt(2 ** (1 / 3) - 1))) ** 2) ** -3.0
PSF /= PSF.sum()


def ellipse(x, y, q=1.0, pa=0.0):
    """Elliptical radius, and the distance across the major axis."""
    angle = np.radians(pa)
    along, across = (
        (Y - y) * np.cos(angle) - (X - x) * np.sin(angle),
        (X - x) * np.cos(angle) + (Y - y) * np.sin(angle),
    )
    return np.hypot(along, across / q), across


def unit(light):
    return light / light.sum()


def ring(radius, share, q):
    r, _ = ellipse(48.9, 50.3, q, 40)
    return (1 - share) * unit(np.exp(-r / 1.5)) + share * unit(np.exp(-0.5 * ((r - radius) / 1.8) ** 2))


def lane(width, q, at):
    r, across = ellipse(48.9, 50.3, q, 70)
    return unit(np.exp(-r / 6) * (1 / (1 + np.exp(-(abs(across - at) - width / 2) / 0.4))))


def ends(share):
    r, _ = ellipse(48.9, 50.3, 0.2, 110)
    angle = np.radians(110)
    both = [
        unit(
            np.exp(
                -0.5 * np.square(ellipse(48.9 - s * 13 * np.sin(angle), 50.3 + s * 13 * np.cos(angle))[0] / 2)
            )
        )
        for s in (-1, 1)
    ]
    return (1 - share) * unit(np.exp(-r / 7)) + share * sum(both) / 2


KINDS = {
    "hoag": ring(16, 0.75, 0.95),
    "hoag, inclined": ring(20, 0.7, 0.6),
    "ring": ring(11, 0.5, 0.8),
    "lane": lane(3.5, 0.35, 0.0),
    "lane off the middle": lane(3.0, 0.5, 1.5),
    "wide lane": lane(5.0, 0.45, 0.5),
    "bright ends": ends(0.5),
    "brighter ends": ends(0.7),
}
CASES = [(name, mag) for mag in (13.4, 14.6) for name in KINDS]


def middle(light):
    return (light * X).sum(), (light * Y).sum()


@pytest.fixture(scope="module")
def stamps():
    """Images and sigma maps of every case."""
    chance, found = np.random.default_rng(3), []
    for name, mag in CASES:
        pixels = KINDS[name].reshape(SIDE, 5, SIDE, 5).sum((1, 3)) * 10 ** (-0.4 * (mag - ZEROPOINT))
        seen = fftconvolve(pixels, PSF, mode="same").clip(0)
        sigma = np.sqrt(9 + seen / 4)
        found.append((seen + sigma * chance.normal(size=seen.shape), sigma))
    return found


def test_no_part_is_taken_for_another_source(stamps):
    cutouts = [
        Cutout(name, image, sigma, np.zeros(image.shape, bool), PSF, zeropoint=ZEROPOINT)
        for (name, _), (image, sigma) in zip(CASES, stamps)
    ]
    found = segment_all(cutouts, compose().segment)
    assert {case: one.n_sources for case, one in zip(CASES, found, strict=True)} == dict.fromkeys(CASES, 1)
    for (_, mag), (image, _), one in zip(CASES, stamps, found, strict=True):
        assert image[one.target].sum() > 0.84 * 10 ** (-0.4 * (mag - ZEROPOINT))


def test_no_light_is_lost_and_the_centre_is_the_galaxys_or_the_row_says_so(stamps):
    table = autogal.fit(
        np.array([image for image, _ in stamps]),
        sigma=np.array([sigma for _, sigma in stamps]),
        psf=PSF,
        zeropoint=ZEROPOINT,
    ).table
    for row, (name, mag) in zip(table, CASES, strict=True):
        x, y = middle(KINDS[name])
        whole = row["mag"] - mag < 0.15 and np.hypot(row["x"] - x, row["y"] - y) <= 1
        assert whole or Flag.POOR_FIT & int(row["flags"]), (name, mag, row["mag"], row["x"] - x, row["y"] - y)
