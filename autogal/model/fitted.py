"""The result of fitting, one row a cutout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from autogal.parameters import SINGLE, split_name

__all__ = ["NEIGHBOUR", "QUANTILES", "Fitted"]

#: Of the posterior, where one is asked for: those of one standard deviation of a normal one, and the median
QUANTILES = (0.158655, 0.5, 0.841345)

#: What is told of a neighbour that was fitted together with the target; of a point source only the first
#: three
NEIGHBOUR = SINGLE

_NOTHING = 25.0  # magnitudes below the total, fainter than can be measured


def _rows(replaced: bool = True, added: bool = False, **default: Any) -> Any:
    """A field of one item a galaxy: whether another fit's takes its place with it, or is added."""
    return field(**default, metadata={"rows": True, "replaced": replaced, "added": added})


@dataclass
class Fitted:
    """Parameters, covariances and how each fit ended.

    Attributes
    ----------
    parameters : tuple of str
    values : ndarray, [N, P]
        NaN where nothing was measured.
    covariance : ndarray, [N, P, P]
        In the units of `values` (degrees for angles); NaN where not measurable.
    chi2 : ndarray, [N]
    dof : ndarray, [N] int
        Pixels fitted less free parameters.
    n_iter : ndarray, [N] int
        Evaluations of the model, all stages and restarts together.
    snr : ndarray, [N]
        Matched-filter signal-to-noise ratio of the fitted galaxy.
    status : list of str
        ``converged``, ``not_converged``, ``failed`` or ``skipped``.
    flags : ndarray, [N] int
        Bits of `autogal.flags.Flag`.
    seconds : dict of str to float
        Time by stage.
    bootstrap : ndarray, [N, P, P], or None
        Covariance of the bootstrap's replicates, where `covariance` is of another kind.
    misfit : ndarray, [N, P, P], or None
        What the model's own failure adds to `covariance`, where it was asked for; not positive where
        residuals scatter less than noise does.
    quantiles : ndarray, [N, 3, P], or None
        `QUANTILES` of the posterior of each value, where it was sampled.
    replicates : ndarray, [N, R, P], or None
        Values of the bootstrap's replicates, where they are to be kept, or the samples of the posterior; NaN
        in those that failed.
    keeps : bool
        Whether the replicates are for the catalogue too, and not only for what follows from them.
    selection : dict of str to ndarray, [N] each
        Where several models were fitted, further columns: the chosen one, and how each of them fared.
    neighbours : ndarray, [N, K, 7], or None
        `NEIGHBOUR` of the neighbours that were fitted together with each target, NaN where there is none;
        None where none were to be fitted.
    hanging : ndarray, [N, P], or None
        By how much the values differ from those with a free sky, where the image does not tell which are
        right, else 0: `covariance` holds their squares. None where there is no such row.
    remarks : list of list of str
        The numbers behind the flags, for the catalogue's message: they go with a fit where another takes its
        place.
    columns : dict of str to ndarray, [N] each
        Further numbers of each fit, by the names of their columns in the catalogue; see `put`.
    """

    parameters: tuple[str, ...]
    values: np.ndarray = _rows()
    covariance: np.ndarray = _rows()
    chi2: np.ndarray = _rows()
    dof: np.ndarray = _rows()
    n_iter: np.ndarray = _rows(added=True)
    snr: np.ndarray = _rows()
    status: list[str] = _rows()
    flags: np.ndarray = _rows()
    seconds: dict[str, float] = field(default_factory=dict)
    bootstrap: np.ndarray | None = _rows(default=None)
    misfit: np.ndarray | None = _rows(default=None)
    quantiles: np.ndarray | None = _rows(default=None)
    replicates: np.ndarray | None = _rows(default=None)
    keeps: bool = True
    selection: dict[str, np.ndarray] = field(default_factory=dict)
    neighbours: np.ndarray | None = _rows(
        default=None, replaced=False
    )  # it is the whole fit's, and set at its end
    hanging: np.ndarray | None = None
    remarks: list[list[str]] = _rows(default_factory=list)
    columns: dict[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def empty(cls, n: int, parameters: tuple[str, ...]) -> Fitted:
        """`n` rows in which nothing has been measured yet, status ``skipped``."""
        p = len(parameters)
        return cls(
            tuple(parameters),
            np.full((n, p), np.nan),
            np.full((n, p, p), np.nan),
            np.full(n, np.nan),
            np.zeros(n, int),
            np.zeros(n, int),
            np.full(n, np.nan),
            ["skipped"] * n,
            np.zeros(n, int),
            remarks=[[] for _ in range(n)],
        )

    @classmethod
    def join(cls, parts: Sequence[Fitted]) -> Fitted:
        """Rows of the same parameters one behind the other, at least one part; their times are added up.

        Raises
        ------
        ValueError
            Where the parameters differ.
        """
        first = parts[0]
        if any(part.parameters != first.parameters for part in parts):
            raise ValueError("rows that were fitted with different parameters")
        rows = {}
        for one in _ROW_FIELDS:
            each = [getattr(part, one.name) for part in parts]
            if isinstance(each[0], list):
                rows[one.name] = [item for some in each for item in some]
            else:
                rows[one.name] = None if any(some is None for some in each) else np.concatenate(each)
        seconds: Counter[str] = Counter()
        for part in parts:
            seconds.update(part.seconds)
        columns = {
            name: np.concatenate([part.column(name) for part in parts])
            for part in parts
            for name in part.columns
        }
        return cls(
            first.parameters,
            **rows,
            keeps=first.keeps,
            seconds=dict(seconds),
            columns=columns,
            selection={
                name: np.concatenate([part.selection[name] for part in parts]) for name in first.selection
            },
        )

    def put(self, name: str, rows: Sequence[int] | np.ndarray, values: np.ndarray | Sequence[float]) -> None:
        """Put down a number of some rows for the catalogue: it is a column where `autogal.results.columns`
        declares one of this name.

        Parameters
        ----------
        name : str
        rows : sequence of int, [M]
        values : array_like, [M]
        """
        self.columns.setdefault(name, np.full(len(self), np.nan))[rows] = values

    def column(self, name: str) -> np.ndarray:
        """What was put down under a name, [N]; NaN where nothing was."""
        return self.columns.get(name, np.full(len(self), np.nan))

    def hang(self, rows: Sequence[int] | np.ndarray, differences: np.ndarray) -> None:
        """Let errors hold another fit that may be the right one as well.

        Parameters
        ----------
        rows : sequence of int, [M]
        differences : ndarray, [M, P]
            Of its values from these.
        """
        if self.hanging is None:
            self.hanging = np.zeros_like(self.values)
        self.hanging[rows] = differences
        self.covariance[rows] += differences[:, :, None] * differences[:, None]

    def shift_origin(self, origin: np.ndarray) -> None:
        """State the values in the pixels of a larger image.

        Parameters
        ----------
        origin : ndarray, [N, P]
            What is to be added to the values.
        """
        self.values += origin
        for several in (self.replicates, self.quantiles):
            if several is not None:
                several += origin[:, None]

    def unlit_to_inf(self) -> None:
        """Give the components that ended without light the magnitude of that, which is infinite, in place
        of the solver's floor."""
        if "mag" in self.parameters:
            components = [i for i, name in enumerate(self.parameters) if name.endswith("_mag")]
            total = self.parameters.index("mag")
            for values in (
                some for some in (self.values, self.replicates, self.quantiles) if some is not None
            ):
                magnitudes = values[..., components]
                values[..., components] = np.where(
                    magnitudes > values[..., total, None] + _NOTHING, np.inf, magnitudes
                )

    def without_errors(self, rows: Sequence[bool]) -> None:
        """Take from rows what follows from their noise where none is known: errors, signal-to-noise ratio and
        chi-square.

        Parameters
        ----------
        rows : sequence of bool, [N]
        """
        some = np.asarray(rows, bool)
        for array in (self.covariance, self.bootstrap, self.misfit, self.quantiles, self.chi2, self.snr):
            if array is not None:
                array[some] = np.nan

    def centre(self, row: int) -> np.ndarray:
        """x and y of one row: of several components, the first one's."""
        return np.array(
            [
                next(
                    self.values[row, i]
                    for i, name in enumerate(self.parameters)
                    if split_name(name)[1] == axis
                )
                for axis in "xy"
            ]
        )

    def replace_row(self, row: int, other: Fitted) -> None:
        """Put another fit of the same galaxy in place of this one; the evaluations of both count."""
        for one in _ROW_FIELDS:
            mine = getattr(self, one.name)
            if one.metadata["added"]:
                mine[row] += getattr(other, one.name)[row]
            elif one.metadata["replaced"] and mine is not None:
                mine[row] = getattr(other, one.name)[row]
        for name in {*self.columns, *other.columns}:
            self.put(name, [row], other.column(name)[[row]])

    def __len__(self) -> int:
        return len(self.values)


_ROW_FIELDS = tuple(one for one in fields(Fitted) if one.metadata.get("rows"))
