"""What an evaluation says: tables on the terminal, all numbers as JSON and ECSV, figures."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from astropy.table import Table
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from autogal.runtime.files import atomic

__all__ = ["Grid", "Report"]

_FILE_WIDTH = 200  # characters: a file or a pipe has no edge at which tables must break
_DPI = 200
_MISSING = re.compile(r"[+-]?nan\b")


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

    def rich(self) -> RichTable:
        """For the terminal; lines between groups of rows of one first column."""
        table = RichTable(title=self.title, title_justify="left", title_style="bold", show_footer=bool(self.required), box=None,
                          padding=(0, 2, 0, 0), header_style="dim", footer_style="cyan")
        for i, heading in enumerate(self.columns):
            table.add_column(heading, footer="required" if i == 0 else self.required.get(heading, ""), justify="left" if i < 2 else "right",
                             no_wrap=True)
        first = next(iter(self.columns.values()))
        before = None
        for row in self.rows:
            cells = [Text(_MISSING.sub("-", template.format(**row))) for template in self.columns.values()]
            if before is not None and first.format(**row) == before:
                cells[0] = Text("")
            before = first.format(**row)
            table.add_row(*cells)
        return table


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

    def print(self, console: Console | None = None) -> None:
        """Show the tables, plainly in a file or pipe."""
        console = console or Console(highlight=False)
        if not console.is_terminal:
            console.width = _FILE_WIDTH
        console.print(Text(self.heading, style="bold"))
        for grid in self.grids:
            console.print()
            console.print(grid.rich())
        if self.notes:
            console.print()
        for note in self.notes:
            console.print(Text(f"- {note}", style="dim"))

    def write(self, folder: Path) -> list[Path]:
        """Write ``evaluation.json``, the tables (ECSV) and the figures (PNG) into a folder that exists.

        Raises
        ------
        AutogalError
            Where the file system refuses.
        """
        content = {"heading": self.heading, **self.facts, "notes": self.notes,
                   "tables": {grid.name: {"title": grid.title, "required": dict(grid.required), "rows": grid.rows} for grid in self.grids}}
        written = [folder / "evaluation.json"]
        with atomic(written[0]) as path:
            path.write_text(json.dumps(_plain(content), indent=2, allow_nan=False) + "\n", encoding="utf-8")
        for name, table in self.tables.items():
            written.append(folder / f"{name}.ecsv")
            with atomic(written[-1]) as path:
                table.write(path, format="ascii.ecsv")
        for name, figure in self.figures.items():
            written.append(folder / f"{name}.png")
            with atomic(written[-1]) as path:
                figure.savefig(path, dpi=_DPI, format="png")
        return written


def _plain(value: Any) -> Any:
    """As JSON has it: NaN is null."""
    match value:
        case Mapping():
            return {str(key): _plain(one) for key, one in value.items()}
        case str() | bool() | None:
            return value
        case Sequence():
            return [_plain(one) for one in value]
        case _:
            number = value.item() if hasattr(value, "item") else value
            return None if isinstance(number, float) and not math.isfinite(number) else number
