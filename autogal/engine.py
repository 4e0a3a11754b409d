"""From starting values to parameters with covariances: every cutout of a block, bucket by bucket."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor

from autogal.choices import choose_bootstrap, choose_device, choose_likelihood, choose_model, choose_settings, choose_solver
from autogal.flags import Flag
from autogal.frame import leaves_frame
from autogal.images import Cutout, sky_of
from autogal.likelihood import Likelihood
from autogal.model.bucket import LOST, BucketFit, fit_bucket, significance
from autogal.model.component import Component
from autogal.model.fitted import Fitted
from autogal.model.model import Model
from autogal.model.plane import SLOPES, move_sky
from autogal.model.stamps import Stamps, buckets, held_at_once, in_counts, usable_pixels
from autogal.model.starts import component_starts, given_start
from autogal.restarts import other_starts
from autogal.solvers import Solver, Status
from autogal.stopwatch import Stopwatch
from autogal.threads import one_thread_an_operation
from autogal.uncertainty import Bootstrap, covariance, replicate_covariance

__all__ = ["START", "fit_cutouts"]

#: Order of starting values
START = ("x", "y", "mag", "r_eff", "n", "q", "pa", "sky")

_log = logging.getLogger(__name__)

_LOW_SN = 10.0
_POOR_CHI2 = 1.5
_POOR_SHARE = 0.1
_SKY_ASTRAY = 0.2  # of the noise of a pixel
_FEW_FAILED = 0.1  # of the replicates of a bootstrap


def fit_cutouts(cutouts: Sequence[Cutout], start: np.ndarray, settings: DictConfig, watch: Stopwatch | None = None,
                spread: np.ndarray | None = None, begin: np.ndarray | None = None) -> Fitted:
    """Fit every cutout that can be fitted.

    Parameters
    ----------
    cutouts : sequence of Cutout
        Their masks hold the neighbours too. A fit that fails leaves a note.
    start : ndarray, [N, 8]
        Starting values of one Sersic profile, in the order of `START`; a row with NaN is skipped. Several components
        start from its fit.
    settings : DictConfig
        The nodes ``model``, ``likelihood``, ``solver``, ``uncertainty``, ``seed``, ``device``, ``dtype``, ``threads`` and ``restarts``.
    watch : Stopwatch, optional
        Gets the time spent to gather the stamps, to fit them, to measure errors and raise flags, and to fit resamples.
    spread : ndarray, [N, 7, 7], optional
        Covariances of the starting values, as `autogal.restarts.other_starts` takes them; NaN where they are not known.
    begin : ndarray, [N, V], optional
        Values of the model's own parameters to start from, in place of what follows from a Sersic profile; the sky is that of `start`.

    Returns
    -------
    Fitted
        One row a cutout, in order. No cutout's numbers depend on any other's presence.
    """
    model, solver, device = choose_model(settings.model), choose_solver(settings.solver), choose_device(settings.device)
    bootstrap = choose_bootstrap(settings)
    fitted = Fitted.empty(len(cutouts), model.parameters)
    if settings.uncertainty.name == "both":
        fitted.bootstrap = np.full_like(fitted.covariance, np.nan)
    if bootstrap is not None and bootstrap.keep:
        fitted.replicates = np.full((len(cutouts), bootstrap.replicates, len(model.parameters)), np.nan)
    ready = [i for i, begun in enumerate(np.isfinite(start).all(axis=1).tolist()) if _ready(i, cutouts[i], begun, model.size, fitted)]
    with one_thread_an_operation(device) as available:
        threads = (settings.threads or available) if device.type == "cpu" else 1
        watch = Stopwatch() if watch is None else watch
        how = _How(model, choose_likelihood(settings), solver, settings.uncertainty, bootstrap, device, getattr(torch, settings.dtype), threads, watch, settings.restarts,
                   np.full((len(cutouts), 7, 7), np.nan) if spread is None else spread, begin)
        for key, places in buckets([cutouts[i] for i in ready]).items():
            most = held_at_once(key, device, how.dtype)
            for first in range(0, len(places), most):
                _fit_bucket([ready[p] for p in places[first : first + most]], cutouts, start, how, fitted)
    _withdraw(cutouts, fitted)
    return fitted


def _withdraw(cutouts: Sequence[Cutout], fitted: Fitted) -> None:
    """A fit to nothing but noise is no measurement, wherever its start came from."""
    for i in np.flatnonzero(fitted.snr < LOST):
        cutouts[i].notes.append(f"The fit has a signal-to-noise ratio of {fitted.snr[i]:.1f}: there is no source to measure.")
        fitted.values[i], fitted.covariance[i], fitted.chi2[i], fitted.snr[i] = np.nan, np.nan, np.nan, np.nan
        fitted.status[i], fitted.flags[i] = "skipped", Flag.NO_TARGET | Flag.LOW_SN


def _ready(i: int, cutout: Cutout, begun: bool, size: int, fitted: Fitted) -> bool:
    """Whether a cutout is worth gathering; if not, its row says why."""
    if cutout.error is not None:
        fitted.status[i] = "failed"
        fitted.flags[i] |= Flag.BAD_INPUT
    elif not begun:
        _enough(i, cutout, np.count_nonzero(usable_pixels(cutout)), size, fitted)
    return cutout.error is None and begun


def _enough(i: int, cutout: Cutout, usable: int, size: int, fitted: Fitted) -> bool:
    """Whether so many usable pixels are enough for `size` parameters; if not, its row says so."""
    fitted.dof[i] = usable - size
    enough = usable > 2 * size
    if not enough and not fitted.flags[i] & Flag.FEW_PIXELS:
        cutout.notes.append(f"Only {usable} usable pixels for {size} parameters.")
        fitted.flags[i] |= Flag.FEW_PIXELS
    return enough


@dataclass(frozen=True)
class _How:
    """What is the same for every bucket of a call."""

    model: Model
    likelihood: Likelihood
    solver: Solver
    uncertainty: DictConfig
    bootstrap: Bootstrap | None
    device: torch.device
    dtype: torch.dtype
    threads: int
    watch: Stopwatch
    restarts: int
    spread: np.ndarray
    begin: np.ndarray | None


def _fit_bucket(places: list[int], cutouts: Sequence[Cutout], start: np.ndarray, how: _How, fitted: Fitted, hold_sky: bool = False) -> None:
    """Fit the cutouts at `places`; should the bucket as a whole fail, its halves are tried, down to the culprit."""
    again, failure = {}, None
    try:
        again = _fit_stamps(places, cutouts, start, how, fitted, hold_sky)
    except (RuntimeError, ValueError) as error:
        failure = str(error)
        if len(places) == 1:
            _log.exception("%s could not be fitted", cutouts[places[0]].id)
    # the exception is gone here, and with it what its frames held on the device
    if failure is not None and len(places) > 1:
        _log.warning("%d cutouts could not be fitted together (%s); trying them in halves", len(places), failure)
        half = len(places) // 2
        for some in (places[:half], places[half:]):
            _fit_bucket(some, cutouts, start, how, fitted, hold_sky)
    elif failure is not None:
        cutouts[places[0]].notes.append(f"The fit failed: {failure}.")
        fitted.status[places[0]] = "failed"
        fitted.flags[places[0]] |= Flag.NOT_CONVERGED
    if again and not hold_sky:
        held = start.copy()
        for i, level in again.items():
            _log.info("%s: the fitted sky is not the image's; fitted again with the sky held at %.5g", cutouts[i].id, level)
            held[i, START.index("sky")] = level
            fitted.flags[i] = Flag.SKY_FIXED
        _fit_bucket(list(again), cutouts, held, how, fitted, hold_sky=True)


def _fit_stamps(places, cutouts, start, how: _How, fitted: Fitted, hold_sky: bool) -> dict[int, float]:
    """Fit the cutouts of one bucket and write their rows; gives the places of those whose sky must be held, and at what."""
    i_sky = START.index("sky")
    with how.watch.time("gather"):
        counts = how.likelihood.counts  # what is left of a count when a pedestal is taken off is none
        stamps = Stamps.from_cutouts([in_counts(cutouts[i]) if counts else cutouts[i] for i in places],
                                     start[places][:, i_sky] * (not counts), how.device, how.dtype)
        usable = stamps.usable.tolist()
        kept = [row for row, i in enumerate(places) if _enough(i, cutouts[i], usable[row], how.model.size, fitted)]
        if len(kept) < len(places):
            places, stamps = [places[row] for row in kept], stamps.select(torch.tensor(kept, dtype=torch.long, device=how.device))
        if not places:
            return {}
    with how.watch.time("fit"):
        values = torch.from_numpy(start[places]).to(how.device)
        values[:, i_sky] = (values[:, i_sky] - stamps.pedestal) / stamps.scale
        zeropoint = torch.tensor([cutouts[i].zeropoint for i in places], dtype=torch.float64, device=how.device)
        zeropoint = zeropoint - 2.5 * torch.log10(stamps.scale)
        others = partial(_others, values, how.spread[places], zeropoint, how.restarts)
        if how.begin is not None:
            begin = torch.from_numpy(how.begin[places]).to(how.device)
            starts, others = [given_start(how.model, begin, values[:, i_sky], stamps.scale, zeropoint)], None
        elif how.model.like_sersic:
            starts, others = component_starts(how.model, values, zeropoint), partial(others, how.model)
        else:
            starts, others = component_starts(how.model, _single_fit(values, others, stamps, zeropoint, how, hold_sky), zeropoint), None
        fit = fit_bucket(how.model, stamps, starts, how.solver, how.threads, hold_sky, others, how.likelihood)
    with how.watch.time("measure"):
        rows = np.array(places)
        _write(rows, cutouts, how, stamps, fit, zeropoint, fitted)
        again = {} if hold_sky else _astray(rows, cutouts, how, fit, fitted)
    if how.bootstrap is not None:
        with how.watch.time("bootstrap"):
            measured = np.isfinite(fitted.values[rows]).all(1) & (fitted.snr[rows] >= LOST) & ~np.isin(rows, list(again))
            keep = torch.from_numpy(np.flatnonzero(measured)).to(how.device)
            _bootstrap(rows[measured], cutouts, how, stamps.select(keep), fit.outcome.theta[keep], zeropoint[keep], hold_sky, fitted)
    return again


def _astray(rows: np.ndarray, cutouts, how: _How, fit: BucketFit, fitted: Fitted) -> dict[int, float]:
    """Places of the galaxies whose fitted sky is not the one around them, and the level measured there.

    A galaxy that grows without end sinks the sky. Where no Sersic profile fits, the centre's many sigmas outvote the
    outskirts, and the sky takes up the mismatch.
    """
    parameters, endless, mean = how.model.parameters, fit.endless.cpu().numpy(), fit.mean.cpu().numpy()
    poor = np.isfinite(fitted.chi2[rows]) & ~(fitted.chi2[rows] / mean < _POOR_CHI2)
    cut = leaves_frame(parameters, fitted.values[rows[poor]], [cutouts[i] for i in rows[poor]])
    poor[poor] = ~cut  # no outskirts to see the sky in
    again = {}
    for row in np.flatnonzero(poor | endless).tolist():
        i = int(rows[row])
        if not endless[row] and np.count_nonzero(cutouts[i].mask) > 0.5 * cutouts[i].mask.size:
            continue
        level, scatter = sky_of(cutouts[i])
        if endless[row] or abs(fitted.values[i, parameters.index("sky")] - level) > _SKY_ASTRAY * scatter:
            again[i] = level
    return again


def _others(values: Tensor, spread: np.ndarray, zeropoint: Tensor, count: int, model: Model, items: Tensor) -> Tensor:
    """Free vectors [count, M, P] of other starts of the galaxies at `items` [M], of a model that is like a Sersic profile."""
    rows = items.cpu().numpy()
    starts = torch.from_numpy(other_starts(values[items].cpu().numpy(), spread[rows], count)).to(values.device)
    return torch.stack([component_starts(model, some, zeropoint[items])[0] for some in starts]) if count else starts


def _single_fit(values: Tensor, others: Callable[..., Tensor], stamps: Stamps, zeropoint: Tensor, how: _How, hold_sky: bool) -> Tensor:
    """Values of a single Sersic fit; the start's own where it comes to nothing."""
    single = choose_model(choose_settings().model)
    fit = fit_bucket(single, stamps, component_starts(single, values, zeropoint), how.solver, how.threads, hold_sky, partial(others, single),
                     how.likelihood)
    fitted = single.values(fit.outcome.theta, zeropoint)
    usable = torch.isfinite(fitted).all(-1)
    return torch.where(usable[:, None], fitted, values)


