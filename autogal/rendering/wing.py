"""The far wing: light beyond the taper, added in real space without the PSF."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from autogal.profiles import RadialProfile
from autogal.rendering.ellipse import elliptical_form, evaluate_form
from autogal.rendering.grid import Grid
from autogal.rendering.hankel import hankel_table

__all__ = ["TAPER_SPAN", "add_wing", "is_lit_beyond", "taper", "wing_error"]

# The taper falls from 1 to 0 between 1/1.6 of its end radius and that radius: 2.2 widths on either side of
# the middle
TAPER_SPAN = math.log(1.6)
_TAPER_WIDTH = TAPER_SPAN / 2 / 2.2
# Flux per pixel, as a fraction of the galaxy's, below which light beyond the taper is none
_DARK = 1e-9


def taper(u: Tensor) -> tuple[Tensor, Tensor]:
    """Smooth step from 1 to 0 around u = ln(radius / middle) = 0, and its derivative by u."""
    v = u / _TAPER_WIDTH
    slope = torch.exp(-(v * v)).mul_(-1 / (_TAPER_WIDTH * math.sqrt(math.pi)))
    return torch.special.erfc(v).mul_(0.5), slope


def add_wing(images: Tensor, grid: Grid, profile: RadialProfile, native: Tensor, log_mid: Tensor) -> None:
    """Add the wing and its derivatives to drawn images, in place.

    Parameters
    ----------
    images : Tensor, [B, 6 + S, H, W]
        As `SpectralRenderer.draw` returns them; [B, 1, H, W] without derivatives.
    grid : Grid
    profile : RadialProfile
    native : Tensor, [B, 5 + S]
    log_mid : Tensor, [B]
        ln of the circularised radius where the taper is 1/2. The transform has the same taper, so that its
        place does not move the sum of the two, and no derivative is taken by it.
    """
    keep = is_lit_beyond(profile, native, log_mid)
    if not len(keep):
        return
    native, log_mid = native[keep], log_mid[keep]
    col = lambda v: v.to(grid.dtype)[:, None, None]
    log_r = native[:, 2]
    form = elliptical_form(-native[:, -2], -native[:, -1])
    x, y = grid.x - col(native[:, 0]), grid.y[:, None] - col(native[:, 1])
    squares = evaluate_form(form.radius, x, y).clamp_(min=1e-6)
    log_rho = squares.log().mul_(0.5)
    inside, slope = taper(log_rho - col(log_mid))
    g, g_log_t, g_shape = profile.evaluate(log_rho.sub_(col(log_r)), native[:, 3:-2])
    # at fixed taper the size moves the intensity alone; the radius moves the intensity and the taper
    area = col((-2 * log_r).exp())
    outside = inside.neg_().add_(1).mul_(area)
    if images.shape[1] == 1:
        images[:, 0].index_add_(0, keep, g.mul_(outside))
        return
    by_square = torch.addcmul(g_log_t * outside, g, slope.mul_(area), value=-1).div_(squares).mul_(0.5)
    xx, yy, xy = (col(v) for v in form.radius)
    parts = [
        g.mul_(outside),
        (-2 * xx * x - xy * y).mul_(by_square),
        (-2 * yy * y - xy * x).mul_(by_square),
        torch.add(g * -2, g_log_t.mul_(outside), alpha=-1),
        *(g_shape * outside),
        evaluate_form(tuple(-v for v in form.by_e1), x, y).mul_(by_square),
        evaluate_form(tuple(-v for v in form.by_e2), x, y).mul_(by_square),
    ]
    for i, part in enumerate(parts):
        images[:, i].index_add_(0, keep, part)


def is_lit_beyond(profile: RadialProfile, native: Tensor, log_mid: Tensor) -> Tensor:
    """Places of the galaxies that have light where the taper begins; arguments as for `add_wing`."""
    start = (log_mid - TAPER_SPAN / 2 - native[:, 2])[:, None]
    brightness = profile.evaluate(start, native[:, 3:-2])[0][:, 0] * (-2 * native[:, 2]).exp()
    return (brightness > _DARK).nonzero()[:, 0]


def wing_error(
    grid: Grid, profile: RadialProfile, native: Tensor, log_mid: Tensor, fwhm: Tensor
) -> tuple[Tensor, Tensor]:
    """What leaving the wing W unconvolved costs: half the PSF's variance times the Laplacian of W.

    Parameters
    ----------
    grid, profile, native, log_mid :
        As for `add_wing`.
    fwhm : Tensor, [B]
        PSF FWHM, native pixels.

    Returns
    -------
    largest : Tensor, [B]
        Largest error as a fraction of the brightest pixel.
    total : Tensor, [B]
        Sum of absolute errors over the stamp as a fraction of the flux.
    """
    hankel = hankel_table(grid.device, grid.dtype, profile.sharp)
    x, y, log_r = native[:, 0], native[:, 1], native[:, 2]
    eta = torch.hypot(native[:, -2], native[:, -1])
    log_t = hankel.log_t.expand(len(native), -1)
    g = profile.evaluate(log_t, native[:, 3:-2])[0]
    log_rho = log_t + log_r[:, None]
    wing = g * (1 - taper(log_rho - log_mid[:, None])[0])
    spacing = hankel.log_t[1] - hankel.log_t[0]
    curvature = torch.zeros_like(wing)  # by ln(radius): a Laplacian is this over the radius squared
    curvature[:, 1:-1] = (wing[:, 2:] - 2 * wing[:, 1:-1] + wing[:, :-2]).abs() / spacing**2
    height, width = grid.shape
    corner = torch.hypot(torch.maximum(x, width - 1 - x), torch.maximum(y, height - 1 - y))
    curvature = torch.where(log_rho < (corner.log() + eta / 2)[:, None], curvature, 0.0)
    variance, stretch = (fwhm / 2) ** 2, torch.exp(eta)  # the minor axis curves 1 / q more than the mean one
    relative = variance * (-2 * log_r).exp()
    largest = 0.5 * relative * stretch * (curvature * (-2 * log_t).exp()).amax(-1)
    # the brightest pixel: light within the seeing disk, of Gaussian area, over that area
    seeing = 0.5 * torch.log(2 * variance) - log_r
    within = (
        (g * torch.where(log_t < seeing[:, None], (2 * log_t).exp(), 0.0)).sum(-1) * 2 * math.pi * spacing
    )
    peak = within / (math.pi * (2 * seeing).exp())
    total = 0.5 * relative * torch.cosh(eta) * curvature.sum(-1) * spacing * 2 * math.pi
    return largest / peak, total
