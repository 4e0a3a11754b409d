"""Surface photometry of targets: the ellipse that fits the light best, how bright it is ring by ring, and
what profile that is.

A network learns position angles and profiles from pixels slowly; from these numbers it has them at once.
"""

from __future__ import annotations

import torch
from torch import Tensor

from autogal.initialise.photometry.reliability import TARGET_NAMES, target_reliability
from autogal.initialise.photometry.ring_fit import PSF_WIDTHS, RingFit, Rings, fit_rings, psf_shares
from autogal.initialise.photometry.rings import WIDE, narrow_rings, wide_rings

__all__ = ["NAMES", "PSF_NAMES", "describe_psf", "measure_sources", "moments", "photometry", "shape"]

_ITERATIONS = 14
_NARROWEST = 0.2  # px^2; a Gaussian narrower than the pixels cannot be told from a point
_WIDEST = 1.2  # radii^2
_WINDOW = 0.6  # radii; standard deviation of the window in which the outer shape is measured
_FEWER = 4  # iterations of `fit_rings`: what a fit begins with need not be exact
_APERTURE = 1.3  # circularised radius of the ellipse that holds the whole target, in units of its radius

PSF_NAMES = ("FWHM", "xx", "yy", "xy", *(f"share {k}" for k in range(len(PSF_WIDTHS))))
NAMES = (
    "ln S/N",
    "ln concentration",
    "mean x",
    "mean y",
    "ln size",
    "e1",
    "e2",
    "ln true size",
    "true e1",
    "true e2",
    "ln outer size",
    "outer e1",
    "outer e2",
    "fitted ln flux",
    "fitted ln R",
    "fitted ln n",
    "fitted e1",
    "fitted e2",
    "ln error of ln R",
    "ln error of ln n",
    "ln misfit",
    "fitted sky",
    *(f"ring {k}" for k in range(WIDE)),
    *(f"S/N of ring {k}" for k in range(WIDE)),
    *TARGET_NAMES,
)


def photometry(
    light: Tensor, variance: Tensor, known: Tensor, x: Tensor, y: Tensor, radius: Tensor, psf: Tensor
) -> tuple[Tensor, Tensor]:
    """Ellipses and profiles of the targets of B stamps, on their own pixels: a crop shows little of a bright
    cusp.

    Parameters
    ----------
    light : Tensor, [B, H, W] float32
        In units of the noise of a pixel of sky, neighbours and sky taken off; 0 where nothing is known.
    variance : Tensor, [B, H, W] float32
        Of the light, in the same units.
    known : Tensor, [B, H, W] bool
    x, y, radius : Tensor, [B]
        About where the target is, and about how far it reaches, px. The radius is the unit of length.
    psf : Tensor, [B, len(PSF_NAMES)]
        From `describe_psf`.

    Returns
    -------
    features : Tensor, [B, len(NAMES)]
        S/N under the ellipse, and its light as a part of the whole; its centre; half the logarithm of its
        area, and its ellipticities (as those of `autogal.initialise.network.targets`), as seen and with the
        PSF taken off; the same of the light farther out; the Sersic profile that fits best (flux in units of
        `flux`), how well it is known and fits, and the sky it wants; the logarithm of each ring's mean
        against the brightest's; asinh of its S/N; and `target_reliability`.
    flux : Tensor, [B]
        Light inside an ellipse as large as the target, in units of the noise, or the noise there: always
        positive.

    Notes
    -----
    The ellipse's own weighted moments are those of the light (Bernstein & Jarvis 2002, section 3); further
    out a round Gaussian window is used once, and taken off as if the galaxy were a Gaussian too. What is not
    known is taken from the opposite side of the target: galaxies are nearly symmetric about their centre.
    """
    one_sided, seen = light, known
    light, known = _mirrored(light, known, x, y)
    radius, psf = radius.float(), psf.float()
    columns, rows, star, least = _frame(light, x, y, radius, psf)
    ellipse = _fitting_ellipse(light, columns, rows, star, least)
    weight = _gaussian(columns, rows, *ellipse)
    core = 2 * (light * weight).sum((1, 2))
    noise = 2 * weight.square().sum((1, 2)).sqrt().clamp(min=1e-9)
    blurred, true = (
        shape(*ellipse[2:], least),
        shape(*(whole - part for whole, part in zip(ellipse[2:], star)), least),
    )
    outer = _windowed(light, columns, rows, ellipse[:2], least)
    squares = _round_squares(columns, rows, (*ellipse[:2], *outer))
    brightness, significance = wide_rings(light, known, squares)
    whole = (light * (squares < _APERTURE**2)).sum((1, 2))
    concentration = (core / whole.clamp(min=1e-6)).clamp(0.01, 10).log()
    # the noise under a window as wide as the target: less light than that is none
    flux = torch.maximum(whole, 1.7725 * radius)
    fitted, around, rings = _fitted(light, known, columns, rows, ellipse, star, least, radius, psf, flux)
    trust = target_reliability(one_sided, variance, seen, known, weight, around, rings, radius)
    values = [
        (core / noise).clamp(min=1).log(),
        concentration,
        *ellipse[:2],
        *blurred,
        *true,
        *shape(*outer, least),
        *fitted,
    ]
    return torch.cat([torch.stack(values, 1), brightness, significance, trust], 1), flux


