"""A profile stated by its surface brightness alone: the base of profiles that users write."""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor

from autogal.profiles.radial import RadialProfile, ShapeParameter, align, value_and_slope

__all__ = ["Profile"]

# Nodes in ln(radius) of the total flux
_NODES = (-17.0, 17.0, 1361)
# Light of a squared size, of a total of 1, below which derivatives are not asked for: they may be 0 times
# infinity
_DARK = 1e-30


class Profile(RadialProfile):
    """A radial profile of which only the shape of its light is written down.

    A subclass writes `surface_brightness` in torch. Its total flux is found by quadrature, all derivatives by
    forward-mode differentiation. `size` names its scale radius, `shape` its own parameters with their bounds,
    `typical` one or several sets of values of those: where fits start.

    Examples
    --------
    >>> class Softened(Profile):
    ...     shape = (ShapeParameter("alpha", 1.0, 10.0),)
    ...     typical = ((2.5,),)
    ...     def surface_brightness(self, r, alpha):
    ...         return (1 + r**2) ** -alpha
    """

    size = ShapeParameter("h", 0.05, math.inf, length=True)

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            cls.name = cls.__name__

    @abstractmethod
    def surface_brightness(self, r: Tensor, *own: Tensor) -> Tensor:
        """Surface brightness, up to a constant factor.

        Parameters
        ----------
        r : Tensor, any shape
            Radius along the major axis, in units of the size.
        *own : Tensor
            The parameters of `shape`, in their order and units, lengths in units of the size; they broadcast
            with `r`.

        Returns
        -------
        Tensor, shape of `r`
            Its integral over the plane must be finite.
        """

    def intensity(self, log_t: Tensor, shape: Tensor) -> Tensor:
        return self.evaluate(log_t, shape)[0]

    def evaluate(self, log_t: Tensor, shape: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        log_r, shape = (
            log_t.double(),
            shape.double(),
        )  # what users write need not keep clear of overflow in float32
        nodes = torch.linspace(*_NODES, dtype=torch.float64, device=shape.device).expand(len(shape), -1)
        ring = torch.exp(2 * nodes) * (2 * math.pi * (_NODES[1] - _NODES[0]) / (_NODES[2] - 1))
        rings = self._light(nodes, shape) * ring
        total = rings.sum(-1, keepdim=True)
        f, f_log_t = value_and_slope(lambda r: self._light(r, shape), log_r)
        unit = align(1 / total[:, 0], log_r)
        g = f * unit
        dark, dark_rings = g < _DARK, rings < _DARK * ring * total
        by_log_t, by_shape = (f_log_t * unit).masked_fill(dark, 0.0), g.new_zeros((shape.shape[-1], *g.shape))
        for i in range(len(by_shape)):
            _, (slope, of_rings) = value_and_slope(
                lambda s: (self._light(log_r, s), self._light(nodes, s)), shape, i
            )
            of_total = (of_rings * ring).masked_fill(dark_rings, 0.0).sum(-1)
            by_shape[i] = (slope * unit - g * unit * align(of_total, log_r)).masked_fill(dark, 0.0)
        return tuple(v.to(log_t.dtype) for v in (g, by_log_t, by_shape))

    def _light(self, log_t: Tensor, shape: Tensor) -> Tensor:
        own = (align(v.exp(), log_t) for v in shape.unbind(-1))
        return self.surface_brightness(torch.exp(log_t), *own)
