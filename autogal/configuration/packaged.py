"""The configuration's files, as they come with the package."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

__all__ = ["CONFIG_MODULE", "choices", "packaged", "read_yaml"]

CONFIG_MODULE = "autogal.conf"


@lru_cache
def packaged(group: str, choice: str) -> Mapping[str, Any]:
    """What a file of the package says, as ``conf/solver/lm.yaml``; nothing where there is no such file."""
    file = resources.files(CONFIG_MODULE).joinpath(group, f"{choice}.yaml")
    return (
        OmegaConf.to_container(OmegaConf.create(file.read_text(encoding="utf-8"))) if file.is_file() else {}
    )


def read_yaml(file: Path) -> Any:
    """What a YAML file of the user's says, as a configuration reads it: 1e-3 is a number."""
    return OmegaConf.to_container(OmegaConf.load(file))


def choices(group: str) -> list[str]:
    """The names of a group's choices that come with the package, in order: ``choices("survey")``."""
    return sorted(
        file.name.removesuffix(".yaml")
        for file in resources.files(CONFIG_MODULE).joinpath(group).iterdir()
        if file.name.endswith(".yaml")
    )
