"""Observations of Sersic galaxies with known truth and known noise, drawn without the package."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .rendering.brute_force import Gaussian, sersic_image

__all__ = ["PARAMETERS", "PSF", "Galaxy", "Observations", "observe", "random_galaxies"]

PARAMETERS = ("x", "y", "mag", "r_eff", "n", "q", "pa", "sky")
PSF = Gaussian(1.3)  # FWHM 3 px, as a star's image shows it
ZEROPOINT = 25.0
_STEPS = {"x": 0.02, "y": 0.02, "r_eff": 0.02, "n": 0.01, "q": 0.005, "pa": 0.5}


@dataclass(frozen=True)
class Galaxy:
    """One galaxy on a stamp of its own, in the catalogue's units, with its noise."""

    x: float
    y: float
    mag: float
    r_eff: float
    n: float
    q: float
    pa: float
    sky: float = 0.0
    noise: float = 1.0  # of a blank pixel; one electron is one image unit
    shape: tuple[int, int] = (48, 48)

    @property
    def flux(self) -> float:
        return 10 ** (0.4 * (ZEROPOINT - self.mag))

    @property
    def truth(self) -> dict[str, float]:
        return {name: getattr(self, name) for name in PARAMETERS}

    def light(self, **changes: float) -> np.ndarray:
        """Unit-flux image, with some parameters changed."""
        row = {name: getattr(self, name) for name in ("x", "y", "r_eff", "n", "q", "pa")} | changes
        return _light(self.shape, tuple(row.items()))

    def sigma(self) -> np.ndarray:
        """Standard deviation of every pixel."""
        return np.sqrt(self.noise**2 + self.flux * self.light())

    def bound(self) -> np.ndarray:
        """Cramer-Rao bound of the standard deviation of every parameter, by differences of `light`."""
        columns = []
        for name in PARAMETERS:
            if name == "sky":
                column = np.ones(self.shape)
            elif name == "mag":
                column = -0.4 * np.log(10) * self.flux * self.light()
            else:
                step = _STEPS[name] * (getattr(self, name) if name in ("r_eff", "n") else 1)
                value = getattr(self, name)
                column = (
                    self.flux
                    * (self.light(**{name: value + step}) - self.light(**{name: value - step}))
                    / (2 * step)
                )
            columns.append((column / self.sigma()).ravel())
        matrix = np.stack(columns)
        return np.sqrt(np.diag(np.linalg.inv(matrix @ matrix.T)))

    @property
    def snr(self) -> float:
        """Matched-filter signal-to-noise ratio."""
        return float(np.sqrt(np.sum((self.flux * self.light() / self.sigma()) ** 2)))


@lru_cache(maxsize=512)
def _light(shape: tuple[int, int], row: tuple[tuple[str, float], ...]) -> np.ndarray:
    return sersic_image(PSF, shape, **dict(row), panels=50)


@dataclass
class Observations:
    """What `autogal.fit` takes: lists of arrays, and starting values that are not the truth."""

    images: list[np.ndarray]
    sigmas: list[np.ndarray]
    truth: dict[str, np.ndarray]
    start: dict[str, np.ndarray]
    psf: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    def rows(self, places) -> Observations:
        """The observations at `places`, in that order."""
        pick = lambda table: {name: column[list(places)] for name, column in table.items()}
        return Observations(
            [self.images[i] for i in places],
            [self.sigmas[i] for i in places],
            pick(self.truth),
            pick(self.start),
            self.psf,
        )

    def arguments(self) -> dict:
        """Keywords of `autogal.fit`."""
        return {
            "images": list(self.images),
            "sigma": list(self.sigmas),
            "psf": self.psf,
            "start": self.start,
            "zeropoint": ZEROPOINT,
        }


def observe(galaxies, repeat: int = 1, seed: int = 0) -> Observations:
    """Each galaxy `repeat` times, with noise of its own each time."""
    rng = np.random.default_rng(seed)
    images, sigmas, rows, starts = [], [], [], []
    for galaxy in galaxies:
        clean, sigma = galaxy.flux * galaxy.light() + galaxy.sky, galaxy.sigma()
        for _ in range(repeat):
            images.append((clean + sigma * rng.normal(size=clean.shape)).astype(np.float32))
            sigmas.append(sigma.astype(np.float32))
            truth = galaxy.truth
            rows.append(truth)
            starts.append(
                truth
                | {
                    "x": truth["x"] + rng.normal(0, 0.3),
                    "y": truth["y"] + rng.normal(0, 0.3),
                    "mag": truth["mag"] + rng.normal(0, 0.15),
                    "r_eff": truth["r_eff"] * np.exp(rng.normal(0, 0.2)),
                    "n": truth["n"] * np.exp(rng.normal(0, 0.25)),
                    "q": np.clip(truth["q"] + rng.normal(0, 0.1), 0.1, 0.95),
                    "pa": truth["pa"] + rng.normal(0, 15),
                    "sky": truth["sky"] + rng.normal(0, 0.1 * galaxy.noise),
                }
            )
    columns = lambda table: {name: np.array([row[name] for row in table]) for name in PARAMETERS}
    return Observations(images, sigmas, columns(rows), columns(starts), PSF.star(25))


def random_galaxies(
    count: int,
    seed: int = 0,
    shape: tuple[int, int] = (48, 48),
    snr: tuple[float, float] = (60, 500),
    r_eff: tuple[float, float] = (2.0, 4.5),
) -> list[Galaxy]:
    """Galaxies of given signal-to-noise ratios near the middle of the stamp."""
    rng = np.random.default_rng(seed)
    height, width = shape
    galaxies = []
    for _ in range(count):
        row = dict(
            x=(width - 1) / 2 + rng.uniform(-2, 2),
            y=(height - 1) / 2 + rng.uniform(-2, 2),
            r_eff=rng.uniform(*r_eff),
            n=rng.uniform(0.7, 3.0),
            q=rng.uniform(0.3, 0.8),
            pa=rng.uniform(5, 175),
            sky=rng.normal(0, 2),
            noise=10.0,
            shape=shape,
        )
        wanted = np.exp(rng.uniform(*np.log(snr)))
        low, high = 12.0, 24.0
        for _ in range(12):  # a brighter galaxy has a higher ratio
            middle = (low + high) / 2
            low, high = (middle, high) if Galaxy(mag=middle, **row).snr > wanted else (low, middle)
        galaxies.append(Galaxy(mag=low, **row))
    return galaxies
