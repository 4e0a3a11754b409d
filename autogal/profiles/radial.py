"""What every radial light profile owes the renderer: one function of the radius."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["RadialProfile", "ShapeParameter"]


@dataclass(frozen=True, slots=True)
class ShapeParameter:
    """A parameter of a profile's own, beyond its centre, flux, size, axis ratio and angle.

    Attributes
    ----------
    name : str
        Column name, e.g. ``"n"``.
    lower, upper : float
        Bounds, in the parameter's own unit; both positive, since it is fitted in its logarithm.
    description : str
        One sentence for the catalogue.
    """

    name: str
    lower: float
    upper: float
    description: str = ""


class RadialProfile(ABC):
    """A surface brightness that depends on the elliptical radius alone.

    A profile is stated for unit total flux and unit half-light radius; the renderer supplies flux, size, axis
    ratio, angle and centre. A subclass writes `intensity`; its derivatives follow by forward-mode
    differentiation unless it overrides `evaluate` with closed forms, which is faster.
    """

    name: str
    shape: tuple[ShapeParameter, ...] = ()
    #: Logarithms of the own parameters of typical galaxies of different kinds: where to start again
    restarts: tuple[tuple[float, ...], ...] = ()

    @abstractmethod
    def intensity(self, log_t: Tensor, shape: Tensor) -> Tensor:
        """Surface brightness at a radius.

        Parameters
        ----------
        log_t : Tensor, [B, ...]
            Natural logarithm of the radius in units of the half-light radius.
        shape : Tensor, [B, S]
            Natural logarithms of the profile's own parameters.

        Returns
        -------
        Tensor, shape of `log_t`
            Flux per squared half-light radius; its integral over the plane is 1.
        """

    def evaluate(self, log_t: Tensor, shape: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The intensity and its derivatives.

        Parameters
        ----------
        log_t, shape : Tensor
            As in `intensity`.

        Returns
        -------
        g : Tensor, shape of `log_t`
            The intensity.
        g_log_t : Tensor, shape of `log_t`
            Derivative by ln t.
        g_shape : Tensor, [S, *log_t.shape]
            Derivatives by the logarithm of each own parameter.
        """
        ones, zeros = torch.ones_like(log_t), torch.zeros_like(shape)
        g, g_log_t = torch.func.jvp(lambda r: self.intensity(r, shape), (log_t,), (ones,))
        by_shape = []
        for i in range(shape.shape[-1]):
            direction = zeros.clone()
            direction[..., i] = 1.0
            by_shape.append(torch.func.jvp(lambda s: self.intensity(log_t, s), (shape,), (direction,))[1])
        return g, g_log_t, torch.stack(by_shape) if by_shape else log_t.new_zeros((0, *log_t.shape))
