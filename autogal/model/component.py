"""One elliptical component of a galaxy: between catalogue values, free parameters and what the renderer draws."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from autogal.errors import AutogalError
from autogal.profiles import RadialProfile, Sersic

__all__ = ["MAG", "Component"]

#: Magnitudes in a unit of ln flux
MAG = -2.5 / math.log(10.0)


@dataclass(frozen=True)
class Component:
    """A radial profile with a centre, a flux, a size, an axis ratio and an angle.

    Its block of free parameters is (x, y, flux, ln R, ln shape..., w1, w2): R is the circularised half-light radius,
    and (w1, w2) a vector of angle 2 (pa + 90 deg) whose length grows with -ln q and never lets q pass its bound.
    Every direction is smooth, also through q = 1, where the position angle has no value, and across pa = 0 = 180 deg.

    Attributes
    ----------
    profile : RadialProfile
    name : str
        Prefix of its columns; empty where it is the only component.
    bounds : dict of str to (float, float)
        By catalogue name, in catalogue units; at least ``r_eff`` and ``q``.
    priors : dict of str to (float, float)
        Log-normal priors on own parameters of the profile: median, and standard deviation in dex. That of ``q`` must
        have the median 1 and is a Gaussian of that width in both components of ln q.
    fixed : dict of str to float
        Own parameters of the profile that are not fitted, and their values.
    """

    profile: RadialProfile = field(default_factory=Sersic)
    name: str = ""
    bounds: dict = field(default_factory=lambda: {"r_eff": (0.05, math.inf), "q": (0.05, 1.0)})
    priors: dict = field(default_factory=dict)
    fixed: dict = field(default_factory=dict)

    def __post_init__(self):
        own = {s.name for s in self.profile.shape}
        for name, (median, dex) in self.priors.items():
            if name not in own | {"q"}:
                raise AutogalError(f"There is a prior on {name!r}, which the model does not have or cannot take.",
                                   f"Priors are possible on {', '.join(sorted(own | {'q'}))}.")
            if not (median > 0 and dex > 0) or (name == "q" and median != 1):
                raise AutogalError(f"The prior on {name} is [{median}, {dex}].", "Give a positive median (1 for q) and a positive width in dex.")
        for name, value in self.fixed.items():
            if name not in own or not value > 0:
                raise AutogalError(f"{name} cannot be fixed at {value}.", f"Positive values of {', '.join(sorted(own)) or 'nothing'} can be fixed.")

    @property
    def parameters(self) -> tuple[str, ...]:
        """Catalogue names of its values, in order."""
        names = ("x", "y", "mag", "r_eff", *(s.name for s in self.profile.shape), "q", "pa")
        return tuple(f"{self.name}_{name}" if self.name else name for name in names)

    @property
    def size(self) -> int:
        """Length of its block."""
        return 6 + len(self.profile.shape)

    def block(self, values: Tensor, zeropoint: Tensor) -> Tensor:
        """Free parameters of catalogue values, both [B, size] float64; `zeropoint` [B] is the magnitude of unit flux."""
        x, y, mag, r_eff, *shape, q, pa = values.unbind(-1)
        eta = -torch.log(q.clamp(max=1.0))
        # the start may not sit on the bound itself, where the direction outward has no slope left
        length = self._eta_max * torch.atanh((eta / self._eta_max).clamp(max=0.995))
        angle = 2 * torch.deg2rad(pa + 90)
        return torch.stack([x, y, torch.exp((mag - zeropoint) / MAG), torch.log(r_eff) - eta / 2, *(s.log() for s in shape),
                            length * torch.cos(angle), length * torch.sin(angle)], dim=-1)

    def values(self, block: Tensor, zeropoint: Tensor) -> Tensor:
        """Catalogue values of free parameters; the inverse of `block`."""
        x, y, flux, log_r, *shape, w1, w2 = block.unbind(-1)
        length = torch.hypot(w1, w2)
        eta = length * _squash(length / self._eta_max)
        pa = torch.remainder(torch.rad2deg(torch.atan2(w2, w1)) / 2 - 90, 180.0)
        return torch.stack([x, y, zeropoint + MAG * torch.log(flux), torch.exp(log_r + eta / 2), *(s.exp() for s in shape),
                            torch.exp(-eta), pa], dim=-1)

    def values_jacobian(self, block: Tensor) -> Tensor:
        """Derivatives of `values` by the block, [B, size, size] float64."""
        flux, log_r = block[:, 2], block[:, 3]
        length, unit, slope = self._squash_slope(block[:, -2:])
        eta = self._eta_max * torch.tanh(length / self._eta_max)
        r_eff, q = torch.exp(log_r + eta / 2), torch.exp(-eta)
        out = torch.zeros(len(block), self.size, self.size, dtype=block.dtype, device=block.device)
        out[:, 0, 0] = out[:, 1, 1] = 1.0
        out[:, 2, 2] = MAG / flux
        out[:, 3, 3] = r_eff
        for place in range(4, self.size - 2):
            out[:, place, place] = block[:, place].exp()
        by_eta = slope[:, None] * unit
        out[:, 3, -2:] = r_eff[:, None] / 2 * by_eta
        out[:, -2, -2:] = -q[:, None] * by_eta
        turned = torch.stack([-unit[:, 1], unit[:, 0]], -1)
        out[:, -1, -2:] = math.degrees(0.5) * turned / length[:, None]
        return out

    def native(self, block: Tensor) -> Tensor:
        """What the renderer draws: x, y, ln R, ln shape..., e1, e2, [B, size - 1]."""
        w = block[:, -2:]
        ratio = _squash(w.norm(dim=-1) / self._eta_max)
        return torch.cat([block[:, :2], block[:, 3:-2], w * ratio[:, None]], dim=1)

    def lift(self, block: Tensor) -> Tensor:
        """How the component's light follows its block, [B, size, size].

        Row i, column j: the share of drawn image i (unit flux, then its derivatives by `native`) in the derivative of
        the light by free parameter j.
        """
        flux = block[:, 2]
        length, unit, slope = self._squash_slope(block[:, -2:])
        ratio = _squash(length / self._eta_max)
        out = torch.zeros(len(block), self.size, self.size, dtype=block.dtype, device=block.device)
        out[:, 0, 2] = 1.0
        for row, column in zip(range(1, self.size - 2), (0, 1, *range(3, self.size - 2))):
            out[:, row, column] = flux
        eye = torch.eye(2, dtype=block.dtype, device=block.device)
        turn = ratio[:, None, None] * eye + (slope - ratio)[:, None, None] * unit[:, :, None] * unit[:, None, :]
        out[:, -2:, -2:] = flux[:, None, None] * turn
        return out

    def box(self, shape: tuple[int, int]) -> list[tuple[float, float]]:
        """Bounds of its block for stamps of `shape`.

        The centre may leave the stamp by a quarter of its size: a galaxy cut by the edge is still a galaxy.
        """
        height, width = shape
        low, high = self.bounds["r_eff"]
        high = min(high, 0.75 * max(shape))  # a larger galaxy is no longer distinct from the sky
        logs = [tuple(math.log(b) for b in self.bounds.get(s.name, (s.lower, s.upper))) for s in self.profile.shape]
        free = (-math.inf, math.inf)
        return [(-0.25 * width, 1.25 * width), (-0.25 * height, 1.25 * height), (1e-12, math.inf),
                (math.log(low), math.log(high)), *logs, free, free]

    def prior(self) -> list[tuple[float, float]]:
        """Mean and inverse variance of the Gaussian prior on its block; (0, 0) where there is none."""
        out = [(0.0, 0.0)] * self.size
        names = {s.name: 4 + i for i, s in enumerate(self.profile.shape)}
        for name, (median, dex) in self.priors.items():
            weight = (dex * math.log(10.0)) ** -2
            if name == "q":  # round is the centre of the plane of ellipticities
                out[-2] = out[-1] = (0.0, weight)
            else:
                out[names[name]] = (math.log(median), weight)
        return out

    def step_limit(self) -> list[float]:
        """Largest move of each free parameter in one step; the problem is far from linear beyond."""
        return [4.0, 4.0, math.inf, 0.7, *[0.7] * len(self.profile.shape), 0.7, 0.7]

    def at_thinnest(self, values: Tensor) -> Tensor:
        """Where the axis ratio has run into its bound, [B] bool, of catalogue values [B, size]."""
        return values[:, -2] < 1.01 * self.bounds["q"][0]

    @property
    def _eta_max(self) -> float:
        return -math.log(self.bounds["q"][0])

    def _squash_slope(self, w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Length and direction of w, and the derivative of -ln q by the length."""
        length = w.norm(dim=-1).clamp(min=1e-12)
        return length, w / length[:, None], 1 - torch.tanh(length / self._eta_max) ** 2


def _squash(u: Tensor) -> Tensor:
    """tanh(u) / u."""
    return torch.where(u < 1e-3, 1 - u * u / 3, torch.tanh(u) / u.clamp(min=1e-3))
