"""The seven numbers that the network of starting values predicts, and what flips and turns do to them.

In units of the crop: ``dx``, ``dy`` (of the centre, in radii), ``ln flux`` (total, in the crop's light), ``ln R``
(circularised half-light radius, in radii), ``ln n``, and the ellipticity ``e1``, ``e2``: of length -ln q, at twice the
angle of the major axis from +x, as the renderer of the fit has it (`autogal.model.ellipse`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from autogal.initialise.crops import FEATURES, Crops

__all__ = ["TARGETS", "decode", "encode", "flip", "native_covariance"]

TARGETS = ("dx", "dy", "ln flux", "ln R", "ln n", "e1", "e2")

_DIRECTED_TARGETS = tuple(TARGETS.index(name) for name in ("dx", "dy", "e1", "e2"))
_DIRECTED_FEATURES = tuple(FEATURES.index(name) for name in ("mean x", "mean y", "moment 1", "moment 2"))


def encode(truth: dict[str, Tensor], crops: Crops) -> Tensor:
    """Targets [B, 7] float32 of catalogue values x, y, flux, r_eff, n, q, pa, [B] each."""
    value = {name: truth[name].double() for name in ("x", "y", "flux", "r_eff", "n", "q", "pa")}
    eta = -torch.log(value["q"].clamp(max=1.0))
    angle = 2 * torch.deg2rad(value["pa"] + 90)
    return torch.stack([(value["x"] - crops.x) / crops.radius, (value["y"] - crops.y) / crops.radius,
                        torch.log(value["flux"] / crops.flux), torch.log(value["r_eff"] / crops.radius) - eta / 2,
                        torch.log(value["n"]), eta * torch.cos(angle), eta * torch.sin(angle)], 1).float()


def decode(targets: Tensor, crops: Crops) -> dict[str, Tensor]:
    """Catalogue values x, y, flux, r_eff, n, q, pa, [B] float64 each; the inverse of `encode`."""
    dx, dy, ln_flux, ln_r, ln_n, e1, e2 = targets.double().unbind(1)
    eta = torch.hypot(e1, e2)
    return {"x": crops.x + dx * crops.radius, "y": crops.y + dy * crops.radius, "flux": crops.flux * torch.exp(ln_flux),
            "r_eff": crops.radius * torch.exp(ln_r + eta / 2), "n": torch.exp(ln_n), "q": torch.exp(-eta),
            "pa": torch.remainder(torch.rad2deg(torch.atan2(e2, e1)) / 2 - 90, 180.0)}


def native_covariance(covariance: Tensor, crops: Crops) -> Tensor:
    """Covariance [B, 7, 7] of x, y [px], ln flux, ln R, ln n, e1, e2 from that of the targets."""
    unit = torch.ones(covariance.shape[:2], dtype=torch.float64, device=covariance.device)
    unit[:, :2] = crops.radius[:, None]
    return covariance.double() * unit[:, :, None] * unit[:, None, :]


def flip(channels: Tensor, features: Tensor, targets: Tensor, left: Tensor, up: Tensor,
         swap: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Crops seen in a mirror, and their features and targets with them.

    The three mirrors together make all flips, turns by 90 degrees and transposes.

    Parameters
    ----------
    channels : Tensor, [B, C, S, S]
    features : Tensor, [B, 8]
    targets : Tensor, [B, 7]
    left, up, swap : Tensor, [B] bool
        Turn the x axis round; then the y axis; then exchange them.
    """
    def chosen(which: Tensor, then: Tensor, otherwise: Tensor) -> Tensor:
        return torch.where(which.view(-1, *[1] * (then.ndim - 1)), then, otherwise)

    channels = chosen(left, channels.flip(3), channels)
    channels = chosen(up, channels.flip(2), channels)
    channels = chosen(swap, channels.mT, channels)
    return channels, _turned(features, _DIRECTED_FEATURES, left, up, swap), _turned(targets, _DIRECTED_TARGETS, left, up, swap)


def _turned(values: Tensor, places: tuple[int, ...], left: Tensor, up: Tensor, swap: Tensor) -> Tensor:
    """Values [B, N] of which those at `places` are a vector's x and y, and an elongation along axes and diagonals."""
    x, y, e1, e2 = values[:, places].unbind(1)
    x, y, e2 = torch.where(left, -x, x), torch.where(up, -y, y), torch.where(left ^ up, -e2, e2)
    x, y, e1 = torch.where(swap, y, x), torch.where(swap, x, y), torch.where(swap, -e1, e1)
    turned = values.clone()
    turned[:, places] = torch.stack([x, y, e1, e2], 1)
    return turned
