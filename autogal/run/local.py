"""A fit shared out to several processes, one a GPU, by Lightning's Trainer.

Each process fits every n-th block and hands its rows over in files; the first one keeps the catalogue. On one
machine the processes are started anew (``ddp_spawn``), so that the one that keeps the catalogue outlives them
all.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytorch_lightning as lightning
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import BasePredictionWriter
from pytorch_lightning.plugins.environments import SLURMEnvironment, TorchElasticEnvironment
from torch.multiprocessing import ProcessExitedException, ProcessRaisedException
from torch.utils.data import DataLoader, IterableDataset

from autogal.errors import AutogalError
from autogal.results.catalogue import Catalogue
from autogal.run.handover import Handover
from autogal.runtime.devices import choose_device, device_name
from autogal.runtime.logs import join_log
from autogal.runtime.trainer import make_trainer, one_device_a_job

__all__ = ["fit_trainer", "help_out", "share_out"]

_log = logging.getLogger(__name__)

_LOOK = 0.2  # seconds between two looks at what has been handed over
_PATIENCE = 90.0  # seconds after which files that another machine wrote must have appeared here


def fit_trainer(settings: DictConfig) -> lightning.Trainer:
    """The Trainer of a run, as ``settings.trainer`` has it.

    Raises
    ------
    AutogalError
        For a sweep, or where Lightning refuses an argument.
    """
    one_device_a_job(settings)
    given: dict[str, Any] = OmegaConf.to_container(settings.trainer, resolve=True)
    given["accelerator"] = choose_device(device_name(settings)).type
    elsewhere = given.get("num_nodes", 1) not in (1, "1")
    if given.get("strategy", "auto") == "auto" and (elsewhere or given.get("devices", 1) not in (1, "1")):
        started = TorchElasticEnvironment.detect() or SLURMEnvironment.detect()
        given["strategy"] = "ddp" if started or elsewhere else "ddp_spawn"
    # the engine chooses its own precision, and some solvers need gradients
    return make_trainer(
        given,
        precision="32-true",
        inference_mode=False,
        callbacks=[_RowWriter()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        default_root_dir=settings.out,
    )


def help_out(blocks, trainer: lightning.Trainer, folder: Path) -> None:
    """Fit this process's share of the blocks, in a process that does not keep the catalogue."""
    trainer.predict(_Share(blocks, folder), return_predictions=False)
    trainer.strategy.barrier()


def share_out(
    blocks, trainer: lightning.Trainer, folder: Path, keep: Callable[[Catalogue, int], None]
) -> None:
    """Have the blocks of a run fitted by the processes of a Trainer.

    Parameters
    ----------
    blocks : autogal.run.blocks.Blocks
    trainer : Trainer
        From `fit_trainer`.
    folder : Path
        Of the run.
    keep : callable
        ``keep(rows, first)`` is called with each block as it is done, in any order, from another thread.

    Raises
    ------
    AutogalError
        Where a process ended before its work was done. What was done has been kept.
    KeyboardInterrupt
        On Ctrl-C, after what was done has been kept.
    """
    share = _Share(blocks, folder)
    kept, over, ended = [], threading.Event(), None
    share.handover.open()
    try:
        with ThreadPoolExecutor(1, "catalogue") as pool:
            collecting = pool.submit(
                _collect,
                share.handover,
                lambda part, first: (keep(part, first), kept.append(len(part))),
                over,
            )
            try:
                ended = _predict(trainer, share)
                _wait_for_files(lambda: ended or share.handover.failure() or sum(kept) == len(blocks.entries))
            finally:
                over.set()
                collecting.result()
        if (failure := share.handover.failure()) is not None:
            raise failure
    finally:
        share.handover.close()
    if sum(kept) < len(blocks.entries):
        why = f": {' '.join(ended.split())}" if ended else ""
        raise AutogalError(
            f"A process of the run ended before its work was done{why}; {len(blocks.entries) - sum(kept)} of "
            f"{len(blocks.entries)} cutouts were not fitted.",
            "The catalogue has all others. If memory ran out, take a smaller block= or fewer "
            "trainer.devices=.",
        )


