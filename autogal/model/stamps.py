"""Cutouts made ready for the engine: tensors of one shape, in units of their own noise."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from autogal.images.cutout import Cutout
from autogal.model.grid import Grid

__all__ = ["Stamps", "bucket_key", "buckets", "usable_pixels"]


def bucket_key(cutout: Cutout) -> tuple:
    """What must be equal for cutouts to be drawn together: rounded shape and kind of PSF.

    It depends on the cutout alone, so a galaxy is fitted on the same grid whatever else is in the call.
    """
    return (*(_round_up(n) for n in cutout.shape), cutout.psf_kind, cutout.psf_oversample)


def buckets(cutouts: Sequence[Cutout]) -> dict[tuple, list[int]]:
    """Places of the cutouts of each bucket."""
    groups = defaultdict(list)
    for i, cutout in enumerate(cutouts):
        groups[bucket_key(cutout)].append(i)
    return groups


def usable_pixels(cutout: Cutout) -> np.ndarray:
    """Pixels that can be fitted, [H, W] bool."""
    with np.errstate(invalid="ignore"):
        return ~cutout.mask & np.isfinite(cutout.image) & np.isfinite(cutout.sigma) & (cutout.sigma > 0)


def _round_up(n: int) -> int:
    step = 8 if n <= 64 else 16 if n <= 256 else 64
    return step * math.ceil(n / step)


@dataclass
class Stamps:
    """Images of one bucket.

    Attributes
    ----------
    data : Tensor, [N, H, W]
        (image - pedestal) / scale, 0 where excluded.
    weight : Tensor, [N, H, W]
        scale / sigma, 0 where excluded or beyond the cutout's own edge.
    scale : Tensor, [N] float64
        Median sigma of the cutout, image units.
    pedestal : Tensor, [N] float64
        Sky level taken off before the numbers become float32, image units.
    shapes : Tensor, [N, 2] int
        Each cutout's own rows and columns.
    psfs : list of Tensor, [K, K'] float64
        The different PSFs among them.
    psf_index : Tensor, [N] int
    kind : str
        ``"effective"`` or ``"optical"``.
    oversample : int
    """

    data: Tensor
    weight: Tensor
    scale: Tensor
    pedestal: Tensor
    shapes: Tensor
    psfs: list[Tensor]
    psf_index: Tensor
    kind: str
    oversample: int

    @classmethod
    def from_cutouts(
        cls, cutouts: Sequence[Cutout], pedestal: np.ndarray, device: torch.device, dtype: torch.dtype
    ) -> Stamps:
        """Gather one bucket.

        Parameters
        ----------
        cutouts : sequence of Cutout
            All of one `bucket_key`, each with sigma and PSF.
        pedestal : ndarray, [N]
            About the sky level, image units.
        """
        height, width, kind, oversample = bucket_key(cutouts[0])
        data = np.zeros((len(cutouts), height, width), np.float64 if dtype == torch.float64 else np.float32)
        weight = np.zeros_like(data)
        scale = np.ones(len(cutouts))
        psfs, index, seen = [], [], {}
        for i, cutout in enumerate(cutouts):
            good = usable_pixels(cutout)
            rows, columns = cutout.shape
            sigma = np.asarray(cutout.sigma, np.float64)
            if good.any():
                scale[i] = np.median(sigma[good])
                data[i, :rows, :columns][good] = (cutout.image[good].astype(np.float64) - pedestal[i]) / scale[i]
                weight[i, :rows, :columns][good] = scale[i] / sigma[good]
            key = (cutout.psf.shape, hashlib.blake2b(np.ascontiguousarray(cutout.psf).tobytes(), digest_size=16).digest())
            if key not in seen:
                seen[key] = len(psfs)
                psfs.append(torch.as_tensor(np.ascontiguousarray(cutout.psf, dtype=np.float64)))
            index.append(seen[key])
        return cls(
            torch.from_numpy(data).to(device), torch.from_numpy(weight).to(device), torch.from_numpy(scale).to(device),
            torch.as_tensor(np.asarray(pedestal, np.float64), device=device),
            torch.tensor([c.shape for c in cutouts], device=device), psfs, torch.tensor(index, device=device), kind, oversample,
        )

    def __len__(self) -> int:
        return len(self.data)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the bucket."""
        return tuple(self.data.shape[1:])

    def select(self, keep: Tensor) -> Stamps:
        """The stamps at the places `keep`, [M] int; PSFs are shared, not copied."""
        return Stamps(self.data[keep], self.weight[keep], self.scale[keep], self.pedestal[keep], self.shapes[keep],
                      self.psfs, self.psf_index[keep], self.kind, self.oversample)

    def binned(self, binning: int) -> tuple[Tensor, Tensor]:
        """Data and weight averaged over `binning` x `binning` pixels, noise-weighted."""
        if binning == 1:
            return self.data, self.weight
        rows, columns = (-n % binning for n in self.shape)
        pad = lambda v: torch.nn.functional.pad(v, (0, columns, 0, rows))  # noqa: E731
        pool = lambda v: torch.nn.functional.avg_pool2d(pad(v)[:, None], binning)[:, 0] * binning**2  # noqa: E731
        squared = self.weight.square()
        total = pool(squared)
        return pool(squared * self.data) / total.clamp(min=1e-30), total.sqrt()

    def psf_transforms(self, grid: Grid, which: Tensor) -> Tensor:
        """Transfer functions of the PSFs at the places `which`, [M, Kx, Ky]."""
        by_shape = defaultdict(list)
        for i, place in enumerate(which.tolist()):
            by_shape[tuple(self.psfs[place].shape)].append((i, place))
        out = torch.empty((len(which), len(grid.kx), len(grid.ky)), dtype=grid.complex_dtype, device=grid.device)
        for pairs in by_shape.values():
            for start in range(0, len(pairs), 64):
                rows, places = zip(*pairs[start : start + 64])
                kernels = torch.stack([self.psfs[i] for i in places])
                out[list(rows)] = grid.psf_transform(kernels, self.kind == "optical", self.oversample)
        return out
