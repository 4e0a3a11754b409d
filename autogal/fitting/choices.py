"""The solver, the likelihood and the bootstrap that a configuration names, and whether it names a model
that can be fitted."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from inspect import signature
from typing import Any

from omegaconf import DictConfig, OmegaConf

from autogal.errors import AutogalError, did_you_mean
from autogal.fitting.selection import CRITERIA
from autogal.fitting.solver_validation import validate_solver
from autogal.likelihood import LIKELIHOODS, Likelihood, likelihood_class, validate_likelihood
from autogal.model.spec import build_model
from autogal.runtime.references import is_reference, load_reference
from autogal.solvers import SOLVERS, Solver
from autogal.uncertainty import Bootstrap, Posterior

__all__ = [
    "build_bootstrap",
    "build_likelihood",
    "build_posterior",
    "build_solver",
    "validate_model",
    "with_model",
]

_SOLVER_FORM = "Write solver=MODULE:CLASS, as my_solvers:Simplex for the class Simplex in my_solvers.py."
# The kinds of uncertainty, and whether the bootstrap is part of them
_UNCERTAINTIES = {"covariance": False, "bootstrap": True, "both": True, "posterior": False, "none": False}
# What of the user's own has been tried out, with its settings
_TRIED: set[tuple[type, str]] = set()
# The keys of a node ``model`` of several models
_SEVERAL = ("name", "models", "choose")


def validate_model(settings: DictConfig) -> None:
    """Refuse a configuration node ``model`` that cannot be fitted: one model, or several under ``models``."""
    several = settings.get("models")
    if several and settings.get("choose") not in CRITERIA:
        raise AutogalError(
            f"model.choose={settings.get('choose')} is not possible.",
            f"Choose one of: {', '.join(CRITERIA)}.",
        )
    if several and (others := [str(key) for key in settings if key not in _SEVERAL]):
        raise AutogalError(
            f"model.{others[0]} is of no model: several are fitted.",
            f"Write model.models.{next(iter(several))}.{others[0]}.",
        )
    for node in several.values() if several else [settings]:
        build_model(node)


def with_model(settings: DictConfig, model: DictConfig) -> DictConfig:
    """The same settings with another node ``model``."""
    out = settings.copy()
    OmegaConf.set_readonly(out, False)
    OmegaConf.set_struct(out, False)
    out.model = model
    return out


def build_solver(settings: DictConfig) -> Solver:
    """The solver of a configuration node ``solver``.

    Raises
    ------
    AutogalError
        Where there is none of that name, or it cannot have these settings; a user's own is tried out.
    """
    name = str(settings.name)
    is_own = name not in SOLVERS and is_reference(name)
    if is_own:
        kind = load_reference(
            name,
            "a solver",
            _is_solver,
            _SOLVER_FORM,
            "Make it a class whose objects can be called, as autogal.solvers.Solver has it.",
        )
    elif name in SOLVERS:
        kind = SOLVERS[name]
    else:
        raise AutogalError(
            f"There is no solver called {name!r}.",
            f"Choose one of: {', '.join(SOLVERS)}; your own is MODULE:CLASS.",
        )
    return _made("solver", kind, settings, validate_solver if is_own else None)


def build_likelihood(settings: DictConfig) -> Likelihood:
    """The likelihood of a configuration's node ``likelihood``.

    Raises
    ------
    AutogalError
        Where there is none of that name, it cannot have these numbers, or noise.whiten goes with another than
        chi-square; a user's own is tried out.
    """
    node = settings.likelihood
    kind = likelihood_class(str(node.name))
    likelihood = _made(
        "likelihood", kind, node, validate_likelihood if str(node.name) not in LIKELIHOODS else None
    )
    if (settings.get("noise") or {}).get("whiten") and not likelihood.quadratic:
        raise AutogalError(
            f"noise.whiten=true is not possible with likelihood={node.name}.",
            "Only likelihood=gaussian has correlated pixels.",
        )
    return likelihood


def _is_solver(thing: Any) -> bool:
    return (
        isinstance(thing, type)
        and thing is not Solver
        and any("__call__" in vars(base) for base in thing.__mro__)
    )


def _made(group: str, kind: type, node: DictConfig, trial: Callable[[Any], None] | None) -> Any:
    """What a node names, made with the rest of its settings; a user's own is tried out the first time."""
    given = {key: value for key, value in OmegaConf.to_container(node).items() if key != "name"}
    _refuse_unknown(group, str(node.name), given, signature(kind).parameters)
    try:
        made = kind(**given)
    except TypeError as error:
        where = (
            f"It takes {', '.join(signature(kind).parameters) or 'none'}." if trial else f"See conf/{group}/."
        )
        raise AutogalError(f"The {group} {node.name} does not take these settings: {error}.", where) from None
    key = kind, repr(given)
    if trial is not None and key not in _TRIED:
        trial(made)
        _TRIED.add(key)
    return made


