"""The last word on errors: how large they must be to hold 68 % of the truths of examples that no training
saw."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from autogal.initialise.network.architecture import StartNetwork, catalogue_axes, pinball

__all__ = ["calibrate"]

_STEPS, _RATE, _DECAY = 400, 0.02, 1e-3


def calibrate(network: StartNetwork, batches: Iterable[dict[str, Tensor]]) -> None:
    """Set `StartNetwork.errors`, factors on the errors of a catalogue's values that are log-linear in the
    photometry; nothing else changes.

    The covariance is learnt along with the means, and both are a little too sure of what was seen before, or
    not sure enough of what is rare. A few hundred numbers are found on examples of their own, to the end, by
    a quantile loss.

    Parameters
    ----------
    network : StartNetwork
        Left in evaluation mode.
    batches : iterable of dict of str to Tensor
        As from `autogal.training.initialiser.as_fitted`: shaken ones have larger errors. Many times more
        examples than there are features.
    """
    network.eval()
    with torch.no_grad():
        network.errors.weight.zero_()
        network.errors.bias.zero_()
        seen, over = [], []
        for batch in batches:
            channels, features, targets = (
                batch[name].to(network.target_mean.device) for name in ("channels", "features", "targets")
            )
            mean, covariance = network.predict(
                channels.contiguous(memory_format=torch.channels_last), features
            )
            axes = catalogue_axes(mean)
            error = (axes @ covariance @ axes.mT).diagonal(dim1=1, dim2=2).sqrt()
            off = (axes @ (targets - mean)[:, :, None])[:, :, 0].abs()
            seen.append(network.calibration_features(features, mean))
            over.append((off.clamp(min=1e-9) / error).log().float())
        seen, over = torch.cat(seen), torch.cat(over)
    with torch.enable_grad():
        weights = [network.errors.weight, network.errors.bias]
        optimiser = torch.optim.Adam(weights, _RATE)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, _STEPS)
        for _ in range(_STEPS):
            loss = pinball(over - network.ln_factors(seen)).mean() + _DECAY * weights[0].square().sum()
            optimiser.zero_grad()
            loss.backward(inputs=weights)
            optimiser.step()
            schedule.step()
