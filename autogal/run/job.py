"""What ``autogal fit`` does: find what is to be fitted, have it fitted, keep what was found, and say what
happened."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path

from omegaconf import DictConfig

from autogal.beginning import validate_methods
from autogal.fitting.choices import build_bootstrap, build_likelihood, build_solver, validate_model
from autogal.images import Options, find_entries
from autogal.report.terminal import print_summary
from autogal.results.catalogue import Catalogue
from autogal.results.formats import build_format
from autogal.run.blocks import Blocks
from autogal.run.catalogue_writer import CatalogueWriter
from autogal.run.earlier import own_folder
from autogal.run.progress import FitProgress
from autogal.runtime.devices import choose_device, device_name, is_shared, resolve_processes
from autogal.runtime.logs import run_log
from autogal.runtime.stopwatch import Stopwatch

__all__ = ["run"]


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
        All rows, in input order; without the images where ``objects`` asks for none. None in a process that
        only helps another one with its run.

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
        from autogal.run import (
            local,  # and with it Lightning, which takes longer to import than some runs take
        )

        trainer = local.fit_trainer(resolved)
        processes = trainer.world_size
        if not trainer.is_global_zero:
            return local.help_out(
                Blocks.of_run(resolved, entries, Path(settings.out), processes), trainer, Path(settings.out)
            )
    files = chain(
        (settings.psf.path, settings.sigma, settings.mask),
        *((one.image, one.psf, one.sigma, one.mask) for one in entries),
    )
    own = (build_format(settings.catalogue.format).ending,)
    with own_folder(settings.out, files, settings.overwrite, own), run_log(settings, paths) as folder:
        blocks = Blocks.of_run(resolved, entries, folder, processes)
        watch = Stopwatch()
        with (
            CatalogueWriter(folder, settings.catalogue.format) as writer,
            FitProgress(len(blocks.entries)) as progress,
        ):

            def keep(part: Catalogue, first: int) -> None:
                with watch.time("write"):
                    writer.append(part, first)
                progress.advance(len(part))

            if trainer is not None:
                local.share_out(blocks, trainer, folder, keep)
            else:
                with closing(blocks.read(range(len(blocks)))) as read:
                    for block in read:
                        keep(blocks.fit(block, device_name(settings)), block.first)
        catalogue = writer.catalogue
        catalogue.seconds["write"] += watch["write"]
        written = {
            "catalogue": writer.path,
            "configuration": folder / "config.yaml",
            "log": folder / "autogal.log",
        }
        if any(blocks.wanted.values()):
            written["pictures" if blocks.wanted["png"] else "objects"] = blocks.folder
        print_summary(catalogue, time.perf_counter() - begin, written, processes=processes)
    return catalogue


def _check(settings: DictConfig) -> None:
    """Find everything that can be wrong with a request before the first image is read or anything is
    written."""
    (
        validate_model(settings.model),
        build_likelihood(settings),
        build_solver(settings.solver),
        build_bootstrap(settings),
    )
    validate_methods(settings), build_format(settings.catalogue.format)
    choose_device(device_name(settings)), Options.from_settings(settings)
