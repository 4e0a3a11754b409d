"""Samples of the posterior: importance sampling from proposals that learn the shape of each galaxy's own
posterior."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from autogal.errors import AutogalError
from autogal.uncertainty.resample import generator

__all__ = ["Posterior", "Samples"]

# Proposals are Student t distributions of so many degrees of freedom: heavier tails than any posterior that
# is near normal
_DOF = 5.0
_ROUND = 400  # draws of a round
# the first proposal, in units of the covariance at the best fit, and those after it in units of the weighted
# one
_WIDER = 1.2
_LEAST = 1e-9  # of the largest eigenvalue of a scaled covariance, below which directions are not told
_NEXT, _DENSE = (
    0.3,
    0.25,
)  # standard deviations from a bound, and the density there in units of a normal posterior's peak
_LOST = 0.2  # of the samples that were asked for: with fewer effective ones they say little


@dataclass(frozen=True)
class Samples:
    """Weighted draws of free vectors.

    Attributes
    ----------
    theta : Tensor, [N, S, P] float64
        Equally weighted, S of them, drawn again from all by their weights; NaN where nothing could be drawn.
    effective : Tensor, [N]
        Kish's effective number of independent samples among all draws, (sum w)^2 / sum w^2.
    draws : Tensor, [N] int
        How many were made.
    cut : Tensor, [N, P] bool
        Where the posterior is still dense at a bound: without the bound it may have no end.
    """

    theta: Tensor
    effective: Tensor
    draws: Tensor
    cut: Tensor


@dataclass(frozen=True)
class Posterior:
    """How posteriors are sampled.

    Attributes
    ----------
    samples : int
        Effective samples wanted of each galaxy, and samples given.
    rounds : int
        Rounds of 400 draws after which a galaxy is given up.
    seed : int
    keep : bool
        Whether the catalogue is to hold the samples themselves.

    Notes
    -----
    Adaptive multiple importance sampling (Cornuet, Marin, Mira & Robert 2012, Scand. J. Stat. 39, 798): the
    first proposal is a Student t of the covariance at the best fit, each further one has the weighted mean
    and covariance of all draws so far, and all draws are weighed by the mixture of all proposals (Veach &
    Guibas 1995). A galaxy ends when its weights are worth as many independent samples as were asked for. The
    prior is flat in the parameters that the solver moves, within their bounds, times the priors that the
    model has.
    """

    samples: int = 500
    rounds: int = 12
    seed: int = 0
    keep: bool = False

    def __post_init__(self):
        if self.samples < 20:
            raise AutogalError(
                f"uncertainty.samples={self.samples} is not possible: quantiles need more.",
                "Give at least 20; 500 is usual.",
            )
        if self.rounds < 1:
            raise AutogalError(f"uncertainty.rounds={self.rounds} is not possible.", "Give at least 1.")

    def enough(self, effective: np.ndarray) -> np.ndarray:
        """Whether so many effective samples [N] say something of the posterior, bool [N]."""
        return np.asarray(effective) >= _LOST * self.samples

    def draw(
        self,
        cost: Callable[[Tensor, Tensor], Tensor],
        best: Tensor,
        covariance: Tensor,
        lower: Tensor,
        upper: Tensor,
        names: Sequence[str],
    ) -> Samples:
        """Sample the posteriors of many galaxies.

        Parameters
        ----------
        cost : callable
            Of free vectors [M, P] and the galaxies [M] that they are of: -2 ln posterior, priors included,
            [M].
        best : Tensor, [N, P] float64
        covariance : Tensor, [N, P, P] float64
            About that of the posterior. What has none, a variance that is not finite or 0, is held.
        lower, upper : Tensor, [N, P]
            Bounds, outside of which there is no posterior.
        names : sequence of str, length N
            Of the galaxies: random numbers hang on them alone.
        """
        out = Samples(
            torch.full(
                (len(best), self.samples, best.shape[1]), torch.nan, dtype=best.dtype, device=best.device
            ),
            torch.zeros(len(best), dtype=best.dtype, device=best.device),
            torch.zeros(len(best), dtype=torch.long, device=best.device),
            torch.zeros_like(best, dtype=torch.bool),
        )
        items = torch.isfinite(best).all(-1).nonzero()[:, 0]
        if not len(items):
            return out
        states = {
            int(i): _State(best[i], covariance[i], generator(self.seed, names[int(i)], 0)) for i in items
        }
        running = list(states)
        for _ in range(self.rounds):
            drawn = [states[i].propose() for i in running]
            theta, which = (
                torch.cat(drawn),
                torch.tensor(running, device=best.device).repeat_interleave(_ROUND),
            )
            inside = ((theta >= lower[which]) & (theta <= upper[which])).all(-1).nonzero()[:, 0]
            costs = torch.full((len(theta),), torch.inf, dtype=best.dtype, device=best.device)
            costs[inside] = cost(theta[inside], which[inside]).nan_to_num(torch.inf)
            for i, part, its in zip(running, drawn, costs.split(_ROUND)):
                states[i].add(part, its)
            running = [i for i in running if states[i].effective < self.samples]
            if not running:
                break
        for i, state in states.items():
            out.effective[i], out.draws[i] = state.effective, len(state.costs)
            if state.effective > 1:
                out.theta[i] = state.resampled(self.samples)
                out.cut[i] = _cut(out.theta[i], lower[i], upper[i])
        return out


class _State:
    """The draws of one galaxy, and the proposals they came from."""

    def __init__(self, best: Tensor, covariance: Tensor, rng: np.random.Generator):
        self.best, self.rng = best, rng
        variance = covariance.diagonal()
        self.free = (torch.isfinite(variance) & (variance > 0)).nonzero()[:, 0]
        self.scale = variance[self.free].sqrt()
        self.means, self.roots = [torch.zeros_like(self.scale)], [_root(self._scaled(covariance)) * _WIDER]
        self.points, self.costs = best.new_zeros(0, len(self.free)), best.new_zeros(0)
        self.densities = best.new_zeros(0, 0)  # of the points under each proposal, log, [D, K]
        self.weights, self.effective = best.new_zeros(0), 0.0

    def _scaled(self, covariance: Tensor) -> Tensor:
        return covariance[self.free][:, self.free] / (self.scale[:, None] * self.scale)

    def propose(self) -> Tensor:
        """Free vectors [_ROUND, P] from the newest proposal."""
        normal = torch.from_numpy(self.rng.standard_normal((_ROUND, len(self.free)))).to(self.best)
        chi2 = torch.from_numpy(self.rng.chisquare(_DOF, _ROUND)).to(self.best)
        out = self.best.repeat(_ROUND, 1)
        out[:, self.free] += self.scale * (
            self.means[-1] + (normal @ self.roots[-1].mT) * (_DOF / chi2).sqrt()[:, None]
        )
        return out

    def add(self, theta: Tensor, costs: Tensor) -> None:
        """Take note of -2 ln posterior of the draws of a round, weigh all anew, and learn the next
        proposal."""
        if not torch.isfinite(costs).any() and not len(self.points):
            return  # nothing is known yet: the same proposal again
        points = (theta[:, self.free] - self.best[self.free]) / self.scale
        old = torch.stack([_log_density(points, *one) for one in zip(self.means, self.roots)], 1)
        newest = _log_density(self.points, self.means[-1], self.roots[-1])
        self.densities = (
            torch.cat([torch.cat([self.densities, newest[:, None]], 1), old]) if len(self.points) else old
        )
        self.points, self.costs = torch.cat([self.points, points]), torch.cat([self.costs, costs])
        mixture = torch.logsumexp(self.densities, 1)
        log = -self.costs / 2 - mixture
        weights = (log - log.max()).exp()
        self.weights = weights / weights.sum()
        self.effective = float(1 / self.weights.square().sum())
        # a few large weights would make a proposal of their own: they are cut (Ionides 2008, J. Comp. Graph.
        # Stat. 17, 295)
        cut = weights.clamp(max=float(weights.mean()) * math.sqrt(len(weights)))
        cut = cut / cut.sum()
        mean = cut @ self.points
        off = self.points - mean
        spread = off.mT @ (off * cut[:, None])
        self.means.append(mean)
        self.roots.append(_root(spread) * _WIDER)

    def resampled(self, count: int) -> Tensor:
        """Equally weighted free vectors [count, P], by systematic resampling in random order."""
        at = (self.rng.random() + np.arange(count)) / count
        places = np.searchsorted(np.cumsum(self.weights.cpu().numpy()), at).clip(max=len(self.weights) - 1)
        out = self.best.repeat(count, 1)
        out[:, self.free] += (
            self.scale * self.points[torch.from_numpy(self.rng.permutation(places)).to(self.best.device)]
        )
        return out


def _cut(theta: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """Whether samples [S, P] are as dense next to a bound as a quarter of a normal posterior's peak, bool
    [P]."""
    width = theta.std(0) * _NEXT
    beside = torch.maximum((theta - lower < width).double().mean(0), (upper - theta < width).double().mean(0))
    return (width > 0) & (beside > _DENSE * _NEXT / math.sqrt(2 * math.pi))


def _root(covariance: Tensor) -> Tensor:
    """A root of a covariance [D, D], its smallest variances lifted to what rounding leaves of them."""
    values, vectors = torch.linalg.eigh((covariance + covariance.mT) / 2)
    return vectors * values.clamp(min=_LEAST * float(values.max().clamp(min=1e-300))).sqrt()


def _log_density(points: Tensor, mean: Tensor, root: Tensor) -> Tensor:
    """Logarithm of the density of a Student t at points [M, D], but for what is the same for all."""
    off = torch.linalg.solve(root, (points - mean).mT)
    size = root.shape[0]
    return -(_DOF + size) / 2 * (off.square().sum(0) / _DOF).log1p() - torch.linalg.slogdet(root)[1]
