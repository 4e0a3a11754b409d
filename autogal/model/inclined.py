"""A component with an inclination in place of an axis ratio."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from autogal.model.coordinate_kinds import Kind
from autogal.model.elliptical import EllipticalComponent
from autogal.parameters import PARAMETERS
from autogal.profiles import Body, ThickDisk
from autogal.rendering.inclination import EDGE_ON, cos2_of_log_ratio

__all__ = ["InclinedComponent"]

_STARTS = (0.12, 0.95)  # axis ratios where the inclination may start
_LIMITS = PARAMETERS["inclination"].low, PARAMETERS["inclination"].high
_NEARLY = 1e-6  # cosine at 90 deg, and sine at 0, in derivatives
_ROUNDEST = (
    1 - 1e-9
)  # face-on, where the vector must still know the position angle of a body that is not round


@dataclass(frozen=True)
class InclinedComponent(EllipticalComponent):
    r"""An `EllipticalComponent` of a `Body`, with ``inclination`` [deg] in the place of ``q``.

    Inside, the inclination i is an axis ratio q, as that of a thin spheroid (Hubble 1926, ApJ 64, 321):
    :math:`\cos^2 i = (q^2 - q_0^2) / (1 - q_0^2)`, :math:`q_0 = 0.05`. With the position angle it makes the
    same vector as any axis ratio, in which the image is smooth where the body is seen face-on and its
    position angle has no value.
    """

    profile: Body = field(default_factory=ThickDisk)
    bounds: dict = field(default_factory=dict)
    closest: ClassVar[float] = (
        1 - 1e-6
    )  # nearer to edge-on than any image tells; starts from a Sersic fit keep away by themselves

    is_body: ClassVar[bool] = True
    _ratio_kind: ClassVar[Kind] = Kind.LINEAR

    @property
    def limits(self) -> dict[str, tuple[float, float]]:
        return {"inclination": _LIMITS} | {name: pair for name, pair in super().limits.items() if name != "q"}

    @property
    def bare_parameters(self) -> tuple[str, ...]:
        *names, _, pa = super().bare_parameters
        return (*names, "inclination", pa)

    @property
    def signed_places(self) -> tuple[int, ...]:
        return (self.size - 2,)  # face-on is 0

    @property
    def roundness(self) -> tuple[float, float]:
        return EDGE_ON, 1.0

    def axis_ratio(self, value: Tensor) -> Tensor:
        return torch.sqrt(EDGE_ON**2 + (1 - EDGE_ON**2) * torch.cos(torch.deg2rad(value)) ** 2).clamp(
            max=_ROUNDEST
        )

    def of_axis_ratio(self, q: Tensor) -> Tensor:
        cos2 = cos2_of_log_ratio(-torch.log(q))[0].clamp(_NEARLY**2, 1 - _NEARLY**2)
        return torch.rad2deg(torch.atan2(torch.sqrt(1 - cos2), torch.sqrt(cos2)))

    def block(self, values: Tensor, zeropoint: Tensor) -> Tensor:
        values = values.clone()
        values[:, -2] = self.axis_ratio(values[:, -2])
        return super().block(values, zeropoint)

    def values(self, block: Tensor, zeropoint: Tensor) -> Tensor:
        out = super().values(block, zeropoint)
        out[:, -2] = self.of_axis_ratio(out[:, -2])
        return out

    def values_jacobian(self, block: Tensor) -> Tensor:
        out = super().values_jacobian(block)
        eta = self._eta_max * torch.tanh(block[:, -2:].norm(dim=-1) / self._eta_max)
        cos2, by_eta = cos2_of_log_ratio(eta)
        both = torch.sqrt(cos2 * (1 - cos2)).clamp(min=_NEARLY)
        # by -exp(eta) from the axis ratio to eta, from there to the squared cosine, and to the angle
        out[:, -2, -2:] *= (torch.exp(eta) * by_eta * math.degrees(0.5) / both)[:, None]
        return out

    def value_bounds(self, place: int) -> tuple[float, float]:
        return (
            self.bounds.get("inclination", _LIMITS) if place == self.size - 2 else super().value_bounds(place)
        )

    def coordinate_bounds(self, kind: Kind, place: int, shape: tuple[int, int]) -> tuple[float, float]:
        is_angle = kind is Kind.LINEAR and place == self.size - 2
        return _LIMITS if is_angle else super().coordinate_bounds(kind, place, shape)

    def start(self, single: Tensor, share: float, scale: float, kind: int, rounder: bool = False) -> Tensor:
        out = super().start(single, share, scale, kind, rounder)
        out[:, -2] = self.of_axis_ratio(out[:, -2].clamp(*_STARTS))
        return out

    def at_thinnest(self, values: Tensor, error: Tensor) -> Tensor:
        """Never: edge-on is where inclinations end by themselves, as axis ratios do at round."""
        return torch.zeros_like(values[:, 0], dtype=torch.bool)

    def inside(self, w: Tensor, closest: float = closest) -> Tensor:
        """Vectors [B, 2] brought back to where -ln q is at most `closest` of its bound, and the image
        still has a slope by them."""
        longest = self._eta_max * math.atanh(closest)
        return w * (longest / w.norm(dim=-1, keepdim=True).clamp(min=longest))

    def by_sine(self, w: Tensor) -> tuple[Tensor, Tensor]:
        r"""Of (w1, w2) [B, 2], :math:`\sin^2 i` [B], and the derivatives by the vector of that length and
        the same angle, [B, 2, 2]."""
        length, unit, slope = self._squash_slope(w)
        cos2, by_eta = cos2_of_log_ratio(self._eta_max * torch.tanh(length / self._eta_max))
        along = -1 / (by_eta * slope)
        sin2 = torch.where(length < _NEARLY, length / along, 1 - cos2)
        eye, both = torch.eye(2, dtype=w.dtype, device=w.device), unit[:, :, None] * unit[:, None, :]
        return sin2, (length / sin2)[:, None, None] * (eye - both) + along[:, None, None] * both
