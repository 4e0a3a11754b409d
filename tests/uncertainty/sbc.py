"""Galaxies drawn from the very prior that their posteriors are to have, for ranks of the truth among its
samples."""

from __future__ import annotations

import numpy as np

from ..observations import Galaxy, Observations, observe

__all__ = ["drawn", "priors"]

NOISE, SIDE = 10.0, 48
#: Of the S/N of the middle galaxy, the magnitude that has it, about
_MAG = {15.0: 17.35, 40.0: 16.2}
_WIDTH = {"mag": 0.3, "q": 0.1, "centre": 0.7, "r_eff": 0.08, "n": 0.1, "sky": 1.0}
_Q, _R_EFF, _N, _THINNEST = 0.55, 3.0, 1.5, 0.01


def priors(snr: float) -> dict[str, object]:
    """Of `model.priors`."""
    middle = (SIDE - 1) / 2
    normal = {
        "x": (middle, _WIDTH["centre"]),
        "y": (middle, _WIDTH["centre"]),
        "mag": (_MAG[snr], _WIDTH["mag"]),
        "q": (_Q, _WIDTH["q"]),
        "sky": (0.0, _WIDTH["sky"]),
    }
    logarithmic = {"r_eff": [_R_EFF, _WIDTH["r_eff"]], "n": [_N, _WIDTH["n"]]}  # dex
    return {name: {"normal": list(pair)} for name, pair in normal.items()} | logarithmic


def drawn(snr: float, count: int, seed: int) -> Observations:
    """Galaxies of a prior flat in x, y, flux, ln r_eff, ln n, the plane of shapes and the sky, times
    `priors`."""
    rng, middle, galaxies = np.random.default_rng(seed), (SIDE - 1) / 2, []
    steep = 0.4 * np.log(10)
    for _ in range(count):
        x, y = middle + _WIDTH["centre"] * rng.normal(size=2)
        mag = (
            _MAG[snr] - steep * _WIDTH["mag"] ** 2 + _WIDTH["mag"] * rng.normal()
        )  # flat in flux is steep in magnitudes
        galaxies.append(
            Galaxy(
                x,
                y,
                mag,
                _R_EFF * 10 ** (_WIDTH["r_eff"] * rng.normal()),
                _N * 10 ** (_WIDTH["n"] * rng.normal()),
                _ratio(rng),
                rng.uniform(0, 180),
                _WIDTH["sky"] * rng.normal(),
                NOISE,
                (SIDE, SIDE),
            )
        )
    return observe(galaxies, seed=seed + 1)


def _ratio(rng: np.random.Generator) -> float:
    """An axis ratio: rings of the plane of shapes grow with their radius, times the normal prior."""

    def ring(q):
        part = -np.log(q) / -np.log(_THINNEST)
        return np.arctanh(part) / (1 - part**2) / q

    grid = np.linspace(0.02, 0.9999, 2000)
    weight = ring(grid) * np.exp(-(((grid - _Q) / _WIDTH["q"]) ** 2) / 2)
    return float(np.interp(rng.random(), np.cumsum(weight) / weight.sum(), grid))
