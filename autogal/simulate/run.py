"""What ``autogal simulate`` does."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import torch
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import track

from autogal.configuration.composing import compose
from autogal.errors import AutogalError
from autogal.images.survey import Survey
from autogal.runtime.devices import choose_device
from autogal.runtime.logs import is_quiet, run_log
from autogal.simulate.background import Background
from autogal.simulate.cutouts import BLOCK, simulate
from autogal.simulate.files import SceneWriter
from autogal.simulate.population import Population
from autogal.simulate.structure import Structure
from autogal.simulate.templates import Templates

__all__ = ["population_of", "run"]

_log = logging.getLogger(__name__)

_SMALLEST = 32
# Scenes drawn and written at a time: memory depends on it, the scenes do not
_AT_ONCE = 8 * BLOCK


def run(settings: DictConfig, paths: Sequence[str] = ()) -> None:
    """Draw the scenes of a configuration and write them to ``settings.out``.

    Parameters
    ----------
    settings : DictConfig
        Of ``conf/simulate.yaml``.
    paths : sequence of str
        None: this verb has no input.

    Raises
    ------
    AutogalError
        Where the request makes no sense, or nothing can be written.
    KeyboardInterrupt
        On Ctrl-C, after the tables of what is done have been written.
    """
    if settings.size < _SMALLEST:
        raise AutogalError(f"size={settings.size} is not possible.", f"Give {_SMALLEST} or more pixels.")
    if settings.threads:
        torch.set_num_threads(settings.threads)
    device = choose_device(settings.device)
    population = population_of(settings)
    # one configuration says how to read cutouts; this one says what survey they are of
    background = (
        Background.read(settings.background, OmegaConf.merge(compose(), {"survey": settings.survey}))
        if settings.background
        else None
    )
    console = Console(stderr=True)
    begin = time.perf_counter()
    with run_log(settings) as folder, SceneWriter(folder) as writer:
        starts = range(settings.first, settings.first + settings.n, _AT_ONCE)
        for first in track(
            starts,
            "Simulating",
            console=console,
            disable=is_quiet() or not console.is_terminal,
            transient=True,
        ):
            count = min(_AT_ONCE, settings.first + settings.n - first)
            scenes = simulate(
                count,
                population,
                settings.seed,
                (settings.size, settings.size),
                first,
                str(device),
                background,
            )
            writer.write(scenes.cutouts, scenes.truth, scenes.instances if settings.instances else None)
            _log.info("%d of %d scenes written", first + count - settings.first, settings.n)
    print(
        f"{settings.n} scenes of {population.name} in {time.perf_counter() - begin:.1f} s. Fit them:\n"
        f"  autogal fit {writer.manifest} survey={population.name}\nTruth: {writer.truth}"
    )


def population_of(settings: DictConfig) -> Population:
    """What scenes are drawn from, by the nodes ``survey`` and ``population`` and the table ``galaxies`` where
    one is named.

    Raises
    ------
    AutogalError
        For a number that means nothing, or a survey that lacks a fact that is needed.
    """
    survey = Survey.from_settings(settings.survey)
    wanted = OmegaConf.to_container(settings.population)
    for key, value in wanted.items():
        if value < 0 or (
            key in ("overlapping", "stars", "composite", "defects", "correlation") and value > 1
        ):
            raise AutogalError(
                f"population.{key}={value} is not possible.",
                "Give a number from 0 to 1." if value > 1 else "Give 0 or more.",
            )
    structure = Structure.named(settings.structure, wanted.pop("composite"))
    templates = Templates.read(settings.galaxies) if settings.get("galaxies") else None
    return Population(survey, structure=structure, templates=templates, **wanted)
