"""How a call fits: what is the same for every bucket of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from omegaconf import DictConfig

from autogal.batch.batch_fit import LOST
from autogal.batch.stamps import Stamps, in_counts
from autogal.fitting.choices import build_bootstrap, build_likelihood, build_posterior, build_solver
from autogal.images import Cutout
from autogal.likelihood import Likelihood
from autogal.model.fitted import QUANTILES, Fitted
from autogal.model.model import Model
from autogal.model.spec import build_model
from autogal.runtime.devices import choose_device
from autogal.runtime.stopwatch import Stopwatch
from autogal.runtime.threads import one_thread_an_operation
from autogal.solvers import Solver
from autogal.uncertainty import Bootstrap, Posterior

__all__ = ["FitContext", "Level", "fit_context"]

# Sigmas by which the light of a galaxy that was searched for must show in its fit. Six parameters are free to
# chase the noise: of fits to nothing 0.07 u^5 exp(-u^2 / 2) exceed u (the field of six dimensions of Adler &
# Taylor 2007, its volume measured on 1200 stamps of 64 px), which is 3 of 10,000 here
_FOUND = 5.25
# times what a fit with too high a sky has of the galaxy's light at its place: the rest is in that sky
_HIDDEN_LIGHT = 2.0


@dataclass(frozen=True)
class Level:
    """What is known of skies that are held at a measured level, [N] each, image units.

    Attributes
    ----------
    error : ndarray
        Of the level, by the noise.
    wing : ndarray
        Light of the target where it was measured, by the fit: it comes when that is there.
    shown : ndarray
        Sigmas by which the target's light stands out in that fit.
    """

    error: np.ndarray
    wing: np.ndarray
    shown: np.ndarray

    @classmethod
    def of(cls, fitted: Fitted) -> Level:
        """Of skies that were held in these fits already."""
        sky = fitted.parameters.index("sky")
        other = 0.0 if fitted.hanging is None else fitted.hanging[:, sky] ** 2  # of a sky that was not held
        return cls(
            np.sqrt(np.maximum(fitted.covariance[:, sky, sky] - other, 0)), *np.zeros((2, len(fitted)))
        )

    def seen(self, rows: np.ndarray, wing: np.ndarray, scale: torch.Tensor) -> torch.Tensor:
        """Take note of the light `wing` [M], units of stamps whose noise is `scale`; gives 1 / variance of
        the levels in those units."""
        unit = scale.cpu().numpy()
        self.wing[rows] = wing * unit
        variance = (
            np.nan_to_num(self.error[rows]) ** 2 + (_HIDDEN_LIGHT * np.nan_to_num(self.wing[rows])) ** 2
        )
        return torch.from_numpy(unit**2 / np.maximum(variance, 1e-24 * unit**2)).to(scale.device)


@dataclass(frozen=True)
class FitContext:
    """What is the same for every bucket of a call; `least` are the sigmas, one a galaxy, below which a fit
    found nothing.

    `level` is there where skies are held that were measured in the images; of one that the user gave nothing
    is unknown.
    """

    model: Model
    likelihood: Likelihood
    solver: Solver
    uncertainty: DictConfig
    bootstrap: Bootstrap | None
    posterior: Posterior | None
    device: torch.device
    dtype: torch.dtype
    threads: int
    watch: Stopwatch
    restarts: int
    spread: np.ndarray
    least: np.ndarray
    begin: np.ndarray | None = None
    level: Level | None = None
    whiten: bool = False

    def blank(self, count: int) -> Fitted:
        """`count` rows in which nothing has been measured yet, with room for all that is to be."""
        fitted = Fitted.empty(count, self.model.parameters)
        if self.uncertainty.name == "both":
            fitted.bootstrap = np.full_like(fitted.covariance, np.nan)
        if self.uncertainty.get("misfit"):
            fitted.misfit = np.full_like(fitted.covariance, np.nan)
        if self.posterior is not None:
            fitted.quantiles = np.full((count, len(QUANTILES), len(self.model.parameters)), np.nan)
            fitted.keeps = self.posterior.keep
            fitted.replicates = np.full((count, self.posterior.samples, len(self.model.parameters)), np.nan)
        if self.bootstrap is not None and self.bootstrap.keep:
            fitted.replicates = np.full(
                (count, self.bootstrap.replicates, len(self.model.parameters)), np.nan
            )
        return fitted

    def gather(self, cutouts: Sequence[Cutout], sky: np.ndarray) -> Stamps:
        """The stamps of one bucket; `sky` [N] is about its level."""
        counts = self.likelihood.counts  # what is left of a count when a pedestal is taken off is none
        gathered = [in_counts(cutout) if counts else cutout for cutout in cutouts]
        stamps = Stamps.from_cutouts(gathered, sky * (not counts), self.device, self.dtype)
        stamps.whiten = self.whiten and stamps.correlation is not None
        return stamps


@contextmanager
def fit_context(
    settings: DictConfig,
    count: int,
    watch: Stopwatch | None = None,
    spread: np.ndarray | None = None,
    begin: np.ndarray | None = None,
    searched: np.ndarray | None = None,
) -> Iterator[FitContext]:
    """How `settings` would have `count` cutouts fitted, for a with-block in which each operation of a CPU
    keeps to one core.

    Parameters as `autogal.fitting.engine.fit_cutouts` takes them.
    """
    device, whiten = choose_device(settings.device), bool((settings.get("noise") or {}).get("whiten"))
    with one_thread_an_operation(device) as available:
        threads = (settings.threads or available) if device.type == "cpu" else 1
        yield FitContext(
            build_model(settings.model),
            build_likelihood(settings),
            build_solver(settings.solver),
            settings.uncertainty,
            build_bootstrap(settings),
            build_posterior(settings),
            device,
            getattr(torch, settings.dtype),
            threads,
            Stopwatch() if watch is None else watch,
            settings.restarts,
            np.full((count, 7, 7), np.nan) if spread is None else spread,
            np.where(np.zeros(count, bool) if searched is None else searched, _FOUND, LOST),
            begin,
            whiten=whiten,
        )
