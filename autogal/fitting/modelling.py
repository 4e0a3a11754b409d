"""The model that a configuration node ``model`` describes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from omegaconf import DictConfig

from autogal.errors import AutogalError
from autogal.fitting.keys import check_keys
from autogal.model.component import Component
from autogal.model.constrained import ConstrainedModel
from autogal.model.constraints import Constraints, Prior, is_magnitude
from autogal.model.deformed import DeformedComponent
from autogal.model.expression import Expression, Limit
from autogal.model.inclined import InclinedComponent
from autogal.model.model import Model
from autogal.model.plane import SKY, SLOPES, PlaneComponent
from autogal.model.point import PointComponent
from autogal.profiles import (HIGHEST_MODE, PROFILES, Body, Deformed, EdgeOn, PointSource, RadialProfile, Truncated, is_reference,
                              own_function, own_profile)  # fmt: skip

__all__ = ["choose_model"]

# Bounds of an axis ratio that has none of its own
_ROUNDNESS = (0.05, 1.0)
_RATIO = "size_ratio"
_START = "start"  # what is fixed at it keeps the value that it starts at
_PRIOR_FORMS = "Write [median, dex], {lognormal: [median, dex]} or {normal: [mean, sigma]}, with a width above zero."


def choose_model(settings: DictConfig) -> Model:
    """The model of a configuration node ``model``: one profile, or several under ``components``.

    Raises
    ------
    AutogalError
        Where it cannot be fitted, or has keys that mean nothing; a user's own profiles, ties and limits are tried out here.
    """
    check_keys(settings)
    several = settings.get("components") or {"": settings}
    sky = settings.get("sky", "flat")
    if sky not in ("flat", "tilted"):
        raise AutogalError(f"model.sky={sky} is not possible.", "Choose one of: flat, tilted.")
    ties = {_flat(name): _relation(name, value) for name, value in (settings.get("ties") or {}).items() if value is not None}
    said = Constraints(ties, tuple(limit for text in settings.get("limits") or () for limit in Limit.parse(text)))
    read = {name for _, relation in said.relations() for name in relation.names}
    components = tuple(_component(name, node, said, read) for name, node in several.items())
    components += (PlaneComponent(),) if sky == "tilted" else ()
    holds_sky, begin = _sky(settings, said)
    ratio = _size_ratio(settings)
    shared = {_flat(one): _flat(other) for one, other in (settings.get("shared") or {}).items() if _flat(one) not in ties}
    kind = partial(ConstrainedModel, constraints=said) if said else Model
    return kind(components, shared, holds_sky=holds_sky, sky=begin, size_ratio=ratio)


def _flat(name: str) -> str:
    """``disk_x`` of ``disk.x``."""
    return str(name).replace(".", "_")


def _relation(name: str, value: Any) -> Expression:
    if isinstance(value, str) and is_reference(value):
        return Expression.of_function(own_function(value), value)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise AutogalError(f"{name} is tied to {value}.", "Write an expression, as 1.678 * disk.h, or MODULE:FUNCTION.")
    return Expression.parse(value)


def _starts(name: str, value: Any) -> tuple[Expression, ...]:
    several = [value] if isinstance(value, str) or not isinstance(value, Sequence) else value
    if not len(several):
        raise AutogalError(f"The start of {name} is empty.", "Give a number or an expression, or a list of some to choose from.")
    return tuple(_relation(name, one) for one in several)


def _component(name: str, node: DictConfig, said: Constraints, read: set[str]) -> Component | PointComponent:
    """One component; what it does not know how to keep to is added to what is `said` of the whole model."""
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
    entries = _Entries(blank, node, said, read)
    own = {"bounds": entries.bounds(), "fixed": entries.fixed(), "priors": entries.priors()}
    entries.starts()
    return blank if isinstance(blank, PointComponent) else replace(blank, **own)


def _sky(settings: DictConfig, said: Constraints) -> tuple[bool, dict[str, float]]:
    """Whether a flat sky is held, and where it or its slopes start; bounds, priors and what of a tilted one is held go to what is `said`.

    Slopes of which something is said start at the mean of their prior, inside their bounds: of the level is said what holds
    at the centre of the image, and how that is around the galaxy hangs on them.
    """
    entries = _Entries(PlaneComponent(), settings, said, set())
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
            raise AutogalError(f"The start of {name} is {settings.start[name]}.", "Give one number, in image units.")
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


def _size_ratio(settings: DictConfig) -> Prior | None:
    """The prior on the ratio of the sizes of the first two components."""
    priors = settings.get("priors") or {}
    value = priors.get(_RATIO) if settings.get("components") and isinstance(priors, Mapping) else None
    if value is None:
        return None
    prior = _prior(_RATIO, value)
    if not prior.is_logarithmic:
        raise AutogalError(f"The prior on {_RATIO} is {value}.", "Ratios are positive: write [median, dex].")
    return prior


def _blank(profile: RadialProfile | EdgeOn | Body | Deformed, name: str) -> Component:
    if isinstance(profile, Body):
        return InclinedComponent(profile, name)
    return (DeformedComponent if isinstance(profile, Deformed) else Component)(profile, name, {"q": _ROUNDNESS})


def _deformed(profile: RadialProfile | EdgeOn | Body | PointSource,
              node: DictConfig) -> RadialProfile | EdgeOn | Body | PointSource | Deformed:
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


class _Entries:
    """The entries of one component's node, or of the sky, each given to the component or to the whole model."""

    def __init__(self, blank: Component | PointComponent | PlaneComponent, node: DictConfig, said: Constraints, read: set[str]):
        self.node, self.said, self.read = node, said, read
        self.is_sky = isinstance(blank, PlaneComponent)
        self.prefix = f"{blank.name}_" if blank.name and not self.is_sky else ""
        of_sky = SKY if node.get("sky") == "tilted" else SKY[:1]
        self.known = of_sky if self.is_sky else tuple(parameter.removeprefix(self.prefix) for parameter in blank.parameters)
        self.widest = dict(getattr(blank, "limits", {}))  # of all that a component itself can bound
        sizes = (blank.profile.size, *blank.profile.shape) if isinstance(blank, Component) else ()
        self.natural = {s.name: (s.lower, s.upper) for s in sizes} | {"inclination": (0.0, 90.0)}
        self.shape = {s.name for s in sizes if not s.length}
        self.contour = {self.known[place] for place in getattr(blank, "contour", ())}

    def bounds(self) -> dict[str, tuple[float, float]]:
        out = {"q": _ROUNDNESS} if "q" in self.widest else {}
        for key, (low, high) in self._items("bounds", _bounds):
            name = self.prefix + key
            is_auxiliary = key not in self.known and name in self.read and key in (self.node.get("start") or {})
            if key in self.widest:
                out[key] = self.widest[key] = low, high
            elif not is_auxiliary and key not in self.known:
                self._refuse(name, "There are bounds on")
            if key in self.widest and not self._is_narrow(key, low, high):
                continue
            if not low < high or (is_auxiliary and not (math.isfinite(low) and math.isfinite(high))):
                raise AutogalError(f"The bounds of {name} are [{low}, {high}].", "Give a lower and an upper one.")
            self.said.bounds[name] = low, high
        return out

    def _is_narrow(self, key: str, low: float, high: float) -> bool:
        """Whether bounds are more than a component keeps to: of sizes, those of a circle of the same area; of q, only the lower."""
        if key in self.shape or key in self.contour:
            return False
        return high < 1 if key == "q" else low > self.natural[key][0] or high < self.natural[key][1]

    def fixed(self) -> dict[str, float]:
        out = {}
        for key, value in self._items("fixed", _number):
            name = self.prefix + key
            if key not in self.known:
                raise AutogalError(f"{name} cannot be fixed at {value}.", f"These can: {', '.join(self.known)}.")
            if name in self.said.ties:
                raise AutogalError(f"{name} is both fixed and tied.", "Choose one of them.")
            if value == _START:
                self.said.fixed[name] = None
                continue
            self._within(key, value, "fixed at")
            if _is_of_image(key):
                self.said.fixed[name] = value
            elif key in self.shape:
                out[key] = value
            else:
                self.said.ties[name] = Expression.parse(value)
        return out

    def priors(self) -> dict[str, tuple[float, float]]:
        out = {}
        for key, prior in self._items("priors", _prior):
            name = self.prefix + key
            if prior.is_logarithmic and (key in self.contour or _is_of_image(key)):
                self._refuse(name, "There is a log-normal prior on", "It need not be positive: write {normal: [mean, sigma]}.")
            if prior.is_logarithmic and (key in self.shape or (key == "q" and prior.mean == 1 and "q" in self.widest)):
                out[key] = prior.mean, prior.width
            elif key in self.known or name in self.said.bounds:
                self.said.priors[name] = prior
            else:
                self._refuse(name, "There is a prior on")
        return out

    def starts(self) -> None:
        for key, several in self._items("start", _starts):
            name = self.prefix + key
            if name in self.said.ties or (self.node.get("fixed") or {}).get(key) not in (None, _START):
                raise AutogalError(f"{name} has a start, but it is tied or fixed.", "Leave one of them out.")
            if key not in self.known and name not in self.said.bounds:
                self._refuse(name, "There is a start of")
            self.said.starts[name] = several
            for relation in several:
                if not relation.names and not is_reference(relation.text):
                    self._within(key, float(relation.evaluate({})), "to start at")

    def _within(self, key: str, value: float, what: str) -> None:
        low, high = self.said.bounds.get(self.prefix + key) or self.widest.get(key, (-math.inf, math.inf))
        if not low <= value <= high:
            raise AutogalError(f"{self.prefix}{key} is {what} {value:g}, outside its bounds [{low:g}, {high:g}].", "Change one of them.")

    def _items(self, what: str, read) -> Iterator[tuple[str, Any]]:
        """The entries of ``bounds``, ``priors``, ``fixed`` or ``start`` that are not null, read; of a lone component not the sky's."""
        entries = self.node.get(what) or {}
        if not isinstance(entries, Mapping):
            raise AutogalError(f"{what} is {entries}.", f"Give it by parameter, as {what}: {{n: ...}}.")
        yield from ((str(key), read(key, value)) for key, value in entries.items()
                    if value is not None and (self.prefix or (key in SKY) == self.is_sky))

    def _refuse(self, name: str, what: str, remedy: str = "") -> None:
        if not remedy and name.removeprefix(self.prefix) in SKY:
            remedy = "A flat sky has none; take sky: tilted." if self.is_sky else "The sky is no component's: write it beside them."
        usual = f"The component has {', '.join(self.known)}; a parameter of your own needs a start, bounds, and a tie that reads it."
        raise AutogalError(f"{what} {name}, which the model does not have or cannot take.", remedy or usual)


