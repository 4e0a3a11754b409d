"""What ``autogal evaluate`` does."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import torch
from omegaconf import DictConfig

from autogal.errors import AutogalError
from autogal.evaluate.calibration import evaluate_calibration
from autogal.evaluate.galaxies import galaxies
from autogal.evaluate.initialiser import evaluate_initialiser
from autogal.evaluate.invariance import cutouts_of, evaluate_invariance
from autogal.evaluate.pipeline import evaluate_pipeline
from autogal.evaluate.samples import samples
from autogal.evaluate.segmenter import evaluate_segmenter
from autogal.report.evaluation_files import write_report
from autogal.report.facts import Report
from autogal.report.terminal import print_report
from autogal.runtime.devices import choose_device
from autogal.runtime.logs import run_log

__all__ = ["run"]

_log = logging.getLogger(__name__)


def run(settings: DictConfig, paths: Sequence[str] = ()) -> Report:
    """Evaluate what ``settings.part`` names, print the tables, and write numbers and figures to ``settings.out``.

    Parameters
    ----------
    settings : DictConfig
        Of ``conf/evaluate.yaml``.
    paths : sequence of str
        None: this verb has no input.

    Returns
    -------
    Report

    Raises
    ------
    AutogalError
        Where the request makes no sense, a checkpoint is missing, or nothing can be written.
    """
    if settings.threads:
        torch.set_num_threads(settings.threads)
    device = choose_device(settings.device)
    begin = time.perf_counter()
    blocks = {"calibration": galaxies, "invariance": cutouts_of}.get(settings.part, samples)(settings)
    with run_log(settings) as folder:
        match settings.part:
            case "segmenter":
                report = evaluate_segmenter(blocks, settings, device, folder)
            case "initialiser":
                report = evaluate_initialiser(blocks, settings, device)
            case "pipeline":
                report = evaluate_pipeline(blocks, settings, device)
            case "calibration":
                report = evaluate_calibration(blocks, settings)
            case "invariance":
                report = evaluate_invariance(blocks, settings)
            case other:
                raise AutogalError(f"There is nothing called {other!r} to evaluate.",
                                   "Choose segmenter, initialiser, pipeline, calibration or invariance.")
        print_report(report)
        written = [path.name for path in write_report(report, folder)] + report.facts.get("pictures", [])
        _log.info("%s", report.heading)
    print(f"\n{time.perf_counter() - begin:.1f} s. In {settings.out}: {', '.join(written)}")
    return report
