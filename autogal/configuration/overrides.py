"""Overrides in Hydra's grammar: written from Python's values, and as Hydra must be told what a user means by them."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import OverrideType, Quote, QuotedString
from hydra.errors import HydraException

from autogal.configuration.packaged import packaged
from autogal.errors import AutogalError

__all__ = ["METHODS", "normalise_overrides", "override", "quoted", "reference_to", "several_models", "whether_segmented"]

#: The groups whose choices are methods, each with keys of its own
METHODS = ("model", "likelihood", "solver", "uncertainty", "segment", "initialise")

# What can be said of a model, of any of its parameters and components, whether or not its file says so already
_OPEN = re.compile(r"model(\.models\.[^.]+)?(\.components\.[^.]+)?"
                   r"\.(start|bounds|fixed|priors|ties|limits|shared|sky|truncation|boxiness|fourier)(\..+)?")  # fmt: skip


def override(key: str, value: Any) -> str:
    """Write one override in Hydra's grammar.

    A string is taken as on the command line (``"50"`` becomes a number,
    ``"null"`` None) where the grammar allows, and quoted where it does not.
    """
    return f"{key}={_element(key, value)}"


def reference_to(thing: Callable) -> str:
    """A class or a function as MODULE:NAME, under which every process finds it.

    Raises
    ------
    AutogalError
        Where it has no such name.
    """
    module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", "")
    if getattr(sys.modules.get(module), name, None) is not thing:
        raise AutogalError(f"{name or thing} cannot be found by its name.",
                           "Define it on the first level of a module, not as a lambda or inside a function.")
    return f"{module}:{name}"


def whether_segmented(keys: Iterable[str]) -> str:
    """What ``given_starts=auto`` stands for where these keys are given: ``segment`` where one of them is about neighbours, else ``fit``."""
    roots = {re.split(r"[.@=]", key.lstrip("+~"), maxsplit=1)[0] for key in keys}
    return "segment" if roots & {"segment", "neighbours"} else "fit"


def quoted(text: str) -> str:
    """Text as Hydra's grammar takes it whatever is in it; interpolations stay alive."""
    return QuotedString(text, Quote.single).with_quotes()


def several_models(names: Sequence[str]) -> list[str]:
    """The overrides that have each galaxy fitted with each of several models, by their names."""
    if len(set(names)) < len(names) or len(names) < 2:
        raise AutogalError(f"model=[{','.join(names)}] is not possible.", "Name two models or more, each once, as model=[sersic,bulge_disk].")
    each = [f"+model@model.models.{name}={name}" for name in names]
    return ["~model", *each, override("++model.name", "+".join(names)), "++model.choose=bic"]


def normalise_overrides(words: Iterable[str]) -> list[str]:
    """Overrides as Hydra must have them.

    It takes no key that a file does not have: what is said of a model's parameters gets the ``++`` that adds it, and the
    model's own check knows the names. It takes the name in ``solver={name: adam, max_iterations: 50}`` for a key of the choice
    that there is, which has not the others: the choice is made first.

    Parameters
    ----------
    words : iterable of str
        As a user writes them; those that cannot be read stay, for Hydra to say so.

    Raises
    ------
    AutogalError
        Where what is chosen of a group is no name.
    """
    return [one for word in words for one in _normalised(word)]


def _normalised(word: str) -> Iterator[str]:
    try:
        read = OverridesParser.create().parse_override(word)
    except HydraException:
        yield word
        return
    if read.type is not OverrideType.CHANGE or read.package is not None:
        yield word
    elif _OPEN.fullmatch(read.key_or_group):
        yield f"++{word}"
    elif read.key_or_group not in (*METHODS, "survey") or read.is_sweep_override():
        yield word
    elif isinstance(read.value(), dict):
        yield from _of_group(read.key_or_group, read.value())
    elif isinstance(read.value(), str | list):
        yield word
    else:
        raise AutogalError(f"{word} is not possible.", f"Give a name: `autogal fit --help` lists those of {read.key_or_group}.")


def _of_group(group: str, choice: Mapping[str, Any]) -> Iterator[str]:
    """The choice that a mapping names, and its keys; a survey that is described may have any name."""
    keys = dict(choice)
    if "name" in keys and (group != "survey" or len(keys) == 1 or packaged(group, str(keys["name"]))):
        yield override(group, keys.pop("name"))
    for key, value in keys.items():
        yield from _normalised(override(f"{group}.{key}", value))


def _element(key: str, value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case Mapping():
            return "{" + ",".join(f"{k}:{_element(key, v)}" for k, v in value.items()) + "}"
        case str() | PurePath():
            return str(value) if _is_plain(key, str(value)) else quoted(str(value))
        case Sequence():
            return "[" + ",".join(_element(key, v) for v in value) + "]"
        case _ if callable(value):
            return reference_to(value)
        case _:
            return str(value)


def _is_plain(key: str, text: str) -> bool:
    try:
        return not OverridesParser.create().parse_override(f"{key}={text}").is_sweep_override()
    except HydraException:
        return False
