"""Starting values of the user's that no fit can begin from."""

from __future__ import annotations

import math

import numpy as np
import pytest
from astropy.table import Table

import autogal
from autogal.flags import Flag
from autogal.images import Cutout, moffat
from autogal.images.manifest import read_manifest
from autogal.initialise.given import sanitise_start

GOOD = dict(x=23.5, y=24.0, mag=15.0, r_eff=4.0, n=1.5, q=0.6, pa=30.0, sky=0.0)
BOUNDS = {"n": (0.2, 10.0), "q": (0.05, 1.0), "r_eff": (0.0, math.inf)}
IMPOSSIBLE = [
    ("r_eff", -6.0),
    ("r_eff", 0.0),
    ("n", -1.0),
    ("n", 0.0),
    ("q", -0.5),
    ("q", 3.0),
    ("x", math.inf),
    ("mag", -math.inf),
]


def cutout(start):
    one = Cutout.failed("a", "nothing", start=start)
    one.error = None
    return one


@pytest.mark.parametrize(("name", "value"), IMPOSSIBLE)
def test_what_no_galaxy_has_is_dropped_and_said(name, value):
    one = cutout(GOOD | {name: value})
    assert sanitise_start(one, BOUNDS) == Flag.START_FALLBACK
    assert (
        one.start == {key: v for key, v in GOOD.items() if key != name}
        and f"{name} = {value:g}" in one.notes[0]
    )


def test_what_is_outside_the_bounds_is_moved_to_them_and_said():
    one = cutout(GOOD | {"n": 50.0})
    assert sanitise_start(one, BOUNDS) == Flag.START_FALLBACK
    assert one.start == GOOD | {"n": 10.0} and one.notes == [
        "The start n = 50 is outside the bounds; 10 was taken."
    ]


@pytest.mark.parametrize(
    "start",
    [
        None,
        GOOD,
        {"x": 3.0},
        GOOD | {"n": math.nan},
        GOOD | {"q": 1 + 1e-9},
        GOOD | {"flux": -3.0},
        GOOD | {"pa": 720.0},
    ],
)
def test_what_is_possible_stays_as_it_is(start):
    one = cutout(start)
    assert sanitise_start(one, BOUNDS) == Flag(0) and one.start is start and not one.notes


@pytest.fixture(scope="module")
def galaxies():
    psf, rng = moffat(3.0, 3.5, size=31), np.random.default_rng(6)
    image = autogal.render(
        {name: [value] for name, value in GOOD.items()}, psf=psf, shape=(48, 48), zeropoint=25.0
    )[0]
    sigma = np.sqrt(image + 50.0)
    return dict(
        images=[image + sigma * rng.normal(size=image.shape) for _ in range(3)],
        sigma=[sigma] * 3,
        psf=psf,
        zeropoint=25.0,
        pixel_scale=0.4,
        segment="none",
        initialise="moments",
    )


def table(**changes):
    return Table(rows=[GOOD, GOOD | changes, GOOD])


@pytest.fixture(scope="module")
def alone(galaxies):
    return autogal.fit(**galaxies, start=table())


@pytest.mark.parametrize("change", [{"r_eff": -6.0}, {"n": 50.0}, {"q": -0.5}, {"x": math.inf}])
def test_one_impossible_row_is_flagged_and_touches_no_other(galaxies, alone, change):
    found = autogal.fit(**galaxies, start=table(**change)).table
    assert [("START_FALLBACK" in str(names)) for names in found["flag_names"]] == [False, True, False]
    assert (
        set(found["status"]) == {"converged"}
        and next(iter(change)) in found["message"][1]
        and not found["message"][0]
    )
    np.testing.assert_array_equal(found["mag"][[0, 2]], alone.table["mag"][[0, 2]])
    assert found["mag"][1] == pytest.approx(alone.table["mag"][1], abs=0.01)


def test_the_bounds_are_the_models_own(galaxies):
    bounded = {"profile": "sersic", "bounds": {"n": [0.5, 1.2], "mag": [10, 20]}}
    found = autogal.fit(**galaxies, start=table(n=1.0), model=bounded).table
    assert [("START_FALLBACK" in str(names)) for names in found["flag_names"]] == [True, False, True]
    assert "n = 1.5 is outside the bounds; 1.2 was taken" in found["message"][0]
    assert not any(
        "START_FALLBACK" in str(n)
        for n in autogal.fit(**galaxies, start=table(), model="exponential").table["flag_names"]
    )


def test_a_manifest_with_an_infinite_start_is_read(tmp_path):
    (tmp_path / "a.csv").write_text("id,image,x,r_eff\na,a.fits,inf,3\nb,b.fits,4,-3\n")
    entries = read_manifest(str(tmp_path / "a.csv"))
    assert [entry.error for entry in entries] == [None, None] and entries[0].start == {
        "x": math.inf,
        "r_eff": 3.0,
    }