def _write(rows: np.ndarray, cutouts, how: _How, stamps: Stamps, fit: BucketFit, zeropoint, fitted: Fitted) -> None:
    """Outcomes of one bucket in catalogue units, with their flags."""
    model, outcome = how.model, fit.outcome
    values, jacobian = model.values(outcome.theta, zeropoint), model.values_jacobian(outcome.theta)
    matrix, singular = covariance(outcome.hessian, jacobian, outcome.at_bound)
    unit = _to_image_units(model, values, stamps.scale, stamps.pedestal)
    thinnest = torch.zeros_like(values, dtype=torch.bool)
    for component in filter(lambda c: isinstance(c, Component), model.components):
        names = [model.parameters.index(name) for name in component.parameters]
        for place, turn in component.turns.items():  # no angle can be known worse than not at all, a uniform one
            name = names[place]
            unit[:, name] = (turn / math.sqrt(12) / matrix[:, name, name].sqrt()).clamp(max=1.0).nan_to_num(1.0)
        thinnest[:, names[-2]] = component.at_thinnest(values[:, names])
    matrix = matrix * unit[:, :, None] * unit[:, None, :]
    matrix = torch.where(thinnest[:, :, None] | thinnest[:, None, :], torch.nan, matrix)
    # the sky has no bound; where it is held, its own flag says so
    at_bound = outcome.at_bound[:, :-1].any(-1) | thinnest.any(-1)
    snr = significance(model, outcome)

    columns = (values, matrix, at_bound, singular, snr, outcome.chi2, fit.mean, fit.variance, outcome.status, outcome.n_iter)
    values, matrix, at_bound, singular, snr, chi2, mean, variance, status, n_iter = (column.cpu().numpy() for column in columns)
    move_sky(model.parameters, values, matrix, _to_own_centre(rows, cutouts, stamps))
    fitted.n_iter[rows] += n_iter
    measured = (status != Status.FAILED) & np.isfinite(values).all(axis=1)
    for i in rows[~measured].tolist():
        fitted.status[i] = "failed"
        fitted.flags[i] |= Flag.NOT_CONVERGED
        cutouts[i].notes.append("The model could not be evaluated at the starting values.")
    rows, values, matrix, at_bound, singular, snr, chi2, mean, variance = (
        v[measured] for v in (rows, values, matrix, at_bound, singular, snr, chi2, mean, variance))
    converged = status[measured] == Status.CONVERGED
    for i, done in zip(rows.tolist(), converged.tolist()):
        fitted.status[i] = "converged" if done else "not_converged"
    fitted.values[rows], fitted.chi2[rows], fitted.snr[rows] = values, chi2, snr
    reduced = chi2 / mean
    if how.uncertainty.name != "none":
        scaled = how.uncertainty.get("scale_by_chi2")
        fitted.covariance[rows] = matrix * np.fmax(1.0, reduced)[:, None, None] if scaled else matrix
    x, y, (height, width) = values[:, 0], values[:, 1], np.array([cutouts[i].shape for i in rows]).reshape(-1, 2).T
    inside = (-0.5 <= x) & (x <= width - 0.5) & (-0.5 <= y) & (y <= height - 0.5)
    # bright galaxies are never Sersic profiles to within the noise: poor is what misses a good part of the light
    missed = np.sqrt(np.maximum(chi2 - mean, 0.0)) > _POOR_SHARE * snr
    poor = missed & (reduced > np.maximum(_POOR_CHI2, 1 + 5 * np.sqrt(variance) / mean))
    for flag, raised in ((Flag.NOT_CONVERGED, ~converged), (Flag.AT_BOUND, at_bound), (Flag.SINGULAR_COVARIANCE, singular),
                         (Flag.LOW_SN, snr < _LOW_SN), (Flag.POOR_FIT, poor), (Flag.EDGE, ~inside)):
        fitted.flags[rows[raised]] |= flag


