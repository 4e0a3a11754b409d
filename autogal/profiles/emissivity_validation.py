"""A user's emissivity put to the test, before a run relies on it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from autogal.errors import AutogalError
from autogal.profiles.emissivity import Emissivity
from autogal.profiles.radial import value_and_slope
from autogal.profiles.validation import DERIVATIVES, check_precision, compare, made, said, unused

__all__ = ["validate_emissivity"]

_RADII = (-5.0, 4.0, 46)  # ln, in units of the size
_HEIGHTS = (-0.9, -0.4, -0.1, -0.01, 0.01, 0.1, 0.4, 0.9)  # over the radius
_AZIMUTHS = (0.3, 1.4, 2.9)
_STEP, _WIDE = (
    1e-5,
    0.3,
)  # of derivatives, and one over which light that depends on a parameter at all changes
_EDGE = 1e-2  # share of the light in the three innermost or outermost of the shells


def validate_emissivity(kind: type[Emissivity]) -> None:
    """Evaluate an emissivity and its derivatives where fits will: at its typical parameters, and at its
    bounds.

    Raises
    ------
    AutogalError
        Where it lacks bounds or typical values, returns NaN or the wrong shape, has an infinite total, is
        another one below its plane or after a turn, or cannot be differentiated.
    """
    body = made(kind)
    starts = torch.tensor(body.typical or ((),), dtype=torch.float64).log()
    with torch.no_grad():
        for shape in starts.split(1):
            _check_body(body, shape)
        for i, own in enumerate(body.shape):
            for bound in (own.lower, own.upper):
                shape = starts[:1].clone()
                shape[:, i] = math.log(bound) if math.isfinite(bound) else shape[:, i] + 3.0
                _check_symmetries(body, _places(), shape)


def _places() -> list[Tensor]:
    """x, y and z of places all through the body, [1, P] each."""
    r, height, angle = torch.meshgrid(
        torch.linspace(*_RADII, dtype=torch.float64).exp(),
        torch.tensor(_HEIGHTS, dtype=torch.float64),
        torch.tensor(_AZIMUTHS, dtype=torch.float64),
        indexing="ij",
    )
    plane = r * torch.sqrt(1 - height**2)
    return [v.reshape(1, -1) for v in (plane * angle.cos(), plane * angle.sin(), r * height)]


def _stated(body: Emissivity, at: list[Tensor], shape: Tensor) -> Tensor:
    """What the user's own function returns."""
    return body.emissivity(*at, *(v.exp()[:, None] for v in shape.unbind(-1)))


def _values(body: Emissivity, at: list[Tensor], shape: Tensor) -> Tensor:
    """The light, of the right shape and finite."""
    where = ", ".join(f"{own.name} = {v:.4g}" for own, v in zip(body.shape, shape[0].exp().tolist()))
    where = f" at {where}" if where else ""
    try:
        light = _stated(body, at, shape)
    except Exception as error:
        raise AutogalError(
            f"The emissivity {body.name} cannot be evaluated{where}: {said(error)}.", DERIVATIVES
        ) from error
    if not isinstance(light, Tensor) or light.shape != at[0].shape:
        given = (
            f"an array of shape {list(light.shape)}"
            if isinstance(light, Tensor)
            else f"a {type(light).__name__}"
        )
        raise AutogalError(
            f"The emissivity {body.name} returns {given} for places of shape {list(at[0].shape)}.",
            "Return one value a place.",
        )
    check_precision(f"emissivity {body.name}", light)
    good = torch.isfinite(light) & (light >= 0)
    if not bool(good.all()):
        first = ", ".join(f"{float(v[~good][0]):.3g}" for v in at)
        raise AutogalError(
            f"The emissivity {body.name} is NaN, infinite or negative at ({first}){where}.",
            f"It must be light at every place, in units of {body.size.name}, and everywhere within its "
            f"bounds.",
        )
    return light


def _check_body(body: Emissivity, shape: Tensor) -> None:
    """The total, the symmetries, and the derivatives against differences."""
    at = _places()
    light = _check_symmetries(body, at, shape)
    shells = body._whole(shape)[0].sum(-1)[0]
    if (
        not bool(torch.isfinite(shells).all())
        or not max(shells[:3].sum(), shells[-3:].sum()) < _EDGE * shells.sum()
    ):
        raise AutogalError(
            f"The light of the emissivity {body.name} does not add up to a finite total.",
            "It must fall faster than 1/r^3 and not rise as 1/r^3 to the centre.",
        )
    _compare_slopes(body, at, shape, light)


def _check_symmetries(body: Emissivity, at: list[Tensor], shape: Tensor) -> Tensor:
    """The light, the same where it has to be."""
    x, y, z = at
    light = _values(body, at, shape)
    turns = [
        ([x, y, -z], "below its plane", "use abs(z)"),
        ([-x, -y, z], "after half a turn about its pole", "use even powers of x and y"),
    ]
    if body.axisymmetric:
        turned = [0.8 * x - 0.6 * y, 0.6 * x + 0.8 * y, z]
        turns.append((turned, "after another turn about its pole", "or leave out axisymmetric = True"))
    for place, what, how in turns:
        if not torch.allclose(_values(body, place, shape), light, rtol=1e-6, atol=0.0):
            raise AutogalError(
                f"The emissivity {body.name} is another one {what}.", f"It must be the same there: {how}."
            )
    return light


def _compare_slopes(body: Emissivity, at: list[Tensor], shape: Tensor, light: Tensor) -> None:
    """Derivatives by the three coordinates and by every own parameter."""
    names = ("x", "y", "z", *(own.name for own in body.shape))
    p = [*at, *(v[:, None] for v in shape.unbind(-1))]

    def stated(q: Tensor, i: int) -> Tensor:
        moved = [q if i == j else v for j, v in enumerate(p)]
        return _stated(body, moved[:3], torch.cat(moved[3:], 1) if len(moved) > 3 else shape)

    for i, name in enumerate(names):
        try:
            slope = value_and_slope(lambda q: stated(q, i), p[i])[1]
        except Exception as error:
            raise AutogalError(
                f"The emissivity {body.name} is not differentiable: {said(error)}.", DERIVATIVES
            ) from error
        step = _STEP * (p[i].abs() if i < 3 else torch.ones_like(p[i]))
        above, below = stated(p[i] + step, i), stated(p[i] - step, i)
        if i >= 3 and torch.equal(above, below):
            raise unused(f"emissivity {body.name}", name, stated(p[i] + _WIDE, i), stated(p[i] - _WIDE, i))
        if not bool((torch.isfinite(slope) | (light < 1e-200)).all()):
            raise AutogalError(
                f"The derivative of the emissivity {body.name} by {name} is NaN or infinite.",
                "Avoid powers and roots of what may be 0, also on the side of torch.where that is not taken.",
            )
        compare(f"emissivity {body.name}", name, slope, above, below, step)
