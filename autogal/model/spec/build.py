"""The model that a configuration node ``model`` describes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from autogal.configuration.packaged import packaged
from autogal.errors import AutogalError, did_you_mean
from autogal.model.component import Component, component_for
from autogal.model.constrained import ConstrainedModel
from autogal.model.constraints import Constraints, Prior
from autogal.model.expression import Limit
from autogal.model.model import Model
from autogal.model.plane import SKY, SLOPES, PlaneComponent
from autogal.model.spec.keys import check_keys
from autogal.model.spec.overrides import plain
from autogal.model.spec.parameter_specs import ModelContext, ParameterSpecs, read_prior, read_relation
from autogal.profiles import HIGHEST_MODE, PROFILES, Deformed, Light, Truncated, own_profile
from autogal.runtime.references import is_reference

__all__ = ["build_model"]

_RATIO = "size_ratio"


def build_model(node: Mapping[str, Any]) -> Model:
    """The model that a mapping describes: one profile, or several under ``components``.

    Parameters
    ----------
    node : mapping
        As the files in ``conf/model/``, for one model; nothing in it is changed.

    Returns
    -------
    Model
        A `ConstrainedModel` where something is said of parameters that their components do not know how to
        keep to.

    Raises
    ------
    AutogalError
        Where it cannot be fitted, or has keys that mean nothing; a user's own profiles, ties and limits are
        tried out here.
    """
    node = plain(node)
    check_keys(node)
    several = node.get("components") or {"": node}
    sky = node.get("sky", "flat")
    if sky not in ("flat", "tilted"):
        raise AutogalError(f"model.sky={sky} is not possible.", "Choose one of: flat, tilted.")
    given_ties, given_shared = dict(_by_name("ties", node)), dict(_by_name("shared", node))
    ties = {name: read_relation(name, value) for name, value in given_ties.items() if value is not None}
    shared = {
        one: _flat(other) for one, other in given_shared.items() if other is not None and one not in ties
    }
    named = _packaged(node)
    tied_to = {name: relation.text for name, relation in ties.items()} | shared
    constraints = Constraints(ties, tuple(_limits(node, tied_to, named)))
    context = ModelContext(constraints, tied_to, named)
    components = tuple(_component(name, one, context) for name, one in several.items())
    _refuse_unknown({*given_ties, *given_shared} - set(tied_to), components)
    components += (PlaneComponent(),) if sky == "tilted" else ()
    holds_sky, begin = _sky(node, context)
    ratio = _size_ratio(node)
    kind = partial(ConstrainedModel, constraints=constraints) if constraints else Model
    return kind(components, shared, holds_sky=holds_sky, sky=begin, size_ratio=ratio)


def _flat(name: str) -> str:
    """``disk_x`` of ``disk.x``."""
    return str(name).replace(".", "_")


def _by_name(key: str, node: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What is tied or shared and what it takes: ``disk.x: bulge.x``, or ``disk: {x: bulge.x}``."""
    given = node.get(key) or {}
    if not isinstance(given, Mapping):
        raise AutogalError(f"{key} is {given}.", f"Give it by parameter, as {key}: {{disk.x: bulge.x}}.")
    for name, value in given.items():
        yield from (
            ((_flat(f"{name}.{inner}"), one) for inner, one in value.items())
            if isinstance(value, Mapping)
            else ((_flat(name), value),)
        )


def _refuse_unknown(freed: set[str], components: Sequence[Component]) -> None:
    """Refuse to free, with null, what there is not: what is meant would stay tied."""
    names = [name for component in components for name in component.parameters]
    if unknown := sorted(freed - set(names)):
        near = did_you_mean(unknown[0], names)
        raise AutogalError(
            f"There is no parameter {unknown[0]}.",
            f"Did you mean {near}?" if near else f"There are {', '.join(names)}.",
        )