class _Share(lightning.LightningModule):
    """A process's share of a run: its predict step turns a block of cutouts into rows."""

    def __init__(self, blocks, folder: Path):
        super().__init__()
        self.blocks, self.folder = blocks, folder
        self.handover = Handover(folder / ".autogal_blocks")
        self.allow_zero_length_dataloader_with_multiple_devices = (
            True  # there may be more processes than blocks
        )

    def setup(self, stage: str) -> None:
        join_log(self.folder)

    def predict_dataloader(self) -> DataLoader:
        return DataLoader(
            _Reading(self.blocks, self.handover, self.trainer.global_rank, self.trainer.world_size),
            batch_size=None,
            collate_fn=_as_it_is,
        )

    def on_predict_start(self) -> None:
        # Lightning's own handler waits for the other processes, which may be dead, and raises in the middle
        # of a fit.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def transfer_batch_to_device(self, batch, device, dataloader_idx):
        return batch  # the engine takes the stamps there, bucket by bucket

    def predict_step(self, block, index: int) -> Catalogue | None:
        with self.handover.reporting():
            return self.blocks.fit(block, str(self.trainer.strategy.root_device))


class _RowWriter(BasePredictionWriter):
    """Hands over the rows of each block as it is done."""

    def write_on_batch_end(self, trainer, module, rows, indices, block, index, loader) -> None:
        if rows is not None:
            with module.handover.reporting():
                module.handover.put(block.first, rows)


class _Reading(IterableDataset):
    """Every n-th block, until something went wrong anywhere."""

    def __init__(self, blocks, handover: Handover, rank: int, world: int):
        self.blocks, self.handover = blocks, handover
        self.numbers = range(rank, len(blocks), world)

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self):
        with self.handover.reporting(), closing(self.blocks.read(self.numbers)) as read:
            for block in read:
                if self.handover.failure() is not None:
                    return
                yield block


def _as_it_is(block):
    return block


def _collect(handover: Handover, keep: Callable[[Catalogue, int], Any], over: threading.Event) -> None:
    while True:
        last = over.is_set()  # asked first: what was handed over until then is taken
        for first, part in handover.poll():
            keep(part, first)
        if last:
            return
        over.wait(_LOOK)


def _wait_for_files(arrived: Callable[[], Any]) -> None:
    end = time.monotonic() + _PATIENCE
    while not arrived() and time.monotonic() < end:
        time.sleep(_LOOK)


def _predict(trainer: lightning.Trainer, share: _Share) -> str | None:
    """Run all processes to their end; why one of them ended early, None where none did."""
    on_interrupt = signal.getsignal(signal.SIGINT)
    try:
        with _without_hydra():
            trainer.predict(share, return_predictions=False)
        trainer.strategy.barrier()
    except (
        ProcessExitedException,
        ProcessRaisedException,
        RuntimeError,
    ) as error:  # RuntimeError: a peer that is gone
        _log.exception("a process ended early", extra={"only_file": True})
        return str(error).strip().splitlines()[-1]
    except SystemExit as ended:  # what Lightning makes of Ctrl-C
        for process in getattr(trainer.strategy.launcher, "procs", ()):
            with suppress(ProcessLookupError):
                process.kill()
        raise (KeyboardInterrupt if trainer.interrupted else ended) from None
    finally:
        signal.signal(signal.SIGINT, on_interrupt)
    return None


@contextmanager
def _without_hydra() -> Iterator[None]:
    """Where Lightning runs the command line again, it would add Hydra's overrides at its end, where paths
    may stand."""
    hydra = HydraConfig.instance()
    before, hydra.cfg = hydra.cfg, None
    try:
        yield
    finally:
        hydra.cfg = before
