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
from autogal.model.plane import PlaneComponent
from autogal.model.point import PointComponent
from autogal.profiles import PROFILES, PointSource, RadialProfile, Truncated
from autogal.solvers import SOLVERS, Solver

__all__ = ["choose_device", "choose_model", "choose_settings", "choose_solver", "device_name", "is_shared"]

# Lightning's words for the devices that a fit can use
_ACCELERATORS = {"auto": "auto", "cpu": "cpu", "gpu": "cuda", "cuda": "cuda"}
# What the trainer is where one process does all
_ALONE = {"devices": 1, "num_nodes": 1, "strategy": "auto"}


@lru_cache(maxsize=64)
def choose_settings(*overrides: str) -> DictConfig:
    """A configuration; composing one takes longer than fitting a dozen galaxies, so the same is composed once."""
    chosen = compose(overrides=overrides)
    OmegaConf.set_readonly(chosen, True)
    return chosen


def choose_model(settings: DictConfig) -> Model:
    """The model of a configuration node ``model``: one profile, or several under ``components``."""
    several = settings.get("components") or {"": settings}
    components = [_component(name, node) for name, node in several.items()]
    sky = settings.get("sky", "flat")
    if sky not in ("flat", "tilted"):
        raise AutogalError(f"model.sky={sky} is not possible.", "Choose one of: flat, tilted.")
    return Model((*components, *([PlaneComponent()] if sky == "tilted" else [])), dict(settings.get("shared") or {}))


def _component(name: str, settings: DictConfig) -> Component | PointComponent:
    if settings.profile not in PROFILES:
        raise AutogalError(f"There is no profile called {settings.profile!r}.", f"Choose one of: {', '.join(PROFILES)}.")
    if settings.profile == PointSource.name:
        return PointComponent(name)
    bounds = {key: (-math.inf if low is None else low, math.inf if high is None else high) for key, (low, high) in settings.bounds.items()}
    priors = {key: tuple(value) for key, value in (settings.get("priors") or {}).items() if value is not None}
    fixed = {key: value for key, value in (settings.get("fixed") or {}).items() if value is not None}
    profile = PROFILES[settings.profile]()
    if settings.get("truncation"):
        if not isinstance(profile, RadialProfile):
            raise AutogalError(f"The profile {profile.name} cannot be truncated.", "Only one of elliptical isophotes can.")
        profile = Truncated(profile)
    return Component(profile, name, bounds, priors, fixed)


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


def is_shared(settings: DictConfig) -> bool:
    """Whether more is asked of the trainer than one process of its own."""
    return any(settings.trainer.get(key, usual) not in (usual, str(usual)) for key, usual in _ALONE.items()) or bool(
        settings.trainer.keys() - _ALONE.keys() - {"accelerator"})


def device_name(settings: DictConfig) -> str:
    """The device of a fit: what ``device`` says, or ``trainer.accelerator`` where it says ``auto``.

    Raises
    ------
    AutogalError
        Where the two contradict each other, or one device is to be shared by several processes.
    """
    accelerator = str(settings.trainer.get("accelerator", "auto"))
    if accelerator not in _ACCELERATORS:
        raise AutogalError(f"trainer.accelerator={accelerator} is not possible.", f"Choose one of: {', '.join(_ACCELERATORS)}.")
    kind = _ACCELERATORS[accelerator]
    if settings.device == "auto":
        return kind
    if kind not in ("auto", settings.device.partition(":")[0]):
        raise AutogalError(f"device={settings.device} and trainer.accelerator={accelerator} contradict each other.", "Give one of them.")
    if ":" in settings.device and is_shared(settings):
        raise AutogalError(f"device={settings.device} is one device, but the trainer is to use others or several.",
                           "Leave out device=, and name them as trainer.devices=[0,1].")
    return settings.device
