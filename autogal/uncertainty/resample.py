"""Fixed resamples of one galaxy's pixels: counts, or noise of another draw."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

__all__ = ["Residuals", "generator"]

# Different places a block must be able to come from; from a few, all replicates would look alike
_FEWEST_PLACES = 30


def generator(seed: int, name: str, replicate: int) -> np.random.Generator:
    """The random numbers of one replicate of one object: the same whatever else is resampled, and where.

    Parameters
    ----------
    seed : int
        Of the run, not negative.
    name : str
        Identifier of the object.
    replicate : int
    """
    words = np.frombuffer(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:16], np.uint32)
    return np.random.default_rng([seed, replicate, *words.tolist()])


@dataclass(frozen=True)
class Residuals:
    """What a fit left of one image, in units of the noise.

    Attributes
    ----------
    residual : ndarray, [H, W]
        (data - model) / sigma, 0 where a pixel is excluded.
    usable : ndarray of bool, [H, W]
        Pixels that were fitted.
    """

    residual: np.ndarray
    usable: np.ndarray

    def counts(self, rng: np.random.Generator) -> np.ndarray:
        """How often each pixel is drawn, [H, W] float32, of as many draws with replacement as there are
        usable pixels."""
        places = np.flatnonzero(self.usable)
        counts = np.zeros(self.usable.shape, np.float32)
        counts.flat[places] = np.bincount(rng.integers(len(places), size=len(places)), minlength=len(places))
        return counts

    def places(self, block: int) -> np.ndarray | None:
        """First row and column, [M, 2], of every square of 2 `block` pixels that holds no excluded one;
        None where they are too few."""
        side = 2 * block
        if min(self.usable.shape) < side:
            return None
        total = np.pad(np.cumsum(np.cumsum(~self.usable, 0), 1), ((1, 0), (1, 0)))
        excluded = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
        places = np.argwhere(excluded == 0)
        return places if len(places) >= _FEWEST_PLACES else None

    def blocks(self, places: np.ndarray, block: int, rng: np.random.Generator) -> np.ndarray:
        """Noise sewn together from pieces of the residuals, [H, W] float32: correlated as they are.

        Squares of 2 `block` pixels, each from a random one of `places`, overlap by half, and fade into one
        another with cosine windows whose squares add up to one, so that the variance is kept everywhere, and
        the covariance of pixels a lag d apart is about cos(pi d / 2 block) of the residuals' own along each
        axis; blocks with hard edges keep 1 - d / block (tapered block bootstrap, after Paparoditis & Politis
        2001, Biometrika 88, 1105). Where the squares lie is drawn too, so that no pixel is always near a
        seam.
        """
        (height, width), side = self.usable.shape, 2 * block
        top, left = rng.integers(block, size=2)
        rows, columns = -(-(height + top) // block) + 1, -(-(width + left) // block) + 1
        drawn = places[rng.integers(len(places), size=(rows, columns))]
        window = np.sin(np.pi * (np.arange(side) + 0.5) / side).astype(np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(self.residual, (side, side))
        pieces = windows[drawn[..., 0], drawn[..., 1]] * np.outer(window, window)
        sewn = np.zeros((rows + 1, columns + 1, block, block), np.float32)
        for i in (0, 1):
            for j in (0, 1):
                sewn[i : i + rows, j : j + columns] += pieces[
                    :, :, i * block : (i + 1) * block, j * block : (j + 1) * block
                ]
        whole = sewn.swapaxes(1, 2).reshape((rows + 1) * block, (columns + 1) * block)
        return whole[block + top : block + top + height, block + left : block + left + width]
