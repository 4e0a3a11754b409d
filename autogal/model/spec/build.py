"""The model that a configuration node ``model`` describes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from omegaconf import DictConfig, OmegaConf

from autogal.configuration.explaining import did_you_mean
from autogal.configuration.packaged import packaged
from autogal.errors import AutogalError
from autogal.model.spec.entries import ROUNDNESS, Entries, Whole, read_prior, read_relation
from autogal.model.spec.keys import check_keys
from autogal.model.component import Component
from autogal.model.constrained import ConstrainedModel
from autogal.model.constraints import Constraints, Prior
from autogal.model.deformed import DeformedComponent
from autogal.model.expression import Limit
from autogal.model.inclined import InclinedComponent
from autogal.model.model import Model
from autogal.model.plane import SKY, SLOPES, PlaneComponent
from autogal.model.point import PointComponent
from autogal.profiles import (HIGHEST_MODE, PROFILES, Body, Deformed, EdgeOn, PointSource, RadialProfile, Truncated, is_reference,
                              own_profile)  # fmt: skip

__all__ = ["choose_model"]

_RATIO = "size_ratio"


def choose_model(settings: DictConfig) -> Model:
    """The model of a configuration node ``model``: one profile, or several under ``components``.

    Raises
    ------
    AutogalError
        Where it cannot be fitted, or has keys that mean nothing; a user's own profiles, ties and limits are tried out here.
    """
    settings = OmegaConf.to_container(settings, resolve=True)  # reading a node of OmegaConf's is slow
    check_keys(settings)
    several = settings.get("components") or {"": settings}
    sky = settings.get("sky", "flat")
    if sky not in ("flat", "tilted"):
        raise AutogalError(f"model.sky={sky} is not possible.", "Choose one of: flat, tilted.")
    said_ties, said_shared = dict(_by_name("ties", settings)), dict(_by_name("shared", settings))
    ties = {name: read_relation(name, value) for name, value in said_ties.items() if value is not None}
    shared = {one: _flat(other) for one, other in said_shared.items() if other is not None and one not in ties}
    usual = _ready_made(settings)
    follows = {name: relation.text for name, relation in ties.items()} | shared
    said = Constraints(ties, tuple(_limits(settings, follows, usual)))
    whole = Whole(said, follows, usual)
    components = tuple(_component(name, node, whole) for name, node in several.items())
    _refuse_unknown({*said_ties, *said_shared} - set(follows), components)
    components += (PlaneComponent(),) if sky == "tilted" else ()
    holds_sky, begin = _sky(settings, whole)
    ratio = _size_ratio(settings)
    kind = partial(ConstrainedModel, constraints=said) if said else Model
    return kind(components, shared, holds_sky=holds_sky, sky=begin, size_ratio=ratio)


def _flat(name: str) -> str:
    """``disk_x`` of ``disk.x``."""
    return str(name).replace(".", "_")


def _by_name(key: str, settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What is tied or shared and what it takes: ``disk.x: bulge.x``, or ``disk: {x: bulge.x}``."""
    node = settings.get(key) or {}
    if not isinstance(node, Mapping):
        raise AutogalError(f"{key} is {node}.", f"Give it by parameter, as {key}: {{disk.x: bulge.x}}.")
    for name, value in node.items():
        yield from ((_flat(f"{name}.{inner}"), one) for inner, one in value.items()) if isinstance(value, Mapping) else ((_flat(name), value),)


def _refuse_unknown(freed: set[str], components: Sequence[Component | PointComponent]) -> None:
    """Refuse to free, with null, what there is not: what is meant would stay tied."""
    names = [name for component in components for name in component.parameters]
    if unknown := sorted(freed - set(names)):
        near = did_you_mean(unknown[0], names)
        raise AutogalError(f"There is no parameter {unknown[0]}.", f"Did you mean {near}?" if near else f"There are {', '.join(names)}.")


