"""Whether every key of a configuration node ``model`` means something where it stands."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from autogal.errors import AutogalError, did_you_mean

__all__ = ["check_keys"]

_SAID = ("start", "bounds", "fixed", "priors")
_SHAPED = ("truncation", "boxiness", "fourier")
_COMPONENT = ("profile", *_SHAPED, *_SAID)
_WHOLE = ("shared", "ties", "limits", "sky")
_MODEL = ("name", "components", *_WHOLE, *_SAID)


def check_keys(settings: Mapping[str, Any]) -> None:
    """Refuse a model whose keys nobody reads: another one than is meant would be fitted.

    Parameters
    ----------
    settings : mapping
        A configuration node ``model`` of one model.

    Raises
    ------
    AutogalError
        For a key that there is not, with the one that was meant; for one that stands where it means nothing;
        and where components are not described.
    """
    components = settings.get("components")
    if not components:
        if settings.get("profile") is None:
            raise AutogalError(
                "The model has no profile.",
                "Write profile: sersic, for one, or components: with a profile each.",
            )
        return _refuse_unknown("model", settings, {*_MODEL, *_COMPONENT})
    if not isinstance(components, Mapping):
        raise AutogalError(
            f"model.components is {components}.",
            "Give them by name, as components: {bulge: {profile: sersic}}.",
        )
    for key in ("profile", *_SHAPED):
        if settings.get(key):
            raise AutogalError(f"{key} stands beside the components.", "Write it at one of them.")
    _refuse_unknown("model", settings, {*_MODEL, *_COMPONENT})
    for name, node in components.items():
        _check_component(str(name), node, components)


def _check_component(name: str, node: Any, components: Mapping[str, Any]) -> None:
    place = f"model.components.{name}"
    if not name.isidentifier():
        raise AutogalError(
            f"A component is called {name!r}.",
            "Name it with letters, digits and _, as ties and columns can have it.",
        )
    if not isinstance(node, Mapping):
        raise AutogalError(f"{place} is {node}.", f"Give its keys, as {name}: {{profile: sersic}}.")
    if whole := [str(key) for key in node if key in _WHOLE]:
        raise AutogalError(f"{whole[0]} stands at the component {name}.", "Write it beside the components.")
    _refuse_unknown(place, node, _COMPONENT)
    if node.get("profile") is None:
        meant = did_you_mean(name, [str(other) for other in components if other != name])
        raise AutogalError(
            f"The component {name} has no profile.",
            f"Did you mean {meant}?" if meant else "Write profile: sersic, for one.",
        )


def _refuse_unknown(place: str, node: Mapping[str, Any], known: Collection[str]) -> None:
    for key in map(str, node):
        if key not in known:
            meant = did_you_mean(key, known)
            raise AutogalError(
                f"There is no key {place}.{key}.",
                f"Did you mean {place}.{meant}?"
                if meant
                else f"The keys of {place} are: {', '.join(sorted(known))}.",
            )
