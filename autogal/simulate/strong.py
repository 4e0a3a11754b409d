"""Galaxies that are mostly structure, among the other sources of scenes, and their light."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from autogal.rendering.grid import Grid, fast_length
from autogal.simulate.rng import Rng
from autogal.simulate.scenes import Scenes
from autogal.simulate.shapes import KINDS, NUMBERS, Plane, shape_of

__all__ = ["Strong", "choose_strong", "draw_strong"]

_OTHERS = 0.35  # of the targets' part: neighbours that are mostly structure
_SMALLEST = 0.8, 4.0  # FWHM of the seeing; smaller galaxies show nothing
_LARGEST = 1 / 7  # of the stamp's side: the galaxy has room
_EXTENT = 5.0  # radii: beyond there is nothing
_PATCHES = (
    (48, 4),
    (96, 2),
    (144, 2),
    (192, 2),
    (320, 2),
)  # px, and samples a pixel; half as many where a percent of the peak will do
_AT_ONCE = 8
# Whatever has no middle of its own has that of its light
_UNCENTRED = [list(KINDS).index("edge_on")]


@dataclass(frozen=True)
class Strong:
    """Which sources are mostly structure, and what of.

    Attributes
    ----------
    kind : Tensor of int, [B, S]
        1 + index into `KINDS`; 0 for all other sources.
    numbers : Tensor, [B, S, NUMBERS]
        What they are drawn from.
    """

    kind: Tensor
    numbers: Tensor


def choose_strong(rng: Rng, scenes: Scenes, part: float) -> tuple[Scenes, Strong]:
    """Make a part of the targets, and about a third as many of the other galaxies, mostly structure.

    They are at least about as large as the seeing, so that it can be seen; those that grow get brighter, and
    keep about their signal-to-noise ratio. A source's `r_eff` is then the radius of its structure: of a ring,
    or within which arms and clumps lie.

    Parameters
    ----------
    rng : Rng
    scenes : Scenes
    part : float
        Of the targets.

    Returns
    -------
    Scenes
        With the sizes that the chosen galaxies have.
    Strong
    """
    sources, draw = scenes.sources, scenes.sources.alive.shape
    odds = torch.full(draw, part * _OTHERS, device=rng.device)
    odds[:, 0] = part
    chosen = (rng.uniform(0, 1, *draw) < odds) & ~sources.star & sources.alive
    kind = torch.where(
        chosen, 1 + (rng.uniform(0, 1, *draw) * len(KINDS)).long().clamp(max=len(KINDS) - 1), 0
    )
    largest = _LARGEST * min(scenes.shape)
    least = (scenes.seeing.fwhm[:, None] * rng.log_uniform(*_SMALLEST, *draw)).clamp(max=largest)
    size = torch.where(chosen, torch.maximum(sources.r_eff, least).clamp(max=largest), sources.r_eff)
    flux = sources.flux * (size / sources.r_eff).clamp(min=1.0)
    sources = replace(sources, r_eff=size, flux=flux)
    return replace(scenes, sources=sources), Strong(kind, rng.uniform(0, 1, *draw, NUMBERS))


def draw_strong(light: Tensor, scenes: Scenes, strong: Strong, exact: bool = False) -> None:
    """Draw the sources that are mostly structure, in place of whatever stands in their images.

    Parameters
    ----------
    light : Tensor, [sources, H, W]
        Of all living sources.
    scenes : Scenes
    strong : Strong
    exact : bool
        As in `draw_light`.
    """
    alive = scenes.sources.alive
    kind, numbers, scene = strong.kind[alive], strong.numbers[alive], alive.nonzero()[:, 0]
    pick = {name: getattr(scenes.sources, name)[alive] for name in ("x", "y", "flux", "r_eff", "q", "pa")}
    side = 2 * _EXTENT * pick["r_eff"]
    for place, (patch, fine) in enumerate(_PATCHES):
        last = place == len(_PATCHES) - 1
        fits = (side <= patch) | last
        before = side <= _PATCHES[place - 1][0] if place else torch.zeros_like(fits)
        for one in range(len(KINDS)):
            for some in ((kind == one + 1) & fits & ~before).nonzero()[:, 0].split(_AT_ONCE):
                if len(some):
                    own = {name: value[some] for name, value in pick.items()}
                    _draw_patches(
                        light,
                        some,
                        one,
                        own,
                        numbers[some],
                        scenes,
                        scene[some],
                        patch,
                        fine if exact else fine // 2,
                    )


def _draw_patches(
    light: Tensor,
    some: Tensor,
    kind: int,
    own: dict[str, Tensor],
    numbers: Tensor,
    scenes: Scenes,
    scene: Tensor,
    patch: int,
    fine: int,
) -> None:
    """Sources of one kind in patches of one size around them."""
    height, width = light.shape[1:]
    corner = torch.stack([own["x"], own["y"]], 1).sub((patch - 1) / 2).round().long()
    column = lambda v: v[:, None, None]
    inside = (torch.arange(patch * fine, device=light.device) - (fine - 1) / 2) / fine
    dx = column(corner[:, 0] - own["x"]) + inside
    dy = column(corner[:, 1] - own["y"]) + inside[:, None]
    angle, radius = torch.deg2rad(column(own["pa"]) + 90), column(own["r_eff"])
    plane = Plane(
        (dx * angle.cos() + dy * angle.sin()) / radius,
        (dy * angle.cos() - dx * angle.sin()) / radius,
        column(own["q"]),
    )
    image = shape_of(kind, plane, numbers)
    if kind in _UNCENTRED:
        off = [(image * axis).sum((1, 2), keepdim=True) for axis in (plane.along, plane.height)]
        image = shape_of(kind, Plane(plane.along + off[0], plane.height + off[1], plane.q), numbers)
    image = image * column(own["flux"])
    # the PSF and the pixel, with room for what they carry over the patch's border
    period = fast_length(patch + scenes.seeing.size // 2)
    grid = Grid((patch, patch), (period, period), fine, device=light.device)
    spectra = torch.fft.fft(torch.fft.rfft(image, n=period * fine), n=period * fine, dim=1).mT
    shift = 0.5 * (fine - 1) / fine
    spectra = (
        spectra
        * torch.exp(1j * shift * grid.kx).to(spectra.dtype)[:, None]
        * torch.exp(1j * shift * grid.ky).to(spectra.dtype)
    )
    seen = grid.to_images(spectra * scenes.seeing[scene].transfer(grid))
    light[some] = 0.0
    flat = light.view(-1)
    step = torch.arange(patch, device=light.device)
    x, y = corner[:, 0, None] + step, corner[:, 1, None] + step
    here = ((y >= 0) & (y < height))[:, :, None] & ((x >= 0) & (x < width))[:, None, :]
    pixel = (some[:, None, None] * height + y[:, :, None]) * width + x[:, None, :]
    flat.index_add_(0, pixel[here], seen[here])
