"""Overrides in Hydra's grammar: written from Python's values, and as Hydra must be told what a user means
by them."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import PurePath
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import OverrideType, Quote, QuotedString
from hydra.errors import HydraException

from autogal.configuration.packaged import packaged
from autogal.errors import AutogalError
from autogal.runtime.references import is_reference, load_reference

__all__ = [
    "METHODS",
    "normalise_overrides",
    "override",
    "quoted",
    "reference_to",
    "several_models",
    "whether_segmented",
]

#: The groups whose choices are methods, each with keys of its own
METHODS = ("model", "likelihood", "solver", "uncertainty", "segment", "initialise")

# Those of which a user can have one of their own, MODULE:CLASS in the place of a name
_OWN = ("likelihood", "solver")
# The groups of which a method of the user's own, MODULE:FUNCTION, may be the name
_OWN_METHODS = ("segment", "initialise")
_SURVEY_FORM = (
    "Write survey=MODULE:NAME, where NAME is a mapping with keys like those of conf/survey/sdss.yaml."
)

# What can be said of a model, of any of its parameters and components, whether or not its file says so
# already
_OPEN = re.compile(
    r"model(\.models\.[^.]+)?(\.components\.[^.]+)?"
    r"\.(start|bounds|fixed|priors|ties|limits|shared|sky|truncation|boxiness|fourier)(\..+)?"
)


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
        raise AutogalError(
            f"{name or thing} cannot be found by its name.",
            "Define it on the first level of a module, not as a lambda or inside a function.",
        )
    return f"{module}:{name}"


def whether_segmented(keys: Iterable[str]) -> str:
    """What ``given_starts=auto`` stands for where these keys are given: ``segment`` where one of them is
    about neighbours, else ``fit``."""
    roots = {re.split(r"[.@=]", key.lstrip("+~"), maxsplit=1)[0] for key in keys}
    return "segment" if roots & {"segment", "neighbours"} else "fit"


def quoted(text: str) -> str:
    """Text as Hydra's grammar takes it whatever is in it; interpolations stay alive."""
    return QuotedString(text, Quote.single).with_quotes()


def several_models(names: Sequence[str]) -> list[str]:
    """The overrides that have each galaxy fitted with each of several models, by their names."""
    if len(set(names)) < len(names) or len(names) < 2:
        raise AutogalError(
            f"model=[{','.join(names)}] is not possible.",
            "Name two models or more, each once, as model=[sersic,bulge_disk].",
        )
    each = [f"+model@model.models.{name}={name}" for name in names]
    return ["~model", *each, override("++model.name", "+".join(names)), "++model.choose=bic"]


def normalise_overrides(words: Iterable[str]) -> list[str]:
    """Overrides as Hydra must have them.

    It takes no key that a file does not have: what is said of a model's parameters gets the ``++`` that adds
    it, and the model's own check knows the names. It takes the name in ``solver={name: adam, max_iterations:
    50}`` for a key of the choice that there is, which has not the others: the choice is made first. And it
    looks for a file of a solver or a likelihood that is the user's own.

    Parameters
    ----------
    words : iterable of str
        As a user writes them; those that cannot be read stay, for Hydra to say so.

    Raises
    ------
    AutogalError
        Where what is chosen of a group is no name.
    """
    out = [one for word in words for one in _normalised(word)]
    for group in _OWN:
        out = _with_own(group, out)
    return out


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
    elif isinstance(read.value(), str) and is_reference(read.value()):
        yield from _own(read.key_or_group, read.value(), word)
    elif isinstance(read.value(), str | list):
        yield word
    else:
        raise AutogalError(
            f"{word} is not possible.",
            f"Give a name: `autogal fit --help` lists those of {read.key_or_group}.",
        )


def _with_own(group: str, words: list[str]) -> list[str]:
    """The same with a method of the user's own, where the last word that chooses one of a group names
    MODULE:CLASS.

    No file says what it has: the node is written anew, and what is said of it is added to it.
    """
    chosen, parser = None, OverridesParser.create()
    if not any(
        ":" in word and word.lstrip("+").startswith((f"{group}=", f"{group}.name=")) for word in words
    ):
        return words
    kept = []
    for word in words:
        read = (
            parser.parse_override(word) if word.lstrip("+").startswith((f"{group}=", f"{group}.")) else None
        )
        if read is None or read.is_sweep_override():
            kept.append(word)
        elif read.key_or_group in (group, f"{group}.name"):
            chosen = word, read.value()
        else:
            kept.append(f"++{word.lstrip('+')}")
    if chosen is None or not is_reference(str(chosen[1])):
        return words
    return [f"~{group}", override(f"++{group}", {"name": chosen[1]}), *kept]


def _of_group(group: str, choice: Mapping[str, Any]) -> Iterator[str]:
    """The choice that a mapping names, and its keys; a survey that is described may have any name."""
    keys = dict(choice)
    if "name" in keys and (group != "survey" or len(keys) == 1 or packaged(group, str(keys["name"]))):
        yield from _normalised(override(group, keys.pop("name")))
    for key, value in keys.items():
        yield from _normalised(override(f"{group}.{key}", value))


def _own(group: str, reference: str, word: str) -> Iterator[str]:
    """A method of the user's own is the name in a choice's file; a survey of the user's own, a mapping or
    a `Survey`, is written out."""
    if group in _OWN_METHODS:
        yield override(f"{group}.name", reference)
    elif group == "survey":
        survey = load_reference(
            reference,
            "a survey",
            lambda thing: isinstance(thing, Mapping) or (is_dataclass(thing) and not isinstance(thing, type)),
            _SURVEY_FORM,
        )
        facts = asdict(survey) if is_dataclass(survey) else dict(survey)
        facts = {"name": reference.rpartition(":")[2]} | {
            key: value for key, value in facts.items() if value is not None
        }
        yield from (override(f"survey.{key}", value) for key, value in facts.items())
    else:
        yield word


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
