"""One screen at the end of a run: what happened, and where things are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from autogal import flags as quality
from autogal.results.catalogue import Catalogue
from autogal.results.columns import bare_names, of_chosen
from autogal.results.measurement import measurement

__all__ = ["summary", "print_summary"]

# How each word of the status column is shown.
_STYLES = {"converged": "", "not_converged": "yellow", "failed": "red", "skipped": "dim"}
# and of the quality column
_QUALITY = {"good": "green", "fair": "green", "poor": "yellow", "bad": "red", "none": "dim"}

_WITHOUT_RESULT = ("failed", "skipped")

_FILE_WIDTH = 200  # characters: a file or a pipe has no edge at which paths must break


def summary(
    catalogue: Catalogue,
    elapsed: float,
    written: Mapping[str, str | Path] | None = None,
    failures: int = 5,
    numbers: int = 3,
    processes: int = 1,
) -> Group:
    """What to show at the end of a run.

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
        A run of at most as many objects shows what was measured.
    processes : int
        How many there were, each with times of its own.

    Returns
    -------
    rich.console.Group
    """
    table = catalogue.table
    status = Counter(str(word) for word in table["status"])
    words = Counter(str(word) for word in table["quality"])
    parts: list[Table | Text] = [_headline(len(table), status, elapsed), _verdict(len(table), words)]
    if len(table) <= numbers and (measured := _number_table(table, catalogue.parameters)):
        parts.append(measured)
    if raised := _flag_table(np.asarray(table["flags"], dtype=int)):
        parts.append(raised)
    if catalogue.seconds:
        parts.append(_times(catalogue.seconds, processes))
    if lost := _failure_table(table, failures):
        parts.append(lost)
    if written:
        parts.append(_places(written))
    return Group(*parts)


def print_summary(
    catalogue: Catalogue,
    elapsed: float,
    written: Mapping[str, str | Path] | None = None,
    console: Console | None = None,
    processes: int = 1,
) -> None:
    """Print :func:`summary` on the terminal, or plainly into a file or pipe.

    Parameters
    ----------
    catalogue, elapsed, written, processes
        As in :func:`summary`.
    console : rich.console.Console, optional
        By default standard output.
    """
    console = console or Console(highlight=False)
    if not console.is_terminal:
        console.width = _FILE_WIDTH
    console.print(summary(catalogue, elapsed, written, processes=processes))


def _headline(total: int, status: Counter[str], elapsed: float) -> Text:
    rate = f", {total / elapsed:.3g} galaxies/s" if elapsed > 0 else ""
    line = Text(f"{total} {'object' if total == 1 else 'objects'}", style="bold")
    line.append(f" in {_duration(elapsed)}{rate}", style="not bold")
    for word, style in _STYLES.items():
        if status[word]:
            share = 100 * status[word] / total
            line.append(f"\n  {word:<14}{status[word]:>7}  {share:5.1f} %", style=f"not bold {style}".rstrip())
    return line


def _verdict(total: int, words: Counter[str]) -> Text:
    """How many rows can be trusted how far."""
    line = Text("Quality", style="bold")
    for word, style in _QUALITY.items():
        if words[word]:
            line.append(f"   {word} {words[word]} ({100 * words[word] / total:.1f} %)", style=f"not bold {style}")
    return line


def _flag_table(bits: np.ndarray) -> Table | None:
    """How many rows carry each flag, the commonest first; None where none does."""
    counts = {flag: int(np.count_nonzero(bits & flag.value)) for flag in quality.Flag}
    raised = sorted((flag for flag in counts if counts[flag]), key=lambda flag: -counts[flag])
    if not raised:
        return None
    grid = _grid("Flags")
    grid.add_column(no_wrap=True)
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(style="dim")
    for flag in raised:
        grid.add_row(f"  {flag.name}", str(counts[flag]), quality.DESCRIPTIONS[flag])
    return grid


def _number_table(table, parameters: Sequence[str]) -> Table | None:
    """The parameters of each object, those of the chosen model where there are several, with errors; None where nothing was measured."""
    rows = [dict(zip(table.colnames, row)) for row in table if any(np.isfinite(row[name]) for name in parameters)]
    if not rows:
        return None
    units = {name: str(table[name].unit or "") for name in parameters}
    if "model" in table.colnames:
        bare, rows = bare_names(table.colnames), [of_chosen(row) for row in rows]
        units = {bare[name][1]: unit for name, unit in units.items() if any(bare[name][1] in row for row in rows)}
    grid = Table(box=None, padding=(0, 2, 0, 0), header_style="not bold dim")
    grid.add_column("", no_wrap=True)
    for row in rows:
        grid.add_column(Text(str(row["id"])), no_wrap=True, max_width=30, overflow="ellipsis")
    grid.add_row("  quality", *(Text(str(row["quality"]), style=_QUALITY.get(str(row["quality"]), "")) for row in rows))
    if "model" in table.colnames:
        grid.add_row("  model", *(Text(str(row["model"])) for row in rows))
    for name, unit in units.items():
        label = f"  {name} [{unit}]" if unit else f"  {name}"
        grid.add_row(Text(label), *(measurement(float(row[name]), float(row[f"{name}_err"])) if name in row else "" for row in rows))
    return grid


def _times(seconds: Mapping[str, float], processes: int) -> Text:
    stages = "   ".join(f"{stage} {_duration(spent)}" for stage, spent in seconds.items())
    return Text.assemble(("Time  ", "bold"), stages, f"   (sum of {processes} processes)" if processes > 1 else "")


def _failure_table(table, most: int) -> Table | None:
    """The first rows without a result, with the reason; None where there are none."""
    rows = [i for i, word in enumerate(table["status"]) if word in _WITHOUT_RESULT]
    if not rows or not most:
        return None
    more = f", the first {most}" if len(rows) > most else ""
    grid = _grid(f"Without a result ({len(rows)}{more})")
    grid.add_column(no_wrap=True, max_width=30, overflow="ellipsis")
    grid.add_column(style="dim")
    for i in rows[:most]:
        reason = str(table["message"][i]) or str(table["flag_names"][i]) or "The fit failed."
        # Words of others: never read as markup.
        grid.add_row(Text(f"  {table['id'][i]}"), Text(_shortened(reason, is_input=bool(table["flags"][i] & quality.Flag.BAD_INPUT))))
    return grid


def _shortened(message: str, is_input: bool, longest: int = 200, filled: int = 100) -> str:
    """The sentences of a message that have the reason: the first where the input was bad, the last where something failed later."""
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


def _places(written: Mapping[str, str | Path]) -> Text:
    width = max(map(len, written)) + 2
    line = Text("Written", style="bold")
    for what, where in written.items():
        line.append(f"\n  {what:<{width}}", style="not bold")
        line.append(str(where), style="not bold cyan")
    return line


def _grid(title: str) -> Table:
    return Table(
        title=title, title_justify="left", title_style="bold", box=None, show_header=False, padding=(0, 2, 0, 0)
    )


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
