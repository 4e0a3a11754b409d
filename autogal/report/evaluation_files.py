"""The files of an evaluation: all numbers as JSON and ECSV, and figures."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autogal.report.facts import Report
from autogal.runtime.files import atomic

__all__ = ["write_report"]

_DPI = 200


def write_report(report: Report, folder: Path) -> list[Path]:
    """Write ``evaluation.json``, the tables (ECSV) and the figures (PNG) into a folder that exists.

    Parameters
    ----------
    report : Report
    folder : Path

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    AutogalError
        Where the file system refuses.
    """
    content = {
        "heading": report.heading,
        **report.facts,
        "notes": report.notes,
        "tables": {
            grid.name: {"title": grid.title, "required": dict(grid.required), "rows": grid.rows}
            for grid in report.grids
        },
    }
    written = [folder / "evaluation.json"]
    with atomic(written[0]) as path:
        path.write_text(json.dumps(_plain(content), indent=2, allow_nan=False) + "\n", encoding="utf-8")
    for name, table in report.tables.items():
        written.append(folder / f"{name}.ecsv")
        with atomic(written[-1]) as path:
            table.write(path, format="ascii.ecsv")
    for name, figure in report.figures.items():
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
