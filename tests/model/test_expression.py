"""Expressions of parameters: arithmetic, with derivatives, and nothing else."""

import math

import pytest
import torch

from autogal.errors import AutogalError
from autogal.model.expression import Expression, Limit

VALUES = {
    "disk_r_eff": torch.tensor([2.0, 5.0], dtype=torch.float64),
    "disk_h": torch.tensor([1.0, 3.0], dtype=torch.float64),
    "n": torch.tensor([0.5, 4.0], dtype=torch.float64),
}


@pytest.mark.parametrize(
    ("text", "names", "expected"),
    [
        ("1.678 * disk.h", ("disk_h",), lambda r, h, n: 1.678 * h),
        ("disk_r_eff + 10", ("disk_r_eff",), lambda r, h, n: r + 10),
        (
            "-disk.r_eff**2 / (n - 1e1) + +disk.h",
            ("disk_r_eff", "n", "disk_h"),
            lambda r, h, n: -(r**2) / (n - 10) + h,
        ),
        (
            "sqrt(n) + log10(disk.h) * exp(-n)",
            ("n", "disk_h"),
            lambda r, h, n: math.sqrt(n) + math.log10(h) * math.exp(-n),
        ),
        (
            "max(disk.h, n) - min(2, n) + hypot(disk.h, 2)",
            ("disk_h", "n"),
            lambda r, h, n: max(h, n) - min(2, n) + math.hypot(h, 2),
        ),
        (
            "degrees(atan2(n, disk.h)) + sin(radians(30)) + pi",
            ("n", "disk_h"),
            lambda r, h, n: math.degrees(math.atan2(n, h)) + math.sin(math.radians(30)) + math.pi,
        ),
        ("0.5", (), lambda r, h, n: 0.5),
    ],
)
def test_the_arithmetic_is_that_of_python(text, names, expected):
    expression = Expression.parse(text)
    assert expression.names == names
    right = [expected(*numbers) for numbers in zip(*(v.tolist() for v in VALUES.values()))]
    torch.testing.assert_close(expression(VALUES), torch.tensor(right, dtype=torch.float64))


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "(1).__class__",
        "disk.r_eff.real",
        "[n][0]",
        "n if n else 1",
        "lambda: 1",
        "'n'",
        "True",
        "1j",
        "n and n",
        "n % 2",
        "n // 2",
        "eval(n)",
        "exp(n, n)",
        "min(n)",
        "exp(n=1)",
        "exp(*n)",
        "f'{n}'",
        "(n := 1)",
        "n < 1",
        "n +",
        "",
        "1e400",
        "n\nn",
        "9" * 600,
        "(" * 240 + "n" + ")" * 240,
    ],
)
def test_anything_else_is_refused(text):
    with pytest.raises(AutogalError) as caught:
        Expression.parse(text)
    assert caught.value.remedy


def test_a_function_takes_the_parameters_that_its_arguments_name():
    def thickness(disk_h, *, n):
        return disk_h / n

    expression = Expression.of_function(thickness, "file:thickness")
    assert expression.names == ("disk_h", "n")
    torch.testing.assert_close(expression(VALUES), VALUES["disk_h"] / VALUES["n"])
    with pytest.raises(AutogalError, match="do not name parameters"):
        Expression.of_function(lambda *values: values[0], "file:any")


@pytest.mark.parametrize(("text", "limits"), [
    ("bulge.r_eff < disk.r_eff", [("bulge_r_eff", True, ("disk_r_eff",))]),
    ("bulge.r_eff >= 0.2 * disk.r_eff", [("bulge_r_eff", False, ("disk_r_eff",))]),
    ("0.2 * disk.r_eff > bulge.r_eff", [("bulge_r_eff", True, ("disk_r_eff",))]),
    ("0.1 * disk.h < bulge.h <= disk.h", [("bulge_h", False, ("disk_h",)), ("bulge_h", True, ("disk_h",))]),
])  # fmt: skip
def test_limits(text, limits):
    assert [(limit.name, limit.is_upper, limit.by.names) for limit in Limit.parse(text)] == limits


@pytest.mark.parametrize(
    "text",
    [
        "bulge.r_eff",
        "bulge.r_eff == disk.r_eff",
        "bulge.r_eff != 1",
        "2 * bulge.r_eff < 3 * disk.r_eff",
        "a.b in c.d",
    ],
)
def test_what_is_no_limit_is_refused(text):
    with pytest.raises(AutogalError) as caught:
        Limit.parse(text)
    assert caught.value.remedy
