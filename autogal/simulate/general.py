"""A wide mix of scenes, in pixels and noise units, that no survey has and every survey is part of."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from autogal.images.survey import Survey
from autogal.simulate.placing import place_neighbours
from autogal.simulate.rng import Rng
from autogal.simulate.scenes import Conditions, Scenes, Sources
from autogal.simulate.seeing import Seeing, airy_profile, moffat_profile
from autogal.simulate.structure import Structure

__all__ = ["General"]

_PSF_SIZE = 65
_SMALLEST, _LARGEST = 0.3, 1 / 3  # half-light radii of all there is: px, and part of the stamp's side


@dataclass(frozen=True)
class General:
    """Every seeing, size, depth and shape, about equally often in their logarithms.

    Attributes
    ----------
    fwhm : tuple of float
        Range of the FWHM of the effective PSF, px.
    snr : tuple of float
        Range of the target's signal-to-noise ratio.
    smallest, largest : float
        Range of the target's half-light radius: in FWHM of the seeing, and as a part of the stamp's side.
    extreme : float
        Part of the targets whose half-light radius lies anywhere between 0.3 px and a third of the stamp's
        side.
    index, axis_ratio : tuple of float
        Ranges of n and q.
    neighbours : int
        Largest number of neighbours on a stamp of 128 x 128 px or more; fewer are more frequent.
    stars, overlapping : float
        Part of the neighbours that are stars, and that are put where their light and the target's overlap.
    offset : float
        Largest distance of the target from the stamp's centre along each axis, px.
    structure : Structure
    """

    fwhm: tuple[float, float] = (1.5, 8.0)
    snr: tuple[float, float] = (5.0, 3000.0)
    smallest: float = 0.4
    largest: float = 1 / 6
    extreme: float = 0.15
    index: tuple[float, float] = (0.3, 8.0)
    axis_ratio: tuple[float, float] = (0.1, 1.0)
    neighbours: int = 10
    stars: float = 0.3
    overlapping: float = 0.3
    offset: float = 3.0
    structure: Structure = field(default_factory=lambda: Structure(composite=0.3))

    #: Brightness is in units of the noise: real backgrounds are scaled to it
    relative = True
    name = "general"
    #: Magnitudes and angles are relative, and every scene has a gain of its own
    survey = Survey(name="general", zeropoint=25.0, pixel_scale=1.0)
    gain = None

    def draw(self, rng: Rng, count: int, shape: tuple[int, int]) -> Scenes:
        """`count` scenes of `shape` (rows, columns)."""
        seeing = self._seeing(rng, count)
        conditions = self._conditions(rng, count, shape)
        return Scenes(shape, seeing, self._sources(rng, shape, seeing, conditions), conditions)

    def _seeing(self, rng: Rng, count: int) -> Seeing:
        fwhm = rng.log_uniform(*self.fwhm, count)
        q, pa = 1 - 0.25 * rng.uniform(0, 1, count).square(), rng.uniform(0, 180, count)
        profiles = moffat_profile(rng.uniform(2.2, 5.0, count))
        # only telescopes in space reach their diffraction limit, and their PSFs are narrow in pixels
        airy = rng.bernoulli(0.4, count) & (fwhm < 5)
        profiles = torch.where(airy[:, None], airy_profile(rng.uniform(0.2, 0.9, count)), profiles)
        return Seeing.of_profiles(profiles, fwhm, q, pa, _PSF_SIZE)

    def _conditions(self, rng: Rng, count: int, shape: tuple[int, int]) -> Conditions:
        sky_sigma = rng.log_uniform(1e-2, 1e2, count)
        electrons = rng.log_uniform(25.0, 5e4, count)
        some = lambda part: rng.bernoulli(part, count)
        gradient = 0.3 * rng.normal(count, 2) * (some(0.3) * sky_sigma)[:, None] / max(shape)
        saturation = torch.where(some(0.2), sky_sigma * rng.log_uniform(300.0, 1e4, count), math.inf)
        correlation = torch.where(some(0.35), rng.uniform(0.05, 0.5, count), 0.0)
        sigma_error = torch.exp(0.06 * rng.normal(count))
        dead = torch.where(some(0.25), rng.log_uniform(2e-4, 4e-3, count), 0.0)
        rays = torch.where(some(0.2), rng.uniform(1, 4.999, count).long(), 0)
        return Conditions(
            sky_sigma,
            electrons.sqrt() / sky_sigma,
            0.15 * rng.normal(count) * sky_sigma,
            gradient,
            correlation,
            saturation,
            sigma_error,
            dead,
            rays,
        )

    def _sources(self, rng: Rng, shape: tuple[int, int], seeing: Seeing, conditions: Conditions) -> Sources:
        count, side = len(seeing.fwhm), min(shape)
        most = (
            max(3, min(self.neighbours, round(self.neighbours * shape[0] * shape[1] / 128**2)))
            if self.neighbours
            else 0
        )
        draw = (count, 1 + most)
        number = (rng.uniform(0, 1, count, 1) ** 1.5 * (most + 1)).long()
        alive = torch.arange(1 + most, device=rng.device) <= number
        star = rng.bernoulli(self.stars, *draw)
        star[:, 0] = False
        r_eff = rng.log_uniform(_SMALLEST, self.largest * side, *draw)
        usual = self.smallest * seeing.fwhm
        usual = usual * (self.largest * side / usual).clamp(min=1) ** rng.uniform(0, 1, count)
        r_eff[:, 0] = torch.where(
            rng.bernoulli(self.extreme, count), rng.log_uniform(_SMALLEST, _LARGEST * side, count), usual
        )
        n = self._index(rng, *draw)
        q = rng.uniform(*self.axis_ratio, *draw)
        pa = rng.uniform(0, 180, *draw)
        area = _noise_area(seeing.fwhm[:, None], torch.where(star, 0.0, r_eff), n, q)
        # what is fainter than a tenth of the noise in its mean surface brightness cannot be seen by anyone
        faintest = (0.1 * area.sqrt()).clamp(max=0.5 * self.snr[1]).clamp(min=self.snr[0])
        snr = faintest * (self.snr[1] / faintest) ** rng.uniform(0, 1, *draw)
        flux = _flux_of(snr, area, conditions)
        # half of the neighbours as bright as the target, give or take; the others as they come
        alike = flux[:, :1] * 10 ** (-0.4 * (0.5 + 1.5 * rng.normal(count, most)))
        flux[:, 1:] = torch.where(rng.bernoulli(0.5, count, most), alike, flux[:, 1:])
        x, y = place_neighbours(
            rng, shape, seeing.fwhm, torch.where(star, 0.0, r_eff), self.offset, self.overlapping
        )
        return Sources(alive, star, x, y, flux, r_eff, n, q, pa)

    def _index(self, rng: Rng, *draw: int) -> Tensor:
        low, high = (math.log10(v) for v in self.index)
        kind = rng.uniform(0, 1, *draw)
        around = lambda middle, width: (
            middle + width * rng.truncated((low - middle) / width, (high - middle) / width, *draw)
        )
        disk, spheroid = around(0.0, 0.15), around(math.log10(4), 0.12)
        any_ = rng.uniform(low, high, *draw)
        return 10 ** torch.where(kind < 0.35, disk, torch.where(kind < 0.55, spheroid, any_))


def _noise_area(fwhm: Tensor, r_eff: Tensor, n: Tensor, q: Tensor) -> Tensor:
    """Noise-equivalent area, px^2, of galaxies seen through a PSF: about the sum of the areas of the two.

    For a Sersic profile it is 2 pi n R^2 q (2 / b)^2n Gamma(2 n), with b = 2 n - 1/3 + ... (Ciotti & Bertin
    1999); beyond n = 1.5 it is taken as there, since the PSF blunts the cusps that would make it small.
    """
    n = n.clamp(max=1.5)
    b = (2 * n - 1 / 3 + 0.009876 / n).clamp(min=0.05)
    galaxy = 2 * math.pi * n * r_eff**2 * q * torch.exp(2 * n * torch.log(2 / b) + torch.lgamma(2 * n))
    return 3.2 * fwhm**2 + galaxy


def _flux_of(snr: Tensor, area: Tensor, conditions: Conditions) -> Tensor:
    """Flux of a signal-to-noise ratio: snr^2 = F^2 / (A (sigma^2 + F / (A gain)))."""
    sigma, gain = conditions.sky_sigma[:, None], conditions.gain[:, None]
    photons = snr**2 / gain
    return 0.5 * (photons + torch.sqrt(photons**2 + 4 * snr**2 * area * sigma**2))
