"""The model, solver and device that a configuration names."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from omegaconf import DictConfig, OmegaConf

from autogal.configuration import compose
from autogal.errors import AutogalError
from autogal.model.component import Component
from autogal.model.model import Model
from autogal.profiles import PROFILES
from autogal.solvers import SOLVERS, Solver

__all__ = ["choose_device", "choose_model", "choose_settings", "choose_solver"]


@lru_cache(maxsize=64)
def choose_settings(*overrides: str) -> DictConfig:
    """A configuration; composing one takes longer than fitting a dozen galaxies, so the same is composed once."""
    chosen = compose(overrides=overrides)
    OmegaConf.set_readonly(chosen, True)
    return chosen


def choose_model(settings: DictConfig) -> Model:
    """The model of a configuration node ``model``: one profile, or several under ``components``."""
    several = settings.get("components")
    if not several:
        return Model((_component("", settings),))
    return Model(tuple(_component(name, node) for name, node in several.items()), dict(settings.get("shared") or {}))


def _component(name: str, settings: DictConfig) -> Component:
    if settings.profile not in PROFILES:
        raise AutogalError(f"There is no profile called {settings.profile!r}.", f"Choose one of: {', '.join(PROFILES)}.")
    bounds = {key: (-math.inf if low is None else low, math.inf if high is None else high) for key, (low, high) in settings.bounds.items()}
    priors = {key: tuple(value) for key, value in (settings.get("priors") or {}).items() if value is not None}
    return Component(PROFILES[settings.profile](), name, bounds, priors, dict(settings.get("fixed") or {}))


def choose_solver(settings: DictConfig) -> Solver:
    """The solver of a configuration node ``solver``."""
    if settings.name not in SOLVERS:
        raise AutogalError(f"There is no solver called {settings.name!r}.", f"Choose one of: {', '.join(SOLVERS)}.")
    given = {key: value for key, value in OmegaConf.to_container(settings).items() if key != "name"}
    try:
        return SOLVERS[settings.name](**given)
    except TypeError as error:
        raise AutogalError(f"The solver {settings.name} does not take these settings: {error}.", "See conf/solver/.") from None


def choose_device(name: str) -> torch.device:
    """The device of a configuration's ``device``; ``auto`` is a GPU where there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise AutogalError(f"device={name}, but torch sees no GPU.", "Use device=cpu, or device=auto.")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise AutogalError(f"device={name}, but torch sees {torch.cuda.device_count()} GPU(s).", "They are numbered from cuda:0.")
    return device
