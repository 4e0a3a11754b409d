"""Cutouts made ready for the engine: tensors of one shape, in units of their own noise."""

from __future__ import annotations

import math
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from autogal.batch.batch_size import max_batch_size
from autogal.images.cutout import Cutout
from autogal.model.units import Units
from autogal.rendering.grid import Grid
from autogal.runtime.prefetch import prefetch, prefetch_threads

# Cutouts put into noise units together: few enough for a CPU's cache, enough to fill a GPU
_AT_ONCE = defaultdict(lambda: 1024, cpu=4)
_PSFS_AT_ONCE = 256
# and those that one thread copies before it looks for other work
_BY_ONE_THREAD = 64

# Of a GPU's free memory, what stamps may take: the rest is for drawing; and how many planes of its size a
# stamp takes with its weight, their binned copies, and the transfer functions of its PSF
_SHARE, _COPIES = 0.3, 8

__all__ = ["Stamps", "bucket_key", "buckets", "held_at_once", "in_counts", "usable_pixels"]


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


def held_at_once(key: tuple, device: torch.device, dtype: torch.dtype) -> int:
    """Stamps of a bucket that the memory of a device holds next to what it takes to draw them; on a CPU,
    all there are."""
    if device.type != "cuda":
        return sys.maxsize
    height, width, *_ = key
    return max_batch_size(device, _SHARE, _COPIES * height * width * dtype.itemsize, height * width)


def usable_pixels(cutout: Cutout) -> np.ndarray:
    """Pixels that can be fitted, [H, W] bool."""
    with np.errstate(invalid="ignore"):
        return ~cutout.mask & np.isfinite(cutout.image) & np.isfinite(cutout.sigma) & (cutout.sigma > 0)


def in_counts(cutout: Cutout) -> Cutout:
    """The same cutout with a noise map of one count everywhere: its stamp is in counts, and every pixel
    weighs the same.

    Counts are image units times the gain, or image units where no gain is known.
    """
    unit = np.asarray(1 / (cutout.gain or 1.0), cutout.image.dtype)
    return replace(cutout, sigma=np.broadcast_to(unit, cutout.shape))


def _gather(
    cutouts: Sequence[Cutout], height: int, width: int, pinned: bool
) -> list[Callable[[], tuple[Tensor, Tensor, Tensor]]]:
    """Tasks that put images, sigmas and masks side by side, each its part; what lies beyond a cutout's own
    edge is masked."""
    numbers = np.result_type(np.float32, *{c.image.dtype for c in cutouts}, *{c.sigma.dtype for c in cutouts})
    size = len(cutouts), height, width
    types = (torch.from_numpy(np.empty(0, numbers)).dtype,) * 2 + (torch.bool,)
    planes = tuple(torch.empty(size, dtype=dtype, pin_memory=pinned) for dtype in types)
    if any(cutout.image.shape != (height, width) for cutout in cutouts):
        planes[2].fill_(True)
    return [
        partial(_copy, cutouts[first : first + _BY_ONE_THREAD], first, planes)
        for first in range(0, len(cutouts), _BY_ONE_THREAD)
    ]


