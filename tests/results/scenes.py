"""Cutouts and fits whose numbers are known, without fitting anything."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from astropy.wcs import WCS

from autogal.images.cutout import Cutout

PARAMETERS = ("x", "y", "mag", "r_eff", "n", "q", "pa", "sky")
VALUES = np.array([30.2, 25.4, 18.5, 5.0, 2.5, 0.6, 30.0, 0.2])
ERRORS = np.array([0.02, 0.03, 0.01, 0.1, 0.08, 0.01, 0.9, 0.004])


@dataclass
class Fit:
    """The fields of a fit's result that a catalogue is made of."""

    values: np.ndarray
    covariance: np.ndarray
    status: list[str]
    flags: np.ndarray
    parameters: tuple[str, ...] = PARAMETERS
    chi2: np.ndarray = None
    dof: np.ndarray = None
    n_iter: np.ndarray = None
    snr: np.ndarray = None
    seconds: dict[str, float] = field(default_factory=lambda: {"segment": 0.5, "fit": 2.0})
    bootstrap: np.ndarray = None
    misfit: np.ndarray = None
    quantiles: np.ndarray = None
    replicates: np.ndarray = None
    keeps: bool = True
    neighbours: np.ndarray = None
    selection: dict[str, np.ndarray] = field(default_factory=dict)
    columns: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self):
        n = len(self.values)
        self.chi2 = np.full(n, 3300.0) if self.chi2 is None else self.chi2
        self.dof = np.full(n, 3000) if self.dof is None else self.dof
        self.n_iter = np.full(n, 9) if self.n_iter is None else self.n_iter
        self.snr = np.full(n, 120.0) if self.snr is None else self.snr

    def column(self, name: str) -> np.ndarray:
        return self.columns.get(name, np.full(len(self.values), np.nan))


def sky_wcs(rotation=0.0, flip=True, scale=0.5, ra=150.0, dec=2.0, ctype=("RA---TAN", "DEC--TAN")) -> WCS:
    """A tangential WCS: ``rotation`` turns north from +y towards +x [deg]; ``flip`` puts east on the left."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ctype
    wcs.wcs.crval = ra, dec
    wcs.wcs.crpix = 31, 26
    angle = np.deg2rad(rotation)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    wcs.wcs.cd = np.diag([-1.0 if flip else 1.0, 1.0]) @ turn * scale / 3600
    wcs.wcs.set()
    return wcs


def make_model(shape=(52, 60), values=VALUES, zeropoint=25.0) -> np.ndarray:
    """A galaxy on a sky; the profile is bare and its flux only nearly right: these are pictures, not
    measurements."""
    x0, y0, mag, r_eff, n, q, pa, sky = values
    y, x = np.indices(shape)
    angle = np.deg2rad(pa)
    along = -(x - x0) * np.sin(angle) + (y - y0) * np.cos(angle)
    across = (x - x0) * np.cos(angle) + (y - y0) * np.sin(angle)
    r = np.hypot(along, across / q) + 0.5
    light = np.exp(-(2 * n - 1 / 3) * ((r / r_eff) ** (1 / n) - 1))
    return (light / light.sum() * 10 ** (-0.4 * (mag - zeropoint)) + sky).astype(np.float32)


def make_cutout(id="galaxy", shape=(52, 60), wcs=None, seed=1, **facts) -> Cutout:
    """An image of the galaxy of :func:`make_model` with noise, a mask and a Gaussian PSF."""
    noise = 0.6
    image = make_model(shape) + np.random.default_rng(seed).normal(0, noise, shape).astype(np.float32)
    mask = np.zeros(shape, bool)
    mask[: shape[0] // 5, : shape[1] // 6] = True
    r = np.hypot(*(np.indices((9, 9)) - 4))
    psf = np.exp(-0.5 * (r / 1.3) ** 2)
    given = {"pixel_scale": 0.4, **facts}
    return Cutout(id, image, np.full(shape, noise, np.float32), mask, psf / psf.sum(), wcs=wcs, **given)


def make_fit(n: int, status=None, flags=None, values=None, covariance=None, **fields) -> Fit:
    """One result per object, all of the same numbers."""
    correlation = np.eye(8) + 0.3 * (1 - np.eye(8))
    return Fit(
        np.tile(VALUES, (n, 1)) if values is None else values,
        np.tile(correlation * np.outer(ERRORS, ERRORS), (n, 1, 1)) if covariance is None else covariance,
        ["converged"] * n if status is None else status,
        np.zeros(n, int) if flags is None else flags,
        **fields,
    )
