"""Simulated cutouts with known truth, as a fit takes them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from astropy import units
from astropy.table import Table, vstack

from autogal.images.cutout import Cutout
from autogal.images.survey import Survey
from autogal.simulate.background import Background
from autogal.simulate.batch import SceneBatch
from autogal.simulate.general import General
from autogal.simulate.population import Population
from autogal.simulate.shapes import KINDS
from autogal.simulate.source import SceneSource

__all__ = ["BLOCK", "Simulation", "simulate"]

#: Scenes drawn at a time: scene i of a seed is number i % BLOCK of step i // BLOCK
BLOCK = 32

_COLUMNS = {
    "id": (None, "name of the cutout"),
    "x": (units.pix, "centre along columns, 0-indexed"),
    "y": (units.pix, "centre along rows, 0-indexed"),
    "mag": (units.mag, "total magnitude"),
    "flux": (None, "total flux, image units"),
    "r_eff": (units.pix, "half-light radius along the major axis"),
    "n": (None, "Sersic index"),
    "q": (None, "axis ratio b/a"),
    "pa": (units.deg, "position angle, counter-clockwise from +y"),
    "sky": (None, "sky level, image units per pixel"),
    "snr": (None, "matched-filter signal-to-noise ratio of the noise-free target"),
    "visible": (None, "part of the target's pixels above 1 sigma where it gives most of the light"),
    "analytic": (None, "whether the target is one Sersic profile"),
    "structure": (
        None,
        "what the target mostly is, where that is structure: ring, lane, clumps, arms, bar, edge_on, tails",
    ),
    "n_neighbours": (None, "neighbours that can be seen"),
    "psf_fwhm": (units.pix, "full width at half maximum of the effective PSF"),
}


class Simulation(NamedTuple):
    """Simulated cutouts.

    Attributes
    ----------
    cutouts : list of Cutout
    truth : Table
        One row per cutout: the target's true parameters under the catalogue's column names, ``snr``,
        ``visible``, ``analytic``, ``n_neighbours`` and ``psf_fwhm``.
    instances : list of ndarray of bool, shape (K, H, W)
        Pixels of each visible source, the target first; see `SceneBatch`.
    """

    cutouts: list[Cutout]
    truth: Table
    instances: list[np.ndarray]


def simulate(
    n: int,
    survey: Survey | Population | General,
    seed: int = 0,
    shape: tuple[int, int] = (128, 128),
    first: int = 0,
    device: str = "cpu",
    background: Background | None = None,
) -> Simulation:
    """Draw scenes of a survey, or of the general mix.

    Scene i of a seed is always the same, whatever `n` and `first`.

    Parameters
    ----------
    n : int
        Number of cutouts.
    survey : Survey, Population or General
        A survey alone gives its default population.
    seed : int
    shape : (rows, columns)
    first : int
        Number of the first scene; large sets can be drawn piece by piece.
    device : str
        Scenes of a CPU and of a GPU are different ones.
    background : Background, optional
        Real sky for the scenes.

    Returns
    -------
    Simulation

    Raises
    ------
    AutogalError
        Where the survey lacks a fact that is needed.
    """
    population = Population(survey) if isinstance(survey, Survey) else survey
    source = SceneSource(population, shape, device, seed, background, exact=True)
    cutouts, instances, tables = [], [], []
    for step in range(first // BLOCK, -(-(first + n) // BLOCK)):
        batch = source.draw(BLOCK, step).to("cpu")
        start = step * BLOCK
        wanted = range(max(first, start) - start, min(first + n, start + BLOCK) - start)
        names = [f"sim{seed}-{start + i:06d}" for i in range(BLOCK)]
        cutouts += [_cutout(batch, i, names[i], population) for i in wanted]
        instances += [batch.instances[i].numpy() for i in wanted]
        tables.append(_truth(batch, names, population)[wanted.start : wanted.stop])
    truth = vstack(tables, metadata_conflicts="silent")
    truth.meta.update(
        seed=seed,
        survey=population.survey.name,
        zeropoint=population.survey.zeropoint,
        pixel_scale=population.survey.pixel_scale,
    )
    return Simulation(cutouts, truth, instances)


def _cutout(batch: SceneBatch, i: int, name: str, population: Population | General) -> Cutout:
    survey = population.survey
    return Cutout(
        id=name,
        image=batch.image[i].numpy(),
        sigma=batch.sigma[i].numpy(),
        mask=batch.mask[i].numpy(),
        psf=batch.psf[i].double().numpy(),
        zeropoint=survey.zeropoint,
        pixel_scale=survey.pixel_scale,
        gain=population.gain,
        saturation=survey.saturation,
    )


def _truth(batch: SceneBatch, names: list[str], population: Population | General) -> Table:
    columns = {name: values.double().numpy() for name, values in batch.truth.items()}
    columns["structure"] = np.array(["", *KINDS])[batch.truth["structure"].numpy()]
    columns.update(
        id=names,
        mag=population.survey.zeropoint - 2.5 * np.log10(columns["flux"]),
        analytic=batch.analytic.numpy(),
        n_neighbours=[len(masks) - 1 for masks in batch.instances],
        psf_fwhm=batch.psf_fwhm.double().numpy(),
    )
    truth = Table({name: columns[name] for name in _COLUMNS})
    for name, (unit, description) in _COLUMNS.items():
        truth[name].unit, truth[name].description = unit, description
    return truth
