"""From starting values to parameters with covariances: every cutout of a block, bucket by bucket."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor

from autogal.batch.batch_fit import detection, fit_bucket
from autogal.batch.stamps import Stamps, buckets, held_at_once, usable_pixels
from autogal.configuration.composing import composed
from autogal.errors import AutogalError
from autogal.fitting.context import FitContext, Level, fit_context
from autogal.fitting.restarts import other_starts
from autogal.fitting.sky_check import astray, settle
from autogal.fitting.store import store_fit
from autogal.fitting.store_samples import store_bootstrap, store_posterior
from autogal.flags import Flag
from autogal.images import Cutout
from autogal.model.fitted import Fitted
from autogal.model.model import Model
from autogal.model.spec import build_model
from autogal.model.starts import component_starts, given_start, sky_start
from autogal.parameters import START
from autogal.runtime.stopwatch import Stopwatch
from autogal.solvers import without_search

__all__ = ["fit_cutouts"]

_log = logging.getLogger(__name__)


def fit_cutouts(
    cutouts: Sequence[Cutout],
    start: np.ndarray,
    settings: DictConfig,
    watch: Stopwatch | None = None,
    spread: np.ndarray | None = None,
    begin: np.ndarray | None = None,
    searched: np.ndarray | None = None,
) -> Fitted:
    """Fit every cutout that can be fitted.

    Parameters
    ----------
    cutouts : sequence of Cutout
        Their masks hold the neighbours too. A fit that fails leaves a note.
    start : ndarray, [N, 8]
        Starting values of one Sersic profile, in the order of `autogal.parameters.START`; a row with NaN is
        skipped. Several components start from its fit.
    settings : DictConfig
        The nodes ``model``, ``likelihood``, ``solver``, ``uncertainty``, ``seed``, ``device``, ``dtype``,
        ``threads`` and ``restarts``.
    watch : Stopwatch, optional
        Gets the time spent to gather the stamps, to fit them, to measure errors and raise flags, and to fit
        resamples.
    spread : ndarray, [N, 7, 7], optional
        Covariances of the starting values, as `autogal.fitting.restarts.other_starts` takes them; NaN where
        they are not known.
    begin : ndarray, [N, V], optional
        Values of the model's own parameters to start from, in place of what follows from a Sersic profile;
        the sky is that of `start`.
    searched : ndarray of bool, [N], optional
        Galaxies whose place and shape were looked for in the image, where noise has many chances: more is
        asked of their fits.

    Returns
    -------
    Fitted
        One row a cutout, in order. No cutout's numbers depend on any other's presence.
    """
    with fit_context(settings, len(cutouts), watch, spread, begin, searched) as how:
        fitted = how.blank(len(cutouts))
        if "sky" in how.model.sky and not how.model.slopes:
            start = start.copy()
            start[:, START.index("sky")] = how.model.sky["sky"]
        begun = np.isfinite(start).all(axis=1).tolist()
        ready = [
            i
            for i, cutout in enumerate(cutouts)
            if _ready(i, cutout, begun[i], len(how.model.fitted), fitted)
        ]
        for key, places in buckets([cutouts[i] for i in ready]).items():
            most = held_at_once(key, how.device, how.dtype)
            for first in range(0, len(places), most):
                _fit_bucket([ready[p] for p in places[first : first + most]], cutouts, start, how, fitted)
    return fitted


def _withdraw(
    rows: np.ndarray, shown: np.ndarray, cutouts: Sequence[Cutout], how: FitContext, fitted: Fitted
) -> None:
    """A fit to nothing but noise is no measurement, wherever its start came from; its light shows at
    `shown` sigmas."""
    for i, sigmas in zip(rows.tolist(), shown.tolist()):
        if sigmas < how.least[i]:
            cutouts[i].notes.append(
                f"What was fitted stands out of the noise by {sigmas:.1f} sigma, of {how.least[i]:g} at "
                f"least: "
                "there is no source to measure."
            )
            fitted.values[i], fitted.covariance[i], fitted.chi2[i], fitted.snr[i] = (
                np.nan,
                np.nan,
                np.nan,
                np.nan,
            )
            fitted.status[i], fitted.flags[i], fitted.remarks[i] = "skipped", Flag.NO_TARGET | Flag.LOW_SN, []


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


def _fit_bucket(
    places: list[int], cutouts: Sequence[Cutout], start: np.ndarray, how: FitContext, fitted: Fitted
) -> None:
    """Fit the cutouts at `places`; should the bucket as a whole fail, its halves are tried, down to the
    culprit."""
    failure = None
    try:
        _fit_stamps(places, cutouts, start, how, fitted)
    except AutogalError:
        raise
    except Exception as error:
        failure = str(error) or type(error).__name__
        if len(places) == 1:
            _log.exception("%s could not be fitted", cutouts[places[0]].id)
    # the exception is gone here, and with it what its frames held on the device
    if failure is not None and len(places) > 1:
        _log.warning(
            "%d cutouts could not be fitted together (%s); trying them in halves", len(places), failure
        )
        half = len(places) // 2
        for some in (places[:half], places[half:]):
            _fit_bucket(some, cutouts, start, how, fitted)
    elif failure is not None:
        cutouts[places[0]].notes.append(f"The fit failed: {failure}.")
        fitted.status[places[0]] = "failed"
        fitted.flags[places[0]] |= Flag.NOT_CONVERGED


def _held(
    again: dict[int, tuple[float, float]], cutouts, start: np.ndarray, how: FitContext, fitted: Fitted
) -> list[int]:
    """Fit the cutouts at the places of `again` with the sky held at a level, and its error; gives those
    whose row is now that fit's."""
    level, at = Level(*np.full((3, len(start)), np.nan)), start.copy()
    for i, (sky, error) in again.items():
        at[i, START.index("sky")], level.error[i] = sky, error
    held, said = how.blank(len(start)), {i: len(cutouts[i].notes) for i in again}
    _fit_bucket(
        list(again), cutouts, at, replace(how, model=replace(how.model, holds_sky=True), level=level), held
    )
    taken = settle(again, cutouts, how, fitted, held, level)
    for i in again:
        if i not in taken:
            del cutouts[i].notes[said[i] :]
    if taken:
        _withdraw(np.array(taken), level.shown[taken], cutouts, how, fitted)
    return taken


