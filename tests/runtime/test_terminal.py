"""Terminals and pipes whose encoding lacks what is shown."""

import io
import sys

import pytest

from autogal.report.measurement import measurement
from autogal.runtime.terminal import ensure_printable


@pytest.mark.parametrize(
    ("encoding", "text", "shown"),
    [
        ("ascii", measurement(17.231, 0.012), "17.231 +- 0.012"),
        ("ascii", measurement(1.2e-7, 3.1e-8), "(1.20 +- 0.31)x10^-7"),
        ("ascii", measurement(float("nan"), 1.0), "-"),
        ("latin-1", measurement(1.2e-12, 3.1e-13), "(1.20 ± 0.31)×10^-¹²"),
        ("ascii", "galaxié … 星雲", "galaxi? ... ??"),
        ("utf-8", "a\udce9.fits ± 1", "a?.fits ± 1"),
    ],
)
def test_what_is_missing_becomes_the_nearest(monkeypatch, encoding, text, shown):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    ensure_printable()
    print(text, end="", flush=True)
    assert stream.buffer.getvalue().decode(encoding) == shown


def test_streams_that_are_no_files_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    ensure_printable()
    assert isinstance(sys.stdout, io.StringIO)
