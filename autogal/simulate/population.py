"""What the sky of a survey holds: magnitudes, sizes and shapes of galaxies, their neighbours, the seeing."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from autogal.errors import AutogalError
from autogal.images.survey import Survey
from autogal.simulate.placing import place_neighbours
from autogal.simulate.rng import Rng
from autogal.simulate.scenes import Conditions, Scenes, Sources
from autogal.simulate.seeing import Seeing, moffat_profile
from autogal.simulate.structure import Structure
from autogal.simulate.templates import Templates

__all__ = ["Population"]

_log = logging.getLogger(__name__)

# Electrons of a blank pixel, its variance, where a survey's gain is not known
_ELECTRONS = 1000.0


@dataclass(frozen=True)
class Population:
    """Distributions that scenes are drawn from, in the survey's pixels and magnitudes.

    Sizes follow magnitude: a median of ``size_at_18`` arcsec at 18 mag, falling by ``size_slope`` dex a
    magnitude (about 2 arcsec at 18 mag and 0.35 arcsec at 24 mag, as ground-based and HST surveys find), with
    a log-normal scatter of ``size_scatter`` dex. The Sersic index is a mixture of disks, spheroids and a
    log-uniform rest, so that every index in the range occurs. A user's own catalogue can take their place.

    Attributes
    ----------
    survey : Survey
        Pixel scale, zero point, PSF, sky noise and magnitude range must be known.
    size_at_18, size_slope, size_scatter : float
    index_range : tuple of float
    offset : float
        Largest distance of the target from the stamp's centre, along each axis [px].
    neighbours : int
        Largest number of neighbours; fewer are more frequent.
    overlapping : float
        Part of the neighbours placed where their light and the target's overlap.
    stars : float
        Part of the neighbours that are stars.
    sky_residual, gradient : float
        Scatter of the sky left after subtraction, and of its change from border to border, in units of the
        pixel noise.
    psf_scatter : float
        Relative scatter of the PSF's width.
    correlation : float
        Largest weight of a neighbouring pixel's noise; 0 for white noise.
    defects : float
        Part of the stamps with dead pixels, and of those with cosmic rays.
    structure : Structure
        Galaxies that are not a single Sersic profile; none by default.
    templates : Templates or None
        Galaxies of a catalogue, drawn in place of the distributions.
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
    gradient: float = 0.0
    psf_scatter: float = 0.08
    correlation: float = 0.0
    defects: float = 0.0
    structure: Structure = field(default_factory=Structure)
    templates: Templates | None = None

    #: Brightness is in the survey's units: real backgrounds are taken as they are
    relative = False

    def __post_init__(self):
        facts = ("pixel_scale", "zeropoint", "psf_fwhm", "sky_sigma", "magnitude")
        missing = [name for name in facts if getattr(self.survey, name) is None]
        if missing:
            raise AutogalError(
                f"The survey {self.survey.name!r} does not say its {', '.join(missing)}.",
                "Choose a survey, for example survey=sdss, or add what is missing to its configuration.",
            )
        if self.survey.gain is None:
            _log.warning(
                "The survey %s does not say its gain: %.3g, for which a blank pixel holds %.0f electrons.",
                self.survey.name,
                self.gain,
                _ELECTRONS,
            )

    @property
    def name(self) -> str:
        return self.survey.name

    @property
    def psf_width(self) -> float:
        """Typical FWHM of the PSF [px]."""
        return self.survey.psf_fwhm / self.survey.pixel_scale

    @property
    def gain(self) -> float:
        """Electrons per image unit."""
        return self.survey.gain or math.sqrt(_ELECTRONS) / self.survey.sky_sigma

    def draw(self, rng: Rng, count: int, shape: tuple[int, int]) -> Scenes:
        """`count` scenes of `shape` (rows, columns)."""
        seeing, conditions = self._seeing(rng, count), self._conditions(rng, count, shape)
        draw = (count, 1 + self.neighbours)
        number = ((1 + self.neighbours) * rng.uniform(0, 1, count, 1) ** 1.5).long()
        alive = torch.arange(1 + self.neighbours, device=rng.device) <= number
        star = rng.bernoulli(self.stars, *draw)
        star[:, 0] = False
        bright, faint = self.survey.magnitude
        # faint galaxies are more frequent, but not so much that bright ones never occur
        mag = bright + (faint - bright) * rng.uniform(0, 1, count, 1).sqrt()
        mag = torch.cat(
            [mag, (mag + 0.5 + 1.5 * rng.normal(count, self.neighbours)).clamp(bright - 1, faint + 2)], dim=1
        )
        r_eff, n, q = self._sizes(rng, mag, shape), self._index(rng, *draw), rng.uniform(0, 1, *draw)
        # disks are seen from every side, spheroids are never thin
        q = torch.where(n < 2, torch.sqrt(0.04 + 0.96 * q**2), 0.4 + 0.6 * q)
        if self.templates is not None:
            # after the other draws, which it leaves as they were
            mag, r_eff, n, q = self.templates.draw(rng, *draw, survey=self.survey)
        flux = 10 ** (-0.4 * (mag - self.survey.zeropoint))
        x, y = place_neighbours(
            rng, shape, seeing.fwhm, torch.where(star, 0.0, r_eff), self.offset, self.overlapping
        )
        pa = rng.uniform(0, 180, *draw)
        return Scenes(shape, seeing, Sources(alive, star, x, y, flux, r_eff, n, q, pa), conditions)

    def _seeing(self, rng: Rng, count: int) -> Seeing:
        fwhm = self.psf_width * torch.exp((self.psf_scatter * rng.normal(count)).clamp(-0.3, 0.3))
        q, pa = rng.uniform(0.9, 1, count), rng.uniform(0, 180, count)
        beta = torch.full((count,), self.survey.psf_beta, device=rng.device)
        size = 2 * math.ceil(6 * 1.35 * self.psf_width) + 1
        return Seeing.of_profiles(moffat_profile(beta), fwhm, q, pa, size)

    def _conditions(self, rng: Rng, count: int, shape: tuple[int, int]) -> Conditions:
        noise = self.survey.sky_sigma
        full = lambda value: torch.full((count,), value, device=rng.device)
        some = lambda: rng.bernoulli(self.defects, count)
        dead = torch.where(some(), rng.log_uniform(2e-4, 4e-3, count), 0.0)
        rays = torch.where(some(), rng.uniform(1, 4.999, count).long(), 0)
        gradient = self.gradient * noise / max(shape) * rng.normal(count, 2)
        return Conditions(
            full(noise),
            full(self.gain),
            self.sky_residual * noise * rng.normal(count),
            gradient,
            rng.uniform(0, 1, count) * self.correlation,
            full(self.survey.saturation or math.inf),
            full(1.0),
            dead,
            rays,
        )

    def _sizes(self, rng: Rng, mag: Tensor, shape: tuple[int, int]) -> Tensor:
        """Half-light radii [px] that the PSF leaves measurable and the stamp holds."""
        smallest, largest = math.log10(0.25 * self.psf_width), math.log10(0.2 * min(shape))
        typical = math.log10(self.size_at_18 / self.survey.pixel_scale) + self.size_slope * (mag - 18)
        low, high = (smallest - typical) / self.size_scatter, (largest - typical) / self.size_scatter
        drawn = typical + self.size_scatter * rng.truncated(low, high, *mag.shape)
        # the stamp is too small or too coarse for galaxies of this magnitude: the nearest octave that it
        # holds
        octave = math.log10(2) * rng.uniform(0, 1, *mag.shape)
        drawn = torch.where(high < -2, largest - octave, torch.where(low > 2, smallest + octave, drawn))
        return 10 ** drawn.clamp(smallest, largest)

    def _index(self, rng: Rng, *draw: int) -> Tensor:
        low, high = (math.log10(v) for v in self.index_range)
        around = lambda middle, width: (
            middle + width * rng.truncated((low - middle) / width, (high - middle) / width, *draw)
        )
        kind = rng.uniform(0, 1, *draw)
        disk, spheroid, other = around(0.0, 0.15), around(math.log10(4), 0.12), rng.uniform(low, high, *draw)
        return 10 ** torch.where(kind < 0.4, disk, torch.where(kind < 0.7, spheroid, other))
