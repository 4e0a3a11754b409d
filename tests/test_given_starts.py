"""Starting values and neighbours: as they are by default, with neighbours where they are asked for, and a
word where they may be missed."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table, vstack

import autogal
from autogal.configuration.overrides import whether_segmented
from autogal.flags import Flag


@pytest.mark.parametrize(
    "keys, word",
    [
        ((), "fit"),
        (("solver", "psf.kind"), "fit"),
        (("segment",), "segment"),
        (("segment.grow=2",), "segment"),
        (("neighbours=fit", "out"), "segment"),
        (("++segment.grow",), "segment"),
        (("checkpoints",), "fit"),
    ],
)
def test_what_asks_for_neighbours(keys, word):
    assert whether_segmented(keys) == word


@pytest.fixture(scope="module")
def blend():
    """A galaxy with a brighter one beside it, the truth of the first, and PSF."""
    y, x = np.mgrid[-12:13, -12:13]
    psf = (1 + (x**2 + y**2) / 2.2**2) ** -3.0
    psf /= psf.sum()
    truth = Table(
        {
            "x": [47.0],
            "y": [48.5],
            "mag": [19.0],
            "r_eff": [4.0],
            "n": [1.2],
            "q": [0.7],
            "pa": [30.0],
            "sky": [0.0],
        }
    )
    other = Table(
        {
            "x": [66.0],
            "y": [56.0],
            "mag": [18.3],
            "r_eff": [5.0],
            "n": [2.0],
            "q": [0.6],
            "pa": [100.0],
            "sky": [0.0],
        }
    )
    light = autogal.render(vstack([truth, other]), psf=psf, shape=(96, 96), zeropoint=25.0).sum(0)
    noise = np.random.default_rng(8).normal(0, 0.4, light.shape)
    return {
        "images": (light + noise)[None],
        "sigma": np.full(light.shape, 0.4),
        "psf": psf,
        "zeropoint": 25.0,
        "pixel_scale": 0.3,
    }, truth


def off(catalogue, truth):
    return abs(catalogue.table["mag"][0] - truth["mag"][0]), abs(
        catalogue.table["r_eff"][0] / truth["r_eff"][0] - 1
    )


def test_neighbours_of_rows_with_starting_values(blend):
    images, truth = blend
    plain = autogal.fit(**images, start=truth)
    assert (max(off(plain, truth)) > 0.2 and plain.neighbours is None) or not np.isfinite(
        plain.neighbours
    ).any()
    assert (
        "Neighbours were not looked for" in plain.table["message"][0]
        and plain.table["flags"][0] & Flag.NEIGHBOURS_IGNORED
    )
    for asked in (
        {"segment": "maskrcnn"},
        {"neighbours": "auto"},
        {"segment": "sep", "neighbours": "mask"},
        {"given_starts": "segment"},
    ):
        catalogue = autogal.fit(**images, start=truth, **asked)
        # masks leave the wings of what they hide
        assert max(off(catalogue, truth)) < (0.15 if "mask" in asked.values() else 0.05), asked
        assert "Neighbours were not" not in catalogue.table["message"][0]
        fitted = catalogue.neighbours is not None and np.isfinite(catalogue.neighbours[0, :, 0]).any()
        assert fitted == (asked.get("neighbours") != "mask")


def test_the_runs_own_catalogue_as_start_gives_it_again(blend):
    images, _truth = blend
    first = autogal.fit(**images)
    again = autogal.fit(**images, start=first.table, neighbours="auto")
    for name in ("x", "y", "mag", "r_eff", "n", "q"):
        assert abs(again.table[name][0] - first.table[name][0]) < 0.3 * first.table[f"{name}_err"][0]


def test_a_lone_galaxy_is_told_nothing(blend):
    images, truth = blend
    alone = autogal.render(truth, psf=images["psf"], shape=(96, 96), zeropoint=25.0) + np.random.default_rng(
        9
    ).normal(0, 0.4, (1, 96, 96))
    plain = autogal.fit(**images | {"images": alone}, start=truth)
    assert (
        "Neighbours" not in plain.table["message"][0]
        and not plain.table["flags"][0] & Flag.NEIGHBOURS_IGNORED
    )
    assert max(off(plain, truth)) < 0.05


def test_a_start_where_there_is_no_source_keeps_its_own_mask(blend):
    images, truth = blend
    empty = np.random.default_rng(10).normal(0, 0.4, (1, 96, 96))
    row = autogal.fit(**images | {"images": empty}, start=truth, segment="sep").table[0]
    assert row["flags"] & (Flag.MASK_FALLBACK | Flag.NO_TARGET) and len(row["message"])
