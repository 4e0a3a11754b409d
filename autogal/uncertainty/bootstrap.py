"""The bootstrap: the scatter of fits to resamples of the same image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from autogal.batch.bucket import Bucket
from autogal.batch.stamps import Stamps, held_at_once
from autogal.errors import AutogalError
from autogal.likelihood import Gaussian, Likelihood
from autogal.model.fit_model import FitModel
from autogal.solvers import Solver, Status
from autogal.uncertainty.resample import Residuals, generator

__all__ = ["KINDS", "Bootstrap", "replicate_covariance"]

#: What is resampled; see `Bootstrap`
KINDS = ("auto", "pixel", "block", "parametric")

# Bytes of the resampled images held at a time
_HELD = 128 << 20
# Sizes and shapes farther from their median than so many half widths count as just so far, and what that
# takes off a normal scatter
_FAR, _KEPT = 2.0, 0.959446
# A replicate has converged when its next step would gain less than this in chi-square; that step is still
# taken, so what is left is far below the scatter that is asked for
_TOLERANCE = 0.02
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Bootstrap:
    """Resamples of images and the fits to them.

    Attributes
    ----------
    replicates : int
        Resamples of each galaxy.
    kind : str
        ``auto``: ``block`` where the noise of the image was found to be correlated, its blocks at least twice
        as far apart as the correlation reaches, and ``pixel`` elsewhere. ``pixel``: pixels drawn with
        replacement, each time as many as there are; right for independent noise, whether or not sigma is.
        ``block``: the model and its own residuals, moved about in blocks; right for noise correlated over
        less than a block, where the residuals are noise. ``parametric``: the model and noise drawn from
        sigma; right where sigma is and the noise is independent.
    block : int
        How far apart the blocks are, pixels; each is twice as wide and fades into its neighbours.
    seed : int
    keep : bool
        Whether the catalogue is to hold the replicates themselves.
    """

    replicates: int = 100
    kind: str = "auto"
    block: int = 5
    seed: int = 0
    keep: bool = False

    def __post_init__(self):
        if self.kind not in KINDS:
            raise AutogalError(
                f"uncertainty.kind={self.kind} is not possible.", f"Choose one of: {', '.join(KINDS)}."
            )
        if self.replicates < 2:
            raise AutogalError(
                f"uncertainty.replicates={self.replicates} is not possible: one fit has no scatter.",
                "Give at least 2; from 100, an error is known to 7 %.",
            )
        if self.block < 1:
            raise AutogalError(
                f"uncertainty.block={self.block} is not possible.",
                "Give the blocks' distance in pixels, at least 1.",
            )
        if self.seed < 0:
            raise AutogalError(
                f"seed={self.seed} is not possible with the bootstrap.", "Give a seed of zero or above."
            )

    def for_noise(self, reach: int) -> Bootstrap:
        """What ``auto`` means for noise that is correlated over `reach` pixels, 0 where it is not.

        Parameters
        ----------
        reach : int
        """
        if self.kind != "auto":
            return self
        return (
            replace(self, kind="block", block=max(self.block, 2 * reach))
            if reach
            else replace(self, kind="pixel")
        )

    def fits(
        self,
        model: FitModel,
        stamps: Stamps,
        best: Tensor,
        names: Sequence[str],
        solver: Solver,
        threads: int,
        likelihood: Likelihood = Gaussian(),
    ) -> Tensor:
        """Best fits to the resamples of each stamp.

        Every resample is drawn once and kept for the whole of its fit. A prior is one more measurement, so
        its mean is drawn anew too; without that, what the prior alone decides would have no scatter
        (randomised maximum likelihood, Oliver, He & Reynolds 1996, which is exact where the model is linear).
        A resample depends on the object's name and the number of the replicate alone, and so does the fit,
        whatever others are in the call.

        Parameters
        ----------
        model : FitModel
        stamps : Stamps
            N of them.
        best : Tensor, [N, P] float64
            Free vectors of the best fits, from which those to the resamples start.
        names : sequence of str, length N
        solver : Solver
        threads : int
        likelihood : Likelihood

        Returns
        -------
        Tensor, [N, R, P] float64
            NaN where a fit did not converge, or where the image has no room for blocks.
        """
        count, device = self.replicates, best.device
        everything = torch.arange(len(stamps), device=device)
        original = Bucket(model, stamps, solver, threads, likelihood)
        grid_level = original.grid_level(best, everything)
        residual = original.residuals(best, everything, grid_level)
        images = [Residuals(*pair) for pair in zip(residual.cpu().numpy(), (stamps.weight > 0).cpu().numpy())]
        models = (stamps.data - torch.where(stamps.weight > 0, residual / stamps.weight, 0.0)).cpu().numpy()
        del original
        out = torch.full((len(stamps) * count, best.shape[1]), torch.nan, dtype=torch.float64, device=device)
        places = [image.places(self.block) if self.kind == "block" else np.empty(0) for image in images]
        pairs = torch.tensor(
            [i * count + r for i, where in enumerate(places) if where is not None for r in range(count)],
            dtype=torch.long,
            device=device,
        )
        most = max(
            1,
            min(_HELD // (2 * stamps.data[0].nbytes), held_at_once(stamps.shape, device, stamps.data.dtype)),
        )
        for some in pairs.split(most) if len(pairs) else ():
            items = some // count
            rngs = [generator(self.seed, names[pair // count], pair % count) for pair in some.tolist()]
            drawn = np.stack(
                [
                    self._draw(images[i], models[i], places[i], likelihood, rng)
                    for i, rng in zip(items.tolist(), rngs)
                ]
            )
            resampled = self._resampled(stamps, items, residual, torch.from_numpy(drawn), likelihood)
            if model.prior_terms:
                resampled.moved = torch.from_numpy(
                    np.stack([rng.standard_normal(len(model.prior_terms)) for rng in rngs])
                ).to(device)
            fitted = Bucket(model, resampled, solver, threads, likelihood).refit(
                best[items], grid_level[items], _TOLERANCE
            )
            good = (fitted.status == Status.CONVERGED) & torch.isfinite(fitted.theta).all(-1)
            out[some] = torch.where(good[:, None], fitted.theta, torch.nan)
        return out.reshape(len(stamps), count, -1)

    def _draw(
        self,
        image: Residuals,
        model: np.ndarray,
        places: np.ndarray,
        likelihood: Likelihood,
        rng: np.random.Generator,
    ) -> np.ndarray:
        match self.kind:
            case "pixel":
                return image.counts(rng)
            case "block":
                return image.blocks(places, self.block, rng)
        return likelihood.draw(model, image.usable, rng)

    def _resampled(
        self, stamps: Stamps, items: Tensor, residual: Tensor, drawn: Tensor, likelihood: Likelihood
    ) -> Stamps:
        """Stamps with their weights by the counts of pixels, or with their residuals exchanged."""
        out, drawn = stamps.select(items), drawn.to(stamps.data)
        if self.kind == "pixel" and not likelihood.quadratic:
            out.times = drawn
        elif self.kind == "pixel":
            out.weight *= (
                drawn.sqrt()
            )  # chi-square has the weight squared: each pixel counts as often as it was drawn
        else:
            out.data += torch.where(out.weight > 0, (drawn - residual[items]) / out.weight, 0.0)
        return out


def replicate_covariance(
    best: Tensor,
    replicates: Tensor,
    angles: Sequence[tuple[int, float, Sequence[int]]],
    loose: Sequence[int] = (),
) -> Tensor:
    """Covariance of the replicates about their mean.

    A component that a few resamples all but lose can have any size and shape in them, and such sizes have no
    variance. These are therefore drawn in (Winsorised: Tukey 1962, Ann. Math. Stat. 33, 1, section 14) to two
    half widths of their central 68.3 % about the median, and their scatter is divided by what is left of a
    normal one.

    Parameters
    ----------
    best : Tensor, [N, V] float64
    replicates : Tensor, [N, R, V] float64
        NaN in those that failed, which are left out.
    angles : sequence of (int, float, sequence of int)
        Columns of angles, the degrees after which each is the same, so that the nearest to `best` counts, and
        the columns of angles that are counted from it.
    loose : sequence of int
        Columns of sizes and shapes.

    Returns
    -------
    Tensor, [N, V, V] float64
        NaN where fewer than two replicates are left.
    """
    moved = replicates - best[:, None]
    for column, turn, followers in angles:
        turned = turn * torch.round(moved[..., column] / turn)
        for other in (column, *followers):
            moved[..., other] -= turned
    good = torch.isfinite(moved).all(-1)
    loose = list(loose)
    if loose:
        moved[..., loose] = _drawn_in(torch.where(good[..., None], moved[..., loose], torch.nan)) / _KEPT
    count = good.sum(-1)[:, None]
    # what is fixed has no scatter, not that of rounding
    moved = torch.where(good[..., None] & (moved.abs() > _ROUNDING * best.abs()[:, None]), moved, 0.0)
    moved = torch.where(good[..., None], moved - (moved.sum(1) / count.clamp(min=1))[:, None], 0.0)
    matrix = moved.mT @ moved / (count.clamp(min=2)[..., None] - 1)
    return torch.where((count >= 2)[..., None], matrix, torch.nan)


def _drawn_in(values: Tensor) -> Tensor:
    low, middle, high = torch.nanquantile(
        values, values.new_tensor([0.158655, 0.5, 0.841345]), dim=1, keepdim=True
    )
    reach = _FAR * (high - low) / 2
    return values.clamp(middle - reach, middle + reach)
