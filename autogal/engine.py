"""From starting values to parameters with covariances: every cutout of a block, bucket by bucket."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor

from autogal.choices import choose_device, choose_model, choose_settings, choose_solver
from autogal.flags import Flag
from autogal.frame import leaves_frame
from autogal.images import Cutout, sky_statistics
from autogal.model.bucket import fit_bucket
from autogal.model.fitted import Fitted
from autogal.model.model import Model
from autogal.model.stamps import Stamps, buckets, usable_pixels
from autogal.model.starts import component_starts
from autogal.solvers import Outcome, Solver, Status
from autogal.uncertainty import covariance

__all__ = ["START", "fit_cutouts"]

#: Order of starting values
START = ("x", "y", "mag", "r_eff", "n", "q", "pa", "sky")

_log = logging.getLogger(__name__)

_LOW_SN = 10.0
_NOTHING = 3.0  # a model that can move and change its shape finds so much of a signal in noise alone
_POOR_CHI2 = 1.5
_POOR_SHARE = 0.1
_SKY_ASTRAY = 0.2  # of the noise of a pixel
# A uniform angle has this standard deviation: no position angle is known worse [deg]
_WORST_ANGLE = 180 / math.sqrt(12)


def fit_cutouts(cutouts: Sequence[Cutout], start: np.ndarray, settings: DictConfig) -> Fitted:
    """Fit every cutout that can be fitted.

    Parameters
    ----------
    cutouts : sequence of Cutout
        Their masks hold the neighbours too. A fit that fails leaves a note.
    start : ndarray, [N, 8]
        Starting values of one Sersic profile, in the order of `START`; a row with NaN is skipped. Several components
        start from its fit.
    settings : DictConfig
        The nodes ``model``, ``solver``, ``uncertainty``, ``device``, ``dtype`` and ``threads``.

    Returns
    -------
    Fitted
        One row a cutout, in order. No cutout's numbers depend on any other's presence.
    """
    model, solver, device = choose_model(settings.model), choose_solver(settings.solver), choose_device(settings.device)
    fitted = Fitted.empty(len(cutouts), model.parameters)
    ready = [i for i in range(len(cutouts)) if _ready(cutouts[i], start[i], model.size, fitted, i)]
    with _one_thread_an_operation(device) as available:
        threads = (settings.threads or available) if device.type == "cpu" else 1
        how = _How(model, solver, settings.uncertainty, device, getattr(torch, settings.dtype), threads)
        for places in buckets([cutouts[i] for i in ready]).values():
            _fit_bucket([ready[p] for p in places], cutouts, start, how, fitted)
    _withdraw(cutouts, fitted)
    return fitted


def _withdraw(cutouts: Sequence[Cutout], fitted: Fitted) -> None:
    """A fit to nothing but noise is no measurement, wherever its start came from."""
    for i in np.flatnonzero(fitted.snr < _NOTHING):
        cutouts[i].notes.append(f"The fit has a signal-to-noise ratio of {fitted.snr[i]:.1f}: there is no source to measure.")
        fitted.values[i], fitted.covariance[i], fitted.chi2[i], fitted.snr[i] = np.nan, np.nan, np.nan, np.nan
        fitted.status[i], fitted.flags[i] = "skipped", Flag.NO_TARGET | Flag.LOW_SN


def _ready(cutout: Cutout, start: np.ndarray, size: int, fitted: Fitted, i: int) -> bool:
    """Whether a cutout can be fitted; if not, its row says why."""
    if cutout.error is not None:
        fitted.status[i] = "failed"
        fitted.flags[i] |= Flag.BAD_INPUT
        return False
    usable = int(np.count_nonzero(usable_pixels(cutout)))
    fitted.dof[i] = usable - size
    if usable <= 2 * size:
        cutout.notes.append(f"Only {usable} usable pixels for {size} parameters.")
        fitted.flags[i] |= Flag.FEW_PIXELS
        return False
    return bool(np.isfinite(start).all())


@dataclass(frozen=True)
class _How:
    """What is the same for every bucket of a call."""

    model: Model
    solver: Solver
    uncertainty: DictConfig
    device: torch.device
    dtype: torch.dtype
    threads: int


def _fit_bucket(places: list[int], cutouts: Sequence[Cutout], start: np.ndarray, how: _How, fitted: Fitted, hold_sky: bool = False) -> None:
    """Fit the cutouts at `places`; should the bucket as a whole fail, its halves are tried, down to the culprit."""
    try:
        again = _fit_stamps(places, cutouts, start, how, fitted, hold_sky)
    except (RuntimeError, ValueError) as error:
        if len(places) > 1:
            _log.warning("%d cutouts could not be fitted together (%s); trying them in halves", len(places), error)
            half = len(places) // 2
            for some in (places[:half], places[half:]):
                _fit_bucket(some, cutouts, start, how, fitted, hold_sky)
        else:
            _log.exception("%s could not be fitted", cutouts[places[0]].id)
            cutouts[places[0]].notes.append(f"The fit failed: {error}.")
            fitted.status[places[0]] = "failed"
            fitted.flags[places[0]] |= Flag.NOT_CONVERGED
        return
    if again and not hold_sky:
        held = start.copy()
        for i, level in again.items():
            _log.info("%s: the fitted sky is not the image's; fitted again with the sky held at %.5g", cutouts[i].id, level)
            held[i, START.index("sky")] = level
            fitted.flags[i] = Flag.SKY_FIXED
        _fit_bucket(list(again), cutouts, held, how, fitted, hold_sky=True)


def _sky_astray(cutout: Cutout, values: np.ndarray, reduced: float, how: _How) -> float | None:
    """Level of the sky around a galaxy whose fitted sky is not it, because the model is no good; None where all is well.

    Where no Sersic profile fits, the centre's many sigmas outvote the outskirts, and the sky takes up the mismatch.
    """
    i_sky = how.model.parameters.index("sky")
    if reduced < _POOR_CHI2 or np.count_nonzero(cutout.mask) > 0.5 * cutout.mask.size:
        return None
    if leaves_frame(how.model.parameters, values[None], [cutout])[0]:
        return None  # no outskirts to see the sky in
    level, scatter = sky_statistics(cutout.image, cutout.mask)
    return level if abs(values[i_sky] - level) > _SKY_ASTRAY * scatter else None


def _fit_stamps(places, cutouts, start, how: _How, fitted: Fitted, hold_sky: bool) -> dict[int, float]:
    """Fit the cutouts of one bucket and write their rows; gives the places of those whose sky must be held, and at what."""
    chosen, model = [cutouts[i] for i in places], how.model
    stamps = Stamps.from_cutouts(chosen, start[places][:, START.index("sky")], how.device, how.dtype)
    values = torch.from_numpy(start[places]).to(how.device)
    values[:, START.index("sky")] = 0.0  # the start's sky is the pedestal already taken off
    zeropoint = torch.tensor([c.zeropoint for c in chosen], dtype=torch.float64, device=how.device) - 2.5 * torch.log10(stamps.scale)
    if len(model.components) == 1:
        own = values[:, [START.index(name) for name in model.parameters]]  # a profile without an index takes none
        starts = [model.free(own, zeropoint)]
    else:
        starts = _split(values, stamps, zeropoint, how, hold_sky)
    outcome, endless = fit_bucket(model, stamps, starts, how.solver, how.threads, hold_sky)
    _write(places, cutouts, how, stamps, outcome, zeropoint, fitted)
    if hold_sky:
        return {}
    again = {}
    for i, grew in zip(places, endless.tolist()):
        if grew:
            again[i] = sky_statistics(cutouts[i].image, cutouts[i].mask)[0]
        elif np.isfinite(fitted.chi2[i]):
            level = _sky_astray(cutouts[i], fitted.values[i], fitted.chi2[i] / fitted.dof[i], how)
            if level is not None:
                again[i] = level
    return again


def _split(values: Tensor, stamps: Stamps, zeropoint: Tensor, how: _How, hold_sky: bool) -> list[Tensor]:
    """Starts of several components, from a single Sersic fit."""
    single = choose_model(choose_settings().model)
    outcome, _ = fit_bucket(single, stamps, [single.free(values, zeropoint)], how.solver, how.threads, hold_sky)
    fitted = single.values(outcome.theta, zeropoint)
    usable = torch.isfinite(fitted).all(-1)
    return component_starts(how.model, torch.where(usable[:, None], fitted, values), zeropoint)


def _write(places, cutouts, how: _How, stamps: Stamps, outcome: Outcome, zeropoint, fitted: Fitted) -> None:
    """Outcomes of one bucket in catalogue units, with their flags."""
    model = how.model
    values, jacobian = model.values(outcome.theta, zeropoint), model.values_jacobian(outcome.theta)
    matrix, singular = covariance(outcome.hessian, jacobian, outcome.at_bound)
    i_sky = model.parameters.index("sky")
    unit = torch.ones_like(values)
    unit[:, i_sky] = stamps.scale
    values[:, i_sky] = values[:, i_sky] * stamps.scale + stamps.pedestal
    thinnest = torch.zeros_like(values, dtype=torch.bool)
    for component in model.components:
        names = [model.parameters.index(name) for name in component.parameters]
        # an angle cannot be known worse than not at all
        unit[:, names[-1]] = (_WORST_ANGLE / matrix[:, names[-1], names[-1]].sqrt()).clamp(max=1.0).nan_to_num(1.0)
        thinnest[:, names[-2]] = component.at_thinnest(values[:, names])
    matrix = matrix * unit[:, :, None] * unit[:, None, :]
    matrix = torch.where(thinnest[:, :, None] | thinnest[:, None, :], torch.nan, matrix)
    # the sky has no bound; where it is held, its own flag says so
    at_bound = outcome.at_bound[:, :-1].any(-1) | thinnest.any(-1)
    fluxes = list(model.linear[:-1])
    light = outcome.theta[:, fluxes]
    snr = torch.einsum("bi,bij,bj->b", light, outcome.hessian[:, fluxes][:, :, fluxes], light).clamp(min=0).sqrt().cpu().numpy()

    status = outcome.status.tolist()
    chi2 = outcome.chi2.cpu().numpy()
    columns = (values.cpu().numpy(), matrix.cpu().numpy(), at_bound.tolist(), singular.tolist(), outcome.n_iter.tolist())
    for row, (i, value, cov, bound, flat, n_iter) in enumerate(zip(places, *columns)):
        fitted.n_iter[i] += n_iter
        if status[row] == Status.FAILED or not np.isfinite(value).all():
            fitted.status[i] = "failed"
            fitted.flags[i] |= Flag.NOT_CONVERGED
            cutouts[i].notes.append("The model could not be evaluated at the starting values.")
            continue
        converged = status[row] == Status.CONVERGED
        fitted.status[i] = "converged" if converged else "not_converged"
        fitted.values[i], fitted.chi2[i], fitted.snr[i] = value, chi2[row], snr[row]
        reduced = chi2[row] / fitted.dof[i]
        if how.uncertainty.name != "none":
            rescale = max(1.0, reduced) if how.uncertainty.get("scale_by_chi2") else 1.0
            fitted.covariance[i] = cov * rescale
        height, width = cutouts[i].shape
        outside = not (-0.5 <= value[0] <= width - 0.5 and -0.5 <= value[1] <= height - 0.5)
        # bright galaxies are never Sersic profiles to within the noise: poor is what misses a good part of the light
        missed = math.sqrt(max(chi2[row] - fitted.dof[i], 0.0)) > _POOR_SHARE * snr[row]
        poor = missed and reduced > max(_POOR_CHI2, 1 + 5 * math.sqrt(2 / fitted.dof[i]))
        for flag, raised in ((Flag.NOT_CONVERGED, not converged), (Flag.AT_BOUND, bound), (Flag.SINGULAR_COVARIANCE, flat),
                             (Flag.LOW_SN, snr[row] < _LOW_SN), (Flag.POOR_FIT, poor), (Flag.EDGE, outside)):
            fitted.flags[i] |= flag if raised else 0


@contextmanager
def _one_thread_an_operation(device: torch.device) -> Iterator[int]:
    """On a CPU, chunks run side by side, so each operation keeps to one core; gives the number of cores."""
    before = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        with torch.no_grad():
            yield before
    finally:
        torch.set_num_threads(before)
