"""What galaxies are made of: one Sersic profile, or a bulge and a disk with a bar, arms or knots."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from autogal.errors import AutogalError
from autogal.simulate.company import with_company
from autogal.simulate.rng import Rng
from autogal.simulate.scenes import Parts, Scenes, Sources
from autogal.simulate.strong import Strong, choose_strong

__all__ = ["Arms", "Structure", "add_arms"]

_KNOTS = 10
# Parts of the scenes by the setting `structure`
_NAMED = {
    "usual": {},
    "mixed": {"strong": 0.45, "pairs": 0.12, "counted": 0.1},
    "strong": {"strong": 1.0, "pairs": 0.2, "counted": 0.4},
}


@dataclass(frozen=True)
class Arms:
    """Spiral arms: modulation of a source's light, each tensor [A].

    Attributes
    ----------
    source, scene : Tensor of int
    amplitude, number, winding, phase : Tensor
        Depth of the modulation, how many arms, cotangent of their pitch angle, and where they begin.
    """

    source: Tensor
    scene: Tensor
    amplitude: Tensor
    number: Tensor
    winding: Tensor
    phase: Tensor


@dataclass(frozen=True)
class Structure:
    """How many galaxies are not a single Sersic profile.

    Attributes
    ----------
    composite : float
        Part of the galaxies that have a bulge and a disk.
    bar, arms, knots : float
        Part of those that have a bar, spiral arms, star-forming knots; one galaxy may have several.
    strong : float
        Part of the targets that are mostly structure: rings, lanes, clumps (`autogal.simulate.shapes`); a
        third as many of the other galaxies are.
    pairs, counted : float
        Parts of the scenes whose target has a companion, or neighbours as number counts have them; see
        `with_company`. Without `strong`, `pairs` and `counted` scenes are drawn as if there were no such
        things.
    """

    composite: float = 0.0
    bar: float = 0.25
    arms: float = 0.4
    knots: float = 0.3
    strong: float = 0.0
    pairs: float = 0.0
    counted: float = 0.0

    @classmethod
    def named(cls, name: str, composite: float = 0.3) -> Structure:
        """As the setting ``structure`` has it: ``usual``, ``strong``, or ``mixed``, which is both about
        equally often.

        Raises
        ------
        AutogalError
            For any other name.
        """
        if name not in _NAMED:
            raise AutogalError(f"There is no structure={name}.", f"Choose one of: {', '.join(_NAMED)}.")
        return cls(composite=composite, **_NAMED[name])

    def strengthen(self, rng: Rng, scenes: Scenes) -> tuple[Scenes, Strong | None]:
        """Scenes with the company they have, and which of their galaxies are mostly structure; None where
        none is."""
        if self.pairs or self.counted:
            scenes = with_company(rng, scenes, self.pairs, self.counted)
        return choose_strong(rng, scenes, self.strong) if self.strong else (scenes, None)

    def compose(self, rng: Rng, scenes: Scenes) -> tuple[Parts, Arms, Tensor]:
        """Parts of all living sources, the arms of some, and whether each source is a single profile,
        [sources]."""
        sources, alive = scenes.sources, scenes.sources.alive
        scene = alive.nonzero()[:, 0]
        flat = Sources(*(getattr(sources, name)[alive] for name in Sources.__dataclass_fields__))
        count = len(scene)
        # drawn for all places, so that a scene does not depend on how many live in the others
        draw = alive.shape
        composite = (rng.bernoulli(self.composite, *draw) & ~sources.star)[alive]
        number = torch.arange(count, device=alive.device)
        single = Parts(
            scene, number, flat.star, flat.x, flat.y, flat.flux, flat.r_eff, flat.n, flat.q, flat.pa
        )
        bar, arms, knots = (
            (rng.bernoulli(part, *draw))[alive] & composite for part in (self.bar, self.arms, self.knots)
        )
        # galaxies smaller than the seeing show no arms
        arms = arms & (flat.r_eff > 0.7 * scenes.seeing.fwhm[scene])
        turn = rng.uniform(0, 360, *draw)[alive]
        shapes = [
            rng.uniform(low, high, *draw)[alive]
            for low, high in (
                (0.05, 0.6),
                (0.08, 0.4),
                (0.8, 4.5),
                (0.05, 0.2),
                (0.4, 0.8),
                (0.2, 0.45),
                (0.02, 0.3),
                (0.3, 0.9),
            )
        ]
        bulge_part, bulge_size, bulge_n, bar_part, bar_size, bar_q, knot_part, amplitude = shapes
        winding, arm_number = rng.uniform(1.5, 5.0, *draw)[alive], rng.uniform(1.6, 3.4, *draw)[alive].round()
        knot_r, knot_angle, knot_weight, knot_size = (
            rng.uniform(low, high, *draw, _KNOTS)[alive]
            for low, high in ((0.0, 1.0), (0, 2 * math.pi), (0.1, 1), (0.02, 0.12))
        )
        if not self.composite:
            return single, Arms(number[:0], scene[:0], *(flat.x[:0],) * 4), ~composite

        disk_flux = flat.flux * (1 - bulge_part) * (1 - bar_part * bar) * (1 - knot_part * knots)
        with_bar = flat.flux * (1 - bulge_part) * bar_part
        with_knots = flat.flux * (1 - bulge_part) * (1 - bar_part * bar) * knot_part
        disk = self._part(
            single, composite, flux=disk_flux, r_eff=1.2 * flat.r_eff, n=torch.ones_like(flat.n)
        )
        bulge = self._part(
            single,
            composite,
            flux=flat.flux * bulge_part,
            r_eff=flat.r_eff * bulge_size,
            n=bulge_n,
            q=flat.q.sqrt(),
        )
        bars = self._part(
            single,
            bar,
            flux=with_bar,
            r_eff=flat.r_eff * bar_size,
            n=torch.full_like(flat.n, 0.4),
            q=bar_q,
            pa=(flat.pa + turn) % 180,
        )
        pieces = [single[~composite], disk, bulge, bars]
        # knots lie in the plane of the disk, as an exponential disk's light does to about two of its sizes
        radius = 1.7 * flat.r_eff[:, None] * knot_r.sqrt()
        along, across = radius * knot_angle.cos(), radius * knot_angle.sin() * flat.q[:, None]
        angle = torch.deg2rad(flat.pa + 90)[:, None]
        share = knot_weight**4 / (knot_weight**4).sum(1, keepdim=True)
        x = flat.x[:, None] + along * angle.cos() - across * angle.sin()
        y = flat.y[:, None] + along * angle.sin() + across * angle.cos()
        for k in range(_KNOTS):
            pieces.append(
                self._part(
                    single,
                    knots,
                    x=x[:, k],
                    y=y[:, k],
                    flux=with_knots * share[:, k],
                    r_eff=(knot_size[:, k] * flat.r_eff).clamp(min=0.2),
                    n=torch.full_like(flat.n, 0.6),
                    q=torch.full_like(flat.q, 0.8),
                )
            )
        parts = Parts(
            *(torch.cat([getattr(piece, name) for piece in pieces]) for name in Parts.__dataclass_fields__)
        )
        some = arms.nonzero()[:, 0]
        spirals = Arms(
            some, scene[some], amplitude[some], arm_number[some], winding[some], torch.deg2rad(turn[some])
        )
        return parts, spirals, ~composite

    @staticmethod
    def _part(like: Parts, some: Tensor, **changed: Tensor) -> Parts:
        return Parts(*(changed.get(name, getattr(like, name))[some] for name in Parts.__dataclass_fields__))


def add_arms(light: Tensor, scenes: Scenes, arms: Arms) -> None:
    """Wind the light of some sources into logarithmic arms, in place; their flux stays as it is.

    Parameters
    ----------
    light : Tensor, [sources, H, W]
    """
    if not len(arms.source):
        return
    height, width = scenes.shape
    alive = scenes.sources.alive
    pick = lambda name: getattr(scenes.sources, name)[alive][arms.source][:, None, None]
    column = lambda v: v[:, None, None]
    dx = torch.arange(width, device=light.device) - pick("x")
    dy = torch.arange(height, device=light.device)[:, None] - pick("y")
    angle = torch.deg2rad(pick("pa") + 90)
    along, across = dx * angle.cos() + dy * angle.sin(), (dy * angle.cos() - dx * angle.sin()) / pick("q")
    squares = along.square() + across.square() + 0.25
    r_eff, fwhm = pick("r_eff"), column(scenes.seeing.fwhm[arms.scene])
    wave = torch.cos(
        column(arms.number) * (torch.atan2(across, along) - column(arms.phase))
        - column(arms.winding) * 0.5 * torch.log(squares / r_eff**2)
    )
    # none in the middle, washed out by the seeing across the arms
    depth = (
        column(arms.amplitude)
        * torch.exp(-((0.6 * fwhm / r_eff / pick("q").sqrt()) ** 2))
        * squares
        / (squares + (0.6 * r_eff) ** 2)
    )
    before = light[arms.source]
    after = before * (1 + depth * wave)
    after *= before.sum((1, 2), keepdim=True) / after.sum((1, 2), keepdim=True).clamp(min=1e-30)
    light[arms.source] = after
