"""Progress on a terminal and in a log."""

import io
import logging

from rich.console import Console

from autogal.run.progress import FitProgress


def test_a_terminal_shows_galaxies_per_second_and_time_left():
    stream = io.StringIO()
    with FitProgress(40, Console(file=stream, force_terminal=True, width=120)) as progress:
        progress.describe("reading")
        for _ in range(4):
            progress.advance(10)
    shown = stream.getvalue()
    assert "reading" in shown and "40/40" in shown and "galaxies/s" in shown


def test_elsewhere_it_is_silent_but_for_a_line_now_and_then(caplog, capsys):
    now = [0.0]
    stream = io.StringIO()
    with (
        caplog.at_level(logging.INFO, "autogal.run.progress"),
        FitProgress(1000, Console(file=stream), interval=30, clock=lambda: now[0]) as progress,
    ):
        for _ in range(100):
            now[0] += 1
            progress.advance(10)
    assert stream.getvalue() == "" and capsys.readouterr() == ("", "")
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0] == "300 of 1000 objects done, 10 galaxies/s, about 70 s left"
    assert len(lines) == 3 and progress.done == 1000


def test_an_error_passes_through_and_the_terminal_is_given_back():
    stream = io.StringIO()
    try:
        with FitProgress(10, Console(file=stream, force_terminal=True)) as progress:
            progress.advance()
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert stream.getvalue().endswith("\x1b[?25h"), "the cursor must be visible again"
