"""The model, the solver and the rest that a configuration names."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from inspect import signature
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from autogal.configuration.composing import compose
from autogal.configuration.explaining import did_you_mean
from autogal.configuration.overrides import override, reference_to, several_models
from autogal.errors import AutogalError
from autogal.model.spec.build import choose_model
from autogal.fitting.selection import CRITERIA
from autogal.likelihood import LIKELIHOODS, Likelihood
from autogal.profiles import RadialProfile, is_reference, settle_reference
from autogal.solvers import SOLVERS, Solver
from autogal.uncertainty import Bootstrap, Posterior

__all__ = ["check_model", "choose_bootstrap", "choose_likelihood", "choose_model", "choose_posterior", "choose_settings", "choose_solver", "is_whole_model",
           "model_overrides", "settle_profiles", "with_model"]

# The kinds of uncertainty, and whether the bootstrap is part of them
_UNCERTAINTIES = {"covariance": False, "bootstrap": True, "both": True, "posterior": False, "none": False}
# The keys of a node ``model`` of several models
_SEVERAL = ("name", "models", "choose")


@lru_cache(maxsize=64)
def choose_settings(*overrides: str) -> DictConfig:
    """A configuration; composing one takes longer than fitting a dozen galaxies, so the same is composed once."""
    chosen = compose(overrides=overrides)
    OmegaConf.set_readonly(chosen, True)
    return chosen


def is_whole_model(model: Any) -> bool:
    """Whether it says by itself what is fitted, as a configuration node ``model`` does, and is more than some of its keys."""
    return isinstance(model, Mapping) and not {"profile", "components"}.isdisjoint(model)


def model_overrides(model: str | Path | Mapping | type[RadialProfile] | Sequence) -> list[str]:
    """The overrides of the configuration that choose a model.

    Parameters
    ----------
    model : str, Path, mapping or class
        The name of a configuration; a YAML file like those in ``conf/model/``; the same as a mapping, whose ``profile``
        may be a class; a profile's class, with the bounds that it has. A mapping without profiles changes keys of the model that
        it names, or of the default.
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
        model = _copied(model)
        settle_profiles(model, folders)
    if not is_whole_model(model):
        return [override("model", model)]
    return ["~model", override("++model", {"name": str(model.get("profile", "own")).rpartition(":")[2]} | model)]


def _is_file(model: Any) -> bool:
    return isinstance(model, str | Path) and str(model).endswith((".yaml", ".yml"))


def _each_of(models: Sequence) -> list[str]:
    """The overrides that have each of several models fitted: Hydra composes those that are named alone, others are written out."""
    if all(isinstance(model, str) and not _is_file(model) for model in models):
        return several_models(models)
    if any(isinstance(model, list | tuple) for model in models):
        raise AutogalError("A list of models holds another list.", "Give all models in one list.")
    nodes = [OmegaConf.to_container(choose_settings(*model_overrides(model)).model) for model in models]
    names = [str(node["name"]) for node in nodes]
    if twice := [name for name in names if names.count(name) > 1]:
        raise AutogalError(f"Several of the models are called {twice[0]}.", "Give each a name of its own, as {name: mine, profile: sersic}.")
    if len(nodes) < 2:
        raise AutogalError(f"model=[{names[0]}] is not possible.", "Give two models or more, or one without a list.")
    return ["~model", override("++model", {"name": "+".join(names), "models": dict(zip(names, nodes, strict=True)), "choose": "bic"})]


def _copied(node: Any) -> Any:
    """Mappings inside one another, copied, so that what the user gave stays as it is."""
    return {key: _copied(value) for key, value in node.items()} if isinstance(node, Mapping) else node


def _read_model(file: Path) -> dict:
    try:
        model = OmegaConf.to_container(OmegaConf.load(file))
    except Exception as error:
        raise AutogalError(f"{file} cannot be read as a model: {' '.join(str(error).split())}.", "See the files in conf/model/.") from error
    if not is_whole_model(model):
        raise AutogalError(f"{file} says neither profile: nor components:, so it is no model.", "See the files in conf/model/.")
    return ({} if "profile" in model else {"name": file.stem}) | model


def settle_profiles(model: Mapping, folders: Sequence[Path]) -> None:
    """Name the user's own profiles and functions in a node ``model`` so that every process finds them; their files may lie in `folders`."""
    for one in (model.get("models") or {}).values():
        settle_profiles(one, folders)
    nodes = [model, *_mappings(_mapping(model.get("components")).values())]
    ties = _mapping(model.get("ties"))
    maps = [ties, *_mappings(ties.values()), *(_mapping(node.get("start")) for node in nodes)]
    for node, key in [*((node, "profile") for node in nodes), *((one, name) for one in maps for name in one)]:
        named = node.get(key)
        if callable(named):
            node[key] = reference_to(named)
        elif isinstance(named, str) and is_reference(named):
            node[key] = settle_reference(named, folders)


def _mapping(node: Any) -> Mapping:
    """A node, or none where what stands there is something else, which is refused when the model is made."""
    return node if isinstance(node, Mapping) else {}


