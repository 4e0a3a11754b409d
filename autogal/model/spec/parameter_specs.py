"""What a node of a model says of single parameters: bounds, fixed, priors and start, each for the
component or the whole model."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from autogal.errors import AutogalError, did_you_mean
from autogal.model.component import Component
from autogal.model.constraints import Constraints, Prior
from autogal.model.expression import Expression
from autogal.model.plane import SKY
from autogal.parameters import PARAMETERS, is_magnitude
from autogal.runtime.references import is_reference, load_reference

__all__ = ["ROUNDNESS", "ModelContext", "ParameterSpecs", "read_prior", "read_relation"]

#: Bounds of an axis ratio that has none of its own
ROUNDNESS = (0.01, 1.0)
_FUNCTION_FORM = "Write MODULE:FUNCTION, as my_ties:thickness for the function thickness in my_ties.py."
_START = "start"  # what is fixed at it keeps the value that it starts at
_PRIOR_FORMS = (
    "Write [median, dex], {lognormal: [median, dex]} or {normal: [mean, sigma]}, with a width above zero."
)


@dataclass(frozen=True)
class ModelContext:
    """What of the whole model the parameters of a part of it depend on.

    Attributes
    ----------
    constraints : Constraints
        Of the model; what a component does not know how to keep to is added to them.
    tied_to : dict of str to str
        What is tied or shared, by catalogue name, and what it takes.
    packaged : mapping
        The node of the ready-made model of the same name, if there is one. Where a tie or a fixed value of
        the user's is at odds with what that says, it gives way: nobody but the file has asked for it.
    """

    constraints: Constraints
    tied_to: Mapping[str, str]
    packaged: Mapping[str, Any]

    @cached_property
    def read(self) -> set[str]:
        """Names that ties and limits take."""
        return {name for _, relation in self.constraints.relations() for name in relation.names}


class ParameterSpecs:
    """What is said of the parameters of one component's node, or of the sky, each given to the component or
    to the whole model.

    Parameters
    ----------
    blank : Component
        What they are of, with nothing said yet.
    node : mapping
    context : ModelContext
        Its `constraints` take what the component cannot keep to.
    """

    def __init__(self, blank: Component, node: Mapping[str, Any], context: ModelContext):
        self.node, self.context, self.constraints = node, context, context.constraints
        self.is_sky = blank.flux is None
        self.prefix = f"{blank.name}_" if blank.name and not self.is_sky else ""
        self.packaged = (
            (context.packaged.get("components") or {}).get(blank.name, {})
            if self.prefix
            else context.packaged
        )
        of_sky = SKY if node.get("sky") == "tilted" else SKY[:1]
        self.known = (
            of_sky
            if self.is_sky
            else tuple(parameter.removeprefix(self.prefix) for parameter in blank.parameters)
        )
        self.widest = dict(blank.limits)  # of all that a component itself can bound
        self.natural = {s.name: (s.lower, s.upper) for s in blank.own_parameters} | {
            "inclination": (PARAMETERS["inclination"].low, PARAMETERS["inclination"].high)
        }
        self.shape = {s.name for s in blank.own_parameters if not s.length}
        self.contour = {self.known[place] for place in blank.contour}

    def bounds(self) -> dict[str, tuple[float, float]]:
        """Those that the component keeps to."""
        out = {"q": ROUNDNESS} if "q" in self.widest else {}
        for key, (low, high) in self._items("bounds", _bounds):
            name = self.prefix + key
            is_auxiliary = (
                key not in self.known and name in self.context.read and key in (self.node.get("start") or {})
            )
            if not is_auxiliary and key not in self.known and key not in self.widest:
                self._refuse(name, "There are bounds on")
            if name in self.context.tied_to and self._restricts(key, low, high):
                raise AutogalError(
                    f"{name} has bounds, but it follows {self.context.tied_to[name]}.",
                    "Leave them out, and give what it follows bounds or limits.",
                )
            if key in self.widest:
                out[key] = self.widest[key] = low, high
            if key in self.widest and not self._is_narrow(key, low, high):
                continue
            if not low < high or (is_auxiliary and not (math.isfinite(low) and math.isfinite(high))):
                raise AutogalError(
                    f"The bounds of {name} are [{low}, {high}].", "Give a lower and an upper one."
                )
            self.constraints.bounds[name] = low, high
        return out

    def _is_narrow(self, key: str, low: float, high: float) -> bool:
        """Whether bounds are more than a component keeps to: of sizes, those of a circle of the same area;
        of q, only the lower."""
        if key in self.shape or key in self.contour:
            return False
        return high < 1 if key == "q" else low > self.natural[key][0] or high < self.natural[key][1]

    def _restricts(self, key: str, low: float, high: float) -> bool:
        """Whether bounds are more than those that a parameter has by itself."""
        natural = (
            ROUNDNESS if key == "q" else self.natural.get(key) or self.widest.get(key, (-math.inf, math.inf))
        )
        return low > natural[0] or high < natural[1]

    def fixed(self) -> dict[str, float]:
        """What the component holds."""
        out = {}
        for key, value in self._items("fixed", _number):
            name = self.prefix + key
            if key not in self.known:
                raise AutogalError(
                    f"{name} cannot be fixed at {value}.",
                    self._instead(key, f"These can: {', '.join(self.known)}."),
                )
            if name in self.context.tied_to:
                remedy = (
                    f"Choose one of them: fix what it follows, or write null for it in ties or shared; it "
                    f"follows {self.context.tied_to[name]}."
                )
                raise AutogalError(f"{name} is both fixed and tied or shared.", remedy)
            if value == _START:
                self.constraints.fixed[name] = None
                continue
            self._within(key, value, "fixed at")
            if _is_of_image(key):
                self.constraints.fixed[name] = value
            elif key in self.shape:
                out[key] = value
            else:
                self.constraints.ties[name] = Expression.parse(value)
        return out

    def priors(self) -> dict[str, tuple[float, float]]:
        """Those that the component keeps to by itself."""
        out = {}
        for key, prior in self._items("priors", read_prior):
            name = self.prefix + key
            if prior.is_logarithmic and (key in self.contour or _is_of_image(key)):
                self._refuse(
                    name,
                    "There is a log-normal prior on",
                    "It need not be positive: write {normal: [mean, sigma]}.",
                )
            is_free = name not in self.context.tied_to
            if (
                is_free
                and prior.is_logarithmic
                and (key in self.shape or (key == "q" and prior.mean == 1 and "q" in self.widest))
            ):
                out[key] = prior.mean, prior.width
            elif key in self.known or name in self.constraints.bounds:
                self.constraints.priors[name] = prior
            else:
                self._refuse(name, "There is a prior on")
        return out

    def starts(self) -> None:
        """All go to the constraints of the whole model."""
        for key, several in self._items("start", _starts):
            name = self.prefix + key
            if name in self.context.tied_to:
                raise AutogalError(
                    f"{name} has a start, but it follows {self.context.tied_to[name]}.",
                    "Leave one of them out.",
                )
            if self._is_held(key):
                raise AutogalError(f"{name} has a start, but it is fixed.", "Leave one of them out.")
            if key not in self.known and name not in self.constraints.bounds:
                self._refuse(name, "There is a start of")
            self.constraints.starts[name] = several
            for relation in several:
                if not relation.names and not is_reference(relation.text):
                    self._within(key, float(relation.evaluate({})), "to start at")

    def _within(self, key: str, value: float, what: str) -> None:
        low, high = self.constraints.bounds.get(self.prefix + key) or self.widest.get(
            key, (-math.inf, math.inf)
        )
        if not low <= value <= high:
            raise AutogalError(
                f"{self.prefix}{key} is {what} {value:g}, outside its bounds [{low:g}, {high:g}].",
                "Change one of them.",
            )

    def _is_held(self, key: str) -> bool:
        return (self.node.get("fixed") or {}).get(key) not in (None, _START)

    def _gives_way(self, what: str, key: str, value: Any) -> bool:
        """Whether an entry is the ready-made model's own, and the user has tied or fixed what it is of."""
        is_packaged = value == (self.packaged.get(what) or {}).get(key)
        return is_packaged and (
            self.prefix + key in self.context.tied_to or (what == "start" and self._is_held(key))
        )

    def _items(self, what: str, read: Callable[[str, Any], Any]) -> Iterator[tuple[str, Any]]:
        """Of ``bounds``, ``priors``, ``fixed`` or ``start`` all that is not null and holds, read; of a
        lone component not the sky's."""
        entries = self.node.get(what) or {}
        if not isinstance(entries, Mapping):
            raise AutogalError(f"{what} is {entries}.", f"Give it by parameter, as {what}: {{n: ...}}.")
        for key, value in entries.items():
            if value is None and not (
                self.is_sky or key in (*self.known, *SKY, *(self.node.get("start") or {}))
            ):
                self._refuse(self.prefix + key, f"{what} has null for")  # what is meant would not be freed
            if (
                value is not None
                and (self.prefix or (key in SKY) == self.is_sky)
                and not self._gives_way(what, key, value)
            ):
                yield str(key), read(key, value)

    def _refuse(self, name: str, what: str, remedy: str = "") -> None:
        usual = (
            f"The component has {', '.join(self.known)}; a parameter of your own needs a start, bounds, and "
            f"a tie that reads it."
        )
        raise AutogalError(
            f"{what} {name}, which the model does not have or cannot take.",
            remedy or self._instead(name.removeprefix(self.prefix), usual),
        )

    def _instead(self, key: str, usual: str) -> str:
        """What to do about a parameter that there is not."""
        if key in SKY:
            return (
                "A flat sky has none; take sky: tilted."
                if self.is_sky
                else "The sky is no component's: write it beside them."
            )
        near = did_you_mean(key, self.known)
        return f"Did you mean {near}? {usual}" if near else usual


