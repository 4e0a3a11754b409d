"""The story on one page: read -> segment -> initialise -> fit -> write."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
from omegaconf import DictConfig, OmegaConf

from autogal.beginning import begin, is_segmented, validate_methods
from autogal.batch.stamps import usable_pixels
from autogal.fitting.choices import build_bootstrap, build_likelihood, build_solver, validate_model, with_model
from autogal.model.spec import build_model
from autogal.parameters import START, split_name
from autogal.fitting.engine import fit_cutouts as fit_starts
from autogal.fitting.isolation import isolated
from autogal.fitting.alternatives import weigh_choices
from autogal.fitting.selection import select
from autogal.flags import Flag
from autogal.images import Cutout, Entry, Options, find_entries, load_unreported, report
from autogal.images.frame import is_field, leaves_frame, window
from autogal.images.canonical import usable_box
from autogal.initialise.given import note_unsegmented, sanitise_start
from autogal.model.fitted import NEIGHBOUR, Fitted
from autogal.neighbours import fit_neighbours
from autogal.report.object_files import file_names, write_objects
from autogal.report.terminal import print_summary
from autogal.results.blocks import CatalogueWriter
from autogal.results.catalogue import Catalogue
from autogal.results.earlier import own_folder
from autogal.results.formats import build_format
from autogal.results.progress import FitProgress
from autogal.runtime.prefetch import prefetch, prefetch_threads
from autogal.runtime.devices import choose_device, device_name, is_shared, resolve_processes
from autogal.runtime.logs import run_log
from autogal.runtime.stopwatch import Stopwatch

__all__ = ["BLOCK", "Block", "Blocks", "fit_cutouts", "run"]

_log = logging.getLogger(__name__)

#: Cutouts that are read, fitted and written together, by kind of device
BLOCK = {"cpu": 512, "cuda": 4096}


def fit_cutouts(cutouts: Sequence[Cutout], settings: DictConfig) -> Fitted:
    """Segment, initialise and fit cutouts.

    A cutout that brings a complete set of starting values is not initialised, and segmented only with ``given_starts=segment``.
    One for which any stage fails in a way that nobody foresaw is a failed row, and the others are fitted without it.

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
        fits[name] = fit_starts(parts, start - _moved(START, origin), one, watch, start_covariance, searched=searched)
        for cutout, before in zip(cutouts, said):
            cutout.notes[before:] = [f"{name}: {note}" if name else note for note in cutout.notes[before:]]
    if begun.otherwise:
        first, other = next(iter(each)), {i: mask[_box(parts[i], origin[i])] for i, mask in begun.otherwise.items()}
        begun.flags |= weigh_choices(parts, other, start - _moved(START, origin), each[first], fits[first], watch)
    if settings.neighbours != "mask":
        fit_neighbours(parts, {i: one.window(*_box(parts[i], origin[i])) for i, one in begun.neighbour_maps.items()}, fits, each, watch)
    for name, fitted in fits.items():
        _put_back(fitted, cutouts, origin)
        for cutout, remarks in zip(cutouts, fitted.remarks):
            cutout.notes += [f"{name}: {remark}" if name else remark for remark in remarks]
    fitted = select(fits, {name: len(model.fitted) for name, model in models.items()}, settings.model.choose) if several else fits[""]
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
    """Say where the criterion chose a model whose components are not what their names say, and which is the next that makes sense."""
    of = {name.removesuffix("_flags"): name for name in fitted.selection if name.endswith("_flags")}
    for i in np.flatnonzero(fitted.flags & Flag.ROLES_SWAPPED).tolist():
        sane = {name: fitted.selection[f"{name}_delta_{criterion}"][i] for name, flags in of.items()
                if not fitted.selection[flags][i] & Flag.ROLES_SWAPPED}
        sane = {name: worse for name, worse in sane.items() if np.isfinite(worse)}
        nearest = min(sane, key=sane.get, default=None)
        cutouts[i].notes.append(f"{criterion.upper()} chose {fitted.selection['model'][i]}, but its inner component is the larger one: "
                                "more parameters describe arms or rings, not a bulge and a disk."
                                + (f" {nearest}, by {sane[nearest]:.0f} worse in {criterion.upper()}, has no such trouble." if nearest else ""))