def measure_sources(
    light: Tensor, known: Tensor, x: Tensor, y: Tensor, radius: Tensor, psf: Tensor
) -> dict[str, Tensor]:
    """The Sersic profiles closest to the light of B sources, by the ellipse that fits each best and its
    rings.

    Parameters
    ----------
    light, known, x, y, radius, psf :
        As `photometry` takes them.

    Returns
    -------
    dict of str to Tensor, [B] float64
        x, y, r_eff [px], flux in units of the noise of a pixel, n, q, pa [deg from +y].
    """
    light, known = _mirrored(light, known, x, y)
    radius, psf = radius.float(), psf.float()
    columns, rows, star, least = _frame(light, x, y, radius, psf)
    ellipse = _fitting_ellipse(light, columns, rows, star, least)
    fit, (xx, yy, xy), _, _ = _profile(
        light, known, columns, rows, ellipse, star, least, radius, psf, iterations=_FEWER
    )
    q = fit.q.double()
    return {
        "x": x + ellipse[0].double() * radius,
        "y": y + ellipse[1].double() * radius,
        "flux": fit.ln_flux.double().exp() * radius.double().square(),
        "r_eff": fit.ln_r.double().exp() * radius / q.sqrt(),
        "n": fit.ln_n.double().exp(),
        "q": q,
        "pa": torch.remainder(torch.rad2deg(torch.atan2(2 * xy, xx - yy)).double() / 2 - 90, 180.0),
    }


def _frame(
    light: Tensor, x: Tensor, y: Tensor, radius: Tensor, psf: Tensor
) -> tuple[Tensor, Tensor, tuple[Tensor, ...], Tensor]:
    """In radii, from the centres: where the columns [B, W] and rows [B, H] are; moments of the PSF, and
    the least that there are, [B]."""
    columns, rows = (
        (torch.arange(length, device=light.device) - centre[:, None]).float() / radius[:, None]
        for length, centre in ((light.shape[2], x), (light.shape[1], y))
    )
    return columns, rows, (psf[:, 1:4] / radius[:, None].square()).unbind(1), _NARROWEST / radius.square()


def _fitting_ellipse(
    light: Tensor, columns: Tensor, rows: Tensor, star: tuple[Tensor, ...], least: Tensor
) -> tuple[Tensor, ...]:
    return _adaptive_moments(light, columns, rows, 0.5 * (0.5 * (star[0] + star[1])).sqrt(), least)


def _fitted(
    light: Tensor,
    known: Tensor,
    columns: Tensor,
    rows: Tensor,
    ellipse: tuple[Tensor, ...],
    star: tuple[Tensor, ...],
    least: Tensor,
    radius: Tensor,
    psf: Tensor,
    flux: Tensor,
) -> tuple[list[Tensor], Tensor, Tensor]:
    """The features that say what Sersic profile fits best, its rings' squared radii [B, H, W] and their
    means [B, R]."""
    fit, (xx, yy, xy), squares, mean = _profile(
        light, known, columns, rows, ellipse, star, least, radius, psf
    )
    half = torch.hypot((xx - yy) / 2, xy)
    elongation = -fit.q.log() / half.clamp(min=1e-12)
    return (
        [
            (fit.ln_flux + 2 * radius.log() - flux.log()).clamp(-3, 3),
            fit.ln_r,
            fit.ln_n,
            elongation * (xx - yy) / 2,
            elongation * xy,
            fit.error_r.log(),
            fit.error_n.log(),
            fit.misfit.clamp(1e-2, 1e4).log(),
            fit.sky.asinh(),
        ],
        squares,
        mean,
    )


