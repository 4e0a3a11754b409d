"""Whether what is said of a model's parameters makes sense, before anything is fitted."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Set

from autogal.errors import AutogalError
from autogal.model.constraints import Constraints, in_order, validate_relation
from autogal.parameters import SINGLE, is_magnitude

__all__ = ["validate_constraints"]


def validate_constraints(
    constraints: Constraints,
    bare: Mapping[str, str],
    tied: Collection[str],
    followed: Mapping[str, list[str]],
    auxiliaries: Sequence[str],
    sky: Set[str],
) -> None:
    """Refuse constraints that contradict one another, or speak of what there is not.

    Parameters
    ----------
    constraints : Constraints
    bare : mapping
        Names of all parameters that can be tied, and each without its component's.
    tied : collection of str
        Those that are tied, shared or held by their components.
    followed : mapping
        Those that follow others, and which.
    auxiliaries : sequence of str
        Parameters of the user's own, which no profile has.
    sky : set of str
        Names of what the sky has.

    Raises
    ------
    AutogalError
    """
    for name, relation in constraints.relations():
        for other in (name, *relation.names):
            if other not in bare:
                raise AutogalError(
                    f"{name} follows {relation.text}, but there is no parameter {other}.",
                    f"There are {', '.join(bare)}; one more needs a start and bounds.",
                )
    starts = [(name, relation) for name, several in constraints.starts.items() for relation in several]
    for name, relation in starts:
        if wrong := [other for other in relation.names if other not in SINGLE]:
            raise AutogalError(
                f"The start of {name} takes {wrong[0]}.",
                f"It can take {', '.join(SINGLE)}, of a single Sersic fit.",
            )
    for name in {limit.name for limit in constraints.limits} & (set(tied) | set(constraints.fixed)):
        raise AutogalError(f"{name} is both limited and tied, shared or fixed.", "Choose one of them.")
    for name in set(constraints.fixed) & set(tied):
        raise AutogalError(f"{name} is both fixed and tied or shared.", "Choose one of them.")
    for name in filter(lambda name: is_magnitude(bare.get(name, "")), constraints.bounds):
        if name in followed:
            raise AutogalError(
                f"{name} has bounds, and is tied or limited by others.",
                "Choose one of them, or bound the others.",
            )
    for limit in constraints.limits:
        if limit.name in auxiliaries:
            raise AutogalError(
                f"{limit.name} has bounds of its own and cannot be limited.",
                "Limit the parameter that is tied to it.",
            )
        if bare[limit.name] == "pa":
            raise AutogalError(
                f"{limit.name} cannot be limited: an angle has no upper and lower side.",
                "Tie it to another angle plus a parameter of its own with bounds.",
            )
    in_order(followed)
    for name, relation in constraints.relations():
        validate_relation(name, relation, bare)
    for name, relation in starts:
        validate_relation(
            name, relation, {single: single for single in SINGLE} | {name: bare[name]}, is_start=True
        )
    if unknown := (constraints.restricted | set(constraints.starts)) - set(bare) - sky:
        raise AutogalError(f"There is no parameter {min(unknown)}.", f"There are {', '.join(bare)}.")
