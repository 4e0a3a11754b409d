"""What the columns of a table are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from autogal.flags import MEASURED
from autogal.images.cutout import Cutout
from autogal.images.entry import printable
from autogal.model.fitted import Fitted

__all__ = ["Rows", "is_unmeasured"]


@dataclass(frozen=True)
class Rows:
    """What the columns of a table are made of, one item a row.

    Attributes
    ----------
    cutouts : sequence of Cutout
    fitted : Fitted
    status : list of str
        ``failed`` where the input was.
    """

    cutouts: Sequence[Cutout]
    fitted: Fitted
    status: list[str]

    @cached_property
    def flags(self) -> list[int]:
        """Of the input and of the fit together."""
        return [int(c.flags) | int(f) for c, f in zip(self.cutouts, self.fitted.flags, strict=True)]

    @property
    def chi2_dof(self) -> np.ndarray:
        """NaN without a degree of freedom."""
        dof = np.asarray(self.fitted.dof, dtype=float)
        return np.divide(self.fitted.chi2, dof, out=np.full(len(dof), np.nan), where=dof > 0)

    def measured(self, numbers: np.ndarray) -> np.ndarray:
        """The same numbers, with NaN where nothing was measured."""
        return np.where(is_unmeasured(self.status), np.nan, numbers)

    def of_fit(self, name: str) -> np.ndarray:
        """What the fit put down under a name; NaN where it did not, or where nothing was measured."""
        return self.measured(self.fitted.column(name))

    @staticmethod
    def words(texts: Iterable[str]) -> np.ndarray:
        """Text as a column: of type text even where there is no row."""
        return np.array([printable(text) for text in texts], dtype=str)

    @staticmethod
    def message(cutout: Cutout) -> str:
        """One line of what a reader of this row should know."""
        parts = ([cutout.error] if cutout.error else []) + list(cutout.notes)
        return " ".join(" ".join(part.split()) for part in parts)


def is_unmeasured(status: Sequence[str]) -> np.ndarray:
    """Rows, [N] bool, whose `status` says that nothing was measured."""
    return np.array([s not in MEASURED for s in status], dtype=bool)