def _fit_stamps(places, cutouts, start, how: FitContext, fitted: Fitted) -> None:
    """Fit the cutouts of one bucket and write their rows."""
    i_sky = START.index("sky")
    with how.watch.time("gather"):
        stamps = how.gather([cutouts[i] for i in places], start[places][:, i_sky])
        usable = stamps.usable.tolist()
        kept = [
            row
            for row, i in enumerate(places)
            if _enough(i, cutouts[i], usable[row], len(how.model.fitted), fitted)
        ]
        if len(kept) < len(places):
            places, stamps = (
                [places[row] for row in kept],
                stamps.select(torch.tensor(kept, dtype=torch.long, device=how.device)),
            )
        if not places:
            return
    with how.watch.time("fit"):
        values = torch.from_numpy(start[places]).to(how.device)
        values[:, i_sky] = (values[:, i_sky] - stamps.pedestal) / stamps.scale
        others = partial(_others, values, how.spread[places], stamps.zeropoint, how.restarts)
        if how.begin is not None:
            begin = torch.from_numpy(how.begin[places]).to(how.device)
            starts, others = (
                [given_start(how.model, begin, values[:, i_sky], stamps.scale, stamps.zeropoint)],
                None,
            )
        elif how.model.like_sersic:
            starts, others = component_starts(how.model, values, stamps.zeropoint), partial(others, how.model)
        else:
            starts, others = (
                component_starts(how.model, _single_fit(values, others, stamps, how), stamps.zeropoint),
                None,
            )
        # a sky that is measured is that of the cutout, and one that is given that of the whole image
        far = [(0.0, 0.0) if "sky" in (cutouts[i].start or {}) else cutouts[i].to_centre for i in places]
        starts = [sky_start(how.model, one, stamps.units, far) for one in starts]
        fit = fit_bucket(how.model, stamps, starts, how.solver, how.threads, others, how.likelihood)
    with how.watch.time("measure"):
        rows = np.array(places)
        store_fit(rows, cutouts, how, stamps, fit, fitted)
        # what the map has for noise is none to tell a source by where the image plainly has another
        known = np.array([cutouts[i].noise.ratio if cutouts[i].noise.contradicts else 1.0 for i in places])
        shown = known * detection(how.model, fit.outcome).cpu().numpy()
    # what the user says of the sky is not overruled
    again = astray(rows, cutouts, how, fit, fitted) if how.model.solves_sky else {}
    taken = _held(again, cutouts, start, how, fitted) if again else []
    settled = ~np.isin(rows, taken)
    if how.level is None:
        _withdraw(rows[settled], shown[settled], cutouts, how, fitted)
    else:  # whether it counts is not known yet
        how.level.shown[rows] = shown
    if how.bootstrap is not None:
        with how.watch.time("bootstrap"):
            measured = np.isfinite(fitted.values[rows]).all(1) & settled
            keep = torch.from_numpy(np.flatnonzero(measured)).to(how.device)
            store_bootstrap(
                rows[measured], cutouts, how, stamps.select(keep), fit.outcome.theta[keep], fitted
            )
    if how.posterior is not None:
        with how.watch.time("posterior"):
            measured = np.isfinite(fitted.values[rows]).all(1) & settled
            keep = torch.from_numpy(np.flatnonzero(measured)).to(how.device)
            store_posterior(
                rows[measured],
                cutouts,
                how,
                stamps.select(keep),
                fit.outcome.theta[keep],
                fit.outcome.hessian[keep],
                fitted,
            )


def _others(
    values: Tensor, spread: np.ndarray, zeropoint: Tensor, count: int, model: Model, items: Tensor
) -> Tensor:
    """Free vectors [count, M, P] of other starts of the galaxies at `items` [M], of a model that is like a
    Sersic profile."""
    rows = items.cpu().numpy()
    starts = torch.from_numpy(other_starts(values[items].cpu().numpy(), spread[rows], count)).to(
        values.device
    )
    return (
        torch.stack([component_starts(model, some, zeropoint[items])[0] for some in starts])
        if count
        else starts
    )


def _single_fit(values: Tensor, others: Callable[..., Tensor], stamps: Stamps, how: FitContext) -> Tensor:
    """Values of a single Sersic fit; the start's own where it comes to nothing."""
    single = replace(build_model(composed().model), holds_sky=how.model.holds_sky)
    fit = fit_bucket(
        single,
        stamps,
        component_starts(single, values, stamps.zeropoint),
        without_search(how.solver),
        how.threads,
        partial(others, single),
        how.likelihood,
    )
    fitted = single.values(fit.outcome.theta, stamps.zeropoint)
    usable = torch.isfinite(fitted).all(-1)
    return torch.where(usable[:, None], fitted, values)
