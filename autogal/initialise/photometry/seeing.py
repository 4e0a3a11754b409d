"""What `autogal.initialise.photometry.photometry` must know of the PSF of each cutout."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from autogal.images import fwhm
from autogal.images.cutout import Cutout
from autogal.initialise.photometry.photometry import describe_psf

__all__ = ["measure_psfs"]

_PIXEL_FWHM2 = 0.4621  # px^2, 8 ln 2 / 12: what the pixel adds to the square of an optical PSF's width


def measure_psfs(cutouts: Sequence[Cutout], known: dict[int, Tensor], device: torch.device) -> None:
    """What `describe_psf` says of the effective PSFs that are not known yet, in px of the stamps, as
    `known[id(psf)]`.

    Parameters
    ----------
    cutouts : sequence of Cutout
        Each with a PSF.
    known : dict of int to Tensor, [len(PSF_NAMES)]
        Grows.
    device : torch.device
    """
    new = {id(cutout.psf): cutout for cutout in cutouts if id(cutout.psf) not in known}
    groups: dict[tuple[int, ...], list[Cutout]] = defaultdict(list)
    for cutout in new.values():
        groups[cutout.psf.shape].append(cutout)
    for some in groups.values():
        widths = torch.tensor([float(fwhm(cutout.psf)) for cutout in some], device=device)
        # a PSF without a half of its maximum
        widths = torch.where(widths > 0, widths, 2.5)
        psfs = torch.from_numpy(np.stack([np.asarray(cutout.psf, np.float32) for cutout in some])).to(device)
        for cutout, measured in zip(some, describe_psf(psfs, widths), strict=True):
            measured[0] /= cutout.psf_oversample
            measured[1:4] /= cutout.psf_oversample**2
            if cutout.psf_kind == "optical":
                measured[0] = torch.sqrt(measured[0] ** 2 + _PIXEL_FWHM2)
                measured[1:3] += 1 / 12
            known[id(cutout.psf)] = measured
