"""Galaxies that are mostly structure: the surface brightness of rings, lanes, clumps, arms, bars, bright ends
and tails.

Every function draws galaxies of one kind before the seeing, from random numbers between 0 and 1, as images of
any scale.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["KINDS", "NUMBERS", "Plane", "shape_of"]

_CLUMPS = 12
#: Random numbers that a galaxy is drawn from
NUMBERS = 24 + 4 * _CLUMPS
_SOFT = 0.04  # of the galaxy's radius: no cusp is sharper


@dataclass(frozen=True)
class Plane:
    """Coordinates of the pixels [A, H, W] about each galaxy's centre, in units of its radius.

    Attributes
    ----------
    along, height : Tensor
        Along the major axis, and across it on the sky.
    q : Tensor, [A, 1, 1]
        Axis ratio.
    """

    along: Tensor
    height: Tensor
    q: Tensor

    @property
    def across(self) -> Tensor:
        """Across the major axis in the plane of the disk."""
        return self.height / self.q

    @property
    def radius(self) -> Tensor:
        """In the plane of the disk."""
        return (self.along.square() + self.across.square() + _SOFT**2).sqrt()

    @property
    def angle(self) -> Tensor:
        return torch.atan2(self.across, self.along)

    def turned(self, angle: Tensor) -> tuple[Tensor, Tensor]:
        """Coordinates along axes of the sky turned by `angle` [A, 1, 1]."""
        c, s = angle.cos(), angle.sin()
        return self.along * c + self.height * s, self.height * c - self.along * s

    def thinner(self, low: float, high: float) -> Plane:
        """The same galaxies with their axis ratios squeezed into another range, from (0, 1)."""
        return Plane(self.along, self.height, low + (high - low) * self.q)


def shape_of(kind: int, plane: Plane, u: Tensor) -> Tensor:
    """Galaxies of one of `KINDS`, [A, H, W], of unit sum.

    Parameters
    ----------
    kind : int
        Index into `KINDS`.
    plane : Plane
    u : Tensor, [A, NUMBERS]
        Uniform random numbers.
    """
    draw = _Draw(u)
    return _unit(list(KINDS.values())[kind](plane, draw))


class _Draw:
    """Random numbers [A, 1, 1] one after the other."""

    def __init__(self, u: Tensor):
        self.u, self.next = u, 0

    def __call__(self, low: float = 0.0, high: float = 1.0) -> Tensor:
        self.next += 1
        return (low + (high - low) * self.u[:, self.next - 1])[:, None, None]

    def log(self, low: float, high: float) -> Tensor:
        return self(math.log(low), math.log(high)).exp()

    def some(self, part: float) -> Tensor:
        """1 with a probability, else 0."""
        return (self() < part).float()

    def clumps(self) -> tuple[Tensor, ...]:
        """Four numbers of each of `_CLUMPS` clumps, [A, _CLUMPS] each."""
        return self.u[:, -4 * _CLUMPS :].unflatten(1, (4, _CLUMPS)).unbind(1)


def _unit(image: Tensor) -> Tensor:
    return image / image.sum((1, 2), keepdim=True).clamp(min=1e-30)


def _mixed(*parts: tuple[Tensor, Tensor]) -> Tensor:
    """Parts by their shares of the light, which need not add up to one."""
    return sum(share * _unit(image) for share, image in parts)


def _disk(r: Tensor, size: Tensor | float = 0.6, index: Tensor | float = 1.0) -> Tensor:
    return torch.exp(-((r / size) ** (1 / index)))


def _bump(distance: Tensor, width: Tensor) -> Tensor:
    return torch.exp(-0.5 * (distance / width).square())


def _bulge(plane: Plane, draw: _Draw, low: float = 0.08, high: float = 0.35) -> Tensor:
    """Rounder than the disk and flattened along it."""
    q = plane.q.sqrt()
    r = (plane.along.square() + (plane.height / q).square() + _SOFT**2).sqrt()
    return _disk(r, 0.6 * draw.log(low, high), draw(0.7, 1.6))


def _ring(plane: Plane, draw: _Draw) -> Tensor:
    """A core and a ring, as Hoag's object, with nothing or a faint disk between, resonance rings, rings of
    collisions."""
    plane = plane.thinner(0.3, 1.0)
    shift, width = draw(-0.15, 0.15) * draw.some(0.4), draw.log(0.06, 0.3)
    r = ((plane.along - shift).square() + plane.across.square() + _SOFT**2).sqrt()
    beads = 1 + draw(0, 0.9) * draw.some(0.4) * torch.cos(
        draw(1.0, 7.0).round() * plane.angle + draw(0, 2 * math.pi)
    )
    ring = _bump(r - 1, width) * beads
    inner = _bump(plane.radius - draw(0.35, 0.6), 0.7 * width)
    share, between, second = (
        draw(0.4, 0.85),
        draw(0.0, 0.4) * draw.some(0.5),
        draw(0.05, 0.3) * draw.some(0.3),
    )
    rest = 1 - share
    return _mixed(
        (share, ring),
        (rest * (1 - between) * (1 - second), _bulge(plane, draw, 0.12, 0.5)),
        (rest * between, _disk(plane.radius)),
        (rest * second, inner),
    )


def _lane(plane: Plane, draw: _Draw) -> Tensor:
    """A disk seen from its edge, or an elliptical galaxy, with opaque dust across it."""
    is_disk = draw.some(0.65)
    plane = Plane(
        plane.along, plane.height, torch.where(is_disk > 0, 0.12 + 0.35 * plane.q, 0.6 + 0.4 * plane.q)
    )
    share = draw(0.1, 0.6)
    light = _mixed((1 - share, _disk(plane.radius, 0.6)), (share, _bulge(plane, draw, 0.2, 0.6)))
    light = torch.where(is_disk > 0, light, _unit(_disk(plane.radius, draw(0.2, 0.5), draw(1.0, 1.8))))
    for part in (1.0, 0.3):
        # along the disk mostly, anywhere across ellipticals
        turn = torch.where((is_disk > 0) & (draw() < 0.8), draw(-0.15, 0.15), draw(0, math.pi))
        p, t = plane.turned(turn)
        thick = torch.where(is_disk > 0, plane.q, 0.35 + 0 * plane.q)
        edge = t - thick * draw(-0.5, 0.5) - thick * draw(-0.5, 0.5) * p.square()
        half = 0.5 * thick * draw.log(0.2, 1.2)
        slab = torch.sigmoid((half - edge.abs()) / (0.15 * half))
        length = torch.where(draw() < 0.6, 10.0, draw(0.3, 1.2))
        slab = slab * torch.sigmoid((length - (p - draw(-0.4, 0.4) * (length < 9)).abs()) / 0.1)
        light = light * torch.exp(-draw.log(1.5, 8.0) * slab * draw.some(part))
    return light


def _clumpy(plane: Plane, draw: _Draw) -> Tensor:
    """Clump clusters and chain galaxies: most of the light in a few clumps."""
    angle, distance, weight, width = draw.clumps()
    is_chain, number, share, steep = (
        draw.some(0.35),
        draw(3.0, _CLUMPS + 0.99).floor(),
        draw(0.3, 0.8),
        draw(0.5, 3.0),
    )
    q = torch.where(is_chain > 0, 0.15 + 0.15 * plane.q, 0.3 + 0.7 * plane.q)
    weight = (0.05 + weight) ** steep[:, 0] * (torch.arange(_CLUMPS, device=weight.device) < number[:, 0])
    weight = weight / weight.sum(1, keepdim=True)
    r = 1.4 * distance.sqrt()
    x, y = r * torch.cos(2 * math.pi * angle), r * torch.sin(2 * math.pi * angle) * q[:, 0]
    # the centre of their light is the galaxy's
    x, y = x - (weight * x).sum(1, keepdim=True), y - (weight * y).sum(1, keepdim=True)
    light = 0
    for k in range(_CLUMPS):
        away = (plane.along - x[:, k, None, None]).square() + (plane.height - y[:, k, None, None]).square()
        size = 0.06 + 0.2 * width[:, k, None, None].square()
        light = light + weight[:, k, None, None] / size**2 * torch.exp(-0.5 * away / size**2)
    return _mixed(
        (share, light), (1 - share, _disk(Plane(plane.along, plane.height, q).radius, 0.7, draw(0.5, 1.0)))
    )


def _arms(plane: Plane, draw: _Draw) -> Tensor:
    """Grand designs: arms of high contrast, mostly two, that may begin beyond a gap around the bulge."""
    plane = plane.thinner(0.3, 1.0)
    r, number = plane.radius, torch.where(draw() < 0.8, 2.0, draw(0.6, 4.4).round())
    wave = torch.cos(number * (plane.angle - draw(0, 2 * math.pi)) - number * draw(0.8, 3.0) * torch.log(r))
    arms = ((1 + wave) / 2) ** draw(1.0, 4.0)
    contrast, begin = draw(0.6, 0.97), draw(0.15, 0.7)
    outside = torch.sigmoid((r - begin) / (0.15 * begin))
    gap = 1 - draw(0.3, 1.0) * draw.some(0.4) * (1 - outside)
    disk = _disk(r, draw(0.6, 1.0)) * (1 - contrast * outside + contrast * outside * arms) * gap
    share = draw(0.05, 0.4)
    return _mixed((1 - share, disk), (share, _bulge(plane, draw)))


def _bar(plane: Plane, draw: _Draw) -> Tensor:
    """Strong bars with bright ends, in a faint disk, some inside a ring."""
    disk = plane.thinner(0.4, 1.0)
    p, t = plane.turned(draw(0, math.pi))
    thin, end = draw(0.15, 0.4), draw(0.6, 1.0)
    bar = torch.exp(-(((p / end).abs() ** 3 + (t / (thin * end)).abs() ** 3) ** (2 / 3)))
    away = (p.abs() - draw(0.85, 1.1) * end).square() + (t - draw(-0.1, 0.1) * torch.sign(p)).square()
    ends = torch.exp(-0.5 * away / draw(0.06, 0.2) ** 2) * (1 + draw(-0.4, 0.4) * torch.sign(p))
    ring = _bump(disk.radius - end, draw(0.08, 0.2))
    return _mixed(
        (draw(0.2, 0.5), bar),
        (draw(0.05, 0.3), ends),
        (draw(0.05, 0.3), _bulge(disk, draw)),
        (draw(0.1, 0.5), _disk(disk.radius, 0.8)),
        (draw(0.1, 0.5) * draw.some(0.4), ring),
    )


def _edge_on(plane: Plane, draw: _Draw) -> Tensor:
    """Disks seen from their edge, truncated, warped, with bright ends: rings seen from the side."""
    p, thick = plane.along / draw(0.9, 1.6), 0.05 + 0.15 * plane.q
    warp = draw(-0.6, 0.6) * draw.some(0.5) * torch.sign(p) * (p.abs() - draw(0.2, 0.6)).clamp(min=0) ** 2
    height = (plane.height - warp) / thick
    slab = 1 / torch.cosh(height.clamp(-40, 40)) ** 2
    sharp = torch.sigmoid((1 - p.abs()) / draw(0.03, 0.15))
    ring = sharp / (1 - p.square().clamp(max=1) + 0.05).sqrt() * slab
    uneven = 1 + draw(-0.6, 0.6) * torch.sign(p)
    ends = _bump(p.abs() - draw(0.75, 1.0), draw(0.05, 0.2)) * slab * uneven
    disk = torch.exp(-p.abs() / draw(0.25, 0.8)) * sharp * slab
    bulge = _disk(
        (plane.along.square() + (plane.height / 0.7).square() + _SOFT**2).sqrt(), draw.log(0.06, 0.25)
    )
    return _mixed(
        (draw(0.0, 0.5), ring), (draw(0.05, 0.5), ends), (draw(0.2, 0.8), disk), (draw(0.0, 0.3), bulge)
    )


def _tails(plane: Plane, draw: _Draw) -> Tensor:
    """Lopsided galaxies with tidal tails."""
    plane = plane.thinner(0.3, 1.0)
    r, angle = plane.radius, plane.angle
    lopsided = 1 + draw(0.0, 0.9) * torch.cos(angle - draw(0, 2 * math.pi)) * r.clamp(max=1)
    body = _disk(r, 0.45, draw(0.8, 1.5)) * lopsided
    first, winding, length, width = draw(0, 2 * math.pi), draw(-1.5, 1.5), draw(0.4, 1.2), draw(0.12, 0.35)
    tails = 0
    for turn, part in ((0.0, 1.0), (math.pi, 0.6)):
        off = angle - first - turn - winding * torch.log(r)
        off = torch.atan2(off.sin(), off.cos())
        tails = tails + draw.some(part) * draw(0.3, 1.0) * _bump(off * r.clamp(max=1.5), width) * torch.exp(
            -(r - 1) / length
        ) * torch.sigmoid((r - 0.9) / 0.1) * torch.sigmoid((draw(2.0, 3.2) - r) / 0.2)
    return _mixed((1.0 + 0 * width, body), (draw(0.05, 0.4), tails + 1e-9 * body))


#: By name, what draws galaxies of a kind
KINDS: dict[str, Callable[[Plane, _Draw], Tensor]] = {
    "ring": _ring,
    "lane": _lane,
    "clumps": _clumpy,
    "arms": _arms,
    "bar": _bar,
    "edge_on": _edge_on,
    "tails": _tails,
}
