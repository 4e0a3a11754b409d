"""The types of the keys of ``autogal train``; the values and their comments are in ``conf/train.yaml``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from autogal.configuration import SurveyFacts
from autogal.configuration_errors import explain
from autogal.errors import AutogalError

__all__ = ["TrainSettings", "check"]

_POSITIVE = ("network.lr", "network.batch", "network.steps", "network.validate_every", "network.validate_on", "save_every",
             "patience")
_SMALLEST = 32  # px


@dataclass
class TrainSettings:
    """Every key of ``autogal train`` outside the groups; see ``conf/train.yaml``."""

    out: str = "autogal_checkpoints"
    checkpoints: str | None = None
    from_scratch: bool = False
    resume: bool = False
    seed: int = 0
    size: int | None = None
    workers: int = 0
    save_every: float = 5.0
    patience: int = 12
    data: str | None = None
    labels: str | None = None
    survey: SurveyFacts = field(default_factory=SurveyFacts)
    network: dict[str, Any] = field(default_factory=dict)
    trainer: dict[str, Any] = field(default_factory=dict)


ConfigStore.instance().store(name="train_schema", node=TrainSettings, provider="autogal")


def check(settings: DictConfig) -> None:
    """Refuse values that have the right type and still mean nothing.

    Raises
    ------
    AutogalError
    """
    try:
        for key in _POSITIVE:
            value = OmegaConf.select(settings, key)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise AutogalError(f"{key}={value} is not possible.", "Give a number above zero.")
        if settings.size is not None and settings.size < _SMALLEST:
            raise AutogalError(f"size={settings.size} is not possible.", f"The networks work on stamps of {_SMALLEST} px or more.")
        if settings.workers < 0:
            raise AutogalError(f"workers={settings.workers} is not possible.", "Give 0 or more.")
        if not settings.out:
            raise AutogalError("out= is empty.", "Name the folder for the checkpoint, as out=my_checkpoints.")
        if settings.labels is not None and settings.data is None:
            raise AutogalError("labels= is given without data=.", "Name the images that the labels are of, as data=my_cutouts/.")
    except OmegaConfBaseException as error:
        raise explain(error, lambda: OmegaConf.to_container(settings)) from error
