"""The configuration of a run: how it is composed, and what went wrong with it.

The values and their comments are in ``conf/`` (the package ``autogal.conf``
once installed). The nodes that do not change from one method to the next have
types (`autogal.configuration.schemas`), so that a wrong key or a word in place
of a number fails before any work. The method groups (model, solver, ...) are
open: who reads a user's own YAML file knows its keys, and refuses others.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial

from hydra import compose as hydra_compose
from hydra import initialize_config_module, version
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from autogal.configuration.explaining import explain
from autogal.configuration.overrides import METHODS, normalise_overrides
from autogal.configuration.packaged import CONFIG_MODULE, packaged
from autogal.configuration.schemas import SCHEMAS
from autogal.errors import AutogalError, did_you_mean

__all__ = ["check", "compose", "composed", "known_keys"]

HYDRA_VERSION = "1.3"

for _verb, _schema in SCHEMAS.items():
    ConfigStore.instance().store(name=f"{_verb}_schema", node=_schema, provider="autogal")

_WORDS = {
    "dtype": ("float32", "float64"),
    "neighbours": ("auto", "mask", "fit"),
    "given_starts": ("auto", "fit", "segment"),
    "psf.kind": ("effective", "optical"),
    "objects.fits": (True, False, "auto"),
    "objects.png": (True, False, "auto"),
}
_POSITIVE = (
    "block",
    "threads",
    "psf.oversample",
    "pixel_scale",
    "gain",
    "limits.image",
    "solver.max_iterations",
    "n",
    "size",
    "survey.pixel_scale",
    "survey.psf_fwhm",
    "survey.psf_beta",
    "survey.gain",
    "survey.sky_sigma",
)
_CLOSED = ("segment", "initialise")  # of which nobody later refuses keys that are not known
_KINDS = {bool: "true or false", int: "a whole number", float: "a number"}
_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")
_lock = threading.Lock()


def compose(config: str = "fit", overrides: Sequence[str] = ()) -> DictConfig:
    """Compose a configuration as the command line does.

    It works inside other Hydra applications and leaves their state as it was.

    Parameters
    ----------
    config : str
        Name of a primary configuration in ``conf/``.
    overrides : sequence of str
        In Hydra's grammar, as ``"solver=adam"`` or ``"solver.max_iterations=50"``;
        `autogal.configuration.overrides.override` writes them from Python values.

    Returns
    -------
    DictConfig
        Checked by :func:`check`; a key that does not exist raises when it is read.

    Raises
    ------
    AutogalError
        For an unknown key or choice (with the one that was meant), or a wrong value.
    """
    settings = _compose(config, overrides)
    check(settings)
    return settings


@lru_cache(maxsize=64)
def composed(*overrides: str) -> DictConfig:
    """The configuration of a fit, read-only; composing one takes longer than fitting a dozen galaxies, so
    the same is composed once."""
    settings = compose(overrides=overrides)
    OmegaConf.set_readonly(settings, True)
    return settings


def _numbers(settings: DictConfig) -> Iterator[tuple[str, bool | int | float]]:
    """Key and default of every number and switch of the packaged choices: the groups have no schema to
    check them."""
    for group in filter(settings.__contains__, METHODS):
        defaults = packaged(group, str(settings[group].name))
        yield from (
            (f"{group}.{key}", value)
            for key, value in defaults.items()
            if isinstance(value, bool | int | float)
        )


def known_keys(config: str = "fit") -> list[str]:
    """Every key of a default configuration, groups and nodes included, as ``solver.max_iterations``."""
    return list(_flatten(_compose(config, ())))


def check(settings: DictConfig) -> None:
    """Refuse values that have the right type and still mean nothing.

    Raises
    ------
    AutogalError
        Naming the key, its value, and what it may be.
    """
    try:
        mine = lambda keys: (key for key in keys if key.partition(".")[0] in settings)
        for key in mine(_WORDS):
            words = _WORDS[key]
            value = OmegaConf.select(settings, key)
            if value not in words:
                listed = ", ".join(str(word).lower() for word in words)
                raise AutogalError(f"{key}={value} is not possible.", f"Choose one of: {listed}.")
        for group in mine(METHODS):
            if OmegaConf.select(settings, f"{group}.name") is None:
                raise AutogalError(
                    f"{group} has no name.", f"Choose one, as {group}=..., or write name: in your own file."
                )
        for group in mine(_CLOSED):
            known = packaged(group, str(settings[group].name))
            if known and (unknown := [str(key) for key in settings[group] if key not in known]):
                near = did_you_mean(unknown[0], known)
                raise AutogalError(
                    f"There is no key {group}.{unknown[0]}.",
                    f"Did you mean {group}.{near}?"
                    if near
                    else f"The keys of {group} are: {', '.join(known)}.",
                )
        for key, default in _numbers(settings):
            value = OmegaConf.select(
                settings, key, default=default
            )  # a model written out in full need not have all keys
            kinds = (int, float) if isinstance(default, float) else (type(default),)
            if type(value) not in kinds:
                raise AutogalError(
                    f"{key}={value} is not possible.",
                    f"Give {_KINDS[type(default)]}; the default is {default}.",
                )
        for key in mine(_POSITIVE):
            value = OmegaConf.select(settings, key)
            if value is not None and not value > 0:
                raise AutogalError(f"{key}={value} is not possible.", "Give a number above zero.")
        if "device" in settings and not _DEVICE.fullmatch(settings.device):
            raise AutogalError(
                f"device={settings.device} is not possible.", "Choose auto, cpu, cuda or cuda:1."
            )
        if not settings.out:
            raise AutogalError("out= is empty.", "Name the folder for the results, as out=run1.")
    except OmegaConfBaseException as error:
        raise explain(error, known_keys) from error


def _compose(config: str, overrides: Sequence[str]) -> DictConfig:
    with _private_hydra():
        try:
            return hydra_compose(config, overrides=normalise_overrides(overrides))
        except (HydraException, OmegaConfBaseException) as error:
            failure = error
    # Outside the block: finding the key that was meant composes once more.
    raise explain(failure, partial(known_keys, config)) from failure


@contextmanager
def _private_hydra() -> Iterator[None]:
    """Hydra on our own configuration; the state of an application around us is put back."""
    with _lock:
        instance, base = GlobalHydra.instance(), version.VersionBase.instance()
        outer, outer_base = instance.hydra, base.getbase()
        instance.clear()
        try:
            with initialize_config_module(CONFIG_MODULE, job_name="autogal", version_base=HYDRA_VERSION):
                yield
        finally:
            instance.hydra = outer
            GlobalHydra.set_instance(instance)
            base.version_base = outer_base


def _flatten(node: DictConfig, prefix: str = "") -> Iterator[str]:
    for key in node:
        yield f"{prefix}{key}"
        child = OmegaConf.select(node, str(key))
        if isinstance(child, DictConfig):
            yield from _flatten(child, f"{prefix}{key}.")