def _refuse_unknown(group: str, name: str, given: Iterable[str], takes: Collection[str]) -> None:
    """Refuse settings that a method does not take, as those that stay where its name alone is changed."""
    if unknown := [key for key in given if key not in takes]:
        near = did_you_mean(unknown[0], takes)
        where = (
            f"It takes {', '.join(takes) or 'none'}."
            if is_reference(name)
            else f"See conf/{group}/{name}.yaml; {group}={name} chooses all of it."
        )
        raise AutogalError(
            f"The {group} {name} does not take these settings: {', '.join(unknown)}.",
            f"Did you mean {group}.{near}?" if near else where,
        )


def build_bootstrap(settings: DictConfig) -> Bootstrap | None:
    """The bootstrap of a configuration's node ``uncertainty``, with the run's seed; None where that is no
    part of it.

    Raises
    ------
    AutogalError
        Where there is no such uncertainty, it does not take these settings, or the likelihood cannot be
        resampled so, or does not tell misfits.
    """
    chosen = settings.uncertainty
    if chosen.name not in _UNCERTAINTIES:
        raise AutogalError(
            f"There is no uncertainty called {chosen.name!r}.", f"Choose one of: {', '.join(_UNCERTAINTIES)}."
        )
    given = {key: value for key, value in OmegaConf.to_container(chosen).items() if key != "name"}
    takes = {"scale_by_chi2", "misfit"} if chosen.name in ("covariance", "both") else set()
    takes |= set(signature(Posterior).parameters) - {"seed"} if chosen.name == "posterior" else set()
    takes |= set(signature(Bootstrap).parameters) - {"seed"} if _UNCERTAINTIES[chosen.name] else set()
    _refuse_unknown("uncertainty", chosen.name, given, takes)
    if given.get("misfit") and not build_likelihood(settings).quadratic:
        raise AutogalError(
            f"uncertainty.misfit=true is not possible with likelihood={settings.likelihood.name}.",
            "Only likelihood=gaussian tells what a model misses from what it draws in.",
        )
    if not _UNCERTAINTIES[chosen.name]:
        return None
    for of_covariance in ("scale_by_chi2", "misfit"):
        given.pop(of_covariance, None)
    if build_likelihood(settings).counts and given.get("kind") == "block":
        raise AutogalError(
            "uncertainty.kind=block is not possible with likelihood=poisson: residuals that are moved "
            "about are no counts.",
            "Choose one of: pixel, parametric.",
        )
    try:
        return Bootstrap(**given, seed=settings.seed)
    except TypeError as error:
        raise AutogalError(
            f"The bootstrap does not take these settings: {error}.", "See conf/uncertainty/bootstrap.yaml."
        ) from None


def build_posterior(settings: DictConfig) -> Posterior | None:
    """How posteriors are sampled, where a configuration's node ``uncertainty`` asks for them, with the run's
    seed.

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
