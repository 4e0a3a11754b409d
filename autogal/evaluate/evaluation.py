"""The frame of all evaluations: every block is measured, then it is said what all of them are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from astropy.table import Table, vstack
from omegaconf import DictConfig

from autogal.errors import AutogalError
from autogal.evaluate.methods import methods
from autogal.evaluate.samples import samples
from autogal.evaluate.statistics import Bins
from autogal.report.facts import Report
from autogal.runtime.stopwatch import Stopwatch
from autogal.simulate import Simulation

__all__ = ["Evaluation", "by_bins", "evaluate", "rows_of"]


class Evaluation(ABC):
    """One thing that is evaluated; a sub-class measures blocks, and reports on their rows together.

    Parameters
    ----------
    settings : DictConfig
        Of ``conf/evaluate.yaml``.
    device : torch.device
    folder : Path
        Of the results.

    Attributes
    ----------
    total : int
        Cutouts so far, those of the block that is measured included.
    seconds : Stopwatch
        Time by method.
    """

    def __init__(self, settings: DictConfig, device: torch.device, folder: Path):
        self.settings, self.device, self.folder = settings, device, folder
        self.total, self.seconds = 0, Stopwatch()
        self._methods: dict[str, tuple[list[str], list[str]]] = {}

    @classmethod
    def blocks(cls, settings: DictConfig) -> Iterator[Any]:
        """What is measured, block by block; what can be wrong with the request is found before the first.

        Parameters
        ----------
        settings : DictConfig

        Raises
        ------
        AutogalError
        """
        return samples(settings)

    @abstractmethod
    def measure(self, block: Any) -> Iterable[Table]:
        """Rows of one block; none where nothing in it counts.

        Parameters
        ----------
        block : Simulation, or what else `blocks` gives

        Returns
        -------
        iterable of Table
        """

    @abstractmethod
    def report(self, rows: Table) -> Report:
        """What the rows of all blocks say.

        Parameters
        ----------
        rows : Table
            Of `measure`, one behind the other; at least one.

        Returns
        -------
        Report

        Raises
        ------
        AutogalError
            Where nothing can be said.
        """

    def nothing(self) -> AutogalError:
        """What to say where no row was measured."""
        return AutogalError("Nothing was measured.", "Evaluate on more stamps (n=), or on others.")

    def methods(self, group: str, block: Simulation) -> tuple[list[str], list[str]]:
        """The methods of a group to evaluate, and notes, as `autogal.evaluate.methods.methods` has them for
        the first block.

        Parameters
        ----------
        group : str
            ``segment`` or ``initialise``.
        block : Simulation

        Returns
        -------
        names, notes : list of str

        Raises
        ------
        AutogalError
            Where a network that was asked for has no checkpoint.
        """
        if group not in self._methods:
            self._methods[group] = methods(
                self.settings, group, min(min(cutout.shape) for cutout in block.cutouts), self.device
            )
        return self._methods[group]


def evaluate(part: Evaluation, blocks: Iterable[Any]) -> Report:
    """Measure every block, and report.

    Parameters
    ----------
    part : Evaluation
    blocks : iterable
        From `part.blocks`: sequences of cutouts, or `Simulation`.

    Returns
    -------
    Report
        Without grids that have no rows.

    Raises
    ------
    AutogalError
        Where nothing could be measured, and what `part` raises of a request that makes no sense.
    """
    tables: list[Table] = []
    for block in blocks:
        part.total += len(block.cutouts if isinstance(block, Simulation) else block)
        tables += [table for table in part.measure(block) if len(table)]
    if not tables:
        raise part.nothing()
    report = part.report(vstack(tables, metadata_conflicts="silent"))
    report.grids = [grid for grid in report.grids if grid.rows]
    return report


def rows_of(method: str, truth: Table) -> Table:
    """A copy of the truth, to which what a method measured is added.

    Parameters
    ----------
    method : str
    truth : Table

    Returns
    -------
    Table
        With the column ``method``.
    """
    rows = truth.copy()
    rows["method"] = np.full(len(rows), method)
    return rows


def by_bins(
    rows: Table, names: Iterable[str], bins: Bins, summarise: Callable[[Table], dict[str, Any]]
) -> list[dict[str, Any]]:
    """Rows of a Grid: what `summarise` says of every method's rows in every bin.

    Parameters
    ----------
    rows : Table
        With ``method`` and the column that is binned.
    names : iterable of str
    bins : Bins
    summarise : callable
        Of the rows, perhaps none, of one method and bin.

    Returns
    -------
    list of dict
        With ``group`` and ``method``.
    """
    found = []
    for group, members in bins.split(np.asarray(rows[bins.column], float)):
        some = rows[members]
        found += [
            {"group": group, "method": name, **summarise(some[some["method"] == name])} for name in names
        ]
    return found