def _mappings(nodes: Iterable[Any]) -> list[Mapping]:
    return [node for node in nodes if isinstance(node, Mapping)]


def check_model(settings: DictConfig) -> None:
    """Refuse a configuration node ``model`` that cannot be fitted: one model, or several under ``models``."""
    several = settings.get("models")
    if several and settings.get("choose") not in CRITERIA:
        raise AutogalError(f"model.choose={settings.get('choose')} is not possible.", f"Choose one of: {', '.join(CRITERIA)}.")
    if several and (others := [str(key) for key in settings if key not in _SEVERAL]):
        raise AutogalError(f"model.{others[0]} is of no model: several are fitted.", f"Write model.models.{next(iter(several))}.{others[0]}.")
    for node in several.values() if several else [settings]:
        choose_model(node)


def with_model(settings: DictConfig, model: DictConfig) -> DictConfig:
    """The same settings with another node ``model``."""
    out = settings.copy()
    OmegaConf.set_readonly(out, False)
    OmegaConf.set_struct(out, False)
    out.model = model
    return out


def choose_solver(settings: DictConfig) -> Solver:
    """The solver of a configuration node ``solver``."""
    return _made("solver", SOLVERS, settings)


def choose_likelihood(settings: DictConfig) -> Likelihood:
    """The likelihood of a configuration's node ``likelihood``.

    Raises
    ------
    AutogalError
        Where there is none of that name, it cannot have these numbers, or noise.whiten goes with another than chi-square.
    """
    likelihood = _made("likelihood", LIKELIHOODS, settings.likelihood)
    if (settings.get("noise") or {}).get("whiten") and not likelihood.quadratic:
        raise AutogalError(f"noise.whiten=true is not possible with likelihood={settings.likelihood.name}.",
                           "Only likelihood=gaussian has correlated pixels.")
    return likelihood


def _made(kind: str, known: Mapping[str, type], node: DictConfig) -> Any:
    """What a node names, made with the rest of its settings."""
    if node.name not in known:
        raise AutogalError(f"There is no {kind} called {node.name!r}.", f"Choose one of: {', '.join(known)}.")
    given = {key: value for key, value in OmegaConf.to_container(node).items() if key != "name"}
    _refuse_unknown(kind, node.name, given, signature(known[node.name]).parameters)
    try:
        return known[node.name](**given)
    except TypeError as error:
        raise AutogalError(f"The {kind} {node.name} does not take these settings: {error}.", f"See conf/{kind}/.") from None


def _refuse_unknown(kind: str, name: str, given: Iterable[str], takes: Collection[str]) -> None:
    """Refuse settings that a method does not take, as those that stay where its name alone is changed."""
    if unknown := [key for key in given if key not in takes]:
        near = did_you_mean(unknown[0], takes)
        raise AutogalError(f"The {kind} {name} does not take these settings: {', '.join(unknown)}.",
                           f"Did you mean {kind}.{near}?" if near else f"See conf/{kind}/{name}.yaml; {kind}={name} chooses all of it.")


def choose_bootstrap(settings: DictConfig) -> Bootstrap | None:
    """The bootstrap of a configuration's node ``uncertainty``, if it is part of that, with the run's seed."""
    chosen = settings.uncertainty
    if chosen.name not in _UNCERTAINTIES:
        raise AutogalError(f"There is no uncertainty called {chosen.name!r}.", f"Choose one of: {', '.join(_UNCERTAINTIES)}.")
    given = {key: value for key, value in OmegaConf.to_container(chosen).items() if key != "name"}
    takes = {"scale_by_chi2", "misfit"} if chosen.name in ("covariance", "both") else set()
    takes |= set(signature(Posterior).parameters) - {"seed"} if chosen.name == "posterior" else set()
    takes |= set(signature(Bootstrap).parameters) - {"seed"} if _UNCERTAINTIES[chosen.name] else set()
    _refuse_unknown("uncertainty", chosen.name, given, takes)
    if not _UNCERTAINTIES[chosen.name]:
        return None
    for of_covariance in ("scale_by_chi2", "misfit"):
        given.pop(of_covariance, None)
    if choose_likelihood(settings).counts and given.get("kind") == "block":
        raise AutogalError("uncertainty.kind=block is not possible with likelihood=poisson: residuals that are moved about are no counts.",
                           "Choose one of: pixel, parametric.")
    try:
        return Bootstrap(**given, seed=settings.seed)
    except TypeError as error:
        raise AutogalError(f"The bootstrap does not take these settings: {error}.", "See conf/uncertainty/bootstrap.yaml.") from None


def choose_posterior(settings: DictConfig) -> Posterior | None:
    """How posteriors are sampled, where a configuration's node ``uncertainty`` asks for them, with the run's seed.

    Raises
    ------
    AutogalError
        For settings that it does not take.
    """
    chosen = settings.uncertainty
    if chosen.name != "posterior":
        return None
    given = {key: value for key, value in OmegaConf.to_container(chosen).items() if key != "name"}
    return Posterior(**given, seed=settings.seed)
