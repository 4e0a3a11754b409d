"""What every radial light profile owes the renderer: one function of the radius."""

from __future__ import annotations

import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from autogal.profiles.light import Light

__all__ = ["RadialProfile", "ShapeParameter", "align", "value_and_slope"]

# Forward-mode differentiation keeps its nesting in a global of torch: one thread at a time
_FORWARD_MODE = threading.Lock()
# Radii, in units of the size, of the numerical half-light radius
_HALF_LIGHT = (-14.0, 14.0, 1401)


@dataclass(frozen=True, slots=True)
class ShapeParameter:
    """A parameter of a profile's own, beyond its centre, flux, size, axis ratio and angle.

    Attributes
    ----------
    name : str
        Column name, e.g. ``"n"``.
    lower, upper : float
        Bounds, in the parameter's own unit; both positive, since it is fitted in its logarithm.
    length : bool
        Whether it is a radius along the major axis: pixels in the catalogue, and in units of the profile's
        size where the profile is evaluated.
    grows : bool
        Whether a galaxy in which it runs to its upper bound can take the place of the sky.
    """

    name: str
    lower: float
    upper: float
    length: bool = False
    grows: bool = True


class RadialProfile(Light, ABC):
    """A surface brightness that depends on the elliptical radius alone.

    A profile is stated for unit total flux and unit size; the renderer supplies flux, size, axis ratio, angle
    and centre. A subclass writes `intensity`; its derivatives follow by forward-mode differentiation unless
    it overrides `evaluate` with closed forms, which is faster.
    """

    renderer = "autogal.rendering.spectral:SpectralRenderer"
    is_radial = True
    #: Column of its brightness: ``mag``, the total magnitude, unless the total need not exist
    brightness: str = "mag"
    #: Column of its size, and the bounds of that [px]
    size: ShapeParameter = ShapeParameter("r_eff", 0.05, math.inf, length=True)
    shape: tuple[ShapeParameter, ...] = ()
    #: Largest size worth fitting, in units of the stamp's longer side: a larger galaxy is not distinct from
    #: the sky
    largest: float = 0.75
    #: Whether its light may end or turn within a few percent of a radius, so that it must be tabulated more
    #: finely
    sharp: bool = False
    #: Own parameters of typical galaxies of different kinds, lengths in units of the size: where a fit may
    #: start
    typical: tuple[tuple[float, ...], ...] = ()

    @abstractmethod
    def intensity(self, log_t: Tensor, shape: Tensor) -> Tensor:
        """Surface brightness at a radius.

        Parameters
        ----------
        log_t : Tensor, [B, ...]
            Natural logarithm of the radius in units of the size.
        shape : Tensor, [B, S]
            Natural logarithms of the profile's own parameters, lengths in units of the size.

        Returns
        -------
        Tensor, shape of `log_t`
            Flux per squared size; its integral over the plane is 1.
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
        g, g_log_t = value_and_slope(lambda r: self.intensity(r, shape), log_t)
        by_shape = [
            value_and_slope(lambda s: self.intensity(log_t, s), shape, i)[1] for i in range(shape.shape[-1])
        ]
        return g, g_log_t, torch.stack(by_shape) if by_shape else log_t.new_zeros((0, *log_t.shape))

    def half_light(self, shape: Tensor) -> Tensor:
        """ln of the radius, in units of the size, that holds half of the light, [B], for `shape` [B, S].

        NaN where the total does not exist.
        """
        if self.size.name == "r_eff":
            return torch.zeros_like(shape.sum(-1))
        log_t = torch.linspace(*_HALF_LIGHT, dtype=torch.float64, device=shape.device).expand(len(shape), -1)
        ring = 2 * math.pi * self.evaluate(log_t, shape)[0] * (2 * log_t).exp() * (log_t[0, 1] - log_t[0, 0])
        within = ring.cumsum(-1) - ring / 2  # the trapezium rule
        i = (within < 0.5).sum(-1, keepdim=True).clamp(1, log_t.shape[-1] - 1)
        low, high = within.gather(-1, i - 1), within.gather(-1, i)
        part = (0.5 - low) / (high - low)
        found = log_t.gather(-1, i - 1) + part * (log_t[0, 1] - log_t[0, 0])
        return torch.where(within[:, -1:] > 0.5, found, torch.nan)[:, 0]


def align(v: Tensor, like: Tensor) -> Tensor:
    """One number an item, [B], made ready to meet `like`, [B, ...], in its precision."""
    return v.reshape(v.shape + (1,) * (like.ndim - v.ndim)).to(like.dtype)


def value_and_slope(
    function: Callable, at: Tensor, column: int | None = None, direction: Tensor | None = None
) -> tuple:
    """A function's value and its derivative, by forward-mode differentiation.

    Parameters
    ----------
    function : callable
        Of a tensor like `at`; gives one, or a tuple of several.
    at : Tensor
    column : int, optional
        Derive by the elements of this last index, all others kept; by default by every element.
    direction : Tensor, shape of `at`, optional
        Derive along it instead.

    Returns
    -------
    value, slope : Tensor or tuple of Tensor
    """
    at = at.contiguous()  # forward mode takes no expanded tensor
    if direction is None:
        direction = torch.ones_like(at) if column is None else torch.zeros_like(at)
    if column is not None:
        direction[..., column] = 1.0
    with _FORWARD_MODE:
        return torch.func.jvp(function, (at,), (direction,))