def _is_of_image(key: str) -> bool:
    """Whether numbers of a parameter hang on the zero point or the unit of the image."""
    return key in SKY or is_magnitude(key)


def _number(key: str, value: Any) -> float | str:
    if value != _START and (isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value)):
        raise AutogalError(f"{key} cannot be fixed at {value}.", f"Give a number, or {_START} for the value that each galaxy starts at.")
    return value if value == _START else float(value)


def _bounds(key: str, pair: Any) -> tuple[float, float]:
    try:
        low, high = pair
        return -math.inf if low is None else float(low), math.inf if high is None else float(high)
    except (TypeError, ValueError):
        raise AutogalError(f"The bounds of {key} are {pair}.", "Give two, [lowest, highest]; null where there is none.") from None


def _prior(key: str, value: Any) -> Prior:
    kind, pair = next(iter(value.items())) if isinstance(value, Mapping) and len(value) == 1 else ("lognormal", value)
    try:
        mean, width = (float(v) for v in pair)
    except (TypeError, ValueError):
        raise AutogalError(f"The prior on {key} is {value}.", _PRIOR_FORMS) from None
    if kind not in ("normal", "lognormal") or not (0 < width < math.inf and math.isfinite(mean)) or (kind == "lognormal" and not mean > 0):
        raise AutogalError(f"The prior on {key} is {value}.", _PRIOR_FORMS)
    return Prior(mean, width, kind == "lognormal")
