"""All that a run has to do, in blocks of cutouts that are read, fitted and written together."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from autogal.images import Cutout, Entry, Options, load_unreported, report
from autogal.pipeline import fit_cutouts
from autogal.report.object_files import file_names, write_objects
from autogal.results.catalogue import Catalogue
from autogal.runtime.devices import choose_device, device_name
from autogal.runtime.prefetch import prefetch, prefetch_threads
from autogal.runtime.stopwatch import Stopwatch

__all__ = ["BLOCK", "Block", "Blocks"]

_log = logging.getLogger(__name__)

#: Cutouts that are read, fitted and written together, by kind of device
BLOCK = {"cpu": 512, "cuda": 4096}


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
        """Cut a request that `autogal.run.job` let pass into blocks."""
        device = choose_device(device_name(settings))
        options = Options.from_settings(settings)
        names = file_names([entry.id for entry in entries])
        wanted = {
            kind: _wanted(settings.objects[kind], len(entries), settings.objects.limit)
            for kind in ("fits", "png")
        }
        if any(wanted.values()):
            (folder / "objects").mkdir(parents=True, exist_ok=True)
        size = settings.block or min(BLOCK[device.type], math.ceil(len(entries) / processes))
        _log.info(
            "fitting %d cutouts on %s%s",
            len(entries),
            device.type if processes > 1 else device,
            f" in {processes} processes" if processes > 1 else "",
        )
        return cls(
            settings,
            options,
            entries,
            names,
            size,
            folder / "objects",
            wanted,
            prefetch_threads(device, settings.threads),
        )

    def __len__(self) -> int:
        return math.ceil(len(self.entries) / self.size)

    def read(self, numbers: Sequence[int]) -> Iterator[Block]:
        """Read the blocks of these numbers, one ahead of the caller; to be used within
        `contextlib.closing`."""
        firsts = [number * self.size for number in numbers]
        tasks = (
            [
                partial(load_unreported, entry, self.options)
                for entry in self.entries[first : first + self.size]
            ]
            for first in firsts
        )
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


def _wanted(setting: bool | str, count: int, limit: int) -> bool:
    return count <= limit if setting == "auto" else bool(setting)
