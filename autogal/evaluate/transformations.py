"""Ways to state the same image differently, and what its values and errors must be then."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from autogal.errors import AutogalError
from autogal.flags import Flag
from autogal.images import Cutout, estimate_sigma
from autogal.images.orientation import ORIENTATIONS, Orientation

__all__ = ["CROPS", "GROUPS", "Transformation", "again", "chosen", "with_place"]

#: Side of the crops, as a part of the image's
CROPS = (0.6, 0.7, 0.8, 0.9)

_FACTORS = (1e-6, 1e6)
_PEDESTAL = 1e4  # of the noise of a pixel
_FRAME = (
    (23, 11),
    (5, 37),
)  # rows before and behind, columns before and behind, that the larger frame has more


@dataclass(frozen=True)
class Transformation:
    """One of them.

    Attributes
    ----------
    name : str
        In the table.
    apply : callable
        Gives another cutout; None where it makes no sense of this one.
    back : callable
        From the values by name that were found then, and the cutout as it was, to what must have been found
        before.
    tolerance : float
        Difference that is allowed, in standard errors.
    is_placed : bool
        It says where the target should be, so it is compared with fits that were told too.
    at_once : int, optional
        Cutouts that are fitted together; all of a block by default.
    """

    name: str
    apply: Callable[[Cutout], Cutout | None]
    back: Callable[[dict[str, float], Cutout], dict[str, float]] = lambda values, cutout: values
    tolerance: float = 0.1
    is_placed: bool = False
    at_once: int | None = None


def chosen(names: Sequence[str]) -> list[Transformation]:
    """The transformations of some `GROUPS`.

    Parameters
    ----------
    names : sequence of str

    Returns
    -------
    list of Transformation

    Raises
    ------
    AutogalError
        Where there is no such group, or none is named.
    """
    unknown = [name for name in names if name not in GROUPS]
    if unknown or not names:
        raise AutogalError(
            f"There are no transformations called {unknown[0]!r}."
            if unknown
            else "No transformations are chosen.",
            f"Choose some of: {', '.join(GROUPS)}.",
        )
    return [one for name in dict.fromkeys(names) for one in GROUPS[name]]


def _orient(name: str, how: Orientation) -> Transformation:
    return Transformation(
        name,
        lambda cutout: again(cutout, **_lying(cutout, how)),
        lambda values, cutout: how.inverse.values(values, cutout.shape[:: -1 if how.transposed else 1]),
    )


def _lying(cutout: Cutout, how: Orientation) -> dict:
    turned = cutout.turned(how)
    return {
        name: getattr(turned, name) for name in ("image", "sigma", "mask", "psf", "start", "to_centre", "wcs")
    }


def _scale(factor: float) -> Transformation:
    def apply(cutout: Cutout) -> Cutout:
        return again(
            cutout,
            image=cutout.image * factor,
            sigma=cutout.sigma * factor,
            gain=cutout.gain and cutout.gain / factor,
            saturation=cutout.saturation and cutout.saturation * factor,
        )

    def back(values: dict[str, float], cutout: Cutout) -> dict[str, float]:
        return values | {"mag": values["mag"] + 2.5 * np.log10(factor), "sky": values["sky"] / factor}

    return Transformation(f"times {factor:g}", apply, back)


def _height(cutout: Cutout) -> float:
    return _PEDESTAL * float(np.median(cutout.sigma[~cutout.mask]))


def _lift() -> Transformation:
    def apply(cutout: Cutout) -> Cutout:  # float64, as a file of large numbers is read
        return again(
            cutout,
            image=np.asarray(cutout.image, np.float64) + _height(cutout),
            saturation=cutout.saturation and cutout.saturation + _height(cutout),
        )

    return Transformation(
        "on a pedestal", apply, lambda values, cutout: values | {"sky": values["sky"] - _height(cutout)}
    )


def _frame() -> Transformation:
    (above, _), (left, _) = _FRAME

    def grown(plane: np.ndarray, filling: float | bool) -> np.ndarray:
        return np.pad(plane, _FRAME, constant_values=filling)

    def apply(cutout: Cutout) -> Cutout:
        # where the target should be is said: the middle of the frame is another place
        x, y = _place(cutout)
        return again(
            cutout,
            image=grown(cutout.image, np.nan),
            sigma=grown(cutout.sigma, np.nan),
            mask=grown(cutout.mask, True),
            start=(cutout.start or {}) | {"x": x + left, "y": y + above},
            wcs=None,
        )

    return Transformation(
        "in a larger frame",
        apply,
        lambda values, cutout: values | {"x": values["x"] - left, "y": values["y"] - above},
        is_placed=True,
    )


def _crop(part: float) -> Transformation:
    def box(cutout: Cutout) -> tuple[slice, slice]:
        out = []
        for place, length in zip(reversed(_place(cutout)), cutout.shape):
            side = round(part * length)
            first = min(max(0, round(place - (side - 1) / 2)), length - side)
            out.append(slice(first, first + side))
        return tuple(out)

    def apply(cutout: Cutout) -> Cutout | None:
        rows, columns = box(cutout)
        x, y = _place(cutout)
        crop = cutout.window(rows, columns)
        if min(crop.shape) < 32 or crop.mask.all():
            return None
        return again(
            cutout,
            image=crop.image,
            sigma=crop.sigma,
            mask=crop.mask,
            start=(cutout.start or {}) | {"x": x - columns.start, "y": y - rows.start},
            wcs=None,
        )

    def back(values: dict[str, float], cutout: Cutout) -> dict[str, float]:
        rows, columns = box(cutout)
        return values | {"x": values["x"] + columns.start, "y": values["y"] + rows.start}

    return Transformation(f"crop of {part:g}", apply, back, 1.0, is_placed=True)


def with_place(cutout: Cutout) -> Cutout:
    """The cutout with where its target should be stated."""
    x, y = _place(cutout)
    return replace(cutout, notes=[], start=(cutout.start or {}) | {"x": x, "y": y})


def _place(cutout: Cutout) -> tuple[float, float]:
    start = cutout.start or {}
    if start.get("x") is not None and start.get("y") is not None:
        return start["x"], start["y"]
    return (cutout.shape[1] - 1) / 2, (cutout.shape[0] - 1) / 2


def again(cutout: Cutout, **changed) -> Cutout:
    """The cutout with other pixels, and its noise estimated from them where it was so before.

    Parameters
    ----------
    cutout : Cutout
    **changed
        Its attributes, by name.

    Returns
    -------
    Cutout
    """
    out = replace(cutout, notes=[], **{name: _own(value) for name, value in changed.items()})
    if Flag.SIGMA_ESTIMATED in out.flags:
        out.sigma = estimate_sigma(out.image, out.mask, out.gain)[0].astype(cutout.sigma.dtype)
    return out


def _own(value):
    return np.ascontiguousarray(value) if isinstance(value, np.ndarray) else value


_PLAIN = {
    "mirrored left to right": (True, False, False),
    "mirrored up to down": (False, True, False),
    "turned by 180": (True, True, False),
    "transposed": (False, False, True),
    "turned by 90": (True, False, True),
    "turned by 270": (False, True, True),
    "transposed the other way": (True, True, True),
}
_LYING = [_orient(name, Orientation(*how)) for name, how in _PLAIN.items()]
assert {Orientation(*how) for how in _PLAIN.values()} == {one for one in ORIENTATIONS if one.changes}

#: What can be chosen, and the transformations of each
GROUPS: Mapping[str, Sequence[Transformation]] = {
    "turns": [one for one in _LYING if "turned" in one.name],
    "mirrors": [one for one in _LYING if "turned" not in one.name],
    "shift": [_frame()],
    "scale": [_scale(factor) for factor in _FACTORS],
    "pedestal": [_lift()],
    "crops": [_crop(part) for part in CROPS],
    "blocks": [Transformation("each by itself", lambda cutout: again(cutout), tolerance=1e-3, at_once=1)],
}
