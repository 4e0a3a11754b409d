"""What every renderer owes: an image of unit flux and its derivatives, in two halves, and how wrong its
grid makes it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from torch import Tensor

from autogal.profiles.light import Light
from autogal.rendering.grid import Grid
from autogal.runtime.references import load_reference

__all__ = ["Drawing", "Renderer", "renderer_of"]

_FORM = "Write renderer = MODULE:CLASS, or the class itself, in the class of the profile."


class Drawing(Protocol):
    """All of the drawings of some galaxies that has no pixels yet: cheap, and made for many at once."""

    def split(self, size: int) -> Sequence[Drawing]:
        """Pieces of at most `size` galaxies, in order."""


@dataclass(frozen=True)
class Renderer(ABC):
    """Draws one kind of light, PSF-convolved, on one grid, with its derivatives.

    What it draws from is a component's `native`: x and y [px], then what else there is, D columns in all,
    float64. Its images are of unit flux, in flux per pixel, those of the sky of unit slope.

    Attributes
    ----------
    profile : Light
    grid : Grid
    """

    profile: Any
    grid: Grid

    def draw(self, native: Tensor, psf: Tensor) -> Tensor:
        """Unit-flux images and their derivatives.

        Parameters
        ----------
        native : Tensor, [B, D] float64
        psf : Tensor, [B, Kx, Ky] complex
            Transfer functions from `Grid.psf_transform`.

        Returns
        -------
        Tensor, [B, 1 + D, H, W]
            In the grid's precision: the image (flux per pixel), then its derivatives by each column of
            `native`.
        """
        return self.fill(self.outline(native), psf)

    @abstractmethod
    def outline(self, native: Tensor) -> Drawing:
        """The first half of `draw`: what needs no pixels, of any number of galaxies."""

    @abstractmethod
    def fill(self, outline: Drawing, psf: Tensor) -> Tensor:
        """The second half of `draw`, on all pixels, [B, 1 + D, H, W]."""

    @abstractmethod
    def image(self, native: Tensor, psf: Tensor) -> Tensor:
        """The images alone, [B, H, W], at a part of the price of `draw`."""

    def linear_images(self, native: Tensor, psf: Tensor) -> Tensor:
        """Of the images of `draw` those that the light is linear in, and no derivatives, [B, L, H, W]."""
        return self.image(native, psf)[:, None]

    @abstractmethod
    def wing_error(self, native: Tensor, fwhm: Tensor) -> tuple[Tensor, Tensor]:
        """How wrong images are on this grid, for light that leaves it.

        Parameters
        ----------
        native : Tensor, [B, D]
        fwhm : Tensor, [B]
            PSF FWHM, native pixels.

        Returns
        -------
        largest : Tensor, [B]
            Largest error as a fraction of the brightest pixel.
        total : Tensor, [B]
            Sum of absolute errors over the stamp as a fraction of the flux.
        """


def renderer_of(profile: Light) -> type[Renderer]:
    """The class that draws a kind of light.

    Raises
    ------
    AutogalError
        Where what `profile` names is none.
    """
    return _loaded(profile.renderer)


@lru_cache
def _loaded(named: str | type) -> type[Renderer]:
    return load_reference(named, "a renderer", _is_renderer, _FORM) if isinstance(named, str) else named


def _is_renderer(thing: object) -> bool:
    return isinstance(thing, type) and issubclass(thing, Renderer)