def _is_of_image(key: str) -> bool:
    """Whether numbers of a parameter depend on the zero point or the unit of the image."""
    return key in SKY or is_magnitude(key)


def _number(key: str, value: Any) -> float | str:
    if value != _START and (
        isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value)
    ):
        raise AutogalError(
            f"{key} cannot be fixed at {value}.",
            f"Give a number, or {_START} for the value that each galaxy starts at.",
        )
    return value if value == _START else float(value)


def _bounds(key: str, pair: Any) -> tuple[float, float]:
    try:
        low, high = pair
        return -math.inf if low is None else float(low), math.inf if high is None else float(high)
    except (TypeError, ValueError):
        raise AutogalError(
            f"The bounds of {key} are {pair}.", "Give two, [lowest, highest]; null where there is none."
        ) from None


def read_prior(key: str, value: Any) -> Prior:
    """A prior, as it is written for a parameter: [median, dex], or its kind and two numbers."""
    kind, pair = (
        next(iter(value.items())) if isinstance(value, Mapping) and len(value) == 1 else ("lognormal", value)
    )
    try:
        mean, width = (float(v) for v in pair)
    except (TypeError, ValueError):
        raise AutogalError(f"The prior on {key} is {value}.", _PRIOR_FORMS) from None
    if (
        kind not in ("normal", "lognormal")
        or not (0 < width < math.inf and math.isfinite(mean))
        or (kind == "lognormal" and not mean > 0)
    ):
        raise AutogalError(f"The prior on {key} is {value}.", _PRIOR_FORMS)
    return Prior(mean, width, kind == "lognormal")


def read_relation(name: str, value: Any) -> Expression:
    """A tie or a start, as it is written for a parameter: an expression, a number, or MODULE:FUNCTION."""
    if isinstance(value, str) and is_reference(value):
        return Expression.of_function(load_reference(value, "a function", callable, _FUNCTION_FORM), value)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise AutogalError(
            f"{name} is tied to {value}.", "Write an expression, as 1.678 * disk.h, or MODULE:FUNCTION."
        )
    return Expression.parse(value)


def _starts(name: str, value: Any) -> tuple[Expression, ...]:
    several = [value] if isinstance(value, str) or not isinstance(value, Sequence) else value
    if not len(several):
        raise AutogalError(
            f"The start of {name} is empty.",
            "Give a number or an expression, or a list of some to choose from.",
        )
    return tuple(read_relation(name, one) for one in several)
