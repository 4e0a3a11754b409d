"""On the terminal: one screen at the end of a run, and the tables of an evaluation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from autogal.report.facts import Grid, Numbers, Report, RunFacts, run_facts
from autogal.results.catalogue import Catalogue

__all__ = ["print_report", "print_summary", "summary"]

# How each word of the status column is shown.
_STYLES = {"converged": "", "not_converged": "yellow", "failed": "red", "skipped": "dim"}
# and of the quality column
_QUALITY = {"good": "green", "fair": "green", "poor": "yellow", "bad": "red", "none": "dim"}

_FILE_WIDTH = 200  # characters: a file or a pipe has no edge at which paths and tables must break
_MISSING = re.compile(r"[+-]?nan\b")


def print_summary(
    catalogue: Catalogue,
    elapsed: float,
    written: Mapping[str, str | Path] | None = None,
    console: Console | None = None,
    processes: int = 1,
) -> None:
    """Print :func:`summary` of a run on the terminal, or plainly into a file or pipe.

    Parameters
    ----------
    catalogue, elapsed, written, processes
        As in `autogal.report.facts.run_facts`.
    console : rich.console.Console, optional
        By default standard output.
    """
    _console(console).print(summary(run_facts(catalogue, elapsed, written, processes=processes)))


def print_report(report: Report, console: Console | None = None) -> None:
    """Show the tables of an evaluation, plainly in a file or pipe.

    Parameters
    ----------
    report : Report
    console : rich.console.Console, optional
        By default standard output.
    """
    console = _console(console)
    console.print(Text(report.heading, style="bold"))
    for grid in report.grids:
        console.print()
        console.print(_grid_table(grid))
    if report.notes:
        console.print()
    for note in report.notes:
        console.print(Text(f"- {note}", style="dim"))


def summary(facts: RunFacts) -> Group:
    """What to show at the end of a run.

    Parameters
    ----------
    facts : RunFacts

    Returns
    -------
    rich.console.Group
    """
    parts: list[Table | Text] = [_headline(facts), _verdict(facts)]
    if facts.numbers is not None:
        parts.append(_number_table(facts.numbers))
    if facts.flags:
        parts.append(_flag_table(facts))
    if facts.seconds:
        parts.append(_times(facts))
    if facts.failures:
        parts.append(_failure_table(facts))
    if facts.written:
        parts.append(_places(facts.written))
    return Group(*parts)


def _console(console: Console | None) -> Console:
    console = console or Console(highlight=False)
    if not console.is_terminal:
        console.width = _FILE_WIDTH
    return console


def _headline(facts: RunFacts) -> Text:
    rate = f", {facts.total / facts.elapsed:.3g} galaxies/s" if facts.elapsed > 0 else ""
    line = Text(f"{facts.total} {'object' if facts.total == 1 else 'objects'}", style="bold")
    line.append(f" in {_duration(facts.elapsed)}{rate}", style="not bold")
    for word, rows in facts.status.items():
        line.append(
            f"\n  {word:<14}{rows:>7}  {100 * rows / facts.total:5.1f} %",
            style=f"not bold {_STYLES[word]}".rstrip(),
        )
    return line


def _verdict(facts: RunFacts) -> Text:
    """How many rows can be trusted how far."""
    line = Text("Quality", style="bold")
    for word, rows in facts.quality.items():
        line.append(
            f"   {word} {rows} ({100 * rows / facts.total:.1f} %)", style=f"not bold {_QUALITY[word]}"
        )
    return line


def _flag_table(facts: RunFacts) -> Table:
    grid = _grid("Flags")
    grid.add_column(no_wrap=True)
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(style="dim")
    for flag in facts.flags:
        grid.add_row(f"  {flag.name}", str(flag.rows), flag.text)
    return grid


def _number_table(numbers: Numbers) -> Table:
    grid = Table(box=None, padding=(0, 2, 0, 0), header_style="not bold dim")
    grid.add_column("", no_wrap=True)
    for id in numbers.ids:
        grid.add_column(Text(id), no_wrap=True, max_width=30, overflow="ellipsis")
    grid.add_row("  quality", *(Text(word, style=_QUALITY.get(word, "")) for word in numbers.quality))
    if numbers.models is not None:
        grid.add_row("  model", *map(Text, numbers.models))
    for name, unit, values in numbers.rows:
        grid.add_row(Text(f"  {name} [{unit}]" if unit else f"  {name}"), *values)
    return grid


def _times(facts: RunFacts) -> Text:
    stages = "   ".join(f"{stage} {_duration(spent)}" for stage, spent in facts.seconds.items())
    return Text.assemble(
        ("Time  ", "bold"), stages, f"   (sum of {facts.processes} processes)" if facts.processes > 1 else ""
    )


def _failure_table(facts: RunFacts) -> Table:
    """The first objects without a result, with the reason."""
    shown = len(facts.failures)
    more = f", the first {shown}" if facts.without_result > shown else ""
    grid = _grid(f"Without a result ({facts.without_result}{more})")
    grid.add_column(no_wrap=True, max_width=30, overflow="ellipsis")
    grid.add_column(style="dim")
    for failure in facts.failures:
        grid.add_row(Text(f"  {failure.id}"), Text(failure.reason))  # words of others: never read as markup
    return grid


def _places(written: Mapping[str, str]) -> Text:
    width = max(map(len, written)) + 2
    line = Text("Written", style="bold")
    for what, where in written.items():
        line.append(f"\n  {what:<{width}}", style="not bold")
        line.append(where, style="not bold cyan")
    return line


def _grid(title: str) -> Table:
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=None,
        show_header=False,
        padding=(0, 2, 0, 0),
    )


def _grid_table(grid: Grid) -> Table:
    """A table of an evaluation; lines between groups of rows of one first column."""
    table = Table(
        title=grid.title,
        title_justify="left",
        title_style="bold",
        show_footer=bool(grid.required),
        box=None,
        padding=(0, 2, 0, 0),
        header_style="dim",
        footer_style="cyan",
    )
    for i, heading in enumerate(grid.columns):
        table.add_column(
            heading,
            footer="required" if i == 0 else grid.required.get(heading, ""),
            justify="left" if i < 2 else "right",
            no_wrap=True,
        )
    first = next(iter(grid.columns.values()))
    before = None
    for row in grid.rows:
        cells = [Text(_MISSING.sub("-", template.format(**row))) for template in grid.columns.values()]
        if before is not None and first.format(**row) == before:
            cells[0] = Text("")
        before = first.format(**row)
        table.add_row(*cells)
    return table


def _duration(seconds: float) -> str:
    """A time as people say it: 0.42 s, 12 s, 3 min 20 s, 2 h 05 min."""
    if seconds < 9.95:
        return f"{seconds:.2g} s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
