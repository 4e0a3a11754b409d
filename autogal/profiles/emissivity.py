"""A body stated by its emissivity in space alone: the base of bodies that users write."""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor

from autogal.profiles.body import Body
from autogal.profiles.radial import align

__all__ = ["Emissivity"]

# Along a line of sight: nodes, how far they reach in units of the size, and how far at least in units of the
# distance from the pole
_NODES, _FAR, _FARTHEST = 120, 40.0, 20.0
_NEAR = 1e-3  # distance below which lines of sight are all alike
# Where a body is looked at as a whole: ln(radius), and heights over radii
_RADII = (-7.0, 5.0, 61)
_HEIGHTS = (1e-3, 1.0, 40)
_FLATTEST, _LONGEST = 0.05, 20.0
_DARK = 1e-200  # below which derivatives may be 0 times infinity


class Emissivity(Body):
    """A body of which only the light that each place sends out is written down.

    A subclass writes `emissivity` in torch. The sum along the line of sight, the total and all derivatives
    follow. `size` names its scale length, `shape` its own parameters with their bounds, `typical` one or
    several sets of values of those: where fits start.

    The body must be the same below its plane and above it, and after half a turn around its pole, as disks,
    bars, bulges and even spirals are.

    Attributes
    ----------
    axisymmetric : bool
        That it is the same after any turn around its pole, which halves the work; False where nothing is
        said.

    Examples
    --------
    >>> class Plummer(Emissivity):
    ...     shape = (ShapeParameter("flattening", 0.1, 1.0),)
    ...     typical = ((0.5,),)
    ...     def emissivity(self, x, y, z, flattening):
    ...         return (1 + x**2 + y**2 + (z / flattening) ** 2) ** -2.5
    """

    renderer = "autogal.rendering.line_of_sight:LineOfSightRenderer"
    axisymmetric: bool = False

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            cls.name = cls.__name__

    @abstractmethod
    def emissivity(self, x: Tensor, y: Tensor, z: Tensor, *own: Tensor) -> Tensor:
        """Light per volume, up to a constant factor.

        Parameters
        ----------
        x, y, z : Tensor, any shape
            Place along the axes of the body, z along its pole, in units of the size. Where it is seen, x is
            in the plane of the sky.
        *own : Tensor
            The parameters of `shape`, in their order and units, lengths in units of the size; they broadcast
            with the place.

        Returns
        -------
        Tensor, shape of `x`
            Its integral over space must be finite.
        """

    def project(self, x: Tensor, y: Tensor, cos2: Tensor, shape: Tensor, flattening: Tensor) -> Tensor:
        """The emissivity integrated along lines of sight.

        Parameters
        ----------
        x, y : Tensor, [B, P] float64
            Where each line of sight crosses the plane of the sky, along and across the line of nodes, in
            units of the size.
        cos2 : Tensor, [B]
            Squared cosine of the inclination.
        shape : Tensor, [B, S]
            Logarithms of the own parameters, lengths in units of the size.
        flattening : Tensor, [B]
            About the body's height over its width, which says where on a line of sight to look for its light.

        Returns
        -------
        Tensor, [B, P]

        Notes
        -----
        On a line of sight the spheroids of that flattening have the radii :math:`m = (m_0^2 + v^2)^{1/2}`, v
        being the scaled distance from the innermost point. The trapezium rule in u, :math:`v = m_0 \\sinh u`,
        converges exponentially for light that falls as an exponential or a power of m, also where m_0 is
        small.
        """
        cos2, flat2 = (align(v, x) for v in (cos2, flattening**2))
        sin2 = (1 - cos2).clamp(min=0.0)
        cos, sin = torch.sqrt(cos2 + 1e-15), torch.sqrt(sin2 + 1e-15)
        along = sin2 + cos2 / flat2
        inner = -y * sin * cos * (1 / flat2 - 1) / along
        nearest = torch.sqrt(x * x + y * y / (cos2 + flat2 * sin2) + _NEAR**2)
        # nodes are no function of what is derived by: the integral is the same wherever they lie
        inner, nearest, scale = inner.detach(), nearest.detach(), (nearest / along.sqrt()).detach()
        end = torch.asinh(_FAR / nearest + _FARTHEST)[..., None]
        u = end * (2 * (torch.arange(_NODES, dtype=x.dtype, device=x.device) + 0.5) / _NODES - 1)
        l = inner[..., None] + scale[..., None] * torch.sinh(u)
        y, cos, sin = y[..., None], cos[..., None], sin[..., None]
        light = self._light(x[..., None].expand_as(l), y * cos - l * sin, y * sin + l * cos, shape)
        return (light * torch.cosh(u)).sum(-1) * scale * end[..., 0] * (2 / _NODES)

    def flattening(self, shape: Tensor) -> Tensor:
        """About its height over its width, [B]: the ratio of the mean squared directions to its light."""
        light, height, _ = self._whole(shape)
        total = light.sum((1, 2))
        up = (light * height**2).sum((1, 2)) / total
        return torch.sqrt(up / ((1 - up) / 2)).nan_to_num(1.0).clamp(_FLATTEST, _LONGEST)

    def half_light(self, shape: Tensor) -> Tensor:
        light, height, log_r = self._whole(shape)
        seen = log_r[:, None] + torch.log1p(-(height**2).clamp(max=0.99)) / 2
        order = seen.flatten().argsort()
        within = light.flatten(1)[:, order].cumsum(-1)
        middle = (within < within[:, -1:] / 2).sum(-1).clamp(max=len(order) - 1)
        return seen.flatten()[order][middle]

    def _whole(self, shape: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The light in shells of radius and height over radius, [B, R, H], the heights [H] and ln of the
        radii [R]."""
        shape = shape.double()
        log_r = torch.linspace(*_RADII, dtype=torch.float64, device=shape.device)
        log_height = torch.linspace(
            math.log(_HEIGHTS[0]),
            math.log(_HEIGHTS[1]),
            _HEIGHTS[2],
            dtype=torch.float64,
            device=shape.device,
        )
        height = log_height.exp()
        angle = torch.tensor(
            [math.pi / 8, 3 * math.pi / 8, 5 * math.pi / 8, 7 * math.pi / 8],
            dtype=torch.float64,
            device=shape.device,
        )
        r, mu, phi = torch.broadcast_tensors(log_r.exp()[:, None, None], height[:, None], angle)
        plane = r * torch.sqrt(1 - mu * mu)
        at = (v.expand(len(shape), *v.shape) for v in (plane * phi.cos(), plane * phi.sin(), r * mu))
        weight = height.clone()
        weight[[0, -1]] /= 2
        weight[0] += _HEIGHTS[0] / (log_height[1] - log_height[0])  # all that is lower
        return self._light(*at, shape).mean(-1) * torch.exp(3 * log_r)[:, None] * weight, height, log_r

    def _light(self, x: Tensor, y: Tensor, z: Tensor, shape: Tensor) -> Tensor:
        light = self.emissivity(x, y, z, *(align(v.exp(), x) for v in shape.unbind(-1)))
        return torch.where(light < _DARK, 0.0, light)
