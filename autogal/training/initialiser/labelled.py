"""Training examples of the network of starting values from the user's own images and the fits made of
them."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import numpy as np
import torch
from astropy.table import Table
from omegaconf import DictConfig, OmegaConf
from torch import Tensor
from torch.utils.data import IterableDataset

from autogal.configuration.composing import compose
from autogal.errors import AutogalError
from autogal.flags import RESERVATIONS, Flag
from autogal.images import Options, find_entries, load
from autogal.initialise.network.resnet50 import cut
from autogal.initialise.network.targets import encode
from autogal.parameters import FLUX_START
from autogal.segment import segment_all
from autogal.training.own_images import check_enough, own_steps, set_aside

__all__ = ["Labelled", "labelled_examples"]

_log = logging.getLogger(__name__)

_NEEDED = ("id", *FLUX_START[:-1], "chi2_dof", "status", "flags", "snr")
# all reservations but of galaxies that are to be known too: faint and cut ones, and those that were hard to
# find
_SPOILT = RESERVATIONS & ~(
    Flag.LOW_SN | Flag.EDGE | Flag.MASK_FALLBACK | Flag.START_FALLBACK | Flag.SKY_FIXED
)
_LARGEST_CHI2 = 1.5  # per degree of freedom


class Labelled(IterableDataset):
    """Batches of the same examples again and again, in an order that only seed and step decide.

    Parameters
    ----------
    examples : dict of str to Tensor
        As from `labelled_examples`.
    batch : int
    first, rank, world : int
        Step to begin with, and the process.
    seed : int
    """

    def __init__(
        self,
        examples: dict[str, Tensor],
        batch: int,
        first: int = 0,
        rank: int = 0,
        world: int = 1,
        seed: int = 0,
    ):
        self.examples, self.batch, self.first, self.rank, self.world, self.seed = (
            examples,
            batch,
            first,
            rank,
            world,
            seed,
        )

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        count = len(self.examples["snr"])
        for step in own_steps(self.first, self.rank, self.world):
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
            chosen = torch.randint(count, (self.batch,), generator=generator)
            yield {name: values[chosen] for name, values in self.examples.items()}


def labelled_examples(settings: DictConfig) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Examples for training and for validation from ``settings.data`` and the catalogue ``settings.labels``.

    Rows that did not converge, are flagged as spoilt or fit badly (chi-square above 1.5 per degree of
    freedom) are left out. Targets and neighbours are found by SExtractor's method.

    Parameters
    ----------
    settings : DictConfig
        From ``conf/train.yaml``.

    Returns
    -------
    training, validation : dict of str to Tensor
        As from `autogal.training.initialiser.examples.examples`.

    Raises
    ------
    AutogalError
        Where the table cannot be read, lacks columns, matches no image, or too few good rows remain.
    """
    rows = _good_rows(settings.labels)
    fit = OmegaConf.merge(compose(overrides=["segment=sep"]), {"survey": settings.survey})
    entries = [entry for entry in find_entries([settings.data]) if entry.id in rows]
    if not entries:
        raise AutogalError(
            f"No image of {settings.data} is in the table {settings.labels}, or none was fitted well.",
            "The ids of the table must be those of the images: give the catalogue made from them.",
        )
    options = Options.from_settings(fit)
    cutouts = [cutout for cutout in (load(entry, options) for entry in entries) if cutout.error is None]
    pairs = [
        (cutout, found)
        for cutout, found in zip(cutouts, segment_all(cutouts, fit.segment), strict=True)
        if Flag.NO_TARGET not in found.flags
    ]
    _log.info("%d of %d images have a good label and a target", len(pairs), len(entries))
    check_enough(len(pairs))
    order, crops = cut(
        [cutout for cutout, _ in pairs], [found for _, found in pairs], {}, torch.device("cpu")
    )
    ids = [pairs[i][0].id for i in order]
    truth = {
        name: torch.tensor([rows[one][name] for one in ids], dtype=torch.float64)
        for name in _NEEDED
        if name not in ("id", "status")
    }
    found = {
        "channels": crops.channels,
        "features": crops.features,
        "targets": encode(truth, crops),
        "snr": truth["snr"].float(),
        "radius": crops.radius.float(),
        "q": truth["q"].float(),
    }
    usable = found["targets"].isfinite().all(1)
    found = {name: values[usable] for name, values in found.items()}
    aside = set_aside([one for one, fine in zip(ids, usable.tolist(), strict=True) if fine])
    return tuple({name: values[side] for name, values in found.items()} for side in (~aside, aside))


def _good_rows(path: str) -> dict[str, dict[str, float]]:
    """Rows of a catalogue worth learning from, by id."""
    try:
        table = Table.read(path)
    except Exception as problem:  # readers of every format raise their own
        raise AutogalError(
            f"The labels {path} cannot be read: {' '.join(str(problem).split()) or type(problem).__name__}",
            "Give a catalogue of `autogal fit`, as labels=run1/catalogue.fits.",
        ) from problem
    missing = [name for name in _NEEDED if name not in table.colnames]
    if missing:
        raise AutogalError(
            f"The labels {path} have no column {', '.join(missing)}.", "Give a catalogue of `autogal fit`."
        )
    rows = {}
    for row in table:
        values = {
            name: float(np.ma.filled(row[name], np.nan)) for name in _NEEDED if name not in ("id", "status")
        }
        fine = (
            str(row["status"]) == "converged"
            and not Flag(int(row["flags"])) & _SPOILT
            and values["chi2_dof"] <= _LARGEST_CHI2
        )
        if fine and np.isfinite(list(values.values())).all():
            rows[str(row["id"])] = values
    return rows
