"""What the simulator hands out: a batch of scenes, on one device."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

__all__ = ["SceneBatch"]

_FINDABLE = 20.0  # S/N; fainter targets say nothing about a network


@dataclass(slots=True)
class SceneBatch:
    """B simulated stamps and all that is true of them.

    Attributes
    ----------
    image, sigma : Tensor, [B, H, W] float32
        Image and its standard deviation, in image units.
    mask : Tensor, [B, H, W] bool
        True = excluded: dead, saturated, or hit by a cosmic ray.
    psf_fwhm : Tensor, [B]
        FWHM of the effective PSF, px.
    psf : Tensor, [B, K, K]
        Effective PSF, unit sum, centred on its middle pixel.
    truth : dict of str to Tensor, [B] each
        Of the target, in catalogue units: x, y, flux, r_eff, n, q, pa, sky, snr; and visible, the part of its
        pixels above 1 sigma where it gives most of the light. Where the target is not one Sersic profile
        (`analytic` is False), r_eff, q and pa are those of its largest part's light and n is NaN.
    analytic : Tensor, [B] bool
        Whether the target is exactly one Sersic profile.
    instances : list of Tensor, [K_b, H, W] bool
        Pixels of each visible source, the target first: those above 1 sigma where it gives a major part of
        the light. They may overlap. The target always has some.
    classes : list of Tensor, [K_b] int
        2 for the target, 1 for all others.
    """

    image: Tensor
    sigma: Tensor
    mask: Tensor
    psf_fwhm: Tensor
    psf: Tensor
    truth: dict[str, Tensor]
    analytic: Tensor
    instances: list[Tensor]
    classes: list[Tensor]

    def __len__(self) -> int:
        return len(self.image)

    @property
    def centre(self) -> Tensor:
        """Where the targets are expected: the middle of the stamp, x and y [B, 2]."""
        height, width = self.image.shape[1:]
        return self.image.new_tensor([(width - 1) / 2, (height - 1) / 2]).repeat(len(self), 1)

    @property
    def light(self) -> Tensor:
        """Image less its sky, [B, H, W]."""
        return self.image - self.truth["sky"][:, None, None]

    @property
    def findable(self) -> Tensor:
        """Targets bright enough that a network must find them, [B] bool."""
        return self.truth["snr"] > _FINDABLE

    def to(self, device: torch.device | str) -> SceneBatch:
        """The same batch on another device."""

        def move(value):
            match value:
                case dict():
                    return {key: one.to(device) for key, one in value.items()}
                case list():
                    return [one.to(device) for one in value]
                case _:
                    return value.to(device)

        return SceneBatch(*(move(getattr(self, field.name)) for field in fields(self)))
