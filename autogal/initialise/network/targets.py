"""The seven numbers that the network of starting values predicts, and what flips and turns do to them.

In units of the crop: ``dx``, ``dy`` (of the centre, in radii), ``ln flux`` (total, in the crop's light), ``ln
R`` (circularised half-light radius, in radii), ``ln n``, and the ellipticity ``e1``, ``e2``: of length -ln q,
at twice the angle of the major axis from +x, as the renderer of the fit has it (`autogal.rendering.ellipse`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from autogal.initialise.network.crops import FEATURES, Crops
from autogal.parameters import FLUX_START, axis_ratio_and_angle, ellipticity

__all__ = ["TARGETS", "decode", "encode", "flip", "native_covariance"]

TARGETS = ("dx", "dy", "ln flux", "ln R", "ln n", "e1", "e2")

# Where the x and y of vectors stand, and the pairs of ellipticities
_DIRECTED_TARGETS = (("dx", "dy"),), (("e1", "e2"),)
_DIRECTED_FEATURES = (
    (("mean x", "mean y"),),
    (
        ("PSF e1", "PSF e2"),
        ("e1", "e2"),
        ("true e1", "true e2"),
        ("outer e1", "outer e2"),
        ("fitted e1", "fitted e2"),
    ),
)


def encode(truth: dict[str, Tensor], crops: Crops) -> Tensor:
    """Targets [B, 7] float32 of catalogue values x, y, flux, r_eff, n, q, pa, [B] each.

    Parameters
    ----------
    truth : dict of str to Tensor, [B]
        px, image units, deg.
    crops : Crops
    """
    value = {name: truth[name].double() for name in FLUX_START[:-1]}
    e1, e2 = ellipticity(value["q"], value["pa"])
    return torch.stack(
        [
            (value["x"] - crops.x) / crops.radius,
            (value["y"] - crops.y) / crops.radius,
            torch.log(value["flux"] / crops.flux),
            torch.log(value["r_eff"] / crops.radius) + torch.log(value["q"].clamp(max=1.0)) / 2,
            torch.log(value["n"]),
            e1,
            e2,
        ],
        1,
    ).float()


def decode(targets: Tensor, crops: Crops) -> dict[str, Tensor]:
    """Catalogue values x, y, flux, r_eff, n, q, pa, [B] float64 each; the inverse of `encode`.

    Parameters
    ----------
    targets : Tensor, [B, 7]
    crops : Crops

    Returns
    -------
    dict of str to Tensor, [B]
        px, image units, deg from +y.
    """
    dx, dy, ln_flux, ln_r, ln_n, e1, e2 = targets.double().unbind(1)
    q, pa = axis_ratio_and_angle(e1, e2)
    return {
        "x": crops.x + dx * crops.radius,
        "y": crops.y + dy * crops.radius,
        "flux": crops.flux * torch.exp(ln_flux),
        "r_eff": crops.radius * torch.exp(ln_r) / q.sqrt(),
        "n": torch.exp(ln_n),
        "q": q,
        "pa": pa,
    }


def native_covariance(covariance: Tensor, crops: Crops) -> Tensor:
    """Covariance [B, 7, 7] of x, y [px], ln flux, ln R, ln n, e1, e2 from that of the targets.

    Parameters
    ----------
    covariance : Tensor, [B, 7, 7]
    crops : Crops

    Returns
    -------
    Tensor, [B, 7, 7] float64
    """
    unit = torch.ones(covariance.shape[:2], dtype=torch.float64, device=covariance.device)
    unit[:, :2] = crops.radius[:, None]
    return covariance.double() * unit[:, :, None] * unit[:, None, :]


def flip(
    channels: Tensor, features: Tensor, targets: Tensor, left: Tensor, up: Tensor, swap: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Crops seen in a mirror, and their features and targets with them.

    The three mirrors together make all flips, turns by 90 degrees and transposes.

    Parameters
    ----------
    channels : Tensor, [B, C, S, S]
    features : Tensor, [B, len(FEATURES)]
    targets : Tensor, [B, 7]
    left, up, swap : Tensor, [B] bool
        Turn the x axis round; then the y axis; then exchange them.
    """

    def chosen(which: Tensor, then: Tensor, otherwise: Tensor) -> Tensor:
        return torch.where(which.view(-1, *[1] * (then.ndim - 1)), then, otherwise)

    channels = chosen(left, channels.flip(3), channels)
    channels = chosen(up, channels.flip(2), channels)
    channels = chosen(swap, channels.mT, channels)
    return (
        channels,
        _turned(features, FEATURES, _DIRECTED_FEATURES, left, up, swap),
        _turned(targets, TARGETS, _DIRECTED_TARGETS, left, up, swap),
    )


def _turned(
    values: Tensor, names: tuple[str, ...], directed, left: Tensor, up: Tensor, swap: Tensor
) -> Tensor:
    """Values [B, N] of those `names`, with their vectors and their elongations (along axes, along
    diagonals) turned."""
    columns = dict(zip(names, values.unbind(1), strict=True))
    vectors, elongations = directed
    for one, other in vectors:
        x, y = (
            torch.where(left, -columns[one], columns[one]),
            torch.where(up, -columns[other], columns[other]),
        )
        columns[one], columns[other] = torch.where(swap, y, x), torch.where(swap, x, y)
    for one, other in elongations:
        columns[one] = torch.where(swap, -columns[one], columns[one])
        columns[other] = torch.where(left ^ up, -columns[other], columns[other])
    return torch.stack(list(columns.values()), 1)
