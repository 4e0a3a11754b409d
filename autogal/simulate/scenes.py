"""Scenes before they are drawn: what shines, and how it is observed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from autogal.parameters import ellipticity
from autogal.simulate.seeing import Seeing

__all__ = ["Conditions", "Parts", "Scenes", "Sources"]


@dataclass(frozen=True)
class Sources:
    """Sources of scenes, each tensor [B, S]; the first of each scene is its target.

    Attributes
    ----------
    alive : Tensor of bool
        Whether the place is taken; the target's always is.
    star : Tensor of bool
    x, y, flux, r_eff, n, q, pa : Tensor
        In catalogue units; for a star, x, y and flux alone count.
    """

    alive: Tensor
    star: Tensor
    x: Tensor
    y: Tensor
    flux: Tensor
    r_eff: Tensor
    n: Tensor
    q: Tensor
    pa: Tensor


@dataclass(frozen=True)
class Conditions:
    """How each scene is observed; each tensor [B] unless it says otherwise, in image units.

    Attributes
    ----------
    sky_sigma : Tensor
        Noise of a blank pixel.
    gain : Tensor
        Electrons per image unit.
    sky : Tensor
        Sky left in the image, in its middle.
    gradient : Tensor, [B, 2]
        Its slope along x and y, per pixel.
    correlation : Tensor
        Weight of a neighbouring pixel's noise, 0 for white noise.
    saturation : Tensor
        Level that no pixel exceeds; infinite where there is none.
    sigma_error : Tensor
        What the stated noise is of the true one.
    dead : Tensor
        Part of the pixels that is dead.
    rays : Tensor of int
        Cosmic rays.
    """

    sky_sigma: Tensor
    gain: Tensor
    sky: Tensor
    gradient: Tensor
    correlation: Tensor
    saturation: Tensor
    sigma_error: Tensor
    dead: Tensor
    rays: Tensor


@dataclass(frozen=True)
class Scenes:
    """B scenes of one shape."""

    shape: tuple[int, int]
    seeing: Seeing
    sources: Sources
    conditions: Conditions

    def __len__(self) -> int:
        return len(self.seeing.fwhm)

    def on(self, sky_sigma: Tensor) -> Scenes:
        """The same on a sky of another noise.

        Parameters
        ----------
        sky_sigma : Tensor, [B]
            Image units.

        Returns
        -------
        Scenes
        """
        return replace(self, conditions=replace(self.conditions, sky_sigma=sky_sigma))


@dataclass(frozen=True)
class Parts:
    """Sersic components and points that sources are made of, each tensor [C].

    Attributes
    ----------
    scene, source : Tensor of int
        Number of the scene, and of the source among all living ones in order.
    point : Tensor of bool
        A star or an unresolved knot.
    x, y, flux, r_eff, n, q, pa : Tensor
    """

    scene: Tensor
    source: Tensor
    point: Tensor
    x: Tensor
    y: Tensor
    flux: Tensor
    r_eff: Tensor
    n: Tensor
    q: Tensor
    pa: Tensor

    def __getitem__(self, some: Tensor) -> Parts:
        return Parts(*(getattr(self, name)[some] for name in self.__dataclass_fields__))

    def native(self) -> Tensor:
        """As `SpectralRenderer.draw` takes them, [C, 6] float64."""
        size = self.r_eff.double() * self.q.double().sqrt()
        return torch.stack(
            [
                self.x.double(),
                self.y.double(),
                size.log(),
                self.n.double().log(),
                *ellipticity(self.q.double(), self.pa.double()),
            ],
            dim=-1,
        )
