"""The story on one page: read -> segment -> initialise -> fit -> write."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from omegaconf import DictConfig

from autogal.choices import choose_device, choose_model, choose_solver
from autogal.engine import START
from autogal.engine import fit_cutouts as fit_starts
from autogal.flags import Flag
from autogal.frame import is_field, leaves_frame, window
from autogal.images import Cutout, Options, find_entries, load
from autogal.initialise import initialise_all
from autogal.logs import run_log
from autogal.model.fitted import Fitted
from autogal.results import (
    Catalogue,
    CatalogueWriter,
    FitProgress,
    file_names,
    object_png,
    print_summary,
    write_object_fits,
)
from autogal.segment import segment_all, wanted_position
from autogal.stopwatch import Stopwatch

__all__ = ["BLOCK", "fit_cutouts", "run"]

_log = logging.getLogger(__name__)

#: Cutouts that are read, fitted and written together, by kind of device
BLOCK = {"cpu": 512, "cuda": 4096}


def fit_cutouts(cutouts: Sequence[Cutout], settings: DictConfig) -> Fitted:
    """Segment, initialise and fit cutouts.

    A cutout that brings a complete set of starting values is neither segmented nor initialised.

    Parameters
    ----------
    cutouts : sequence of Cutout
        Their masks are replaced by ones that hold the neighbours too, and their notes grow.
    settings : DictConfig
        From `autogal.configuration.compose`.

    Returns
    -------
    Fitted
        One row a cutout, in order.
    """
    watch = Stopwatch()
    start, spread, flags = _prepare(cutouts, settings, watch)
    parts, origin = _windows(cutouts, start)
    fitted = fit_starts(parts, start - _moved(START, origin), settings, watch, spread)
    fitted.values += _moved(fitted.parameters, origin)
    fitted.flags |= flags
    fitted.flags[leaves_frame(fitted.parameters, fitted.values, cutouts)] |= Flag.EDGE
    fitted.seconds = dict(watch)
    return fitted


def _prepare(cutouts: Sequence[Cutout], settings: DictConfig, watch: Stopwatch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Starting values [N, 8], their covariances [N, 7, 7] (NaN where there are none) and flags [N]; masks are completed."""
    flags = np.zeros(len(cutouts), int)
    start = np.array([_row(cutout.start or {}, cutout.zeropoint) for cutout in cutouts], float).reshape(-1, len(START))
    good = np.array([cutout.error is None for cutout in cutouts], bool)
    complete = np.isfinite(start).all(axis=1) & good
    start[~complete] = np.nan
    wanting = np.flatnonzero(good & ~complete).tolist()
    spread = np.full((len(cutouts), 7, 7), np.nan)
    if not wanting:
        return start, spread, flags
    device = choose_device(settings.device)
    with watch.time("segment"):
        segmentations = dict(zip(wanting, segment_all([cutouts[i] for i in wanting], settings.segment, device), strict=True))
    for i, found in segmentations.items():
        flags[i] = found.flags
        if Flag.NO_TARGET in found.flags:
            x, y = wanted_position(cutouts[i])
            cutouts[i].notes.append(f"No source was found at x = {x:.4g}, y = {y:.4g}, where the target should be; "
                                    "x and y in a manifest or start table name another place.")
    seen = [i for i in wanting if Flag.NO_TARGET not in segmentations[i].flags]
    with watch.time("initialise"):
        starts = initialise_all([cutouts[i] for i in seen], [segmentations[i] for i in seen], settings.initialise, device)
    for i, first in zip(seen, starts, strict=True):
        cutout = cutouts[i]
        cutout.mask = cutout.mask | segmentations[i].neighbours
        cutout.notes.extend([*segmentations[i].notes, *first.notes])
        start[i] = _row(first.values, cutout.zeropoint)
        if first.covariance is not None:
            spread[i] = first.covariance
        flags[i] |= first.flags
    return start, spread, flags


def _windows(cutouts: Sequence[Cutout], start: np.ndarray) -> tuple[list[Cutout], np.ndarray]:
    """What of each image is to be fitted, and the x and y of its first pixel, [N, 2]."""
    parts, origin = list(cutouts), np.zeros((len(cutouts), 2))
    for i, begun in enumerate(np.isfinite(start).all(axis=1).tolist()):
        if begun and is_field(cutout := cutouts[i]):
            parts[i], *origin[i] = window(cutout, dict(zip(START, start[i])))
    return parts, origin


