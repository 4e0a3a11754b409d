"""Arithmetic of a model's parameters, read from text: nothing of it is ever run as code."""

from __future__ import annotations

import ast
import inspect
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from autogal.errors import AutogalError

__all__ = ["FUNCTIONS", "Expression", "Limit"]

#: What an expression can call; angles of sin and cos are in radians, as in Python's math
FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    **{
        name: getattr(torch, name)
        for name in ("sqrt", "exp", "log", "log10", "sin", "cos", "tan", "tanh", "abs", "hypot", "atan2")
    },
    "asin": torch.arcsin,
    "acos": torch.arccos,
    "atan": torch.arctan,
    "min": torch.minimum,
    "max": torch.maximum,
    "radians": torch.deg2rad,
    "degrees": torch.rad2deg,
}
_TWO_ARGUMENTS = ("hypot", "atan2", "min", "max")
_BINARY = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_UNARY = {ast.UAdd: operator.pos, ast.USub: operator.neg}
_BELOW, _ABOVE = (ast.Lt, ast.LtE), (ast.Gt, ast.GtE)
_LONGEST = 500  # characters
_HOW = f"Write numbers, parameters as disk.r_eff, + - * / ** and {', '.join(FUNCTIONS)}."

_Evaluate = Callable[[Mapping[str, Tensor]], Tensor]


@dataclass(frozen=True)
class Expression:
    """A value that follows from parameters.

    Attributes
    ----------
    text : str
        As the user wrote it.
    names : tuple of str
        Catalogue names of the parameters it takes.
    """

    text: str
    names: tuple[str, ...]
    evaluate: _Evaluate

    @classmethod
    def parse(cls, text: str | float) -> Expression:
        """Read an expression, as ``1.678 * disk.h`` or ``disk.pa + 10``.

        Raises
        ------
        AutogalError
            Where it holds anything but numbers, parameters, arithmetic and `FUNCTIONS`.
        """
        return cls._of(_tree(str(text)), str(text))

    @classmethod
    def of_function(cls, function: Callable[..., Tensor], text: str) -> Expression:
        """A Python function whose arguments are called as the parameters it takes, ``disk_r_eff``; each is a
        tensor [B].

        Raises
        ------
        AutogalError
            Where its arguments have no names.
        """
        arguments = inspect.signature(function).parameters.values()
        if any(a.kind not in (a.POSITIONAL_OR_KEYWORD, a.KEYWORD_ONLY) for a in arguments):
            raise AutogalError(
                f"The arguments of {text} do not name parameters.",
                "Write them out, as def angle(disk_pa, disk_q).",
            )
        names = tuple(a.name for a in arguments)
        return cls(text, names, lambda values: function(**{name: values[name] for name in names}))

    def __call__(self, values: Mapping[str, Tensor]) -> Tensor:
        """Its value, [B] float64, of the parameters' values by name, which must not be empty."""
        like = next(iter(values.values()))
        return torch.as_tensor(self.evaluate(values)).to(like).expand(like.shape)

    @classmethod
    def _of(cls, node: ast.AST, text: str) -> Expression:
        names: dict[str, None] = {}
        try:
            evaluate = _compiled(node, text, names)
        except RecursionError:
            raise AutogalError("An expression of the model is nested too deeply.", _HOW) from None
        return cls(text, tuple(names), evaluate)


@dataclass(frozen=True)
class Limit:
    """One parameter never above, or never below, the value of an expression."""

    name: str
    is_upper: bool
    by: Expression

    @classmethod
    def parse(cls, text: str) -> list[Limit]:
        """Read an inequality, as ``bulge.r_eff < disk.r_eff`` or ``0.1 * disk.r_eff < bulge.r_eff <
        disk.r_eff``.

        Raises
        ------
        AutogalError
            Where it is none, or has no parameter standing alone on either side of a sign.
        """
        tree = _tree(str(text))
        if not isinstance(tree, ast.Compare) or not all(
            isinstance(sign, _BELOW + _ABOVE) for sign in tree.ops
        ):
            raise AutogalError(
                f"The limit {text!r} is no inequality.", "Write it with < or >, as bulge.r_eff < disk.r_eff."
            )
        return [
            cls._of(left, isinstance(sign, _BELOW), right, text)
            for left, sign, right in zip([tree.left, *tree.comparators], tree.ops, tree.comparators)
        ]

    @classmethod
    def _of(cls, left: ast.AST, is_below: bool, right: ast.AST, text: str) -> Limit:
        for one, other, is_upper in ((left, right, is_below), (right, left, not is_below)):
            if name := _name(one):
                return cls(name, is_upper, Expression._of(other, text))
        raise AutogalError(
            f"No side of {text!r} is a parameter.",
            "Leave one parameter alone on one side, as bulge.r_eff < 0.5 * disk.r_eff.",
        )


def _tree(text: str) -> ast.AST:
    if len(text) > _LONGEST:
        raise AutogalError(
            f"An expression of the model has {len(text)} characters.",
            f"The longest has {_LONGEST}; name a function instead.",
        )
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise AutogalError(f"{text!r} cannot be read as an expression.", _HOW) from None


def _name(node: ast.AST) -> str | None:
    """The catalogue name of the parameter that a node is: ``disk_h`` of ``disk.h``."""
    if isinstance(node, ast.Name) and node.id != "pi":
        return node.id
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}_{node.attr}"
    return None


def _compiled(node: ast.AST, text: str, names: dict[str, None]) -> _Evaluate:
    """A function of the parameters' values; notes the names it takes."""
    if isinstance(node, ast.Constant) and type(node.value) in (int, float) and abs(node.value) < 1e300:
        constant = torch.tensor(float(node.value), dtype=torch.float64)
        return lambda values: constant
    if isinstance(node, ast.Name) and node.id == "pi":
        return lambda values: torch.tensor(math.pi, dtype=torch.float64)
    if name := _name(node):
        names[name] = None
        return lambda values: values[name]
    if isinstance(node, ast.UnaryOp) and type(node.op) in _UNARY:
        act, inner = _UNARY[type(node.op)], _compiled(node.operand, text, names)
        return lambda values: act(inner(values))
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        act, left, right = (
            _BINARY[type(node.op)],
            _compiled(node.left, text, names),
            _compiled(node.right, text, names),
        )
        return lambda values: act(left(values), right(values))
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and not node.keywords
        and node.func.id in FUNCTIONS
    ):
        count = 2 if node.func.id in _TWO_ARGUMENTS else 1
        if len(node.args) != count:
            raise AutogalError(
                f"{node.func.id} in {text!r} has {len(node.args)} arguments.", f"Give it {count}."
            )
        act, inside = FUNCTIONS[node.func.id], [_compiled(argument, text, names) for argument in node.args]
        return lambda values: act(*(one(values) for one in inside))
    raise AutogalError(f"{ast.unparse(node)!r} in {text!r} is not possible.", _HOW)
