"""The one exception a user of autogal meets, and the name that was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["AutogalError", "did_you_mean"]


class AutogalError(Exception):
    """Something the user can put right: what is wrong, and what to do about it.

    It is raised only where the whole run would be meaningless. What is wrong
    with a single object becomes a flag and a message in that object's row.

    Parameters
    ----------
    what : str
        What is wrong, in one sentence.
    remedy : str, optional
        What to do about it, in one sentence.
    """

    def __init__(self, what: str, remedy: str = ""):
        # Both go to the base class, so that the exception survives pickling.
        super().__init__(what, remedy)
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.what}\n{self.remedy}" if self.remedy else self.what


def did_you_mean(word: str, names: Iterable[str]) -> str | None:
    """The name that was probably meant: the nearest spelling, also of the last part of a dotted name."""
    names = list(names)
    same_end = [name for name in names if name.rpartition(".")[2] == word]
    if same_end:
        return same_end[0]
    if near := difflib.get_close_matches(word, names, n=1, cutoff=0.6):
        return near[0]
    ends = {name.rpartition(".")[2]: name for name in reversed(names)}
    near = difflib.get_close_matches(word.rpartition(".")[2], ends, n=1, cutoff=0.6)
    return ends[near[0]] if near else None