def _put_back(fitted: Fitted, cutouts: Sequence[Cutout], origin: np.ndarray) -> None:
    """From what was fitted in the parts of cutouts that begin at `origin` to what the catalogue says of the cutouts."""
    fitted.shift_origin(_moved(fitted.parameters, origin))
    if fitted.neighbours is not None:
        fitted.neighbours += _moved(NEIGHBOUR, origin)[:, None]
    fitted.flags[leaves_frame(fitted.parameters, fitted.values, cutouts)] |= Flag.EDGE
    fitted.unlit_to_inf()


def _windows(cutouts: Sequence[Cutout], start: np.ndarray) -> tuple[list[Cutout], np.ndarray]:
    """What of each image is to be fitted, and the x and y of its first pixel, [N, 2]: nothing of an unusable frame."""
    parts, origin = list(cutouts), np.zeros((len(cutouts), 2))
    for i, begun in enumerate(np.isfinite(start).all(axis=1).tolist()):
        if begun and is_field(cutout := cutouts[i]):
            parts[i], *origin[i] = window(cutout, dict(zip(START, start[i])))
        elif begun and (good := usable_pixels(cutout)).any() and good.shape != good[box := usable_box(good)].shape:
            parts[i], origin[i] = cutout.window(*box), (box[1].start, box[0].start)
    return parts, origin