def _packaged(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """The node of the packaged model that the user's own keys were added to, if they were."""
    named = packaged("model", str(node.get("name")))
    return named if set(named) <= set(node) else {}


def _limits(node: Mapping[str, Any], tied_to: Mapping[str, str], named: Mapping[str, Any]) -> Iterator[Limit]:
    """All but those of the packaged model on what the user has tied."""
    texts = node.get("limits") or []
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(texts, list):
        raise AutogalError(f"limits is {texts}.", "Give a list, as limits: [bulge.r_eff < disk.r_eff].")
    for text in texts:
        yield from (
            limit
            for limit in Limit.parse(text)
            if limit.name not in tied_to or text not in (named.get("limits") or ())
        )


def _component(name: str, node: Mapping[str, Any], context: ModelContext) -> Component:
    """One component; what it does not know how to keep to is added to the constraints of the whole model."""
    chosen = node.get("profile")
    is_own = is_reference(str(chosen))
    if not is_own and chosen not in PROFILES:
        raise AutogalError(
            f"There is no profile called {chosen!r}.",
            f"Choose one of: {', '.join(PROFILES)}; your own is MODULE:CLASS.",
        )
    profile = own_profile(chosen) if is_own else PROFILES[chosen]()
    if (truncation := node.get("truncation")) not in (None, True, False):
        raise AutogalError(
            f"truncation is {truncation}.",
            "Write true or false; bounds, fixed and start say where, of r_trunc and softness.",
        )
    if truncation:
        if not profile.is_radial:
            raise AutogalError(
                f"The profile {profile.name} cannot be truncated.", "Only one of elliptical isophotes can."
            )
        profile = Truncated(profile)
    profile = _deformed(profile, node)
    blank = component_for(profile, name)
    specs = ParameterSpecs(blank, node, context)
    component = blank.limited(specs.bounds(), specs.fixed(), specs.priors())
    specs.starts()
    return component


def _sky(node: Mapping[str, Any], context: ModelContext) -> tuple[bool, dict[str, float]]:
    """Whether a flat sky is fixed, and where it or its slopes start; bounds, priors and what of a tilted one
    is fixed go to the constraints.

    Slopes of which something is said start at the mean of their prior, inside their bounds: of the level is
    said what holds at the centre of the image, and what it is around the galaxy depends on them.
    """
    constraints, specs = context.constraints, ParameterSpecs(PlaneComponent(), node, context)
    specs.bounds(), specs.fixed(), specs.priors(), specs.starts()
    for what in ("bounds", "fixed", "priors", "start") if node.get("components") else ():
        if others := [
            key for key in node.get(what) or {} if key not in SKY and (what, key) != ("priors", _RATIO)
        ]:
            raise AutogalError(
                f"{what} of {others[0]} stands beside the components.",
                f"Write it at one of them; beside them is what is said of the sky, and a prior on {_RATIO}.",
            )
    is_tilted = node.get("sky") == "tilted"
    begin = {name: constraints.fixed[name] for name in SKY if constraints.fixed.get(name) is not None}
    for name in SKY:
        start = constraints.starts.pop(name, ())
        if len(start) > 1 or any(relation.names for relation in start):
            raise AutogalError(
                f"The start of {name} is {node['start'][name]}.", "Give one number, in image units."
            )
        if start:
            begin[name] = float(start[0].evaluate({}))
        elif name in SLOPES and name not in begin and name in constraints.restricted:
            low, high = constraints.bounds.get(name, (-math.inf, math.inf))
            begin[name] = min(
                max(constraints.priors[name].mean if name in constraints.priors else 0.0, low), high
            )
    fixed = {name for name in SKY if name in constraints.fixed}
    for name in fixed:
        constraints.fixed.pop(name)
    if is_tilted:
        constraints.fixed.update(dict.fromkeys(fixed))  # each by itself, where it starts
    return bool(fixed) and not is_tilted, begin


def _size_ratio(node: Mapping[str, Any]) -> Prior | None:
    """The prior on the ratio of the sizes of the first two components."""
    priors = node.get("priors") or {}
    value = priors.get(_RATIO) if node.get("components") and isinstance(priors, Mapping) else None
    if value is None:
        return None
    prior = read_prior(_RATIO, value)
    if not prior.is_logarithmic:
        raise AutogalError(f"The prior on {_RATIO} is {value}.", "Ratios are positive: write [median, dex].")
    return prior


def _deformed(profile: Light, node: Mapping[str, Any]) -> Light:
    """A profile with the boxiness and the Fourier modes that its node asks for."""
    boxiness, modes = node.get("boxiness") or False, node.get("fourier") or []
    if boxiness is not False and boxiness is not True:
        raise AutogalError(
            f"boxiness is {boxiness}.", "Write true or false; fixed: {c0: ...} holds it at a value."
        )
    modes = [modes] if isinstance(modes, int) and not isinstance(modes, bool) else modes
    is_list = isinstance(modes, Sequence) and not isinstance(modes, str)
    if not is_list or any(type(m) is not int or not 1 <= m <= HIGHEST_MODE or m == 2 for m in modes):
        raise AutogalError(
            f"fourier is {modes}.",
            f"Give a list of modes, whole numbers from 1 to {HIGHEST_MODE} without 2, which is an ellipse.",
        )
    if len(set(modes)) < len(modes):
        raise AutogalError(f"fourier is {modes}.", "Give each mode once.")
    if not boxiness and not modes:
        return profile
    if not profile.is_radial:
        raise AutogalError(
            f"The profile {profile.name} can have no boxiness and no Fourier modes.",
            "Only one of elliptical isophotes can.",
        )
    return Deformed(profile, boxiness, tuple(sorted(modes)))
