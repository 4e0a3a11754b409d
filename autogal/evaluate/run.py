"""What ``autogal evaluate`` does."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import torch
from omegaconf import DictConfig

from autogal.errors import AutogalError
from autogal.evaluate.calibration import CalibrationEvaluation
from autogal.evaluate.evaluation import Evaluation, evaluate
from autogal.evaluate.initialiser import InitialiserEvaluation
from autogal.evaluate.invariance import InvarianceEvaluation
from autogal.evaluate.pipeline import PipelineEvaluation
from autogal.evaluate.segmenter import SegmenterEvaluation
from autogal.report.evaluation_files import write_report
from autogal.report.facts import Report
from autogal.report.terminal import print_report
from autogal.runtime.devices import choose_device
from autogal.runtime.logs import run_log

__all__ = ["PARTS", "run"]

_log = logging.getLogger(__name__)

#: What can be evaluated
PARTS: dict[str, type[Evaluation]] = {
    "segmenter": SegmenterEvaluation,
    "initialiser": InitialiserEvaluation,
    "pipeline": PipelineEvaluation,
    "calibration": CalibrationEvaluation,
    "invariance": InvarianceEvaluation,
}


def run(settings: DictConfig, paths: Sequence[str] = ()) -> Report:
    """Evaluate what ``settings.part`` names, print the tables, and write numbers and figures to
    ``settings.out``.

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
    part = PARTS.get(settings.part)
    if part is None:
        raise AutogalError(
            f"There is nothing called {settings.part!r} to evaluate.", f"Choose one of: {', '.join(PARTS)}."
        )
    blocks = part.blocks(settings)
    with run_log(settings) as folder:
        report = evaluate(part(settings, device, folder), blocks)
        print_report(report)
        written = [path.name for path in write_report(report, folder)] + report.facts.get("pictures", [])
        _log.info("%s", report.heading)
    print(f"\n{time.perf_counter() - begin:.1f} s. In {settings.out}: {', '.join(written)}")
    return report
