"""What of a configuration is a user's own code, named so that every process finds it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from autogal.configuration.overrides import reference_to
from autogal.runtime.references import is_reference, resolve_reference

__all__ = ["resolve_model_references", "resolve_references"]

_NAMED = ("likelihood", "solver", "segment", "initialise", "network")  # groups whose name may be a reference


def resolve_references(settings: Mapping, folders: Sequence[Path]) -> None:
    """Name the user's own profiles, functions and methods in a configuration, in place, so that every process
    finds them.

    Parameters
    ----------
    settings : mapping
        Any of the nodes ``model``, ``solver``, ``likelihood``, ``segment``, ``initialise``, ``network`` and
        ``catalogue``.
    folders : sequence of Path
        Where their files may lie.
    """
    if "model" in settings:
        resolve_model_references(settings["model"], folders)
    for group in _NAMED:
        if group in settings and is_reference(str(settings[group].get("name"))):
            settings[group]["name"] = resolve_reference(str(settings[group]["name"]), folders)
    if "catalogue" in settings and is_reference(str(settings["catalogue"]["format"])):
        settings["catalogue"]["format"] = resolve_reference(str(settings["catalogue"]["format"]), folders)


def resolve_model_references(model: Mapping, folders: Sequence[Path]) -> None:
    """Name the user's own profiles and functions in a node ``model``, in place, so that every process finds
    them.

    Parameters
    ----------
    model : mapping
        Classes and functions themselves are given their names.
    folders : sequence of Path
        Where their files may lie.
    """
    for one in (model.get("models") or {}).values():
        resolve_model_references(one, folders)
    nodes = [model, *_mappings(_mapping(model.get("components")).values())]
    ties = _mapping(model.get("ties"))
    maps = [ties, *_mappings(ties.values()), *(_mapping(node.get("start")) for node in nodes)]
    for node, key in [*((node, "profile") for node in nodes), *((one, name) for one in maps for name in one)]:
        named = node.get(key)
        if callable(named):
            node[key] = reference_to(named)
        elif isinstance(named, str) and is_reference(named):
            node[key] = resolve_reference(named, folders)


def _mapping(node: Any) -> Mapping:
    """A node, or none where what stands there is something else, which is refused when the model is made."""
    return node if isinstance(node, Mapping) else {}


def _mappings(nodes: Iterable[Any]) -> list[Mapping]:
    return [node for node in nodes if isinstance(node, Mapping)]
