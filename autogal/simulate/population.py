"""What the sky of a survey holds: magnitudes, sizes and shapes of galaxies, their neighbours, the seeing."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from autogal.errors import AutogalError
from autogal.images.survey import Survey

__all__ = ["Population", "Scene", "Source"]


@dataclass(slots=True, frozen=True)
class Source:
    """One source: 0-indexed centre [px], magnitude, r_eff [px, 0 for a star], n, q, pa [deg from +y]."""

    x: float
    y: float
    mag: float
    r_eff: float
    n: float
    q: float
    pa: float

    @property
    def is_star(self) -> bool:
        return self.r_eff == 0


@dataclass(slots=True)
class Scene:
    """One cutout before it is drawn: the target first, then its neighbours; the PSF; the sky left in."""

    psf_fwhm: float
    psf_q: float
    psf_pa: float
    sky: float
    sources: list[Source] = field(default_factory=list)


@dataclass(frozen=True)
class Population:
    """Distributions that scenes are drawn from, in the survey's pixels and magnitudes.

    Sizes follow magnitude: a median of ``size_at_18`` arcsec at 18 mag, falling by ``size_slope`` dex a
    magnitude (about 2 arcsec at 18 mag and 0.35 arcsec at 24 mag, as ground-based and HST surveys find), with
    a log-normal scatter of ``size_scatter`` dex. The Sersic index is a mixture of disks, spheroids and a
    log-uniform rest, so that every index in the range occurs.

    Attributes
    ----------
    survey : Survey
        Pixel scale, zero point, PSF, gain, sky noise and magnitude range must be known.
    size_at_18, size_slope, size_scatter : float
    index_range : tuple of float
    offset : float
        Largest distance of the target from the stamp's centre, along each axis [px].
    neighbours : int
        Largest number of neighbours; 0 ... `neighbours` are equally likely.
    overlapping : float
        Part of the neighbours placed where their light and the target's overlap.
    stars : float
        Part of the neighbours that are stars.
    sky_residual : float
        Scatter of the sky left after subtraction, in units of the pixel noise.
    psf_scatter : float
        Relative scatter of the PSF's width.
    read_noise : float
        Electrons; at most half of the variance of a blank pixel.
    """

    survey: Survey
    size_at_18: float = 2.0
    size_slope: float = -0.13
    size_scatter: float = 0.2
    index_range: tuple[float, float] = (0.5, 8.0)
    offset: float = 2.0
    neighbours: int = 6
    overlapping: float = 0.3
    stars: float = 0.3
    sky_residual: float = 0.05
    psf_scatter: float = 0.08
    read_noise: float = 5.0

    def __post_init__(self):
        facts = ("pixel_scale", "zeropoint", "psf_fwhm", "gain", "sky_sigma", "magnitude")
        missing = [name for name in facts if getattr(self.survey, name) is None]
        if missing:
            raise AutogalError(f"The survey {self.survey.name!r} does not say its {', '.join(missing)}.",
                               "Choose a survey, for example survey=sdss, or add what is missing to its configuration.")

    @property
    def psf_width(self) -> float:
        """Typical FWHM of the PSF [px]."""
        return self.survey.psf_fwhm / self.survey.pixel_scale

    def draw(self, rng: np.random.Generator, shape: tuple[int, int]) -> Scene:
        """One scene for a stamp of `shape` (rows, columns)."""
        height, width = shape
        fwhm = self.psf_width * float(np.exp(np.clip(rng.normal(0, self.psf_scatter), -0.3, 0.3)))
        scene = Scene(fwhm, 1 - rng.uniform(0, 0.1), rng.uniform(0, 180), rng.normal(0, self.sky_residual))
        bright, faint = self.survey.magnitude
        # Faint galaxies are more frequent, but not so much that bright ones never occur.
        mag = bright + (faint - bright) * np.sqrt(rng.uniform())
        dx, dy = rng.uniform(-self.offset, self.offset, 2)
        target = self._galaxy(rng, (width - 1) / 2 + dx, (height - 1) / 2 + dy, mag, shape)
        scene.sources.append(target)
        for _ in range(int(rng.integers(0, self.neighbours + 1))):
            scene.sources.append(self._neighbour(rng, target, fwhm, shape))
        return scene

    def _galaxy(self, rng, x, y, mag, shape) -> Source:
        r_eff = self._size(rng, mag, shape)
        n = self._index(rng)
        # Disks are seen from every side, spheroids are never thin.
        q = np.hypot(0.2, np.sqrt(1 - 0.04) * rng.uniform()) if n < 2 else rng.uniform(0.4, 1)
        return Source(float(x), float(y), float(mag), r_eff, n, float(q), float(rng.uniform(0, 180)))

    def _size(self, rng, mag, shape) -> float:
        """Half-light radius [px] that the PSF leaves measurable and the stamp holds."""
        smallest, largest = 0.25 * self.psf_width, 0.2 * min(shape)
        typical = self.size_at_18 * 10**(self.size_slope * (mag - 18)) / self.survey.pixel_scale
        for _ in range(20):
            r_eff = typical * 10**rng.normal(0, self.size_scatter)
            if smallest <= r_eff <= largest:
                return float(r_eff)
        # The stamp is too small or too coarse for galaxies of this magnitude: the nearest octave that it holds.
        low, high = (largest / 2, largest) if typical > largest else (smallest, 2 * smallest)
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    def _index(self, rng) -> float:
        low, high = np.log10(self.index_range)
        while True:
            kind = rng.uniform()
            if kind < 0.4:
                value = rng.normal(0.0, 0.15)
            elif kind < 0.7:
                value = rng.normal(np.log10(4), 0.12)
            else:
                value = rng.uniform(low, high)
            if low <= value <= high:
                return float(10**value)

    def _neighbour(self, rng, target, fwhm, shape) -> Source:
        bright, faint = self.survey.magnitude
        mag = float(np.clip(target.mag + rng.normal(0.5, 1.5), bright - 1, faint + 2))
        source = self._galaxy(rng, 0.0, 0.0, mag, shape)
        if rng.uniform() < self.stars:
            source = Source(0.0, 0.0, mag, 0.0, 0.5, 1.0, 0.0)
        nearest = fwhm + 0.5 * (target.r_eff + source.r_eff)
        farthest = 2 * fwhm + 2.5 * (target.r_eff + source.r_eff)
        angle = rng.uniform(0, 2 * np.pi)
        if rng.uniform() < self.overlapping:
            distance = rng.uniform(nearest, farthest)
        else:
            # Uniform in area, out to the corners; what falls outside the stamp sheds light into it.
            distance = np.sqrt(rng.uniform(nearest**2, max((0.75 * max(shape))**2, (nearest + 1)**2)))
        return Source(float(target.x + distance * np.cos(angle)), float(target.y + distance * np.sin(angle)), mag,
                      source.r_eff, source.n, source.q, source.pa)
