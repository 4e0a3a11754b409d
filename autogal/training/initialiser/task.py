"""The initialiser as the training sees it."""

from __future__ import annotations

from dataclasses import replace

import torch
from omegaconf import DictConfig, OmegaConf

from autogal.configuration.composing import compose
from autogal.configuration.overrides import override
from autogal.configuration.packaged import choices
from autogal.errors import AutogalError
from autogal.images.survey import Survey
from autogal.initialise.network.architecture import CARD
from autogal.simulate.general import General
from autogal.simulate.population import Population
from autogal.simulate.source import SceneSource, build_population
from autogal.simulate.structure import Structure
from autogal.training.initialiser.as_fitted import examples_as_fitted
from autogal.training.initialiser.calibrate import calibrate
from autogal.training.initialiser.examples import Examples, Replayed
from autogal.training.initialiser.labelled import Labelled, labelled_examples
from autogal.training.initialiser.learning import InitialiserModule
from autogal.training.task import Task

__all__ = ["initialiser_task"]

_SIZES = (64, 96, 64, 128)  # px; stamps of a general network, in turn: small ones are drawn faster
_VALIDATION = 7_000_003  # seed far from any a user gives, so that no scene is ever seen twice
_SCALERS = 512  # examples that the scalers are taken from
_SHOWN = (
    "val/loss",
    *(
        f"val/50-200/{name}"
        for name in ("mag", "ln R", "dex n", "q", "pa", "dx", "e1", "e2", "within 1 sigma")
    ),
    *(f"val/over 200/{name}" for name in ("mag", "ln R", "dex n", "q", "e1", "e2")),
)


def initialiser_task(settings: DictConfig) -> Task:
    """The training of the network of starting values, from the simulator or from ``settings.data``.

    Parameters
    ----------
    settings : DictConfig
        From ``conf/train.yaml``.
    """
    network = settings.network
    module = InitialiserModule(
        network.lr, network.weight_decay, network.steps, network.warm_up, network.photometry, network.settle
    )
    if settings.data is not None:
        return _labelled_task(settings, module)
    name = "general" if settings.survey.name == "none" else settings.survey.name
    # composite galaxies have no true Sersic index; they would only be left out
    population = replace(build_population(name), structure=Structure(composite=0.0))
    sizes = [settings.size] if settings.size else _SIZES

    def sources(seed: int) -> list[SceneSource]:
        return [SceneSource(population, (size, size), seed=seed) for size in sizes]

    def examples(first: int, rank: int, world: int) -> Replayed:
        until = round((1 - network.settle) * network.steps) - first // world
        return Replayed(
            Examples(sources(settings.seed), network.batch, first, rank=rank, world=world),
            network.replay,
            until=until,
        )

    def validation(rank: int, world: int) -> Examples:
        # at least one batch for every process, or those without would be waited for
        steps = max(world, -(-network.validate_on // network.batch))
        return Examples(sources(_VALIDATION), network.batch, steps=steps, rank=rank, world=world)

    def prepare() -> None:
        count = -(-_SCALERS // network.batch)
        some = list(Examples(sources(_VALIDATION + 1), network.batch, steps=count))
        module.network.fit_scalers(
            torch.cat([one["features"] for one in some]), torch.cat([one["targets"] for one in some])
        )

    def finish() -> None:
        if network.calibrate_on:
            segment = OmegaConf.merge(
                compose(), {"survey": settings.survey, "checkpoints": settings.checkpoints}
            ).segment
            calibrate(
                module.network,
                examples_as_fitted(
                    _usual(name, population),
                    sorted(set(sizes)),
                    network.calibrate_on,
                    _VALIDATION + 2,
                    segment,
                    module.network.target_mean.device,
                ),
            )

    return Task(
        "initialiser",
        module,
        CARD,
        examples,
        validation,
        "val/loss",
        "min",
        _SHOWN,
        {"simulator": name, "galaxies": "single Sersic profiles", "stamp sizes": list(sizes)},
        prepare,
        module.plot,
        finish,
    )


def _usual(name: str, population: General | Population) -> list[General | Population]:
    """What errors are scaled on: half of it as hard as what was trained on, half as a survey's images are."""
    surveys = [one for one in choices("survey") if one != "none"] if name == "general" else [name]
    plain = [
        Population(Survey.from_settings(compose(overrides=[override("survey", one)]).survey))
        for one in surveys
    ]
    return [one for each in plain for one in (population, each)]


def _labelled_task(settings: DictConfig, module: InitialiserModule) -> Task:
    if settings.labels is None:
        raise AutogalError(
            "data= is given without labels=.",
            "Name the catalogue fitted to them, as labels=run1/catalogue.fits.",
        )
    batch = settings.network.batch
    training, aside = labelled_examples(settings)

    def examples(first: int, rank: int, world: int) -> Labelled:
        return Labelled(training, batch, first, rank, world, settings.seed)

    def validation(rank: int, world: int) -> list[dict[str, torch.Tensor]]:
        # every process has a batch, or those without would be waited for
        parts = [
            {name: values[first : first + batch] for name, values in aside.items()}
            for first in range(0, len(aside["snr"]), batch)
        ]
        return parts[rank::world] or parts[:1]

    def prepare() -> None:
        module.network.fit_scalers(training["features"], training["targets"])

    return Task(
        "initialiser",
        module,
        CARD,
        examples,
        validation,
        "val/loss",
        "min",
        _SHOWN,
        {"images": len(training["snr"]), "labels": settings.labels},
        prepare,
        module.plot,
    )
