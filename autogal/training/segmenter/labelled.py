"""Training examples of the segmentation network from the user's own images."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import track
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad
from torch.utils.data import IterableDataset

from autogal.configuration.composing import compose
from autogal.errors import AutogalError
from autogal.images import Cutout, Options, find_entries, load, sky_statistics
from autogal.segment.network.architecture import OTHER, TARGET
from autogal.segment.network.channels import SMALLEST, STRIDE, binned, binning
from autogal.segment.segmentation import wanted_position
from autogal.training.own_images import check_enough, own_steps, set_aside
from autogal.training.segmenter.labels import Labeller, build_labeller

__all__ = ["Labelled", "LabelledBatch", "LabelledStamp", "labelled_stamps", "validation_batches"]

_log = logging.getLogger(__name__)

_FEWEST = 5  # px of a target that can be used


@dataclass(frozen=True, slots=True, eq=False)
class LabelledStamp:
    """One image as the network is to see it: in units of its noise, the sky taken off, no larger than the
    network takes.

    Attributes
    ----------
    image, sigma : Tensor, [H, W] float32
        The sides are multiples of `STRIDE`; what was added is masked.
    mask : Tensor, [H, W] bool
    centre : (x, y)
        Where the target is expected.
    packed : ndarray of uint8, [K, H W / 8]
        Pixels of each source, the target first, eight to a byte: hundreds of images stay in memory.
    """

    image: Tensor
    sigma: Tensor
    mask: Tensor
    centre: tuple[float, float]
    packed: np.ndarray

    @property
    def instances(self) -> Tensor:
        """Pixels of each source, bool [K, H, W]."""
        return torch.from_numpy(
            np.unpackbits(self.packed, axis=1).reshape(-1, *self.image.shape).astype(bool)
        )


@dataclass(slots=True)
class LabelledBatch:
    """B stamps of one shape, with what a `SceneBatch` says of them that the network learns from.

    Attributes
    ----------
    image, sigma, mask : Tensor, [B, H, W]
    centre : Tensor, [B, 2]
    instances, classes : list of Tensor
        As of a `SceneBatch`.
    """

    image: Tensor
    sigma: Tensor
    mask: Tensor
    centre: Tensor
    instances: list[Tensor]
    classes: list[Tensor]

    @classmethod
    def of(cls, stamps: Sequence[LabelledStamp]) -> LabelledBatch:
        """Stamps of one shape as a batch."""
        image, sigma, mask = (
            torch.stack([getattr(stamp, name) for stamp in stamps]) for name in ("image", "sigma", "mask")
        )
        instances = [stamp.instances for stamp in stamps]
        classes = [torch.tensor([TARGET] + [OTHER] * (len(masks) - 1)) for masks in instances]
        return cls(image, sigma, mask, torch.tensor([stamp.centre for stamp in stamps]), instances, classes)

    @property
    def light(self) -> Tensor:
        """The image: its sky was taken off before."""
        return self.image

    @property
    def findable(self) -> Tensor:
        """All: whoever labelled the targets has found them."""
        return torch.ones(len(self.image), dtype=torch.bool)

    def to(self, device: torch.device | str, **_) -> LabelledBatch:
        """The same batch on another device."""
        whole = (part.to(device) for part in (self.image, self.sigma, self.mask, self.centre))
        return LabelledBatch(
            *whole, *([one.to(device) for one in many] for many in (self.instances, self.classes))
        )


class Labelled(IterableDataset):
    """Batches of the same stamps again and again, in an order that only seed and step decide.

    Parameters
    ----------
    stamps : sequence of LabelledStamp
        Of any shapes; those of a batch have one, and each stamp comes as often as any other.
    batch : int
    first, rank, world : int
        Step to begin with, and the process.
    seed : int
    """

    def __init__(
        self,
        stamps: Sequence[LabelledStamp],
        batch: int,
        first: int = 0,
        rank: int = 0,
        world: int = 1,
        seed: int = 0,
    ):
        self.stamps, self.batch, self.first, self.rank, self.world, self.seed = (
            stamps,
            batch,
            first,
            rank,
            world,
            seed,
        )

    def __iter__(self) -> Iterator[LabelledBatch]:
        groups = _by_shape(self.stamps)
        shares = torch.tensor([float(len(group)) for group in groups])
        for step in own_steps(self.first, self.rank, self.world):
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
            group = groups[int(torch.multinomial(shares, 1, generator=generator))]
            chosen = torch.randint(len(group), (self.batch,), generator=generator).tolist()
            yield LabelledBatch.of([group[i] for i in chosen])


def validation_batches(
    stamps: Sequence[LabelledStamp], batch: int, rank: int = 0, world: int = 1
) -> list[LabelledBatch]:
    """All stamps once, shared out between processes; every process has a batch, or those without would be
    waited for.

    Parameters
    ----------
    stamps : sequence of LabelledStamp
    batch : int
    rank, world : int
        The process, and how many there are.

    Returns
    -------
    list of LabelledBatch
    """
    parts = [
        group[first : first + batch] for group in _by_shape(stamps) for first in range(0, len(group), batch)
    ]
    return [LabelledBatch.of(part) for part in parts[rank::world] or parts[:1]]


def labelled_stamps(settings: DictConfig) -> tuple[list[LabelledStamp], list[LabelledStamp]]:
    """Stamps for training and for validation from ``settings.data`` and ``settings.labels``.

    Images that cannot be read, are smaller than 32 px or have no usable target are left out, and the log says
    why.

    Parameters
    ----------
    settings : DictConfig
        From ``conf/train.yaml``.

    Returns
    -------
    training, validation : list of LabelledStamp

    Raises
    ------
    AutogalError
        Where there are no images, no such labels, or too few of the images are usable.
    """
    fit = OmegaConf.merge(compose(overrides=["segment=sep"]), {"survey": settings.survey})
    label = build_labeller(settings.labels, fit.segment)
    entries, options = find_entries([settings.data]), Options.from_settings(fit)
    stamps = {}
    console = Console(stderr=True)
    for entry in track(
        entries, "Labelling", console=console, disable=not console.is_terminal, transient=True
    ):
        try:
            stamps[entry.id] = _stamp(load(entry, options), label)
        except AutogalError as problem:
            _log.warning("%s is left out: %s", entry.id, problem.what)
    _log.info("%d of %d images have a usable target", len(stamps), len(entries))
    check_enough(len(stamps))
    aside = set_aside(list(stamps)).tolist()
    return tuple(
        [stamp for stamp, is_aside in zip(stamps.values(), aside, strict=True) if is_aside == side]
        for side in (False, True)
    )


def _stamp(cutout: Cutout, label: Labeller) -> LabelledStamp:
    """The stamp of a cutout; raises `AutogalError` with the reason where there is nothing to learn from
    it."""
    if cutout.error is not None:
        raise AutogalError(cutout.error)
    if min(cutout.shape) < SMALLEST:
        raise AutogalError(f"it is smaller than {SMALLEST} px")
    masks = label(cutout)
    level = sky_statistics(cutout.image, cutout.mask)[0]
    factor = binning(cutout.shape)
    image, sigma, mask = (
        torch.from_numpy(np.asarray(part, kind))[None]
        for part, kind in (
            (cutout.image - (level if np.isfinite(level) else 0.0), np.float64),
            (cutout.sigma, np.float64),
            (cutout.mask, bool),
        )
    )
    instances = torch.from_numpy(masks)
    if factor > 1:
        image, sigma, mask = binned(image, sigma, mask, factor)
        rows, columns = (-side % factor for side in cutout.shape)
        instances = avg_pool2d(pad(instances.float(), (0, columns, 0, rows)), factor) >= 0.5
    good = ~mask & torch.isfinite(image) & torch.isfinite(sigma) & (sigma > 0)
    usable = int((instances[0] & good[0]).sum())
    if usable < _FEWEST:
        raise AutogalError(f"its target has {usable} usable pixels")
    unit = sigma[good].median()
    image, sigma = torch.where(good, image / unit, 0.0), torch.where(good, sigma / unit, 1.0)
    x, y = ((place - (factor - 1) / 2) / factor for place in wanted_position(cutout))
    rows, columns = (-side % STRIDE for side in image.shape[1:])
    border = (0, columns, 0, rows)
    image, sigma, mask = (
        pad(image, border)[0],
        pad(sigma, border, value=1.0)[0],
        pad(~good, border, value=True)[0],
    )
    instances = pad(instances[instances.any(dim=(1, 2))], border)
    return LabelledStamp(
        image.float(), sigma.float(), mask, (x, y), np.packbits(instances.flatten(1).numpy(), axis=1)
    )


def _by_shape(stamps: Sequence[LabelledStamp]) -> list[list[LabelledStamp]]:
    groups: dict[tuple[int, ...], list[LabelledStamp]] = defaultdict(list)
    for stamp in stamps:
        groups[tuple(stamp.image.shape)].append(stamp)
    return list(groups.values())
