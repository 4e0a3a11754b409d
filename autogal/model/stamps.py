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

# Cutouts put into noise units together: few enough for a CPU's cache, enough to fill a GPU
_AT_ONCE = defaultdict(lambda: 1024, cpu=4)

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


def _gather(cutouts: Sequence[Cutout], height: int, width: int) -> tuple[Tensor, Tensor]:
    """Images and sigmas side by side; a sigma of 0 excludes a pixel."""
    kept = np.result_type(np.float32, *{c.image.dtype for c in cutouts}, *{c.sigma.dtype for c in cutouts})
    image, sigma = (np.zeros((len(cutouts), height, width), kept) for _ in range(2))
    for i, cutout in enumerate(cutouts):
        rows, columns = cutout.shape
        image[i, :rows, :columns] = cutout.image
        np.copyto(sigma[i, :rows, :columns], cutout.sigma, where=~cutout.mask)
    return torch.from_numpy(image), torch.from_numpy(sigma)


def _in_noise_units(image: Tensor, sigma: Tensor, pedestal: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Data, weight and scale of `Stamps`."""
    good = torch.isfinite(image) & torch.isfinite(sigma) & (sigma > 0)
    sample = torch.where(good, sigma, torch.nan).flatten(1)
    # a sample serves: the scale is only a unit
    scale = sample[:, :: max(1, sample.shape[1] // 1024)].nanmedian(-1).values
    scale = torch.where(torch.isnan(scale), sample.nanmedian(-1).values, scale).nan_to_num(1.0).double()
    unit = scale[:, None, None]
    return torch.where(good, (image - pedestal[:, None, None]) / unit, 0.0), torch.where(good, unit / sigma, 0.0), scale


def _content(array: np.ndarray) -> tuple:
    return array.shape, hashlib.blake2b(np.ascontiguousarray(array).tobytes(), digest_size=16).digest()


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
        psfs, index, seen = [], [], {}
        for cutout in cutouts:
            key = id(cutout.psf) if id(cutout.psf) in seen else _content(cutout.psf)
            if key not in seen:
                seen[key] = seen[id(cutout.psf)] = len(psfs)
                psfs.append(torch.as_tensor(np.ascontiguousarray(cutout.psf, dtype=np.float64)))
            index.append(seen[key])
        n = len(cutouts)
        data, weight = (torch.zeros((n, height, width), dtype=dtype, device=device) for _ in range(2))
        scale = torch.ones(n, dtype=torch.float64, device=device)
        pedestal = torch.as_tensor(np.asarray(pedestal, np.float64), device=device)
        for start in range(0, n, _AT_ONCE[device.type]):
            some = slice(start, start + _AT_ONCE[device.type])
            image, sigma = (v.to(device) for v in _gather(cutouts[some], height, width))
            data[some], weight[some], scale[some] = _in_noise_units(image, sigma, pedestal[some])
        shapes = torch.tensor([c.shape for c in cutouts], device=device)
        return cls(data, weight, scale, pedestal, shapes, psfs, torch.tensor(index, device=device), kind, oversample)

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
