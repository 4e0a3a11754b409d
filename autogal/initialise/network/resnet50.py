"""Starting values from the network, many stamps of any sizes at a time."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from torch import Tensor

from autogal.flags import Flag
from autogal.images.cutout import Cutout
from autogal.initialise.classical.moments import start_from_moments
from autogal.initialise.network.architecture import CARD, StartNetwork
from autogal.initialise.network.crops import Crops, crop
from autogal.initialise.network.targets import decode, native_covariance
from autogal.initialise.photometry.seeing import measure_psfs
from autogal.initialise.photometry.stamps import chunks_of_one_shape, stack
from autogal.initialise.start import Start, predicted_start
from autogal.networks.ready import trained
from autogal.runtime.memory import in_pieces
from autogal.segment.segmentation import Segmentation

__all__ = ["TASK", "cut", "load_network", "start_from_resnet50", "unusable"]

_log = logging.getLogger(__name__)

TASK = "initialiser"

_SMALLEST = 32  # px; the network has not seen smaller stamps
_AT_ONCE = {"cpu": 128, "cuda": 4096}  # stamps
_PIXELS = {"cpu": 2**21, "cuda": 2**27}  # of stamps that are cut at a time


def start_from_resnet50(
    cutouts: Sequence[Cutout],
    segmentations: Sequence[Segmentation],
    settings,
    device: torch.device | str = "cpu",
) -> list[Start]:
    """Predict starting values and how uncertain they are.

    Where the network cannot be used (a stamp smaller than 32 px, no target, nothing of the target usable, a
    prediction that is no galaxy), moments are taken and the flag START_FALLBACK set. No cutout's values
    depend on the others.

    Parameters
    ----------
    cutouts : sequence of Cutout
        Prepared; never changed.
    segmentations : sequence of Segmentation
    settings
        Node with ``checkpoints`` (folder or null), ``survey`` and ``band``.
    device : torch.device or str

    Returns
    -------
    list of Start
        In order; those of the network with a covariance.

    Raises
    ------
    AutogalError
        Where there is no checkpoint, or one that cannot be used.
    """
    device = torch.device(device)
    found: dict[int, Start] = {}
    groups: dict[StartNetwork, list[int]] = defaultdict(list)
    network_of = cache(lambda size: load_network(settings, size, device))
    for i, (cutout, segmentation) in enumerate(zip(cutouts, segmentations, strict=True)):
        if (reason := unusable(cutout, segmentation)) is not None:
            found[i] = _fall_back(cutout, segmentation, reason)
        else:
            groups[network_of(min(cutout.shape))].append(i)
    known: dict[torch.device, dict[int, Tensor]] = defaultdict(dict)  # one PSF often serves many cutouts

    def predict_starts(some: Sequence[int], network: StartNetwork, where: torch.device) -> list[Start | None]:
        places, crops = cut([cutouts[i] for i in some], [segmentations[i] for i in some], known[where], where)
        values, covariance = _predict(network, crops)
        starts = {
            place: predicted_start(
                {name: float(column[row]) for name, column in values.items()},
                cutouts[some[place]].shape,
                covariance[row],
            )
            for row, place in enumerate(places)
        }
        return [starts[place] for place in range(len(some))]

    def on_cpu(i: int) -> Start | None:
        cpu = torch.device("cpu")
        (start,) = predict_starts([i], load_network(settings, min(cutouts[i].shape), cpu), cpu)
        if start is not None:
            start.notes.append("Starting values from the network on the CPU: the GPU's memory was full.")
        return start

    for network, members in groups.items():
        for first in range(0, len(members), _AT_ONCE.get(device.type, 1024)):
            some = members[first : first + _AT_ONCE.get(device.type, 1024)]
            starts = in_pieces(
                lambda part, network=network: predict_starts(part, network, device), some, on_cpu
            )
            found |= {
                i: start or _fall_back(cutouts[i], segmentations[i], "its prediction is no galaxy")
                for i, start in zip(some, starts)
            }
    return [found[i] for i in range(len(cutouts))]


def load_network(settings, size: int, device: torch.device) -> StartNetwork:
    """The initialiser for stamps whose shorter side is `size` px; see `autogal.networks.ready.trained`.

    Parameters
    ----------
    settings
        Node ``initialise`` with ``checkpoints``, ``survey`` and ``band``.
    size : int
        px.
    device : torch.device

    Returns
    -------
    StartNetwork
        In evaluation mode.

    Raises
    ------
    AutogalError
        Where there is no checkpoint, or one that cannot be used.
    """
    network = trained(
        StartNetwork, TASK, "initialise=resnet50", "initialise=moments", settings, size, device, **CARD
    )
    return network.to(memory_format=torch.channels_last)


def unusable(cutout: Cutout, segmentation: Segmentation) -> str | None:
    """Why the network cannot be asked of a cutout's target; None where it can.

    Parameters
    ----------
    cutout : Cutout
    segmentation : Segmentation

    Returns
    -------
    str or None
    """
    if min(cutout.shape) < _SMALLEST:
        return f"the stamp is smaller than {_SMALLEST} px"
    if Flag.NO_TARGET in segmentation.flags or not segmentation.target.any():
        return "there is no target"
    if cutout.sigma is None or cutout.psf is None:
        return "noise or PSF are not known"
    if not (segmentation.target & ~cutout.mask & ~segmentation.neighbours).any():
        return "no pixel of the target is usable"
    return None


def cut(
    cutouts: Sequence[Cutout],
    segmentations: Sequence[Segmentation],
    known: dict[int, Tensor],
    device: torch.device,
) -> tuple[list[int], Crops]:
    """Crops, and which cutout each of them is of: those of one shape together; `known` remembers what PSFs
    measure.

    Parameters
    ----------
    cutouts : sequence of Cutout
        With noise, PSF and a target: see `unusable`.
    segmentations : sequence of Segmentation
    known : dict of int to Tensor
        By ``id(psf)``; grows.
    device : torch.device

    Returns
    -------
    order : list of int
        Place in `cutouts` of each crop.
    crops : Crops
    """
    measure_psfs(cutouts, known, device)
    order, parts = [], []
    for chunk in chunks_of_one_shape([cutout.shape for cutout in cutouts], _PIXELS.get(device.type, 2**24)):
        some = [(cutouts[i], segmentations[i]) for i in chunk]
        # float64 until the sky is off: a pedestal of 1e6 would cost float32 its digits
        image, sigma = (
            stack([getattr(cutout, name) for cutout, _ in some], np.float64, device)
            for name in ("image", "sigma")
        )
        excluded = stack(
            [cutout.mask | segmentation.neighbours for cutout, segmentation in some], bool, device
        )
        target = stack([segmentation.target for _, segmentation in some], bool, device)
        psf = torch.stack([known[id(cutout.psf)] for cutout, _ in some])
        parts.append(crop(image, sigma, excluded, target, psf))
        order.extend(chunk)
    return order, Crops.cat(parts)


@torch.inference_mode()
def _predict(network: StartNetwork, crops: Crops) -> tuple[dict[str, Tensor], np.ndarray]:
    channels = crops.channels.contiguous(memory_format=torch.channels_last)
    mean, covariance = network.predict(channels, crops.features)
    values = decode(mean, crops) | {"sky": crops.sky}
    return {name: value.cpu() for name, value in values.items()}, native_covariance(
        covariance, crops
    ).cpu().numpy()


def _fall_back(cutout: Cutout, segmentation: Segmentation, reason: str) -> Start:
    _log.info("%s: starting values from moments, because %s", cutout.id, reason)
    start = start_from_moments(cutout, segmentation)
    start.flags |= Flag.START_FALLBACK
    start.notes.append(f"Starting values from moments in place of the network: {reason}.")
    return start