def _profile(
    light: Tensor,
    known: Tensor,
    columns: Tensor,
    rows: Tensor,
    ellipse: tuple[Tensor, ...],
    star: tuple[Tensor, ...],
    least: Tensor,
    radius: Tensor,
    psf: Tensor,
    **options,
) -> tuple[RingFit, tuple[Tensor, Tensor, Tensor], Tensor, Tensor]:
    """The Sersic profile that fits best, the ellipse of its rings as if the PSF were round, their squared
    radii and means."""
    middle = (star[0] + star[1]) / 2
    round_star = (middle - star[0], middle - star[1], -star[2])
    xx, yy, xy = _bounded(*(whole + part for whole, part in zip(ellipse[2:], round_star)), 0.5 * least)
    middle, half = (xx + yy) / 2, torch.hypot((xx - yy) / 2, xy)
    squares = _round_squares(columns, rows, (*ellipse[:2], xx, yy, xy)).clamp(min=0)
    rings = Rings(
        *narrow_rings(light, known, squares, radius),
        torch.stack([middle + half, torch.maximum(middle - half, 0.5 * least)], 1),
        psf[:, 0] / radius,
        psf[:, 4:],
    )
    return fit_rings(rings, **options), (xx, yy, xy), squares, rings.mean


def _mirrored(light: Tensor, known: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Light and what is known of it, with holes filled from the opposite side of the centre."""
    height, width = light.shape[1:]
    opposite, there = light, known
    for axis, length, centre in ((2, width, x), (1, height, y)):
        place = 2 * centre.round().long()[:, None] - torch.arange(length, device=light.device)
        inside = (place >= 0) & (place < length)
        place, inside = (
            part.unsqueeze(3 - axis).expand(light.shape) for part in (place.clamp(0, length - 1), inside)
        )
        opposite, there = opposite.gather(axis, place), there.gather(axis, place) & inside
    filled = ~known & there
    return torch.where(filled, opposite, light), known | filled


def describe_psf(psf: Tensor, fwhm: Tensor) -> Tensor:
    """FWHM [px], second moments xx, yy, xy [px^2] of the Gaussian that fits best, and `psf_shares` of PSFs,
    [B, len(PSF_NAMES)].

    Parameters
    ----------
    psf : Tensor, [B, K, L]
        Centred images.
    fwhm : Tensor, [B]
        px.
    """
    columns, rows = (
        (torch.arange(length, device=psf.device) - (length - 1) / 2) / fwhm[:, None]
        for length in reversed(psf.shape[1:])
    )
    first = torch.full_like(fwhm, 0.4)
    matrix = (
        torch.stack(_adaptive_moments(psf.float(), columns, rows, first, first * 0 + 0.03)[2:], 1)
        * fwhm[:, None].square()
    )
    return torch.cat([fwhm[:, None], matrix, psf_shares(psf, fwhm)], 1)


def _adaptive_moments(
    light: Tensor, columns: Tensor, rows: Tensor, first: Tensor, least: Tensor
) -> tuple[Tensor, ...]:
    """Centre and second moments x, y, xx, yy, xy [B] of the Gaussian that fits the light best.

    Its pixels are at `columns` [B, W] and `rows` [B, H]; the iteration begins with standard deviations
    `first` [B], and no eigenvalue becomes less than `least` [B].
    """
    x = y = xy = light.new_zeros(len(light))
    xx = yy = first.square()
    for _ in range(_ITERATIONS):
        mx, my, mxx, myy, mxy, real = moments(
            light * _gaussian(columns, rows, x, y, xx, yy, xy), columns, rows
        )
        # the product of two equal Gaussians has half their moments
        x, y = (
            torch.where(real, (c + 2 * (m - c).clamp(-0.2, 0.2)).clamp(-0.5, 0.5), c)
            for c, m in ((x, mx), (y, my))
        )
        xx, yy, xy = (torch.where(real, 2 * m, c) for c, m in ((xx, mxx), (yy, myy), (xy, mxy)))
        xx, yy, xy = _bounded(xx, yy, xy, least)
    return x, y, xx, yy, xy


def _windowed(
    light: Tensor, columns: Tensor, rows: Tensor, centre: tuple[Tensor, Tensor], least: Tensor
) -> tuple[Tensor, ...]:
    """Second moments xx, yy, xy [B] of the light under a wide round window, with the window taken off."""
    wide = torch.full_like(centre[0], _WINDOW**2)
    _, _, xx, yy, xy, real = moments(
        light * _gaussian(columns, rows, *centre, wide, wide, 0 * wide), columns, rows
    )
    xx, yy, xy = _bounded(
        *(torch.where(real, part, other) for part, other in ((xx, wide / 2), (yy, wide / 2), (xy, 0 * wide))),
        least,
    )
    # (M^-1 - W^-1)^-1, both in the axes of M
    middle, half = (xx + yy) / 2, torch.hypot((xx - yy) / 2, xy).clamp(min=1e-12)
    large, small = (
        1 / (1 / (middle + sign * half) - 1 / _WINDOW**2).clamp(min=1 / _WIDEST) for sign in (1, -1)
    )
    turn = (large - small) / 2 / half
    return _bounded(
        (large + small) / 2 + turn * (xx - yy) / 2,
        (large + small) / 2 - turn * (xx - yy) / 2,
        turn * xy,
        least,
    )


def moments(weighted: Tensor, columns: Tensor, rows: Tensor) -> tuple[Tensor, ...]:
    """Means and central second moments x, y, xx, yy, xy [B] of weights [B, H, W], and where their sum is
    positive.

    The columns are at [B, W], the rows at [B, H].

    Parameters
    ----------
    weighted : Tensor, [B, H, W]
    columns : Tensor, [B, W]
    rows : Tensor, [B, H]

    Returns
    -------
    x, y, xx, yy, xy : Tensor, [B]
    real : Tensor, [B] bool
    """
    along, down = weighted.sum(1), weighted.sum(2)
    total = along.sum(1)
    # without light there is nothing to follow
    real = total > 0
    total = torch.where(real, total, 1.0)
    x, y = (along * columns).sum(1) / total, (down * rows).sum(1) / total
    xx, yy = (along * columns**2).sum(1) / total - x * x, (down * rows**2).sum(1) / total - y * y
    return x, y, xx, yy, ((weighted @ columns[:, :, None])[:, :, 0] * rows).sum(1) / total - x * y, real


def _bounded(xx: Tensor, yy: Tensor, xy: Tensor, least: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Moments whose larger and smaller eigenvalues lie within the bounds."""
    middle, half = (xx + yy) / 2, torch.hypot((xx - yy) / 2, xy)
    large, small = (torch.maximum(middle + sign * half, least).clamp(max=_WIDEST) for sign in (1, -1))
    turn = (large - small) / 2 / half.clamp(min=1e-12)
    along, cross = turn * (xx - yy) / 2, turn * xy
    return (large + small) / 2 + along, (large + small) / 2 - along, cross


def shape(xx: Tensor, yy: Tensor, xy: Tensor, least: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """ln size and the two ellipticities, of length -ln q, of second moments [B] with eigenvalues of at least
    `least` [B].

    Parameters
    ----------
    xx, yy, xy : Tensor, [B]
    least : Tensor, [B]

    Returns
    -------
    ln_size, e1, e2 : Tensor, [B]
    """
    xx, yy, xy = _bounded(xx, yy, xy, least)
    middle, half = (xx + yy) / 2, torch.hypot((xx - yy) / 2, xy)
    large, small = middle + half, torch.maximum(middle - half, least)
    eta = 0.5 * torch.log(large / small) / half.clamp(min=1e-12)
    return 0.25 * torch.log(large * small), eta * (xx - yy) / 2, eta * xy


def _squares(
    columns: Tensor, rows: Tensor, x: Tensor, y: Tensor, xx: Tensor, yy: Tensor, xy: Tensor
) -> Tensor:
    """Square of the elliptical radius [B, H, W] in units of the ellipse."""
    dx, dy = columns - x[:, None], rows - y[:, None]
    determinant = (xx * yy - xy * xy).clamp(min=1e-12)
    a, b, c = (part[:, None, None] for part in (yy / determinant, -xy / determinant, xx / determinant))
    return a * dx[:, None, :].square() + 2 * b * dx[:, None, :] * dy[:, :, None] + c * dy[:, :, None].square()


def _gaussian(columns: Tensor, rows: Tensor, *moments: Tensor) -> Tensor:
    return torch.exp(-0.5 * _squares(columns, rows, *moments))


def _round_squares(columns: Tensor, rows: Tensor, ellipse: tuple[Tensor, ...]) -> Tensor:
    """Squares of the circularised radii [B, H, W] of ellipses of one shape."""
    x, y, xx, yy, xy = ellipse
    area = (xx * yy - xy * xy).clamp(min=1e-12).sqrt()
    return _squares(columns, rows, x, y, xx / area, yy / area, xy / area)
