"""The configuration's files, as they come with the package."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources

from omegaconf import DictConfig, OmegaConf

__all__ = ["CONFIG_MODULE", "packaged"]

CONFIG_MODULE = "autogal.conf"


@lru_cache
def packaged(group: str, choice: str) -> DictConfig:
    """What a file of the package says, as ``conf/solver/lm.yaml``; nothing where there is no such file."""
    file = resources.files(CONFIG_MODULE).joinpath(group, f"{choice}.yaml")
    return OmegaConf.create(file.read_text(encoding="utf-8") if file.is_file() else {})
