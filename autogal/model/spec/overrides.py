"""What Python is given for a model, a name, a file, a mapping or a class, as overrides of the
configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autogal.configuration.composing import composed
from autogal.configuration.overrides import override, several_models
from autogal.configuration.packaged import read_yaml
from autogal.configuration.references import resolve_model_references
from autogal.errors import AutogalError
from autogal.profiles import RadialProfile

__all__ = ["is_whole_model", "model_overrides", "plain"]


def is_whole_model(model: Any) -> bool:
    """Whether it says by itself what is fitted, as a configuration node ``model`` does, and is more than
    some of its keys."""
    return isinstance(model, Mapping) and not {"profile", "components"}.isdisjoint(model)


def plain(node: Any) -> Any:
    """Mappings and lists inside one another, copied into ones of Python's own, whatever a configuration is
    kept in."""
    if isinstance(node, Mapping):
        return {key: plain(value) for key, value in node.items()}
    return (
        [plain(value) for value in node] if isinstance(node, Sequence) and not isinstance(node, str) else node
    )


def model_overrides(model: str | Path | Mapping | type[RadialProfile] | Sequence) -> list[str]:
    """The overrides of the configuration that choose a model.

    Parameters
    ----------
    model : str, Path, mapping or class
        The name of a configuration; a YAML file like those in ``conf/model/``; the same as a mapping, whose
        ``profile`` may be a class; a profile's class, with the bounds that it has. A mapping without profiles
        changes keys of the model that it names, or of the default.
        Of a list of such, each model is fitted.

    Raises
    ------
    AutogalError
        Where the file cannot be read, or models of a list have the same name.
    """
    if isinstance(model, list | tuple):
        return _each_of(model)
    folders = [Path.cwd()]
    if _is_file(model):
        file = Path(model).resolve()
        folders, model = [*file.parents[:3], *folders], _read_model(file)
    elif isinstance(model, type):
        model = {"profile": model}
    if isinstance(model, Mapping):
        model = plain(model)  # what the user gave stays as it is
        resolve_model_references(model, folders)
    if not is_whole_model(model):
        return [override("model", model)]
    return [
        "~model",
        override("++model", {"name": str(model.get("profile", "own")).rpartition(":")[2]} | model),
    ]


def _is_file(model: Any) -> bool:
    return isinstance(model, str | Path) and str(model).endswith((".yaml", ".yml"))


def _each_of(models: Sequence) -> list[str]:
    """The overrides that have each of several models fitted: Hydra composes those that are named alone,
    others are written out."""
    if all(isinstance(model, str) and not _is_file(model) for model in models):
        return several_models(models)
    if any(isinstance(model, list | tuple) for model in models):
        raise AutogalError("A list of models holds another list.", "Give all models in one list.")
    nodes = [plain(composed(*model_overrides(model)).model) for model in models]
    names = [str(node["name"]) for node in nodes]
    if twice := [name for name in names if names.count(name) > 1]:
        raise AutogalError(
            f"Several of the models are called {twice[0]}.",
            "Give each a name of its own, as {name: mine, profile: sersic}.",
        )
    if len(nodes) < 2:
        raise AutogalError(
            f"model=[{names[0]}] is not possible.", "Give two models or more, or one without a list."
        )
    return [
        "~model",
        override(
            "++model",
            {"name": "+".join(names), "models": dict(zip(names, nodes, strict=True)), "choose": "bic"},
        ),
    ]


def _read_model(file: Path) -> dict:
    try:
        model = read_yaml(file)
    except Exception as error:
        raise AutogalError(
            f"{file} cannot be read as a model: {' '.join(str(error).split())}.",
            "See the files in conf/model/.",
        ) from error
    if not is_whole_model(model):
        raise AutogalError(
            f"{file} says neither profile: nor components:, so it is no model.",
            "See the files in conf/model/.",
        )
    return ({} if "profile" in model else {"name": file.stem}) | model
