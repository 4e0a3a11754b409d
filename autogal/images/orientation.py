"""The eight ways in which the same image can lie: turned by quarters, mirrored, transposed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["ORIENTATIONS", "Orientation"]


@dataclass(frozen=True)
class Orientation:
    """How an image lies, against another: first mirrored along either axis, then transposed.

    Attributes
    ----------
    left_right : bool
        Columns in the opposite order.
    up_down : bool
        Rows in the opposite order.
    transposed : bool
        Then rows for columns.
    """

    left_right: bool = False
    up_down: bool = False
    transposed: bool = False

    @property
    def changes(self) -> bool:
        """Whether anything lies differently."""
        return self != Orientation()

    @property
    def inverse(self) -> Orientation:
        """What brings everything back."""
        return Orientation(self.up_down, self.left_right, True) if self.transposed else self

    def array(self, array: np.ndarray) -> np.ndarray:
        """An image [..., H, W] as it lies then: a view of the same memory, [..., W, H] where it is
        transposed."""
        array = array[..., :: -1 if self.up_down else 1, :: -1 if self.left_right else 1]
        return np.swapaxes(array, -1, -2) if self.transposed else array

    def box(self, box: tuple[slice, slice], shape: tuple[int, int]) -> tuple[slice, slice]:
        """Rows and columns, of an image of `shape`, as they lie then."""
        turned = tuple(
            slice(length - side.stop, length - side.start) if mirrored else side
            for side, length, mirrored in zip(box, shape, (self.up_down, self.left_right))
        )
        return turned[::-1] if self.transposed else turned

    def point(self, x: float, y: float, shape: tuple[int, int]) -> tuple[float, float]:
        """x and y, in an image of `shape`, where they lie then."""
        x, y = shape[1] - 1 - x if self.left_right else x, shape[0] - 1 - y if self.up_down else y
        return (y, x) if self.transposed else (x, y)

    def vector(self, x: float, y: float) -> tuple[float, float]:
        """A difference of two positions, as it lies then."""
        x, y = -x if self.left_right else x, -y if self.up_down else y
        return (y, x) if self.transposed else (x, y)

    def angle(self, pa: float) -> float:
        """A position angle [deg, counter-clockwise from +y, in [0, 180)], as it lies then."""
        if self.left_right != self.up_down:
            pa = -pa
        return (90.0 - pa if self.transposed else pa) % 180.0

    def values(self, values: Mapping[str, float], shape: tuple[int, int]) -> dict[str, float]:
        """Values by name of one source in an image of `shape`, any of them missing or NaN, as they are
        then."""
        out = {name: value for name, value in values.items() if name not in ("x", "y")}
        given = (math.nan if values.get(name) is None else values[name] for name in ("x", "y"))
        out |= {name: value for name, value in zip("xy", self.point(*given, shape)) if not math.isnan(value)}
        if out.get("pa") is not None:
            out["pa"] = self.angle(out["pa"])
        return out

    def covariance(self, matrix: np.ndarray) -> np.ndarray:
        """The covariance [7, 7] of a start (see `autogal.initialise.Start`: x, y, ln flux, ln R, ln n, e1,
        e2), as it is then."""
        turns = -1.0 if self.left_right != self.up_down else 1.0
        sign = np.array([-1.0 if self.left_right else 1.0, -1.0 if self.up_down else 1.0, 1, 1, 1, 1, turns])
        matrix = matrix * sign[:, None] * sign
        if self.transposed:  # the angle of the major axis from +x becomes that from +y
            order = [1, 0, 2, 3, 4, 5, 6]
            sign = np.array([1, 1, 1, 1, 1, -1.0, 1])
            matrix = matrix[np.ix_(order, order)] * sign[:, None] * sign
        return matrix


#: All of them, the one that changes nothing first
ORIENTATIONS = tuple(
    Orientation(left_right, up_down, transposed)
    for transposed in (False, True)
    for up_down in (False, True)
    for left_right in (False, True)
)
