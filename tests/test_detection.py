"""How much of its light must show before what was fitted counts as a source."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import autogal
from autogal import pipeline
from autogal.configuration.composing import composed
from autogal.fitting.engine import fit_cutouts
from autogal.flags import Flag
from autogal.images import ArrayCutouts
from autogal.parameters import START

from .observations import Galaxy, observe, random_galaxies

FAINT = Galaxy(23.7, 23.2, 20.6, 2.5, 1.0, 0.7, 30.0)
WIDE = Galaxy(23.7, 23.2, 18.75, 14.0, 1.0, 0.8, 30.0)  # its light is hard to tell from the sky


def made(observed):
    settings = composed("device=cpu")
    start = np.stack([np.asarray(observed.start[name], float) for name in START], axis=1)
    cutouts = ArrayCutouts(observed.images, observed.sigmas, observed.psf, zeropoint=25.0, settings=settings)[
        0 : len(start)
    ]
    return cutouts, start, settings


@pytest.mark.parametrize("galaxy", [FAINT, WIDE], ids=["faint", "wide"])
def test_a_galaxy_that_was_searched_for_must_lower_chi_square_by_more(galaxy):
    observed = observe([galaxy], 12, seed=31)
    cutouts, start, settings = made(observed)
    given = fit_cutouts(cutouts, start, settings)
    cutouts, start, settings = made(observed)
    searched = fit_cutouts(cutouts, start, settings, searched=np.ones(12, bool))
    lost = np.array(searched.status) == "skipped"
    assert 0 < np.count_nonzero(lost) < 12
    assert np.array_equal(searched.values[~lost], given.values[~lost], equal_nan=True)
    for i in np.flatnonzero(np.isfinite(given.chi2)):
        weight, data = observed.sigmas[i] ** -2.0, observed.images[i]
        level = (weight * data).sum() / weight.sum()
        gain = np.sqrt((weight * (data - level) ** 2).sum() - given.chi2[i])
        if given.flags[i] & Flag.SKY_FIXED:  # held: it takes no light
            continue
        assert (gain < 5.25) == lost[i] or abs(gain - 5.25) < 0.05
        if lost[i]:
            told = float(cutouts[i].notes[-1].partition("by ")[2].partition(" sigma")[0])
            assert told == pytest.approx(gain, abs=0.1) and searched.flags[i] == Flag.NO_TARGET | Flag.LOW_SN
            assert np.isnan([*searched.values[i], searched.chi2[i], searched.snr[i]]).all()


def test_a_faint_source_has_low_signal_only_where_its_fit_says_so():
    """Its footprint holds less of its light than the fit, and gives way to that."""
    observed = observe(random_galaxies(24, seed=33, snr=(8, 20)), seed=33)
    table = autogal.fit(
        observed.images,
        sigma=observed.sigmas,
        psf=observed.psf,
        zeropoint=25.0,
        segment="sep",
        initialise="moments",
        threads=1,
    ).table
    snr, low = np.asarray(table["snr"]), (np.asarray(table["flags"]) & Flag.LOW_SN) > 0
    assert np.array_equal(low[snr > 0], snr[snr > 0] < 10) and np.count_nonzero(snr > 10) > 3 and low.any()


def test_a_row_with_all_starting_values_was_not_searched_for(monkeypatch):
    observed = observe([replace(FAINT, mag=16.0)], 2, seed=32)
    settings = composed("device=cpu", "segment=sep", "initialise=moments")
    cutouts = ArrayCutouts(observed.images, observed.sigmas, observed.psf, zeropoint=25.0, settings=settings)[
        0:2
    ]
    cutouts[1].start = {name: float(column[1]) for name, column in observed.start.items()}
    told = []
    monkeypatch.setattr(
        pipeline,
        "fit_starts",
        lambda *arguments, searched: told.append(searched) or fit_cutouts(*arguments, searched=searched),
    )
    assert pipeline.fit_cutouts(cutouts, settings).status == ["converged"] * 2
    assert [list(one) for one in told] == [[True, False]]
