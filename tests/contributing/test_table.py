"""The table of CONTRIBUTING.md names examples that there are, and all of them."""

from __future__ import annotations

import re


def test_every_example_is_in_the_table(repository):
    text = (repository / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\(tests/contributing/(\w+\.py)\)", text))
    there = {path.name for path in (repository / "tests" / "contributing").glob("test_*.py")}
    assert named == there - {"test_table.py"}


def test_the_floors_are_those_that_are_checked(repository):
    from tests.test_architecture import FLOORS

    text = (repository / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| (`.*`) \|$", text, re.MULTILINE)
    assert {int(floor): set(re.findall(r"`(\w+)`", parts)) for floor, parts in rows} == {
        floor: {part for part in parts if part} for floor, parts in enumerate(FLOORS)
    }