def _moved(parameters: Sequence[str], origin: np.ndarray) -> np.ndarray:
    """What the move of the first pixel adds to every parameter, [N, P]."""
    axis = {"x": 0, "y": 1}
    columns = [origin[:, axis[last]] if (last := name.split("_")[-1]) in axis else np.zeros(len(origin)) for name in parameters]
    return np.stack(columns, axis=1)


def _row(values: dict[str, float], zeropoint: float) -> list[float]:
    """Starting values in the order of `START`; `flux` serves where there is no `mag`."""
    if not math.isfinite(values.get("mag", math.nan)) and values.get("flux", math.nan) > 0:
        values = {**values, "mag": zeropoint - 2.5 * np.log10(values["flux"])}
    return [values.get(name, math.nan) for name in START]


def run(settings: DictConfig, paths: Sequence[str]) -> Catalogue:
    """What ``autogal fit`` does: fit all that `paths` name and write the results to ``settings.out``.

    Parameters
    ----------
    settings : DictConfig
        From `autogal.configuration.compose`.
    paths : sequence of str
        Files, globs, folders, ``@list.txt`` or manifests.

    Returns
    -------
    Catalogue
        All rows, in input order; without the images where ``objects`` asks for none.

    Raises
    ------
    AutogalError
        Where the run as a whole can make no sense. A single bad image is a flagged row.
    KeyboardInterrupt
        On Ctrl-C, after what is done has been written.
    """
    begin = time.perf_counter()
    with run_log(settings, paths) as folder:
        # everything that can be wrong with the request is found before the first image is read
        choose_model(settings.model), choose_solver(settings.solver)
        device = choose_device(settings.device)
        entries = find_entries(list(paths))
        options = Options.from_settings(settings)
        names = file_names([entry.id for entry in entries])
        wanted = {kind: _wanted(settings.objects[kind], len(entries), settings.objects.limit) for kind in ("fits", "png")}
        objects = folder / "objects"
        if any(wanted.values()):
            objects.mkdir(exist_ok=True)
        block = settings.block or BLOCK[device.type]
        _log.info("fitting %d cutouts on %s", len(entries), device)
        watch = Stopwatch()
        with CatalogueWriter(folder, settings.catalogue.format) as writer, FitProgress(len(entries)) as progress:
            for first in range(0, len(entries), block):
                with watch.time("read"):
                    cutouts = [load(entry, options) for entry in entries[first : first + block]]
                fitted = fit_cutouts(cutouts, settings)
                for stage, seconds in fitted.seconds.items():
                    watch[stage] = watch.get(stage, 0.0) + seconds
                part = Catalogue.from_fitted(cutouts, fitted, settings.model.name, settings)
                with watch.time("write"):
                    _write_objects(part, names[first : first + block], objects, wanted)
                    part.cutouts = None  # a long run keeps its rows, not its images
                    writer.append(part)
                progress.advance(len(cutouts))
        catalogue = writer.catalogue
        catalogue.seconds = dict(watch)
        written = {"catalogue": writer.path, "configuration": folder / "config.yaml", "log": folder / "autogal.log"}
        if any(wanted.values()):
            written["pictures" if wanted["png"] else "objects"] = objects
        print_summary(catalogue, time.perf_counter() - begin, written)
    return catalogue


def _wanted(setting: bool | str, count: int, limit: int) -> bool:
    return count <= limit if setting == "auto" else bool(setting)


def _write_objects(part: Catalogue, names: Sequence[str], folder: Path, wanted: dict[str, bool]) -> None:
    """The FITS cube and the picture of every object."""
    for i, (name, cutout) in enumerate(zip(names, part.cutouts)):
        if not any(wanted.values()) or cutout.error is not None:
            continue
        row = part.table[i]
        model = part.model_image(i) if np.isfinite(row["r_eff"]) else None
        if wanted["fits"]:
            write_object_fits(folder / f"{name}.fits", cutout, model, row)
        if wanted["png"]:
            object_png(folder / f"{name}.png", cutout, model, row)
