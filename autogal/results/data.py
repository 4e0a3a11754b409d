"""What a catalogue holds: a table and named arrays, each declared here, once. It travels as one thing, and
loads no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal, Self

import numpy as np
from astropy.table import Table

from autogal.parameters import SINGLE
from autogal.results.columns import declared

__all__ = ["ARRAYS", "Array", "CatalogueData", "creator", "join_tables"]

#: What an axis of an array counts: the fitted parameters, those of a neighbour, or anything, as many as there
#: are
Axis = Literal["parameter", "neighbour", "any"]


@dataclass(frozen=True, slots=True)
class Array:
    """What a catalogue says of one of its arrays.

    Attributes
    ----------
    name : str
        Of the attribute of a catalogue, and of the array of a fit that it comes from.
    in_file : str
        Its name in files; that of the FITS extension in capitals.
    axes : tuple of str
        What its axes count, the rows apart.
    description : str
        Before the names of what its last axis counts.
    label : str
        What one of these names stands for.
    """

    name: str
    in_file: str
    axes: tuple[Axis, ...]
    description: str
    label: str = "parameter of this column"

    def names(self, parameters: Sequence[str]) -> tuple[str, ...]:
        """Names of what the last axis counts, in a catalogue of these parameters; none where it may count
        anything."""
        return {"parameter": tuple(parameters), "neighbour": SINGLE, "any": ()}[self.axes[-1]]

    def shape(self, rows: int, parameters: int, counted: int = -1) -> tuple[int, ...]:
        """Its shape, with `counted` along the axis that may count anything."""
        lengths = {"parameter": parameters, "neighbour": len(SINGLE), "any": counted}
        return (rows, *(lengths[axis] for axis in self.axes))


def _array(
    in_file: str, axes: tuple[Axis, ...], description: str, label: str = "parameter of this column"
) -> Any:
    return field(default=None, metadata={"array": (in_file, axes, description, label)})


@dataclass(eq=False, repr=False)
class CatalogueData:
    """What is written to a file and read from it.

    Attributes
    ----------
    table : astropy.table.Table
        N rows, with units and descriptions.
    covariance : ndarray, shape (N, P, P)
        In the units of the parameters' columns (degrees for angles); NaN where not measurable.
    parameters : tuple of str, length P
        Names of the fitted parameters, in the order of the covariance.
    bootstrap : ndarray, shape (N, P, P), optional
        Covariance of the bootstrap's replicates, where ``covariance`` is of another kind.
    replicates : ndarray, shape (N, R, P), optional
        Parameters of the bootstrap's replicates, or equally weighted samples of the posterior, where they
        were asked for (``uncertainty.keep=true``); NaN in those that failed. Angles of samples go on beyond 0
        and 180 deg.
    neighbours : ndarray, shape (N, K, 7), optional
        x, y, mag, r_eff, n, q, pa of the neighbours fitted together with each target; NaN where there is
        none, and in all but the first three of a point source.
    model : str
        The model that was fitted.
    settings : dict
        The configuration of the run.
    seconds : dict
        Time spent in each stage [s]; files do not hold it.

    Raises
    ------
    ValueError
        Where an array does not belong to the table and the parameters.
    """

    table: Table
    covariance: np.ndarray = field(
        metadata={
            "array": (
                "covariance",
                ("parameter", "parameter"),
                "Covariance matrix of",
                "parameter of this row and column",
            )
        }
    )
    parameters: tuple[str, ...]
    _: KW_ONLY
    bootstrap: np.ndarray | None = _array(
        "bootstrap_covariance",
        ("parameter", "parameter"),
        "Covariance matrix, by the bootstrap, of",
        "parameter of this row and column",
    )
    replicates: np.ndarray | None = _array(
        "replicates", ("any", "parameter"), "The bootstrap's replicates, or samples of the posterior, of"
    )
    neighbours: np.ndarray | None = _array(
        "neighbours", ("any", "neighbour"), "Of the neighbours fitted with each object,"
    )
    model: str = "sersic"
    settings: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self):
        self.parameters = tuple(self.parameters)
        self.settings, self.seconds = dict(self.settings or {}), dict(self.seconds or {})
        for what in ARRAYS:
            array = getattr(self, what.name)
            if array is None and what.name != "covariance":
                continue
            found = np.asarray(array).shape
            expected = what.shape(len(self.table), len(self.parameters))
            if len(found) != len(expected) or any(
                length not in (-1, there) for length, there in zip(expected, found)
            ):
                raise ValueError(
                    f"{what.in_file} of shape {found} for {len(self.table)} rows of {len(self.parameters)} "
                    f"parameters"
                )

    @classmethod
    def of_parts(
        cls, columns: Mapping[str, np.ndarray], arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]
    ) -> Self:
        """What a file holds, put together again.

        Parameters
        ----------
        columns : mapping of str to ndarray
            The table's, by name; their units and descriptions are those that are declared.
        arrays : mapping of str to ndarray
            By their names in files, in any shape; an array that nobody declares is left out.
        meta : mapping
            As :meth:`meta` gives it.

        Raises
        ------
        KeyError, ValueError
            Where it is no catalogue.
        """
        parameters, rows = tuple(meta["parameters"]), len(columns["id"])
        found = {}
        for what in ARRAYS:
            if what.in_file in arrays or what.name == "covariance":
                # without a row, a file may not tell how many there would be
                counted = meta.get(what.in_file, -1 if rows else 0)
                shape = what.shape(rows, len(parameters), counted)
                found[what.name] = np.asarray(arrays[what.in_file], dtype=float).reshape(shape)
        return cls(
            declared(dict(columns)),
            parameters=parameters,
            model=meta["model"],
            settings=meta["config"],
            **found,
        )

    @property
    def arrays(self) -> dict[Array, np.ndarray]:
        """The arrays that there are, each by its declaration."""
        found = {what: getattr(self, what.name) for what in ARRAYS}
        return {what: np.asarray(array, dtype=float) for what, array in found.items() if array is not None}

    @property
    def meta(self) -> dict[str, Any]:
        """What a file says besides table and arrays, in plain values."""
        return {
            "creator": creator(),
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "model": self.model,
            "parameters": list(self.parameters),
            "replicates": 0 if self.replicates is None else self.replicates.shape[1],
            "config": _plain(self.settings),
        }

    def joined(self, others: Sequence[CatalogueData]) -> dict[str, Any]:
        """The fields of a catalogue of these rows and those of others behind them; times are added up.

        Raises
        ------
        ValueError
            Where the parameters differ.
        """
        parts = [self, *others]
        if any(part.parameters != self.parameters for part in parts):
            raise ValueError("the blocks of a catalogue were fitted with different parameters")
        seconds: Counter[str] = Counter()
        for part in parts:
            seconds.update(part.seconds)
        each = {what.name: [getattr(part, what.name) for part in parts] for what in ARRAYS}
        arrays = {
            name: None if any(one is None for one in some) else np.concatenate(some)
            for name, some in each.items()
        }
        return {
            "table": join_tables([part.table for part in parts]),
            "parameters": self.parameters,
            "model": self.model,
            "settings": self.settings,
            "seconds": seconds,
            **arrays,
        }

    def __len__(self) -> int:
        return len(self.table)


#: The arrays of a catalogue, in the order in which files hold them
ARRAYS = tuple(
    Array(one.name, *one.metadata["array"]) for one in fields(CatalogueData) if "array" in one.metadata
)


def join_tables(parts: Sequence[Table]) -> Table:
    """Blocks of one catalogue as one table, with every column's declaration.

    Parameters
    ----------
    parts : sequence of astropy.table.Table
        At least one; the same columns in each.
    """
    return declared(
        {name: np.concatenate([np.asarray(p[name]) for p in parts]) for name in parts[0].colnames}
    )


def creator() -> str:
    """Name and version of what writes."""
    try:
        return f"autogal {version('autogal')}"
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "autogal"


def _plain(settings: Any) -> Any:
    """Settings as dicts, lists and plain values, whatever library they came from."""
    if isinstance(settings, Mapping):
        return {str(key): _plain(value) for key, value in settings.items()}
    if isinstance(settings, Sequence) and not isinstance(settings, str):
        return [_plain(value) for value in settings]
    return settings if isinstance(settings, (int, float, bool, type(None))) else str(settings)
