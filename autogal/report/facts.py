"""What there is to tell of a run and of an evaluation, apart from how it is shown."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import Table

from autogal.flags import DESCRIPTIONS, MEASURED, WORDS, Flag
from autogal.report.measurement import measurement
from autogal.results.catalogue import Catalogue
from autogal.results.columns import bare_names, of_chosen

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["STATUS", "Failure", "Grid", "Numbers", "RaisedFlag", "Report", "RunFacts", "run_facts"]

#: The words of the column ``status``, in the order in which they are told
STATUS = (*MEASURED, "failed", "skipped")


@dataclass(frozen=True, slots=True)
class RaisedFlag:
    """How many rows carry a flag, and what it means."""

    name: str
    rows: int
    text: str


@dataclass(frozen=True, slots=True)
class Failure:
    """An object without a result, and why."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Numbers:
    """What was measured of a few objects.

    Attributes
    ----------
    ids, quality : list of str
        One an object.
    models : list of str, or None
        The chosen ones, where there was a choice.
    rows : list of (str, str, list of str)
        A parameter's name and unit, and its values with their errors, one an object; empty where it is of a
        model not chosen.
    """

    ids: list[str]
    quality: list[str]
    models: list[str] | None
    rows: list[tuple[str, str, list[str]]]


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What happened in a run, and where things are.

    Attributes
    ----------
    total : int
        Objects.
    elapsed : float
        Wall-clock time [s].
    status, quality : dict of str to int
        Rows by the words of these columns, those that there are, in the order of `STATUS` and of
        `autogal.flags.WORDS`.
    flags : list of RaisedFlag
        The commonest first.
    numbers : Numbers, or None
        What was measured, where the run is a small one.
    seconds : dict of str to float
        Time by stage, of all processes together [s].
    processes : int
    failures : list of Failure
        The first ones.
    without_result : int
        How many there are in all.
    written : dict of str to str
        What was written where.
    """

    total: int
    elapsed: float
    status: dict[str, int]
    quality: dict[str, int]
    flags: list[RaisedFlag]
    numbers: Numbers | None
    seconds: dict[str, float]
    processes: int
    failures: list[Failure]
    without_result: int
    written: dict[str, str]


def run_facts(
    catalogue: Catalogue,
    elapsed: float,
    written: Mapping[str, str | Path] | None = None,
    failures: int = 5,
    numbers: int = 3,
    processes: int = 1,
) -> RunFacts:
    """What there is to tell at the end of a run.

    Parameters
    ----------
    catalogue : Catalogue
    elapsed : float
        Wall-clock time of the run [s].
    written : mapping of str to path, optional
        What was written where: ``{"catalogue": ..., "pictures": ...}``.
    failures : int
        How many rows without a result to name.
    numbers : int
        A run of at most as many objects tells what was measured.
    processes : int
        How many there were, each with times of its own.
    """
    table = catalogue.table
    status, words = (Counter(str(word) for word in table[name]) for name in ("status", "quality"))
    lost = [i for i, word in enumerate(table["status"]) if word not in MEASURED]
    return RunFacts(
        total=len(table),
        elapsed=elapsed,
        status={word: status[word] for word in STATUS if status[word]},
        quality={word: words[word] for word in WORDS if words[word]},
        flags=_raised(np.asarray(table["flags"], dtype=int)),
        numbers=_numbers(table, catalogue.parameters) if len(table) <= numbers else None,
        seconds=dict(catalogue.seconds),
        processes=processes,
        failures=[Failure(str(table["id"][i]), _reason(table[i])) for i in lost[:failures]],
        without_result=len(lost),
        written={what: str(where) for what, where in (written or {}).items()},
    )


def _raised(bits: np.ndarray) -> list[RaisedFlag]:
    counts = {flag: int(np.count_nonzero(bits & flag.value)) for flag in Flag}
    raised = sorted((flag for flag in counts if counts[flag]), key=lambda flag: -counts[flag])
    return [RaisedFlag(str(flag.name), counts[flag], DESCRIPTIONS[flag]) for flag in raised]


def _numbers(table: Table, parameters: Sequence[str]) -> Numbers | None:
    """The parameters of each object, those of the chosen model where there are several; None where nothing
    was measured."""
    rows = [
        dict(zip(table.colnames, row)) for row in table if any(np.isfinite(row[name]) for name in parameters)
    ]
    if not rows:
        return None
    units = {name: str(table[name].unit or "") for name in parameters}
    models = None
    if "model" in table.colnames:
        models = [str(row["model"]) for row in rows]
        bare, rows = bare_names(table.colnames), [of_chosen(row) for row in rows]
        units = {
            bare[name][1]: unit for name, unit in units.items() if any(bare[name][1] in row for row in rows)
        }
    values = [
        (
            name,
            unit,
            [measurement(float(row[name]), float(row[f"{name}_err"])) if name in row else "" for row in rows],
        )
        for name, unit in units.items()
    ]
    return Numbers([str(row["id"]) for row in rows], [str(row["quality"]) for row in rows], models, values)


def _reason(row: Any) -> str:
    """Why a row has no result."""
    message = str(row["message"]) or str(row["flag_names"]) or "The fit failed."
    return _shortened(message, is_input=bool(row["flags"] & Flag.BAD_INPUT))


def _shortened(message: str, is_input: bool, longest: int = 200, filled: int = 100) -> str:
    """The sentences of a message that have the reason: the first where the input was bad, the last where
    something failed later."""
    sentences = re.split(r"(?<=[.:!?]) (?=[A-Z0-9])", message)
    sentences = sentences if is_input else sentences[::-1]
    kept = sentences[0]
    if len(kept) > longest:
        return kept[: longest - 1] + "…"
    for sentence in sentences[1:]:
        if len(kept) + len(sentence) >= filled:
            break
        kept = f"{kept} {sentence}" if is_input else f"{sentence} {kept}"
    return kept


@dataclass
class Grid:
    """A table of numbers.

    Attributes
    ----------
    name : str
        In the JSON file.
    title : str
    columns : mapping of str to str
        Heading, and how a row's numbers are written under it: ``"{found:.1%}"``.
    rows : list of dict
    required : mapping of str to str
        What is required, by heading; shown below the numbers.
    """

    name: str
    title: str
    columns: Mapping[str, str]
    rows: list[dict[str, Any]] = field(default_factory=list)
    required: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Report:
    """The outcome of an evaluation.

    Attributes
    ----------
    heading : str
    grids : list of Grid
    notes : list of str
        What a reader must know to read the numbers.
    tables : dict of str to Table
        Every single measurement, by the name of its file.
    figures : dict of str to Figure
        By the name of their files.
    facts : dict
        Other numbers, for the JSON file.
    """

    heading: str
    grids: list[Grid] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    tables: dict[str, Table] = field(default_factory=dict)
    figures: dict[str, Figure] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
