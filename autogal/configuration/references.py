"""Methods of the user's own that a configuration names, written so that every process finds them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from autogal.runtime.references import is_reference, resolve_reference

__all__ = ["resolve_method_references"]

_GROUPS = ("segment", "initialise", "network", "solver", "likelihood")


def resolve_method_references(settings: DictConfig, folders: Sequence[Path]) -> None:
    """Give the names MODULE:NAME in a configuration the full path of the file where one of `folders` has it.

    Parameters
    ----------
    settings : DictConfig
        Of any verb; changed in place.
    folders : sequence of Path
    """
    for group in _GROUPS:
        if group in settings and is_reference(str(settings[group].get("name"))):
            settings[group].name = resolve_reference(settings[group].name, folders)