def _to_image_units(model: Model, values: Tensor, scale: Tensor, pedestal: Tensor) -> Tensor:
    """Put the sky of `values` [B, V] from the stamps' units into the images', in place; gives the factors, [B, V]."""
    unit = torch.ones_like(values)
    for name in ("sky", *SLOPES):
        if name in model.parameters:
            unit[:, model.parameters.index(name)] = scale
    values *= unit
    values[:, model.parameters.index("sky")] += pedestal
    return unit


def _to_own_centre(rows: np.ndarray, cutouts, stamps: Stamps) -> np.ndarray:
    """From the centre of the bucket's stamp to that of each cutout itself, x and y, [M, 2]."""
    return (np.array([cutouts[i].shape for i in rows]).reshape(-1, 2) - stamps.shape)[:, ::-1] / 2


def _bootstrap(rows: np.ndarray, cutouts, how: _How, stamps: Stamps, best: Tensor, zeropoint: Tensor, hold_sky: bool, fitted: Fitted) -> None:
    """Fit resamples of the galaxies of one bucket, and write the scatter of their parameters."""
    if not len(rows):
        return
    model, count = how.model, how.bootstrap.replicates
    theta = how.bootstrap.fits(model, stamps, best, [cutouts[i].id for i in rows], how.solver, how.threads, hold_sky, how.likelihood)
    each = torch.arange(len(rows), device=how.device).repeat_interleave(count)
    values = model.values(theta.flatten(0, 1), zeropoint[each])
    _to_image_units(model, values, stamps.scale[each], stamps.pedestal[each])
    values = values.cpu().numpy()
    move_sky(model.parameters, values, None, _to_own_centre(rows, cutouts, stamps).repeat(count, axis=0))
    values = values.reshape(len(rows), count, -1)
    matrix = replicate_covariance(torch.from_numpy(fitted.values[rows]), torch.from_numpy(values), _angles(model)).numpy()
    # the scatter of what is held at a bound says nothing of its error, as little as the curvature does
    held = np.isnan(np.diagonal(fitted.covariance[rows], axis1=1, axis2=2)) & ~(fitted.flags[rows] & Flag.SINGULAR_COVARIANCE > 0)[:, None]
    matrix[held[:, :, None] | held[:, None, :]] = np.nan
    (fitted.covariance if fitted.bootstrap is None else fitted.bootstrap)[rows] = matrix
    if fitted.replicates is not None:
        fitted.replicates[rows] = values
    failed = np.isnan(values).any(-1).sum(-1)
    for i, lost in zip(rows.tolist(), failed.tolist()):
        if lost > _FEW_FAILED * count:
            fitted.flags[i] |= Flag.BOOTSTRAP_FAILED
            cutouts[i].notes.append(f"{lost} of {count} fits of the bootstrap failed and were left out." if lost < count else
                                    "The bootstrap gave no errors: no fit converged, or the image has no room for its blocks.")


def _angles(model: Model) -> list[tuple[int, float, list[int]]]:
    """The columns of angles as `replicate_covariance` takes them: every position angle, then the phases that are counted from it."""
    out = []
    for component in filter(lambda c: isinstance(c, Component), model.components):
        pa, *phases = ((model.parameters.index(component.parameters[place]), turn) for place, turn in component.turns.items())
        out += [(*pa, [column for column, _ in phases]), *((*phase, []) for phase in phases)]
    return out
