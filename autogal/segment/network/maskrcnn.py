"""Segmentation by Mask R-CNN, many stamps of any sizes at a time."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torchvision.models.detection import MaskRCNN

from autogal.errors import AutogalError
from autogal.flags import Flag
from autogal.images import estimate_sigma
from autogal.images.cutout import Cutout
from autogal.networks.ready import trained
from autogal.runtime.memory import in_pieces
from autogal.segment.classical.detection import Field, prepare_field
from autogal.segment.classical.sep import segment_with_sep
from autogal.segment.footprints import segment_footprints
from autogal.segment.network.architecture import CLASSES, VERSION, build_network
from autogal.segment.network.channels import CHANNELS, LARGEST, SMALLEST, binned, binning, input_channels
from autogal.segment.network.detections import choose_sources
from autogal.segment.network.fields import Box, put_back, window_of
from autogal.segment.pieces import join_pieces
from autogal.segment.segmentation import Segmentation, wanted_position
from autogal.segment.sources import Sources
from autogal.segment.target import is_significant

__all__ = ["TASK", "load_network", "segment_with_maskrcnn"]

log = logging.getLogger(__name__)

TASK = "segmenter"

_WIDER = 3.0  # PSF widths; the smoothing that brings out faint extended targets
_DISAGREE = 0.05  # of the target's pixels: two looks that differ by more may lead to other values
_PIXELS = {"cpu": 2**18, "cuda": 2**23}  # at a time


def segment_with_maskrcnn(
    cutouts: Sequence[Cutout], settings, device: torch.device | str = "cpu"
) -> list[Segmentation]:
    """Find the targets and mask their neighbours with the network.

    Where the network finds no target, or one that may be noise, or the stamp is smaller than 32 px,
    SExtractor's way is taken and the flag MASK_FALLBACK set. On an image larger than 1024 px the network
    looks at 512 px around the target's place, and the sources outside are SExtractor's. What is found on one
    cutout does not depend on the others.

    Parameters
    ----------
    cutouts : sequence of Cutout
        With images.
    settings
        Node with ``checkpoints`` (folder or null), ``survey``, ``band``, ``score`` (least score of a
        neighbour), ``target_score`` and all of `segment_with_sep`.
    device : torch.device or str

    Returns
    -------
    list of Segmentation
        In order.

    Raises
    ------
    AutogalError
        Where there is no checkpoint, or one that cannot be used.
    """
    device = torch.device(device)
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    boxes = [window_of(cutout) for cutout in cutouts]
    seen = [cutout.window(*box) for cutout, box in zip(cutouts, boxes)]
    small = [i for i, part in enumerate(seen) if min(part.shape) < SMALLEST]
    for i in sorted(set(range(len(cutouts))).difference(small)):
        groups[seen[i].shape].append(i)
    found: dict[int, Segmentation] = {
        i: _fall_back(cutouts[i], settings, f"smaller than {SMALLEST} px") for i in small
    }
    full: set[int] = set()  # of those that a GPU had no memory for
    for shape, members in groups.items():
        network = load_network(settings, min(shape), device)

        def on_cpu(i: int, shape=shape) -> tuple[Sources, Sources | None]:
            cpu = torch.device("cpu")
            full.add(i)
            return _detect([seen[i]], load_network(settings, min(shape), cpu), settings, cpu)[0]

        at_once = max(1, _PIXELS.get(device.type, 2**22) // min(shape[0] * shape[1], LARGEST**2))
        for first in range(0, len(members), at_once):
            chunk = members[first : first + at_once]
            detected = in_pieces(
                lambda some, network=network: _detect([seen[i] for i in some], network, settings, device),
                chunk,
                on_cpu,
            )
            for i, looks in zip(chunk, detected, strict=True):
                found[i] = _finish(cutouts[i], boxes[i], *looks, settings)
    for i in full:
        found[i].notes.append("Segmented on the CPU: the GPU's memory was full.")
    return [found[i] for i in range(len(cutouts))]


def load_network(settings, size: int, device: torch.device) -> MaskRCNN:
    """The segmenter for stamps whose shorter side is `size` px; see `autogal.networks.ready.trained`.

    Parameters
    ----------
    settings
        Node ``segment`` with ``checkpoints``, ``survey`` and ``band``.
    size : int
        px.
    device : torch.device

    Returns
    -------
    MaskRCNN
        In evaluation mode.

    Raises
    ------
    AutogalError
        Where there is no checkpoint, or one that cannot be used.
    """
    return trained(
        build_network,
        TASK,
        "segment=maskrcnn",
        "segment=sep",
        settings,
        size,
        device,
        version=VERSION,
        channels=list(CHANNELS),
        classes=list(CLASSES),
    )


@torch.inference_mode()
def _detect(
    cutouts: list[Cutout], network: MaskRCNN, settings, device: torch.device
) -> list[tuple[Sources, Sources | None]]:
    """Sources of stamps of one shape, and what a second look had of them where there was one."""
    # float64 until the sky is off: a pedestal of 1e6 would cost float32 its digits
    images = torch.from_numpy(np.stack([np.asarray(cutout.image, np.float64) for cutout in cutouts]))
    sigmas = torch.from_numpy(np.stack([np.asarray(_sigma(cutout), np.float64) for cutout in cutouts]))
    masks = torch.from_numpy(np.stack([cutout.mask for cutout in cutouts]))
    centres = torch.tensor([wanted_position(cutout) for cutout in cutouts], dtype=torch.float32)
    factor = binning(images.shape[1:])
    parts = [part.to(device) for part in (images, sigmas, masks)]
    if factor > 1:
        parts = binned(*parts, factor)
        centres = (centres - (factor - 1) / 2) / factor
    sources = _find_sources(parts, centres, network, settings)
    # the network does not see the same in an image and in its mirror image: where it may be wrong, the surer
    # of both views counts
    others: list[Sources | None] = [None] * len(sources)
    doubtful = [k for k, one in enumerate(sources) if one.are_doubtful]
    if doubtful:
        mirrored = _find_sources(
            [part[doubtful].mT for part in parts], centres[doubtful].flip(-1), network, settings
        )
        for k, one in zip(doubtful, mirrored, strict=True):
            others[k] = one.transposed
            if one.score > sources[k].score:
                sources[k], others[k] = others[k], sources[k]
    if factor > 1:
        sources, others = (
            [one and _enlarged(one, factor, images.shape[1:]) for one in some] for some in (sources, others)
        )
    return list(zip(sources, others, strict=True))


def _find_sources(parts: Sequence[Tensor], centres: Tensor, network: MaskRCNN, settings) -> list[Sources]:
    """Sources of images with their sigmas and masks, [B, H, W] each; `centres` [B, 2] are where the
    targets should be."""
    stamps, shape = input_channels(*parts, centres.to(parts[0].device)), tuple(parts[0].shape[1:])
    return [
        choose_sources(
            {name: value.cpu() for name, value in result.items()},
            tuple(centre),
            shape,
            settings.score,
            settings.target_score,
        )
        for result, centre in zip(network(list(stamps)), centres.tolist(), strict=True)
    ]


def _sigma(cutout: Cutout) -> np.ndarray:
    if cutout.sigma is not None:
        return cutout.sigma
    try:
        return estimate_sigma(cutout.image, cutout.mask, cutout.gain)[0]
    except (
        AutogalError
    ):  # no pixel is usable: the network sees empty sky, and the classical way says why it cannot go on
        return np.full(cutout.shape, np.nan)


def _enlarged(sources: Sources, factor: int, shape: tuple[int, int]) -> Sources:
    """The sources of a binned stamp on its original pixels."""

    def enlarge(masks: Tensor) -> Tensor:
        return masks.repeat_interleave(factor, -1).repeat_interleave(factor, -2)[..., : shape[0], : shape[1]]

    return Sources(enlarge(sources.target), enlarge(sources.neighbours), sources.score, sources.scores)


def _finish(cutout: Cutout, box: Box, sources: Sources, other: Sources | None, settings) -> Segmentation:
    """The segmentation of what was found in the window `box`; by sep where no pixel is the target's, or
    noise would show as much."""
    part = cutout.window(*box)
    field = prepare_field(part)
    labels = sources.labels().numpy() if field is None else join_pieces(field, sources)
    if not (labels == 1).any():
        return _fall_back(cutout, settings, "the network found no target")
    if field is not None and not _stands_out(part, labels, field):
        return _fall_back(cutout, settings, "what the network took for the target may be noise")
    found = segment_footprints(part, labels, settings, field)
    if other is not None and field is not None:
        found.otherwise = _otherwise(part, labels, other, settings, field)
    return (
        put_back(found, box, cutout, partial(segment_with_sep, settings=settings))
        if part.shape != cutout.shape
        else found
    )


def _otherwise(part: Cutout, labels: np.ndarray, other: Sources, settings, field: Field) -> np.ndarray | None:
    """The neighbours' mask by another look, where it has another target in the same place."""
    again, target = join_pieces(field, other), labels == 1
    same = np.count_nonzero((again == 1) & target)
    if not same or np.count_nonzero((again == 1) ^ target) <= _DISAGREE * np.count_nonzero(target):
        return None
    return segment_footprints(part, again, settings, field).neighbours


def _stands_out(cutout: Cutout, labels: np.ndarray, field: Field) -> bool:
    """Whether the target is one by the classical measure too, as a point or as something wider."""
    x, y = wanted_position(cutout)
    exact = all(np.isfinite(float((cutout.start or {}).get(name, np.nan))) for name in ("x", "y"))

    def significant(one: Field | None) -> bool:
        return one is not None and is_significant(one, labels, 0, x, y, exact, field.fwhm)

    return significant(field) or significant(prepare_field(cutout, _WIDER))


def _fall_back(cutout: Cutout, settings, reason: str) -> Segmentation:
    log.info("%s: segmented by sep, because %s", cutout.id, reason)
    found = segment_with_sep(cutout, settings)
    found.flags |= Flag.MASK_FALLBACK
    found.notes.append(f"Segmented by sep in place of the network: {reason}.")
    return found
