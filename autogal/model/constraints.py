"""What a user says of a model's parameters: ties, limits, bounds, priors and starts, by their catalogue
names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field

import torch
from torch import Tensor

from autogal.errors import AutogalError
from autogal.model.expression import Expression, Limit
from autogal.parameters import PARAMETERS, is_magnitude
from autogal.profiles.radial import value_and_slope
from autogal.runtime.references import is_reference

__all__ = ["Constraints", "Prior", "bare", "constant", "in_order", "validate_relation"]

# Values in which relations are tried out, of what a profile or a user calls by another name
_USUAL = (1.0, 3.0)
_TRIED = 16
_STEP = 1e-6


@dataclass(frozen=True)
class Prior:
    """A Gaussian prior of mean and standard deviation in the parameter's unit, or a log-normal one of
    median and width in dex."""

    mean: float
    width: float
    is_logarithmic: bool = False


@dataclass(frozen=True)
class Constraints:
    """Relations among the parameters of a model.

    Attributes
    ----------
    ties : dict of str to Expression
        What follows from other parameters, or is fixed.
    limits : tuple of Limit
        What others keep from growing or from shrinking.
    bounds : dict of str to (float, float)
        Beyond those that components keep to by themselves; also of auxiliary parameters, which no profile
        has.
    priors : dict of str to Prior
        Beyond those of the components.
    starts : dict of str to tuple of Expression
        Starting values, from numbers and those of a single Sersic fit (`autogal.parameters.SINGLE`); of
        several, the best is taken.
    fixed : dict of str to float or None
        Magnitudes that are not fitted, and their values, which ties cannot give them: they depend on the zero
        point. And all that keeps the value that each galaxy starts at, with None.
    """

    ties: dict[str, Expression] = field(default_factory=dict)
    limits: tuple[Limit, ...] = ()
    bounds: dict[str, tuple[float, float]] = field(default_factory=dict)
    priors: dict[str, Prior] = field(default_factory=dict)
    starts: dict[str, tuple[Expression, ...]] = field(default_factory=dict)
    fixed: dict[str, float | None] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return any((self.ties, self.limits, self.bounds, self.priors, self.starts, self.fixed))

    @property
    def restricted(self) -> set[str]:
        """What something but others keeps from its optimum."""
        return {*self.bounds, *self.priors, *self.fixed}

    def touched(self, tied: Set[str]) -> set[str]:
        """What is held somehow: those that are `tied`, and what has limits, bounds or is fixed."""
        return {*tied, *(limit.name for limit in self.limits), *self.bounds, *self.fixed}

    def relations(self) -> Iterator[tuple[str, Expression]]:
        """Each tied or limited parameter, and what it follows."""
        yield from self.ties.items()
        yield from ((limit.name, limit.by) for limit in self.limits)


def bare(name: str, components: Iterable[str]) -> str:
    """A parameter's name without its component's: ``r_eff`` of ``disk_r_eff``."""
    own = [f"{c}_" for c in components if c and name.startswith(f"{c}_")]
    return name.removeprefix(
        max(own, key=len, default="")
    )  # disk_out_mag is disk_out's, though there is a disk


def constant(name: str, ties: Mapping[str, Expression]) -> float | None:
    """What a parameter is tied to, by itself or by way of others, where that is one number."""
    seen: set[str] = set()
    while name in ties and name not in seen:
        seen.add(name)
        relation = ties[name]
        if not relation.names and not is_reference(relation.text):
            return float(relation.evaluate({}))
        name = relation.text.replace(".", "_").strip()  # the same as another
    return None


def in_order(followed: Mapping[str, Iterable[str]]) -> list[str]:
    """Parameters in an order in which each comes after those that it follows.

    Parameters
    ----------
    followed : mapping of str to iterable of str
        What each tied or limited parameter follows; others follow nothing.

    Raises
    ------
    AutogalError
        Where they follow one another in a circle.
    """
    order: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            circle = " -> ".join([*path[path.index(name) :], name])
            raise AutogalError(
                f"The ties and limits of the model go in a circle: {circle}.",
                "Leave one of these parameters free.",
            )
        if name in followed and name not in order:
            for other in followed[name]:
                visit(other, (*path, name))
            order.append(name)

    for name in followed:
        visit(name, ())
    return order


def validate_relation(
    name: str, relation: Expression, bare_names: Mapping[str, str], is_start: bool = False
) -> None:
    """Evaluate a tie, a limit or a start, and its derivatives, before a run relies on it.

    Parameters
    ----------
    name : str
        The parameter that it is of.
    relation : Expression
    bare_names : mapping of str to str
        Of all parameters.
    is_start : bool
        Whether it is a start, which may be a magnitude in numbers.

    Raises
    ------
    AutogalError
        Where it fails, is never finite, has the wrong shape, cannot be differentiated, or depends on the zero
        point.
    """
    draw = torch.Generator().manual_seed(5)
    values = {}
    for one in bare_names:
        low, high = PARAMETERS[bare_names[one]].tried if bare_names[one] in PARAMETERS else _USUAL
        values[one] = low + (high - low) * torch.rand(_TRIED, generator=draw, dtype=torch.float64)
    try:
        value = relation(values)
    except Exception as error:
        problem = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise AutogalError(
            f"{relation.text}, which {name} follows, cannot be evaluated: {problem}.",
            "It takes tensors [B], and must give one in torch.",
        ) from error
    if not torch.isfinite(value).any():
        raise AutogalError(
            f"{relation.text}, which {name} follows, is never finite.",
            "Check it for usual values of the parameters.",
        )
    _validate_slopes(name, relation, values, value)
    if is_start and not relation.names:
        return
    moved = {one: v + 1.0 if is_magnitude(bare_names[one]) else v for one, v in values.items()}
    expected = value + 1.0 if is_magnitude(bare_names[name]) else value
    if not torch.allclose(relation(moved), expected, rtol=1e-9, atol=1e-9, equal_nan=True):
        raise AutogalError(
            f"{name} cannot follow {relation.text}: that would hang on the zero point of the image.",
            "Magnitudes follow magnitudes, as bulge.mag: disk.mag + 1, and others follow differences of "
            "them; "
            "numbers stand in fixed, bounds and priors.",
        )


def _validate_slopes(name: str, relation: Expression, values: dict[str, Tensor], value: Tensor) -> None:
    for one in relation.names:
        try:
            slope = value_and_slope(lambda v: relation({**values, one: v}), values[one])[1]
        except Exception as error:
            raise AutogalError(
                f"{relation.text}, which {name} follows, cannot be differentiated by {one}: "
                f"{type(error).__name__}.",
                "Write it in torch alone: no numpy, float() or detach().",
            ) from error
        step = _STEP * values[one].abs()
        by_steps = (
            relation({**values, one: values[one] + step}) - relation({**values, one: values[one] - step})
        ) / (2 * step)
        good = torch.isfinite(by_steps) & torch.isfinite(value)
        off = (slope - by_steps).abs() > 1e-4 * (by_steps.abs() + (value / values[one]).abs()) + 1e-6
        if (off & good).double().mean() > 0.2:  # a corner here and there does no harm
            raise AutogalError(
                f"{relation.text}, which {name} follows, has other derivatives by {one} than its values.",
                "Write it in torch alone: no numpy, float() or detach().",
            )
