"""Real sky to put simulated scenes on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor

from autogal.errors import AutogalError
from autogal.images import find_entries, load
from autogal.simulate.rng import Rng

__all__ = ["Background"]


@dataclass(frozen=True, eq=False)
class Background:
    """Images of blank sky, noise and all.

    Attributes
    ----------
    images : list of Tensor, [H, W]
        Sky subtracted or not; bad pixels hold the image's median.
    masks : list of Tensor of bool, [H, W]
        Their bad pixels.
    sigmas : list of float
        Noise of a pixel in each.
    """

    images: list[Tensor]
    masks: list[Tensor]
    sigmas: list[float]

    @classmethod
    def read(cls, folder: str | Path, settings: DictConfig) -> Background:
        """Read every image of a folder.

        Raises
        ------
        AutogalError
            Where there is none that can be read.
        """
        images, masks, sigmas = [], [], []
        problem = ""
        for entry in find_entries([str(folder)]):
            cutout = load(entry, settings)
            if cutout.error is not None:
                problem = problem or f" The first cannot be read: {cutout.error}"
                continue
            image = np.where(cutout.mask, np.nan, cutout.image).astype(np.float32)
            middle = np.nanmedian(image)
            sigma = 1.4826 * np.nanmedian(np.abs(image - middle))
            if not sigma > 0:
                continue
            images.append(torch.as_tensor(np.nan_to_num(image - middle)))
            masks.append(torch.as_tensor(cutout.mask.copy()))
            sigmas.append(float(sigma))
        if not images:
            raise AutogalError(
                f"There is no image of sky in {folder}.{problem}",
                "Name a folder with FITS images of blank sky.",
            )
        return cls(images, masks, sigmas)

    def draw(self, rng: Rng, count: int, shape: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
        """Random pieces, turned and mirrored at random.

        Returns
        -------
        sky, mask : Tensor, [count, H, W]
        sigma : Tensor, [count]

        Raises
        ------
        AutogalError
            Where no image is as large as `shape`.
        """
        height, width = shape
        large = [
            i for i, image in enumerate(self.images) if image.shape[0] >= height and image.shape[1] >= width
        ]
        if not large:
            raise AutogalError(
                f"No image of sky is as large as {height} x {width} pixels.",
                "Choose smaller stamps, or larger images.",
            )
        numbers = rng.uniform(0, 1, count, 5).tolist()
        pieces, masks, sigmas = [], [], []
        for which, row, column, up, left in numbers:
            i = large[min(int(which * len(large)), len(large) - 1)]
            top, start = (
                int(row * (self.images[i].shape[0] - height + 1)),
                int(column * (self.images[i].shape[1] - width + 1)),
            )
            flips = [axis for axis, turn in ((0, up), (1, left)) if turn < 0.5]
            cut = lambda array: array[top : top + height, start : start + width].flip(flips)
            pieces.append(cut(self.images[i]))
            masks.append(cut(self.masks[i]))
            sigmas.append(self.sigmas[i])
        device = rng.device
        return (
            torch.stack(pieces).to(device),
            torch.stack(masks).to(device),
            torch.tensor(sigmas, device=device),
        )
