"""What of the settings of ``autogal train`` means nothing, found before any work."""

from __future__ import annotations

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from autogal.configuration.composing import known_keys
from autogal.configuration.explaining import explain
from autogal.errors import AutogalError

__all__ = ["check"]

_POSITIVE = (
    "network.lr",
    "network.batch",
    "network.steps",
    "network.validate_every",
    "network.validate_on",
    "save_every",
    "patience",
)
_SMALLEST = 32  # px


def check(settings: DictConfig) -> None:
    """Refuse values that have the right type and still mean nothing.

    Parameters
    ----------
    settings : DictConfig
        From ``conf/train.yaml``.

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
            raise AutogalError(
                f"size={settings.size} is not possible.",
                f"The networks work on stamps of {_SMALLEST} px or more.",
            )
        if settings.workers < 0:
            raise AutogalError(f"workers={settings.workers} is not possible.", "Give 0 or more.")
        if not settings.out:
            raise AutogalError("out= is empty.", "Name the folder for the checkpoint, as out=my_checkpoints.")
        if settings.labels is not None and settings.data is None:
            raise AutogalError(
                "labels= is given without data=.",
                "Name the images that the labels are of, as data=my_cutouts/.",
            )
        if settings.structure != "usual" and (
            settings.data is not None or settings.network.name != "segmenter"
        ):
            raise AutogalError(
                f"structure={settings.structure} is for a segmenter that learns from the simulator.",
                "Leave structure= out: starting values are learnt from Sersic profiles, and images of your "
                "own are what they are.",
            )
    except OmegaConfBaseException as error:
        raise explain(error, lambda: known_keys("train")) from error