def _copy(
    cutouts: Sequence[Cutout], first: int, planes: tuple[Tensor, Tensor, Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    image, sigma, mask = (plane.numpy() for plane in planes)
    for i, cutout in enumerate(cutouts, first):
        rows, columns = cutout.image.shape
        image[i, :rows, :columns], sigma[i, :rows, :columns], mask[i, :rows, :columns] = (
            cutout.image,
            cutout.sigma,
            cutout.mask,
        )
    return planes


def _in_noise_units(
    image: Tensor, sigma: Tensor, mask: Tensor, pedestal: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Data, weight, scale and number of usable pixels of `Stamps`."""
    good = torch.isfinite(image) & torch.isfinite(sigma) & (sigma > 0) & ~mask
    known = lambda step: torch.where(good.flatten(1)[:, ::step], sigma.flatten(1)[:, ::step], torch.nan)
    # a sample serves: the scale is only a unit
    scale = known(max(1, image[0].numel() // 1024)).nanmedian(-1).values
    if scale.isnan().any():
        scale = torch.where(scale.isnan(), known(1).nanmedian(-1).values, scale)
    scale = scale.nan_to_num(1.0).double()
    unit = scale[:, None, None]
    return (
        torch.where(good, (image - pedestal[:, None, None]) / unit, 0.0),
        torch.where(good, unit / sigma, 0.0),
        scale,
        good.flatten(1).sum(-1),
    )


def _different_psfs(cutouts: Sequence[Cutout]) -> tuple[list[np.ndarray], list[int]]:
    """The different PSFs, those of one shape in one stack, and which of them all each cutout has."""
    different, places, alike, which = [], {}, defaultdict(list), []
    for psf in (cutout.psf for cutout in cutouts):
        if id(psf) not in places:
            # equal PSFs that came in different arrays: the middle row finds them, all pixels decide
            same = alike[psf.shape, psf[len(psf) // 2].tobytes()]
            place = next((place for place in same if np.array_equal(different[place], psf)), len(different))
            if place == len(different):
                different.append(psf)
                same.append(place)
            places[id(psf)] = place
        which.append(places[id(psf)])
    groups = defaultdict(list)
    for place, psf in enumerate(different):
        groups[psf.shape].append(place)
    rank = {place: i for i, place in enumerate(place for group in groups.values() for place in group)}
    stacks = [np.stack([different[place] for place in group], dtype=np.float64) for group in groups.values()]
    return stacks, [rank[place] for place in which]


def _correlations(cutouts: Sequence[Cutout], device: torch.device) -> Tensor | None:
    """Covariances of the noise by lag, [N, L, L]; None where all pixels are independent."""
    known = [cutout.noise.covariance for cutout in cutouts]
    shape = max((one.shape for one in known if one is not None), default=None)
    if shape is None:
        return None
    out = np.zeros((len(known), *shape))
    for matrix, one in zip(out, known):
        rows, columns = (1, 1) if one is None else one.shape
        first = (shape[0] - rows) // 2, (shape[1] - columns) // 2
        matrix[first[0] : first[0] + rows, first[1] : first[1] + columns] = 1.0 if one is None else one
    return torch.from_numpy(out).to(device)


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
    zeropoint : Tensor, [N] float64
        Magnitude of unit flux in the units of `data`.
    usable : Tensor, [N] int
        Pixels that can be fitted.
    psfs : list of Tensor, [M, K, K'] float64
        The different PSFs among them, those of one shape in one stack.
    psf_index : Tensor, [N] int
        Which of them each has, counted through all stacks.
    kind : str
        ``"effective"`` or ``"optical"``.
    oversample : int
    to_centre : Tensor, [N, 2] float64
        From the centre of the stamp to that of the whole image, x and y, pixels.
    correlation : Tensor, [N, L, L], optional
        Covariance of pixels by lag in y and x, in units of their variance in the noise map, where the noise
        of any is correlated.
    whiten : bool
        Whether chi-square is that of correlated noise, each frequency weighed by the noise's power there.
    times : Tensor, [N, H, W], optional
        How often each pixel counts, of resamples; once by default. Under a Gaussian likelihood the weight
        says that too.
    moved : Tensor, [N, R] float64, optional
        How far the means of the model's priors are moved, of resamples, in standard deviations.
    """

    data: Tensor
    weight: Tensor
    scale: Tensor
    pedestal: Tensor
    zeropoint: Tensor
    usable: Tensor
    psfs: list[Tensor]
    psf_index: Tensor
    kind: str
    oversample: int
    to_centre: Tensor
    correlation: Tensor | None = None
    whiten: bool = False
    times: Tensor | None = None
    moved: Tensor | None = None

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
        n = len(cutouts)
        data, weight = (torch.zeros((n, height, width), dtype=dtype, device=device) for _ in range(2))
        scale = torch.ones(n, dtype=torch.float64, device=device)
        usable = torch.zeros(n, dtype=torch.long, device=device)
        pedestal = torch.as_tensor(np.asarray(pedestal, np.float64), device=device)
        at_once, pinned = _AT_ONCE[device.type], device.type == "cuda"
        groups = [slice(first, first + at_once) for first in range(0, n, at_once)]
        copies = (_gather(cutouts[some], height, width, pinned) for some in groups)
        with closing(prefetch(copies, prefetch_threads(device) if pinned else 0)) as gathered:
            for some, (planes, *_) in zip(groups, gathered):
                planes = (plane.to(device, non_blocking=True) for plane in planes)
                data[some], weight[some], scale[some], usable[some] = _in_noise_units(*planes, pedestal[some])
        stacks, index = _different_psfs(cutouts)
        psfs = [torch.from_numpy(stack).to(device) for stack in stacks]
        zeropoint = torch.tensor(
            [cutout.zeropoint for cutout in cutouts], dtype=torch.float64, device=device
        ) - 2.5 * torch.log10(scale)
        to_centre = [
            [far + (own - n) / 2 for far, own, n in zip(c.to_centre, c.shape[::-1], (width, height))]
            for c in cutouts
        ]
        return cls(
            data,
            weight,
            scale,
            pedestal,
            zeropoint,
            usable,
            psfs,
            torch.tensor(index, device=device),
            kind,
            oversample,
            torch.tensor(to_centre, dtype=torch.float64, device=device),
            _correlations(cutouts, device),
        )

    def __len__(self) -> int:
        return len(self.data)

    @property
    def units(self) -> Units:
        """Those of `data`, in the catalogue's."""
        return Units(self.zeropoint, self.scale, self.pedestal, self.to_centre)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the bucket."""
        return tuple(self.data.shape[1:])

    def select(self, keep: Tensor) -> Stamps:
        """The stamps at the places `keep`, [M] int; PSFs are shared, not copied."""
        return Stamps(
            self.data[keep],
            self.weight[keep],
            self.scale[keep],
            self.pedestal[keep],
            self.zeropoint[keep],
            self.usable[keep],
            self.psfs,
            self.psf_index[keep],
            self.kind,
            self.oversample,
            self.to_centre[keep],
            whiten=self.whiten,
            **{
                name: value[keep]
                for name in ("correlation", "times", "moved")
                if (value := getattr(self, name)) is not None
            },
        )

    def binned(self, binning: int) -> tuple[Tensor, Tensor]:
        """Data and weight averaged over `binning` x `binning` pixels, noise-weighted."""
        if binning == 1:
            return self.data, self.weight
        rows, columns = (-n % binning for n in self.shape)
        pad = lambda v: torch.nn.functional.pad(v, (0, columns, 0, rows))
        pool = lambda v: torch.nn.functional.avg_pool2d(pad(v)[:, None], binning)[:, 0] * binning**2
        squared = self.weight.square()
        total = pool(squared)
        return pool(squared * self.data) / total.clamp(min=1e-30), total.sqrt()

    def psf_transforms(self, grid: Grid, which: Tensor) -> Tensor:
        """Transfer functions of the PSFs at the places `which`, [M, Kx, Ky]."""
        out = torch.empty(
            (len(which), len(grid.kx), len(grid.ky)), dtype=grid.complex_dtype, device=grid.device
        )
        first = 0
        for stack in self.psfs:
            rows = ((which >= first) & (which < first + len(stack))).nonzero()[:, 0]
            for some in rows.split(_PSFS_AT_ONCE):
                out[some] = grid.psf_transform(
                    stack[which[some] - first], self.kind == "optical", self.oversample
                )
            first += len(stack)
        return out
