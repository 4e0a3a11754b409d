"""Simulated cutouts with known truth: a central Sersic galaxy, neighbours, PSF and noise."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from astropy import units
from astropy.table import Table

from autogal.images.cutout import Cutout
from autogal.images.psf import moffat
from autogal.images.survey import Survey
from autogal.simulate.noise import poisson_quantile
from autogal.simulate.population import Population, Scene, Source

__all__ = ["Simulation", "simulate"]

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
    "n_neighbours": (None, "neighbours drawn"),
    "psf_fwhm": (units.pix, "full width at half maximum of the PSF, major axis, before the pixel"),
}


class Simulation(NamedTuple):
    """Simulated cutouts.

    Attributes
    ----------
    cutouts : list of Cutout
    truth : Table
        One row per cutout: the target's true parameters under the catalogue's column names, ``snr``,
        ``n_neighbours`` and ``psf_fwhm``.
    instances : list of ndarray of bool, shape (K, H, W)
        Pixels where each source alone is brighter than 1 sigma, the target first. They may overlap.
    """

    cutouts: list[Cutout]
    truth: Table
    instances: list[np.ndarray]


def simulate(n: int, survey: Survey | Population, seed: int = 0, shape: tuple[int, int] = (128, 128), first: int = 0,
             batch: int = 64) -> Simulation:
    """Draw scenes of a survey.

    Scene i of a seed is always the same, whatever `n`, `first` and `batch`.

    Parameters
    ----------
    n : int
        Number of cutouts.
    survey : Survey or Population
        A survey alone gives its default population.
    seed : int
    shape : (rows, columns)
    first : int
        Number of the first scene; large sets can be drawn piece by piece.
    batch : int
        Scenes rendered at a time; only memory depends on it.

    Returns
    -------
    Simulation

    Raises
    ------
    AutogalError
        Where the survey lacks a fact that is needed.
    """
    population = survey if isinstance(survey, Population) else Population(survey)
    cutouts, rows, instances = [], [], []
    for start in range(first, first + n, batch):
        numbers = range(start, min(start + batch, first + n))
        scenes = [population.draw(np.random.default_rng([seed, number, 0]), shape) for number in numbers]
        for number, scene, psf, light in zip(numbers, scenes, *_render(scenes, population, shape), strict=True):
            cutout, row, masks = _expose(scene, psf, light, population, seed, number)
            cutouts.append(cutout)
            rows.append(row)
            instances.append(masks)
    truth = Table({name: [row[name] for row in rows] for name in _COLUMNS})
    for name, (unit, description) in _COLUMNS.items():
        truth[name].unit, truth[name].description = unit, description
    truth.meta.update(seed=seed, survey=population.survey.name, zeropoint=population.survey.zeropoint,
                      pixel_scale=population.survey.pixel_scale)
    return Simulation(cutouts, truth, instances)


def _render(scenes: list[Scene], population: Population, shape) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """PSF and noise-free light [K, H, W] of every source, for each scene."""
    from autogal import render  # the package's own front door, which may import this module

    beta = population.survey.psf_beta
    # One size for all PSFs of a batch, wide enough for the worst seeing.
    size = 2 * int(np.ceil(5 * 1.35 * population.psf_width)) + 1
    psfs = [moffat(scene.psf_fwhm, beta, size, scene.psf_q, scene.psf_pa) for scene in scenes]
    galaxies = [(i, k, source) for i, scene in enumerate(scenes) for k, source in enumerate(scene.sources)
                if not source.is_star]
    names = ("x", "y", "mag", "r_eff", "n", "q", "pa")
    table = Table({name: [getattr(source, name) for *_, source in galaxies] for name in names})
    images = render(table, model="sersic", psf=np.stack([psfs[i] for i, *_ in galaxies]), shape=shape,
                    zeropoint=population.survey.zeropoint)
    light = [np.zeros((len(scene.sources), *shape)) for scene in scenes]
    for (i, k, _), image in zip(galaxies, np.asarray(images, np.float64), strict=True):
        light[i][k] = image
    for i, scene in enumerate(scenes):
        for k, source in enumerate(scene.sources):
            if source.is_star:
                light[i][k] = _star(source, scene, population.survey, shape)
    return psfs, light


def _star(source: Source, scene: Scene, survey: Survey, shape: tuple[int, int]) -> np.ndarray:
    """A Moffat star at a sub-pixel position, integrated over pixels, on a stamp of any shape."""
    nodes, weights = np.polynomial.legendre.leggauss(5)
    x, y = ((np.arange(side)[:, None] + nodes / 2 - centre) for side, centre in
            zip(shape[::-1], (source.x, source.y), strict=True))
    angle = np.radians(scene.psf_pa)
    x, y = x[None, None], y[:, :, None, None]
    major = y * np.cos(angle) - x * np.sin(angle)
    minor = (x * np.cos(angle) + y * np.sin(angle)) / scene.psf_q
    beta = survey.psf_beta
    alpha = scene.psf_fwhm / (2 * np.sqrt(2**(1 / beta) - 1))
    norm = (beta - 1) / (np.pi * alpha**2 * scene.psf_q)
    values = norm * (1 + (major**2 + minor**2) / alpha**2)**-beta
    flux = 10**(-0.4 * (source.mag - survey.zeropoint))
    return flux * np.einsum("iajb,a,b->ij", values, weights / 2, weights / 2)


def _expose(scene: Scene, psf: np.ndarray, light: np.ndarray, population: Population, seed: int,
            number: int) -> tuple[Cutout, dict, np.ndarray]:
    """Add sky and noise to the light of one scene."""
    survey = population.survey
    blank = (survey.sky_sigma * survey.gain)**2  # e-^2
    read = min(population.read_noise**2, blank / 2)
    scene_light = np.maximum(light, 0).sum(axis=0)
    variance = scene_light * survey.gain + blank  # e-^2
    rng = np.random.default_rng([seed, number, 1])
    normal, read_normal = rng.standard_normal((2, *scene_light.shape))
    electrons = poisson_quantile(variance - read, normal) - (blank - read) + np.sqrt(read) * read_normal
    sky = scene.sky * survey.sky_sigma
    sigma = np.sqrt(variance) / survey.gain
    target = scene.sources[0]
    name = f"sim{seed}-{number:06d}"
    cutout = Cutout(id=name, image=(electrons / survey.gain + sky).astype(np.float32), sigma=sigma.astype(np.float32),
                    mask=np.zeros(scene_light.shape, bool), psf=psf, zeropoint=survey.zeropoint,
                    pixel_scale=survey.pixel_scale, gain=survey.gain)
    row = {key: getattr(target, key) for key in ("x", "y", "mag", "r_eff", "n", "q", "pa")}
    row.update(id=name, flux=10**(-0.4 * (target.mag - survey.zeropoint)), sky=sky,
               snr=float(np.sqrt(np.sum((light[0] / sigma)**2))), n_neighbours=len(scene.sources) - 1,
               psf_fwhm=scene.psf_fwhm)
    return cutout, row, light > sigma
