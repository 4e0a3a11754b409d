"""The story on one page, of cutouts that have been read: segment -> initialise -> fit -> neighbours ->
choose."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from omegaconf import DictConfig

from autogal.batch.stamps import usable_pixels
from autogal.beginning import begin, is_segmented
from autogal.fitting.alternatives import weigh_choices
from autogal.fitting.choices import with_model
from autogal.fitting.engine import fit_cutouts as fit_starts
from autogal.fitting.isolation import isolated
from autogal.fitting.selection import select
from autogal.flags import Flag
from autogal.images import Cutout
from autogal.images.canonical import usable_box
from autogal.images.frame import is_field, leaves_frame, window
from autogal.initialise.given import note_unsegmented, sanitise_start
from autogal.model.fitted import NEIGHBOUR, Fitted
from autogal.model.spec import build_model
from autogal.neighbours import fit_neighbours
from autogal.parameters import START, split_name
from autogal.runtime.stopwatch import Stopwatch

__all__ = ["fit_cutouts"]


def fit_cutouts(cutouts: Sequence[Cutout], settings: DictConfig) -> Fitted:
    """Segment, initialise and fit cutouts.

    A cutout that brings a complete set of starting values is not initialised, and segmented only with
    ``given_starts=segment``. One for which any stage fails in a way that nobody foresaw is a failed row, and
    the others are fitted without it.

    Parameters
    ----------
    cutouts : sequence of Cutout
        Their masks are replaced by ones that hold the neighbours too, and their notes grow.
    settings : DictConfig
        From `autogal.configuration.composing.compose`.

    Returns
    -------
    Fitted
        One row a cutout, in order.
    """
    return isolated(partial(_fit_together, settings=settings), cutouts)


def _fit_together(cutouts: Sequence[Cutout], settings: DictConfig) -> Fitted:
    watch = Stopwatch()
    several = settings.model.get("models")
    each = {name: with_model(settings, node) for name, node in several.items()} if several else {"": settings}
    models = {name: build_model(one.model) for name, one in each.items()}
    bounds = [model.single_bounds for model in models.values()]
    widest = {name: (min(one[name][0] for one in bounds), max(one[name][1] for one in bounds))
              for name in bounds[0] if all(name in one for one in bounds)}  # fmt: skip
    start_flags = np.array([sanitise_start(cutout, widest) for cutout in cutouts], int)
    begun = begin(cutouts, settings, watch)
    start, start_covariance, searched = begun.start, begun.start_covariance, begun.searched
    anchored = any(model.is_anchored for model in models.values())
    parts, origin = (cutouts, np.zeros((len(cutouts), 2))) if anchored else _windows(cutouts, start)
    fits = {}
    for name, one in each.items():
        said = [len(cutout.notes) for cutout in cutouts]
        fits[name] = fit_starts(
            parts, start - _moved(START, origin), one, watch, start_covariance, searched=searched
        )
        for cutout, before in zip(cutouts, said):
            cutout.notes[before:] = [f"{name}: {note}" if name else note for note in cutout.notes[before:]]
    if begun.otherwise:
        first, other = (
            next(iter(each)),
            {i: mask[_box(parts[i], origin[i])] for i, mask in begun.otherwise.items()},
        )
        begun.flags |= weigh_choices(
            parts, other, start - _moved(START, origin), each[first], fits[first], watch
        )
    if settings.neighbours != "mask":
        fit_neighbours(
            parts,
            {i: one.window(*_box(parts[i], origin[i])) for i, one in begun.neighbour_maps.items()},
            fits,
            each,
            watch,
        )
    for name, fitted in fits.items():
        _put_back(fitted, cutouts, origin)
        for cutout, remarks in zip(cutouts, fitted.remarks):
            cutout.notes += [f"{name}: {remark}" if name else remark for remark in remarks]
    fitted = (
        select(fits, {name: len(model.fitted) for name, model in models.items()}, settings.model.choose)
        if several
        else fits[""]
    )
    if several:
        _doubt_choice(cutouts, fitted, settings.model.choose)
    # what the footprint alone has of the signal gives way to what the fit measured
    fitted.flags |= begun.flags & ~np.where(np.isfinite(fitted.snr), int(Flag.LOW_SN), 0) | start_flags
    fitted.without_errors([not cutout.noise.tells_errors for cutout in cutouts])
    if not is_segmented(settings):
        note_unsegmented(cutouts, fitted, start, ~searched)
    fitted.seconds = dict(watch)
    return fitted


def _doubt_choice(cutouts: Sequence[Cutout], fitted: Fitted, criterion: str) -> None:
    """Say where the criterion chose a model whose components are not what their names say, and which is
    the next that makes sense."""
    of = {name.removesuffix("_flags"): name for name in fitted.selection if name.endswith("_flags")}
    for i in np.flatnonzero(fitted.flags & Flag.ROLES_SWAPPED).tolist():
        sane = {
            name: fitted.selection[f"{name}_delta_{criterion}"][i]
            for name, flags in of.items()
            if not fitted.selection[flags][i] & Flag.ROLES_SWAPPED
        }
        sane = {name: worse for name, worse in sane.items() if np.isfinite(worse)}
        nearest = min(sane, key=sane.get, default=None)
        cutouts[i].notes.append(
            f"{criterion.upper()} chose {fitted.selection['model'][i]}, but its inner component is the "
            f"larger one: "
            "more parameters describe arms or rings, not a bulge and a disk."
            + (
                f" {nearest}, by {sane[nearest]:.0f} worse in {criterion.upper()}, has no such trouble."
                if nearest
                else ""
            )
        )


def _put_back(fitted: Fitted, cutouts: Sequence[Cutout], origin: np.ndarray) -> None:
    """From what was fitted in the parts of cutouts that begin at `origin` to what the catalogue says of
    the cutouts."""
    fitted.shift_origin(_moved(fitted.parameters, origin))
    if fitted.neighbours is not None:
        fitted.neighbours += _moved(NEIGHBOUR, origin)[:, None]
    fitted.flags[leaves_frame(fitted.parameters, fitted.values, cutouts)] |= Flag.EDGE
    fitted.unlit_to_inf()


def _windows(cutouts: Sequence[Cutout], start: np.ndarray) -> tuple[list[Cutout], np.ndarray]:
    """What of each image is to be fitted, and the x and y of its first pixel, [N, 2]: nothing of an
    unusable frame."""
    parts, origin = list(cutouts), np.zeros((len(cutouts), 2))
    for i, begun in enumerate(np.isfinite(start).all(axis=1).tolist()):
        if begun and is_field(cutout := cutouts[i]):
            parts[i], *origin[i] = window(cutout, dict(zip(START, start[i])))
        elif (
            begun
            and (good := usable_pixels(cutout)).any()
            and good.shape != good[box := usable_box(good)].shape
        ):
            parts[i], origin[i] = cutout.window(*box), (box[1].start, box[0].start)
    return parts, origin


def _box(part: Cutout, origin: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of the image that a part of it takes."""
    x, y = origin.astype(int).tolist()
    return slice(y, y + part.shape[0]), slice(x, x + part.shape[1])


def _moved(parameters: Sequence[str], origin: np.ndarray) -> np.ndarray:
    """What the move of the first pixel adds to every parameter, [N, P]."""
    axis = {"x": 0, "y": 1}
    columns = [
        origin[:, axis[last]] if (last := split_name(name)[1]) in axis else np.zeros(len(origin))
        for name in parameters
    ]
    return np.stack(columns, axis=1)
