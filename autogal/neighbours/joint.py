"""Fits of targets and their neighbours together."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor

from autogal.batch.batch_fit import LOST, BucketFit, fit_bucket
from autogal.batch.stamps import Stamps, bucket_key, held_at_once, usable_pixels
from autogal.fitting.context import FitContext, Level, fit_context
from autogal.fitting.store import in_stamp_units, store_fit
from autogal.fitting.store_samples import store_bootstrap, store_posterior
from autogal.flags import Flag
from autogal.images import Cutout
from autogal.model import Model
from autogal.model.blend import Blend
from autogal.model.fitted import NEIGHBOUR, Fitted
from autogal.model.point import PointComponent
from autogal.model.spec import build_model
from autogal.neighbours.choice import MOST, choose_neighbours, single_sersic
from autogal.neighbours.joined import fit_as_one
from autogal.neighbours.neighbour_map import Neighbour, Surroundings
from autogal.neighbours.residual_mask import Missed, find_missed
from autogal.profiles import Sersic
from autogal.runtime.stopwatch import Stopwatch

__all__ = ["fit_neighbours"]

_log = logging.getLogger(__name__)

_UNLIKE = "the neighbours are not like Sersic profiles"

_UNKNOWN = 0.05  # of a neighbour's light: what its profile is taken to miss
_FADED = 0.75  # mag: a target that loses more to what overlaps it was one with it
_ENDLESS = 0.99  # of the highest index
_COVERED = 0.5  # of the nine pixels in a neighbour's middle
_BRIGHTER = 3.0  # times what is seen there: no star's middle is so much fainter than its profile
_ASTRAY = 3.0  # px, or the half-light radius: a target that moves by more has become another source


@dataclass
class _Joint:
    """Fits of some cutouts with their neighbours: rows of `fitted`, their neighbours' values, what went
    wrong, and because of which."""

    fitted: Fitted
    neighbours: np.ndarray
    failure: dict[int, str]
    unlike: dict[int, frozenset[int]]

    def replace_row(self, i: int, other: _Joint) -> None:
        """Put another fit of one cutout in place of this."""
        self.fitted.replace_row(i, other.fitted)
        self.neighbours[i] = other.neighbours[i]
        self.failure.pop(i, None)
        self.failure |= {i: other.failure[i]} if i in other.failure else {}


def fit_neighbours(
    cutouts: Sequence[Cutout],
    around: Mapping[int, Surroundings],
    fits: Mapping[str, Fitted],
    settings: Mapping[str, DictConfig],
    watch: Stopwatch,
) -> None:
    """Fit targets again, together with the neighbours that matter to them.

    A joint fit takes the place of the one inside the masks, and the cutout's mask that of what is still
    masked. Neighbours that are not like their profiles are masked again, and the others fitted without them.
    Sources that may be parts of the target are fitted as one galaxy with it, where one profile has the light
    of all. Where a joint fit fails, for any of the models, the fits inside the masks stay, with the flag
    NEIGHBOUR_FALLBACK and a note.

    Parameters
    ----------
    cutouts : sequence of Cutout
        With the masks of the fits.
    around : mapping of int to Surroundings
        Of the cutouts at these places that have neighbours.
    fits : mapping of str to Fitted
        The fits inside the masks, by model. Their rows are replaced, and they get the fitted `neighbours`.
    settings : mapping of str to DictConfig
        Of each model; all have the same node ``neighbours``: of ``fit`` all neighbours are fitted that there
        is room for, of ``auto`` those that matter.
    watch : Stopwatch
    """
    for fitted in fits.values():
        fitted.neighbours = np.full((len(cutouts), MOST, len(NEIGHBOUR)), np.nan)
    first = next(iter(fits))
    ready = {
        i: one
        for i, one in around.items()
        if all(np.isfinite(f.values[i]).all() and f.snr[i] >= LOST for f in fits.values())
    }
    with fit_context(settings[first], len(cutouts), watch) as how:
        with watch.time("neighbours"):
            chosen = choose_neighbours(cutouts, ready, how, fits[first], settings[first].neighbours == "fit")
        models = {name: build_model(one.model) for name, one in settings.items()}

        def fit(chosen: Mapping[int, list[Neighbour]]) -> tuple[dict[int, Cutout], dict[str, _Joint]]:
            together = {i: _unmasked(cutouts[i], ready[i], some) for i, some in chosen.items()}
            # the first model says what is missed, so that all are fitted to the same pixels
            return together, {
                name: _fit(
                    together,
                    chosen,
                    replace(how, model=models[name]),
                    fits[name],
                    ready if name == first else None,
                )
                for name in fits
            }

        together, joint = fit(chosen)
        fewer = {
            i: [one for one in chosen[i] if one.label not in labels]
            for i, labels in joint[first].unlike.items()
        }
        fewer = {i: some for i, some in fewer.items() if some}
        again, others = fit(fewer)
        for i in again:
            left = len(chosen[i]) - len(fewer[i])
            again[i].notes.append(
                f"{left} more, not like {'Sersic profiles' if left > 1 else 'a Sersic profile'}, stayed "
                f"masked."
            )
            together[i], chosen[i] = again[i], fewer[i]
            for name in fits:
                joint[name].replace_row(i, others[name])
    whole = fit_as_one(cutouts, {i: one for i, one in ready.items() if one.doubtful}, fits, settings, watch)
    for i, cutout in together.items():
        if i in whole:
            continue
        failure = next((one.failure[i] for one in joint.values() if i in one.failure), None)
        if failure is None:
            cutouts[i].mask[...] = cutout.mask
            count = f"{len(chosen[i])} neighbour{'s were' if len(chosen[i]) > 1 else ' was'}"
            cutouts[i].notes.extend([f"{count} fitted together with the target.", *cutout.notes])
        else:
            cutouts[i].notes.append(
                f"The neighbours could not be fitted together with the target: {failure}. They were masked."
            )
            _log.info("%s: the neighbours stay masked: %s", cutout.id, failure)
        for name, fitted in fits.items():
            if failure is None:
                fitted.replace_row(i, joint[name].fitted)
                fitted.neighbours[i] = joint[name].neighbours[i]
            else:
                fitted.flags[i] |= Flag.NEIGHBOUR_FALLBACK


def _unmasked(cutout: Cutout, around: Surroundings, fitted: Sequence[Neighbour]) -> Cutout:
    """The cutout for a joint fit: its neighbours no longer masked, but of less weight where they are bright.

    No real galaxy is a Sersic profile; where a neighbour outshines everything, what the profile misses would
    weigh more than all that the target tells.
    """
    unknown = _UNKNOWN * sum(one.light for one in fitted)
    sigma = np.hypot(cutout.sigma, unknown).astype(cutout.sigma.dtype)
    return replace(cutout, mask=around.without([one.label for one in fitted]), sigma=sigma, notes=[])


def _fit(
    cutouts: Mapping[int, Cutout],
    chosen: Mapping[int, list[Neighbour]],
    how: FitContext,
    masked: Fitted,
    around: Mapping[int, Surroundings] | None,
) -> _Joint:
    """Fit all that are to be fitted, with one model, those of equal stamps and equal numbers of neighbours
    together.

    Given what lies `around`, pixels in which the neighbours' profiles miss something are masked, in `cutouts`
    too.
    """
    joint = _Joint(how.blank(len(masked)), np.full((len(masked), MOST, len(NEIGHBOUR)), np.nan), {}, {})
    groups: dict[tuple, list[int]] = {}
    for i, some in chosen.items():
        some.sort(key=lambda one: one.is_point)  # stable: the most important first within each kind
        held = bool(masked.flags[i] & Flag.SKY_FIXED)
        groups.setdefault((bucket_key(cutouts[i]), tuple(one.is_point for one in some), held), []).append(i)
    galaxy = single_sersic().components[0]
    for (key, kinds, held), places in groups.items():
        most = held_at_once(key, how.device, how.dtype)
        names = [f"neighbour{k}" for k in range(1, len(kinds) + 1)]
        beside = (
            PointComponent(name) if is_point else replace(galaxy, name=name)
            for name, is_point in zip(names, kinds)
        )
        blend = Blend(replace(how.model, holds_sky=True) if held else how.model, tuple(beside))
        level = Level.of(masked) if held else None
        for begin in range(0, len(places), most):
            _fit_group(
                places[begin : begin + most],
                cutouts,
                chosen,
                replace(how, model=blend, level=level),
                masked,
                joint,
                around,
            )
    return joint


def _fit_group(
    places: list[int], cutouts, chosen, how: FitContext, masked: Fitted, joint: _Joint, around
) -> None:
    """Fit cutouts of one group; should the group as a whole fail, its halves are tried, down to the
    culprit."""
    failure = None
    try:
        _fit_stamps(places, cutouts, chosen, how, masked, joint, around)
    except (RuntimeError, ValueError) as error:
        failure = str(error)
    if failure is not None and len(places) > 1:
        half = len(places) // 2
        for some in (places[:half], places[half:]):
            _fit_group(some, cutouts, chosen, how, masked, joint, around)
    elif failure is not None:
        joint.failure[places[0]] = failure


def _fit_stamps(
    places: list[int], cutouts, chosen, how: FitContext, masked: Fitted, joint: _Joint, around
) -> None:
    """Fit the cutouts of one group and write their rows."""
    blend, fitted = how.model, joint.fitted
    usable = {i: np.count_nonzero(usable_pixels(cutouts[i])) for i in places}
    joint.failure |= {i: "too few usable pixels" for i in places if usable[i] <= 2 * blend.size}
    places = [i for i in places if i not in joint.failure]
    if not places:
        return
    own, rows = [cutouts[i] for i in places], np.array(places)
    fitted.dof[rows] = [usable[i] - len(blend.fitted) for i in places]
    with how.watch.time("gather"):
        stamps = how.gather(own, masked.values[rows, masked.parameters.index("sky")])
    with how.watch.time("fit"):
        target = blend.target.free(in_stamp_units(blend, masked.values[rows], stamps), stamps.zeropoint)
        beside = blend.beside.free(
            _start(blend, [chosen[i] for i in places]).to(how.device), stamps.zeropoint
        )
        start = blend.join(target, beside)
        box = _box(blend, [chosen[i] for i in places], start)
        fit = fit_bucket(blend, stamps, [start], how.solver, how.threads, None, how.likelihood, box)
        if around is not None:
            missed = find_missed(
                blend,
                stamps,
                fit.outcome.theta,
                how,
                own,
                [around[i] for i in places],
                [chosen[i] for i in places],
            )
            joint.unlike |= {places[row]: one.unlike for row, one in missed.items() if one.unlike}
            joint.failure |= dict.fromkeys(joint.unlike.keys() & set(places), _UNLIKE)
            again = _without(stamps, missed, own)
            fitted.dof[rows] = stamps.usable.cpu().numpy() - len(blend.fitted)
            if len(again):
                other = fit_bucket(
                    blend,
                    stamps.select(again),
                    [fit.outcome.theta[again]],
                    how.solver,
                    how.threads,
                    None,
                    how.likelihood,
                    tuple(bound[again] for bound in box),
                )
                _put(fit, again, other)
    with how.watch.time("measure"):
        store_fit(rows, cutouts, how, stamps, fit, fitted)
        joint.neighbours[rows] = _values(blend, fit.outcome.theta, stamps.zeropoint)
        _judge(rows, fit.runaway.cpu().numpy(), blend.target, masked, joint)
        skies = dict(zip(places, fitted.values[rows, fitted.parameters.index("sky")]))
        for i in places:
            if labels := _unseen(joint.neighbours[i], chosen[i], cutouts[i], skies[i]):
                joint.unlike[i] = joint.unlike.get(i, frozenset()) | labels  # the others may yet be fitted
                joint.failure.setdefault(i, "a neighbour has more light than is seen of it")
        held = masked.flags[rows] & Flag.SKY_FIXED > 0
        fitted.flags[rows] |= np.where(held, masked.flags[rows] & (Flag.SKY_FIXED | Flag.UNCONSTRAINED), 0)
    if how.bootstrap is not None:
        with how.watch.time("bootstrap"):
            good = np.array([i not in joint.failure for i in places])
            keep = torch.from_numpy(np.flatnonzero(good)).to(how.device)
            store_bootstrap(rows[good], cutouts, how, stamps.select(keep), fit.outcome.theta[keep], fitted)
    if how.posterior is not None:
        with how.watch.time("posterior"):
            good = np.array([i not in joint.failure for i in places])
            keep = torch.from_numpy(np.flatnonzero(good)).to(how.device)
            store_posterior(
                rows[good],
                cutouts,
                how,
                stamps.select(keep),
                fit.outcome.theta[keep],
                fit.outcome.hessian[keep],
                fitted,
            )
    if masked.hanging is not None:  # the sky is no better known with the neighbours in the model
        fitted.hang(rows, masked.hanging[rows])


def _without(stamps: Stamps, missed: Mapping[int, Missed], cutouts: Sequence[Cutout]) -> Tensor:
    """Exclude what the profiles of neighbours miss from stamps and cutouts, in place; gives the rows where
    there is any."""
    for row, one in missed.items():
        cutouts[row].mask[one.pixels] = True
        out = torch.from_numpy(np.argwhere(one.pixels)).to(stamps.weight.device)
        stamps.data[row, out[:, 0], out[:, 1]] = stamps.weight[row, out[:, 0], out[:, 1]] = 0.0
        stamps.usable[row] = np.count_nonzero(usable_pixels(cutouts[row]))
    return torch.tensor(list(missed), dtype=torch.long, device=stamps.weight.device)


def _put(fit: BucketFit, rows: Tensor, other: BucketFit) -> None:
    """Put other fits of some rows in place of these."""
    other.outcome.n_iter += fit.outcome.n_iter[rows]
    for mine, new in ((vars(fit.outcome), vars(other.outcome)), (fit._asdict(), other._asdict())):
        for name in mine.keys() - {"outcome", "sigma_points", "bucket"}:
            mine[name][rows] = new[name]
    for mine, new in zip(fit.sigma_points, other.sigma_points):
        for place, one in zip(mine, new):
            place[rows] = one


def _start(blend: Blend, chosen: Sequence[list[Neighbour]]) -> Tensor:
    """Starting values of the neighbours, and no sky, [B, V], as ``blend.beside`` takes them."""
    rows = [
        [one.start[name] for one in some for name in (NEIGHBOUR[:3] if one.is_point else NEIGHBOUR)] + [0.0]
        for some in chosen
    ]
    return torch.tensor(rows, dtype=torch.float64)


def _box(blend: Blend, chosen: Sequence[list[Neighbour]], start: Tensor) -> tuple[Tensor, Tensor]:
    """Bounds [B, P]: neighbours stay at their footprints, and no larger than these allow."""
    low, high = np.full(start.shape, -np.inf), np.full(start.shape, np.inf)
    for row, some in enumerate(chosen):
        for place, one in zip(blend.places, some):
            low[row, place : place + 2], high[row, place : place + 2] = one.low, one.high
            if not one.is_point:
                high[row, place + 3] = np.log(one.largest)
    return torch.from_numpy(low).to(start.device), torch.from_numpy(high).to(start.device)


def _values(blend: Blend, free: Tensor, zeropoint: Tensor) -> np.ndarray:
    """Values of the fitted neighbours, [B, MOST, 7], NaN where there is nothing."""
    out = np.full((len(free), MOST, len(NEIGHBOUR)), np.nan)
    found = blend.beside.values(blend.split(free)[1], zeropoint).cpu().numpy()
    first = 0
    for k, component in enumerate(blend.neighbours):
        out[:, k, : component.size] = found[:, first : first + component.size]
        first += component.size
    return out


def _judge(rows: np.ndarray, runaway: np.ndarray, target: Model, masked: Fitted, joint: _Joint) -> None:
    """Say which fits cannot be trusted, and why."""
    fitted = joint.fitted
    before, now = _half_light(target, masked.values[rows]), _half_light(target, fitted.values[rows])
    for i, grown, was, size in zip(rows.tolist(), runaway.tolist(), before.tolist(), now.tolist()):
        moved = np.hypot(*(fitted.centre(i) - masked.centre(i)))
        reasons = {
            "the fit did not converge": fitted.status[i] != "converged",
            "the target grew without end": grown and not masked.flags[i] & Flag.AT_BOUND,
            "the target's light was lost": not fitted.snr[i] >= LOST,
            "they are parts of the target": _taken_apart(fitted, masked, joint.neighbours[i], i, size),
            "the target became another source": not moved <= max(_ASTRAY, was),
            "a neighbour grew without end": _outgrown(joint.neighbours[i], fitted.centre(i)),
            _UNLIKE: bool(fitted.flags[i] & ~masked.flags[i] & Flag.POOR_FIT),
        }
        if why := next((why for why, true in reasons.items() if true), None):
            joint.failure.setdefault(i, why)


def _outgrown(neighbours: np.ndarray, centre: np.ndarray) -> bool:
    """Whether one of the neighbours [K, 7] has run to the highest index and over the target: its wings
    stand for the sky."""
    x, y, _, r_eff, n, *_ = neighbours.T
    return bool(
        ((n > _ENDLESS * Sersic.shape[0].upper) & (r_eff > np.hypot(x - centre[0], y - centre[1]))).any()
    )


def _unseen(
    neighbours: np.ndarray, chosen: Sequence[Neighbour], cutout: Cutout, sky: float
) -> frozenset[int]:
    """Labels of those of the neighbours [K, 7] that have run to far more light than they show.

    Either bad pixels leave nothing of it but wings, or it is a star whose middle, which the fit leaves out as
    not like the model, is far brighter than the image there.
    """
    bad = (
        cutout.mask if cutout.bad is None else cutout.bad
    )  # not what is left out of a core because its profile misses it
    sharp = float(cutout.psf.max()) * cutout.psf_oversample**2  # of a star's light in its brightest pixel
    found = set()
    for (x, y, mag, *_), one in zip(neighbours, chosen):
        if not one.start["mag"] - mag > _FADED:
            continue
        row, column = (
            int(np.clip(np.rint(place), 0, length - 1)) for place, length in zip((y, x), cutout.shape)
        )
        core = np.s_[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
        if bad[core].mean() > _COVERED:
            found.add(one.label)
            continue
        seen = float(np.max(cutout.image[core], where=~bad[core], initial=-np.inf)) - sky
        noise = float(np.median(cutout.sigma[core][~bad[core]]))
        if one.is_point and sharp * 10 ** (-0.4 * (mag - cutout.zeropoint)) > _BRIGHTER * max(seen, noise):
            found.add(one.label)
    return frozenset(found)


def _half_light(target: Model, values: np.ndarray) -> np.ndarray:
    """About the half-light radius of the target's largest component, [B], pixels; 0 where all are points."""
    values, sizes = torch.from_numpy(values), torch.zeros(len(values), dtype=torch.float64)
    for component in target.measured:
        if component.has_ellipse:
            places = [target.parameters.index(name) for name in component.parameters]
            sizes = torch.fmax(sizes, component.half_light(values[:, places]))
    return sizes.numpy()


def _taken_apart(fitted: Fitted, masked: Fitted, neighbours: np.ndarray, row: int, size: float) -> bool:
    """Whether most of the target's light went to neighbours [K, 7] that it overlaps: they are parts of one
    galaxy.

    `size` is the target's half-light radius, pixels.
    """
    if "mag" not in fitted.parameters:
        return False
    mag = fitted.parameters.index("mag")
    apart = np.hypot(*(neighbours[:, :2] - fitted.centre(row)).T)
    touch = apart < np.nan_to_num(neighbours[:, NEIGHBOUR.index("r_eff")]) + size
    return bool(fitted.values[row, mag] - masked.values[row, mag] > _FADED and touch.any())
