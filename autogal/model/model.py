"""What is fitted: the parameters of a galaxy on a flat sky, as astronomers write them and as the solver moves them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from autogal.errors import AutogalError
from autogal.profiles import RadialProfile, Sersic

__all__ = ["Model"]

_MAG = -2.5 / math.log(10.0)


@dataclass(frozen=True)
class Model:
    """One radial profile on a flat sky.

    The solver moves the free vector (x, y, flux, ln R, ln shape..., w1, w2, sky): R is the circularised half-light
    radius, and (w1, w2) a vector of angle 2 (pa + 90 deg) whose length grows with -ln q and never lets q pass its
    bound. Every direction is smooth, also through q = 1, where the position angle has no value, and across
    pa = 0 = 180 deg.

    Attributes
    ----------
    profile : RadialProfile
    bounds : dict of str to (float, float)
        By catalogue name, in catalogue units; at least ``r_eff`` and ``q``.
    priors : dict of str to (float, float)
        Log-normal priors on own parameters of the profile: median, and standard deviation in dex. That of ``q`` must
        have the median 1 and is a Gaussian of that width in both components of ln q.
    """

    def __post_init__(self):
        known = {s.name for s in self.profile.shape}
        for name, (median, dex) in self.priors.items():
            if name not in known | {"q"}:
                raise AutogalError(f"There is a prior on {name!r}, which the model does not have or cannot take.",
                                   f"Priors are possible on {', '.join(sorted(known | {'q'}))}.")
            if not (median > 0 and dex > 0) or (name == "q" and median != 1):
                raise AutogalError(f"The prior on {name} is [{median}, {dex}].", "Give a positive median (1 for q) and a positive width in dex.")

    profile: RadialProfile = field(default_factory=Sersic)
    bounds: dict = field(default_factory=lambda: {"r_eff": (0.05, math.inf), "q": (0.05, 1.0)})
    priors: dict = field(default_factory=dict)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the catalogue's parameters, in the order of every array of values and covariances."""
        return ("x", "y", "mag", "r_eff", *(s.name for s in self.profile.shape), "q", "pa", "sky")

    @property
    def size(self) -> int:
        """Number of parameters."""
        return 7 + len(self.profile.shape)

    @property
    def linear(self) -> tuple[int, int]:
        """Places of flux and sky in the free vector: the image is linear in them."""
        return 2, self.size - 1

    @property
    def shape_places(self) -> list[int]:
        """Places of the profile's own parameters in the free vector."""
        return list(range(4, 4 + len(self.profile.shape)))

    def restarts(self) -> tuple[tuple[float, ...], ...]:
        """Own parameters, as the free vector holds them, from which to try again."""
        return self.profile.restarts

    @property
    def _eta_max(self) -> float:
        return -math.log(self.bounds["q"][0])

    def free(self, values: Tensor, zeropoint: Tensor) -> Tensor:
        """Free vectors of catalogue values.

        Parameters
        ----------
        values : Tensor, [B, P] float64
        zeropoint : Tensor, [B]
            Magnitude of unit flux.

        Returns
        -------
        Tensor, [B, P] float64
        """
        x, y, mag, r_eff, *shape, q, pa, sky = values.unbind(-1)
        eta = -torch.log(q.clamp(max=1.0))
        # the start may not sit on the bound itself, where the direction outward has no slope left
        length = self._eta_max * torch.atanh((eta / self._eta_max).clamp(max=0.995))
        angle = 2 * torch.deg2rad(pa + 90)
        flux = torch.exp((mag - zeropoint) / _MAG)
        return torch.stack([x, y, flux, torch.log(r_eff) - eta / 2, *(s.log() for s in shape),
                            length * torch.cos(angle), length * torch.sin(angle), sky], dim=-1)

    def values(self, free: Tensor, zeropoint: Tensor) -> Tensor:
        """Catalogue values of free vectors; the inverse of `free`. [B, P] float64."""
        x, y, flux, log_r, *shape, w1, w2, sky = free.unbind(-1)
        e1, e2 = self._ellipticity(w1, w2)
        eta = torch.sqrt(e1 * e1 + e2 * e2 + 1e-24)
        pa = torch.remainder(torch.rad2deg(torch.atan2(e2, e1 + 1e-30)) / 2 - 90, 180.0)
        return torch.stack([x, y, zeropoint + _MAG * torch.log(flux), torch.exp(log_r + eta / 2), *(s.exp() for s in shape),
                            torch.exp(-eta), pa, sky], dim=-1)

    def values_jacobian(self, free: Tensor) -> Tensor:
        """Derivatives of `values` by the free vector, [B, P, P] float64."""
        flux, log_r, w = free[:, 2], free[:, 3], free[:, -3:-1]
        length, unit, slope = self._squash_slope(w)
        eta = self._eta_max * torch.tanh(length / self._eta_max)
        r_eff, q = torch.exp(log_r + eta / 2), torch.exp(-eta)
        out = torch.zeros(len(free), self.size, self.size, dtype=free.dtype, device=free.device)
        for place in (0, 1, self.size - 1):
            out[:, place, place] = 1.0
        out[:, 2, 2] = _MAG / flux
        for place in (3, *self.shape_places):
            out[:, place, place] = free[:, place].exp()
        i_q, i_pa = self.size - 3, self.size - 2
        by_eta = slope[:, None] * unit
        out[:, 3, 3] = r_eff
        out[:, 3, -3:-1] = r_eff[:, None] / 2 * by_eta
        out[:, i_q, -3:-1] = -q[:, None] * by_eta
        turned = torch.stack([-unit[:, 1], unit[:, 0]], -1)
        out[:, i_pa, -3:-1] = math.degrees(0.5) * turned / length[:, None]
        return out

    def native(self, free: Tensor) -> tuple[Tensor, Tensor]:
        """What the renderer draws from, and how it follows the free vector.

        Returns
        -------
        native : Tensor, [B, 5 + S]
            x, y, ln R, ln shape..., e1, e2.
        chain : Tensor, [B, 5 + S, 5 + S]
            Derivatives of `native` by the free vector without flux and sky.
        """
        keep = [i for i in range(self.size) if i not in self.linear]
        moved = free[:, keep]
        e1, e2 = self._ellipticity(moved[:, -2], moved[:, -1])
        native = torch.cat([moved[:, :-2], e1[:, None], e2[:, None]], dim=1)
        chain = torch.eye(len(keep), dtype=free.dtype, device=free.device).repeat(len(free), 1, 1)
        length, unit, slope = self._squash_slope(moved[:, -2:])
        ratio = _squash(length / self._eta_max)
        chain[:, -2:, -2:] = ratio[:, None, None] * chain[:, -2:, -2:] + (slope - ratio)[:, None, None] * unit[:, :, None] * unit[:, None, :]
        return native, chain

    def box(self, shape: tuple[int, int], like: Tensor) -> tuple[Tensor, Tensor]:
        """Bounds of the free vector for stamps of `shape`, two [P] tensors.

        The centre may leave the stamp by a quarter of its size: a galaxy cut by the edge is still a galaxy.
        """
        height, width = shape
        inf = math.inf
        low, high = self.bounds["r_eff"]
        log_low = math.log(low) - self._eta_max / 2
        log_high = math.log(min(high, 0.75 * max(shape)))  # a larger galaxy is no longer distinct from the sky
        logs = [tuple(math.log(b) for b in self.bounds.get(s.name, (s.lower, s.upper))) for s in self.profile.shape]
        pairs = [(-0.25 * width, 1.25 * width), (-0.25 * height, 1.25 * height), (1e-12, inf), (log_low, log_high), *logs,
                 (-inf, inf), (-inf, inf), (-inf, inf)]
        lower, upper = like.new_tensor(pairs).unbind(1)
        return lower, upper

    def prior(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and inverse variance of the Gaussian prior on the free vector, [P] each; 0 where there is none."""
        mean, precision = like.new_zeros(self.size), like.new_zeros(self.size)
        names = {s.name: place for place, s in zip(self.shape_places, self.profile.shape)}
        for name, (median, dex) in self.priors.items():
            weight = (dex * math.log(10.0)) ** -2
            if name == "q":  # round is the centre of the plane of ellipticities
                precision[-3:-1] = weight
            else:
                mean[names[name]], precision[names[name]] = math.log(median), weight
        return mean, precision

    def step_limit(self, like: Tensor) -> Tensor:
        """Largest move of each free parameter in one step, [P]; the problem is far from linear beyond."""
        shape = [0.7] * len(self.profile.shape)
        return like.new_tensor([4.0, 4.0, math.inf, 0.7, *shape, 0.7, 0.7, math.inf])

    def _squash_slope(self, w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Length and direction of w, and the derivative of -ln q by the length."""
        length = w.norm(dim=-1).clamp(min=1e-12)
        return length, w / length[:, None], 1 - torch.tanh(length / self._eta_max) ** 2

    def _ellipticity(self, w1: Tensor, w2: Tensor) -> tuple[Tensor, Tensor]:
        ratio = _squash(torch.sqrt(w1 * w1 + w2 * w2 + 1e-24) / self._eta_max)
        return w1 * ratio, w2 * ratio


def _squash(u: Tensor) -> Tensor:
    """tanh(u) / u."""
    return torch.where(u < 1e-3, 1 - u * u / 3, torch.tanh(u) / u)