def _box(part: Cutout, origin: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of the image that a part of it takes."""
    x, y = origin.astype(int).tolist()
    return slice(y, y + part.shape[0]), slice(x, x + part.shape[1])


def _moved(parameters: Sequence[str], origin: np.ndarray) -> np.ndarray:
    """What the move of the first pixel adds to every parameter, [N, P]."""
    axis = {"x": 0, "y": 1}
    columns = [origin[:, axis[last]] if (last := split_name(name)[1]) in axis else np.zeros(len(origin)) for name in parameters]
    return np.stack(columns, axis=1)


@dataclass
class Block:
    """Cutouts that are read, fitted and written together; ``seconds``: how long the run waited for them."""

    first: int
    cutouts: list[Cutout]
    seconds: float


@dataclass(frozen=True)
class Blocks:
    """All that a run has to do, in blocks: `read` reads them, `fit` turns one into rows.

    Attributes
    ----------
    settings : DictConfig
    options : Options
    entries : list of Entry
    names : list of str
        Of the files of each object.
    size : int
        Cutouts a block.
    folder : Path
        Of the objects' files.
    wanted : dict of str to bool
        Which of them are written, ``fits`` and ``png``.
    readers : int
        Threads that read the next block while one is fitted.
    """

    settings: DictConfig
    options: Options
    entries: list[Entry]
    names: list[str]
    size: int
    folder: Path
    wanted: dict[str, bool]
    readers: int = 0

    @classmethod
    def of_run(cls, settings: DictConfig, entries: list[Entry], folder: Path, processes: int = 1) -> Blocks:
        """Cut a request that `_check` let pass into blocks."""
        device = choose_device(device_name(settings))
        options = Options.from_settings(settings)
        names = file_names([entry.id for entry in entries])
        wanted = {kind: _wanted(settings.objects[kind], len(entries), settings.objects.limit) for kind in ("fits", "png")}
        if any(wanted.values()):
            (folder / "objects").mkdir(parents=True, exist_ok=True)
        size = settings.block or min(BLOCK[device.type], math.ceil(len(entries) / processes))
        _log.info("fitting %d cutouts on %s%s", len(entries), device.type if processes > 1 else device,
                  f" in {processes} processes" if processes > 1 else "")
        return cls(settings, options, entries, names, size, folder / "objects", wanted, prefetch_threads(device, settings.threads))

    def __len__(self) -> int:
        return math.ceil(len(self.entries) / self.size)

    def read(self, numbers: Sequence[int]) -> Iterator[Block]:
        """Read the blocks of these numbers, one ahead of the caller; to be used within `contextlib.closing`."""
        firsts = [number * self.size for number in numbers]
        tasks = ([partial(load_unreported, entry, self.options) for entry in self.entries[first : first + self.size]] for first in firsts)
        with closing(prefetch(tasks, self.readers)) as loaded:
            for first in firsts:
                watch = Stopwatch()
                with watch.time("read"):
                    cutouts = next(loaded)
                for cutout in cutouts:
                    report(cutout)
                yield Block(first, cutouts, watch["read"])

    def fit(self, block: Block, device: str) -> Catalogue:
        """The rows of a block, without its images; the objects' files are written.

        Parameters
        ----------
        block : Block
        device : str
            As torch names it.
        """
        fitted = fit_cutouts(block.cutouts, OmegaConf.merge(self.settings, {"device": device}))
        part = Catalogue.from_fitted(block.cutouts, fitted, self.settings.model.name, self.settings)
        watch = Stopwatch()
        with watch.time("write"):
            write_objects(part, self.names[block.first : block.first + self.size], self.folder, self.wanted)
        part.seconds = {"read": block.seconds, **part.seconds, **watch}
        part.cutouts = None  # a long run keeps its rows, not its images
        return part


def run(settings: DictConfig, paths: Sequence[str]) -> Catalogue | None:
    """What ``autogal fit`` does: fit all that `paths` name and write the results to ``settings.out``.

    Parameters
    ----------
    settings : DictConfig
        From `autogal.configuration.composing.compose`.
    paths : sequence of str
        Files, globs, folders, ``@list.txt`` or manifests.

    Returns
    -------
    Catalogue
        All rows, in input order; without the images where ``objects`` asks for none. None in a process that only
        helps another one with its run.

    Raises
    ------
    AutogalError
        Where the run as a whole can make no sense. A single bad image is a flagged row.
    KeyboardInterrupt
        On Ctrl-C, after what is done has been written.
    """
    begin, trainer, processes = time.perf_counter(), None, 1
    entries = find_entries(list(paths))
    _check(settings)
    resolved = resolve_processes(settings, len(entries))
    if is_shared(resolved):
        from autogal import parallel  # and with it Lightning, which takes longer to import than some runs take

        trainer = parallel.fit_trainer(resolved)
        processes = trainer.world_size
        if not trainer.is_global_zero:
            return parallel.help_out(Blocks.of_run(resolved, entries, Path(settings.out), processes), trainer, Path(settings.out))
    files = chain((settings.psf.path, settings.sigma, settings.mask), *((one.image, one.psf, one.sigma, one.mask) for one in entries))
    own = (build_format(settings.catalogue.format).ending,)
    with own_folder(settings.out, files, settings.overwrite, own), run_log(settings, paths) as folder:
        blocks = Blocks.of_run(resolved, entries, folder, processes)
        watch = Stopwatch()
        with CatalogueWriter(folder, settings.catalogue.format) as writer, FitProgress(len(blocks.entries)) as progress:

            def keep(part: Catalogue, first: int) -> None:
                with watch.time("write"):
                    writer.append(part, first)
                progress.advance(len(part))

            if trainer is not None:
                parallel.share_out(blocks, trainer, folder, keep)
            else:
                with closing(blocks.read(range(len(blocks)))) as read:
                    for block in read:
                        keep(blocks.fit(block, device_name(settings)), block.first)
        catalogue = writer.catalogue
        catalogue.seconds["write"] += watch["write"]
        written = {"catalogue": writer.path, "configuration": folder / "config.yaml", "log": folder / "autogal.log"}
        if any(blocks.wanted.values()):
            written["pictures" if blocks.wanted["png"] else "objects"] = blocks.folder
        print_summary(catalogue, time.perf_counter() - begin, written, processes=processes)
    return catalogue


def _check(settings: DictConfig) -> None:
    """Find everything that can be wrong with a request before the first image is read or anything is written."""
    validate_model(settings.model), build_likelihood(settings), build_solver(settings.solver), build_bootstrap(settings)
    validate_methods(settings), build_format(settings.catalogue.format)
    choose_device(device_name(settings)), Options.from_settings(settings)


def _wanted(setting: bool | str, count: int, limit: int) -> bool:
    return count <= limit if setting == "auto" else bool(setting)