def _ready_made(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """The ready-made model that the user's own settings were added to, if they were."""
    usual = packaged("model", str(settings.get("name")))
    return usual if set(usual) <= set(settings) else {}


def _limits(settings: Mapping[str, Any], follows: Mapping[str, str], usual: Mapping[str, Any]) -> Iterator[Limit]:
    """All but those of the ready-made model on what the user has tied."""
    texts = settings.get("limits") or []
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(texts, list):
        raise AutogalError(f"limits is {texts}.", "Give a list, as limits: [bulge.r_eff < disk.r_eff].")
    for text in texts:
        yield from (limit for limit in Limit.parse(text) if limit.name not in follows or text not in (usual.get("limits") or ()))


def _component(name: str, node: Mapping[str, Any], whole: Whole) -> Component | PointComponent:
    """One component; what it does not know how to keep to is added to what is said of the whole model."""
    chosen = node.get("profile")
    is_own = is_reference(str(chosen))
    if not is_own and chosen not in PROFILES:
        raise AutogalError(f"There is no profile called {chosen!r}.", f"Choose one of: {', '.join(PROFILES)}; your own is MODULE:CLASS.")
    profile = own_profile(chosen) if is_own else PROFILES[chosen]()
    if (truncation := node.get("truncation")) not in (None, True, False):
        raise AutogalError(f"truncation is {truncation}.", "Write true or false; bounds, fixed and start say where, of r_trunc and softness.")
    if truncation:
        if not isinstance(profile, RadialProfile):
            raise AutogalError(f"The profile {profile.name} cannot be truncated.", "Only one of elliptical isophotes can.")
        profile = Truncated(profile)
    profile = _deformed(profile, node)
    blank = PointComponent(name) if isinstance(profile, PointSource) else _blank(profile, name)
    entries = Entries(blank, node, whole)
    own = {"bounds": entries.bounds(), "fixed": entries.fixed(), "priors": entries.priors()}
    entries.starts()
    return blank if isinstance(blank, PointComponent) else replace(blank, **own)


def _sky(settings: Mapping[str, Any], whole: Whole) -> tuple[bool, dict[str, float]]:
    """Whether a flat sky is held, and where it or its slopes start; bounds, priors and what of a tilted one is held go to what is said.

    Slopes of which something is said start at the mean of their prior, inside their bounds: of the level is said what holds
    at the centre of the image, and how that is around the galaxy hangs on them.
    """
    said, entries = whole.said, Entries(PlaneComponent(), settings, whole)
    entries.bounds(), entries.fixed(), entries.priors(), entries.starts()
    nodes = {what: settings.get(what) or {} for what in ("bounds", "fixed", "priors", "start")}
    for what, node in nodes.items() if settings.get("components") else ():
        if others := [key for key in node if key not in SKY and (what, key) != ("priors", _RATIO)]:
            raise AutogalError(f"{what} of {others[0]} stands beside the components.",
                               f"Write it at one of them; beside them is what is said of the sky, and a prior on {_RATIO}.")
    is_tilted = settings.get("sky") == "tilted"
    begin = {name: said.fixed[name] for name in SKY if said.fixed.get(name) is not None}
    for name in SKY:
        start = said.starts.pop(name, ())
        if len(start) > 1 or any(relation.names for relation in start):
            raise AutogalError(f"The start of {name} is {settings['start'][name]}.", "Give one number, in image units.")
        if start:
            begin[name] = float(start[0].evaluate({}))
        elif name in SLOPES and name not in begin and name in said.kept:
            low, high = said.bounds.get(name, (-math.inf, math.inf))
            begin[name] = min(max(said.priors[name].mean if name in said.priors else 0.0, low), high)
    held = {name for name in SKY if name in said.fixed}
    for name in held:
        said.fixed.pop(name)
    if is_tilted:
        said.fixed.update(dict.fromkeys(held))  # each by itself, where it starts
    return bool(held) and not is_tilted, begin


def _size_ratio(settings: Mapping[str, Any]) -> Prior | None:
    """The prior on the ratio of the sizes of the first two components."""
    priors = settings.get("priors") or {}
    value = priors.get(_RATIO) if settings.get("components") and isinstance(priors, Mapping) else None
    if value is None:
        return None
    prior = read_prior(_RATIO, value)
    if not prior.is_logarithmic:
        raise AutogalError(f"The prior on {_RATIO} is {value}.", "Ratios are positive: write [median, dex].")
    return prior


def _blank(profile: RadialProfile | EdgeOn | Body | Deformed, name: str) -> Component:
    if isinstance(profile, Body):
        return InclinedComponent(profile, name)
    return (DeformedComponent if isinstance(profile, Deformed) else Component)(profile, name, {"q": ROUNDNESS})


def _deformed(profile: RadialProfile | EdgeOn | Body | PointSource,
              node: Mapping[str, Any]) -> RadialProfile | EdgeOn | Body | PointSource | Deformed:
    """A profile with the boxiness and the Fourier modes that its node asks for."""
    boxiness, modes = node.get("boxiness") or False, node.get("fourier") or []
    if boxiness is not False and boxiness is not True:
        raise AutogalError(f"boxiness is {boxiness}.", "Write true or false; fixed: {c0: ...} holds it at a value.")
    modes = [modes] if isinstance(modes, int) and not isinstance(modes, bool) else modes
    is_list = isinstance(modes, Sequence) and not isinstance(modes, str)
    if not is_list or any(type(m) is not int or not 1 <= m <= HIGHEST_MODE or m == 2 for m in modes):
        raise AutogalError(f"fourier is {modes}.",
                           f"Give a list of modes, whole numbers from 1 to {HIGHEST_MODE} without 2, which is an ellipse.")
    if len(set(modes)) < len(modes):
        raise AutogalError(f"fourier is {modes}.", "Give each mode once.")
    if not boxiness and not modes:
        return profile
    if not isinstance(profile, RadialProfile):
        raise AutogalError(f"The profile {profile.name} can have no boxiness and no Fourier modes.",
                           "Only one of elliptical isophotes can.")
    return Deformed(profile, boxiness, tuple(sorted(modes)))
