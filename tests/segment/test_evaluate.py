"""The evaluation's tables and pictures, of the classical method on a few simulated scenes."""

import io

import numpy as np
from rich.console import Console

from autogal.configuration import compose
from autogal.segment.evaluate import evaluate_segmenter
from autogal.simulate.source import SceneSource


def test_tables_and_pictures(tmp_path):
    source = SceneSource("general", (64, 64), seed=123)
    found = evaluate_segmenter(source.draw, compose().segment, 12, tmp_path, batch=6)
    assert len(found.stamps) == 12 and all(0 <= value <= 1 or np.isnan(value) for value in found.overall.values())
    assert found.overall["found"] > 0.5
    assert (tmp_path / "segmenter.png").stat().st_size > 10_000 and (tmp_path / "segmenter_worst.png").is_file()
    text = io.StringIO()
    found.print(Console(file=text, width=140))
    assert "S/N > 20" in text.getvalue() and "r_eff" in text.getvalue()
