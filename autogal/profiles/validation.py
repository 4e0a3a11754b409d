"""A user's profile put to the test, before a run relies on it."""

from __future__ import annotations

import inspect
import math
from itertools import chain

import torch
from torch import Tensor

from autogal.errors import AutogalError
from autogal.profiles.body import Body
from autogal.profiles.radial import RadialProfile, ShapeParameter

__all__ = ["DERIVATIVES", "check_precision", "compare", "made", "said", "unused", "validate_profile"]

_RADII = (-8.0, 5.0, 261)  # ln, in units of the size: where derivatives are compared
_PLANE = (-17.0, 17.0, 1361)  # of the total
_STEP = 1e-5
_WIDE = 0.3  # a step over which light that depends on a parameter at all changes
_JUMP, _ROUNDING = (
    1e-3,
    1e-6,
)  # of the light, over a small step: more is an edge, less may be single precision
_TAKEN = ("x", "y", "mag", "flux", "q", "inclination", "pa", "sky")
_PRECISION = (
    "Keep it as it is given, in double precision: no float(), half() or dtype=torch.float32 on the way to "
    "the light."
)
_SMOOTH = (
    "Let it fall over some width, as torch.sigmoid((edge - r) / width) does in the place of torch.where(r < "
    "edge, ...)."
)
#: What makes a function differentiable
DERIVATIVES = (
    "Write it in torch alone: no numpy, float(), detach() or torch.no_grad() between the parameters and the "
    "light."
)


def validate_profile(kind: type[RadialProfile]) -> None:
    """Evaluate a profile and its derivatives where fits will: at its typical parameters, and at its bounds.

    Raises
    ------
    AutogalError
        Where it lacks bounds or typical values, returns NaN or the wrong shape, has an infinite total, or
        cannot be differentiated.
    """
    profile = made(kind)
    starts = torch.tensor(profile.typical or ((),), dtype=torch.float64).log()
    with torch.no_grad():
        for shape in starts.split(1):
            _check_light(profile, shape)
        for i, own in enumerate(profile.shape):
            for bound in (own.lower, own.upper):
                shape = starts[:1].clone()
                shape[:, i] = math.log(bound) if math.isfinite(bound) else shape[:, i] + 3.0
                _values(profile, _plane(), shape)


def made(kind: type[RadialProfile] | type[Body]) -> RadialProfile | Body:
    """The profile of a user's class, with names, bounds and typical values that are possible."""
    if inspect.isabstract(kind):
        raise AutogalError(
            f"The profile {kind.__name__} has no {', '.join(sorted(kind.__abstractmethods__))}.",
            "Write that method.",
        )
    try:
        profile = kind()
    except Exception as error:
        raise AutogalError(
            f"The profile {kind.__name__} cannot be made: {said(error)}.", "Its class must need no arguments."
        ) from error
    _check_parameters(profile)
    return profile


def _check_parameters(profile: RadialProfile | Body) -> None:
    """Names, bounds and typical values."""
    name = getattr(profile, "name", None)
    if not isinstance(name, str) or name == "":
        raise AutogalError(
            f"The profile {type(profile).__name__} has no name.", 'Write name = "...", a word, in its class.'
        )
    if not all(isinstance(own, ShapeParameter) for own in (profile.size, *profile.shape)):
        raise AutogalError(
            f"size and shape of the profile {name} are not what they should be.",
            'Write size = ShapeParameter("h", 0.05, math.inf, length=True), and shape = a tuple of such.',
        )
    for own in (profile.size, *profile.shape):
        if (
            not all(isinstance(bound, int | float) for bound in (own.lower, own.upper))
            or not 0 < own.lower < own.upper
        ):
            raise AutogalError(
                f"{own.name} of the profile {name} has the bounds {own.lower} and {own.upper}.",
                "Give a lower and a larger upper one, both above zero: it is fitted in its logarithm.",
            )
    names = [own.name for own in (profile.size, *profile.shape)]
    if twice := [one for one in names if names.count(one) > 1 or one in _TAKEN]:
        raise AutogalError(
            f"{twice[0]} of the profile {name} is a name already taken.",
            f"Choose another one; {', '.join(_TAKEN)} are everywhere.",
        )
    if profile.shape and not profile.typical:
        raise AutogalError(
            f"The profile {name} has no typical parameters.",
            f"Write typical = ((...,),): values of {', '.join(names[1:])} from which fits start, lengths "
            f"in units of {names[0]}.",
        )
    for kind in profile.typical:
        if len(kind) != len(profile.shape) or not all(
            own.length or own.lower <= v <= own.upper for own, v in zip(profile.shape, kind)
        ):
            raise AutogalError(
                f"The profile {name} has typical parameters {tuple(kind)}.",
                f"Give one value, within its bounds, for each of {', '.join(names[1:]) or 'none'}.",
            )


def _plane() -> Tensor:
    return torch.linspace(*_PLANE, dtype=torch.float64).expand(1, -1)


def _values(profile: RadialProfile, log_t: Tensor, shape: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The light and its derivatives, of the right shape and finite."""
    where = ", ".join(f"{own.name} = {v:.4g}" for own, v in zip(profile.shape, shape[0].exp().tolist()))
    where = f" at {where}" if where else ""
    try:
        light = _stated(profile, log_t, shape)
    except Exception as error:
        raise AutogalError(
            f"The profile {profile.name} cannot be evaluated{where}: {said(error)}.", DERIVATIVES
        ) from error
    if not isinstance(light, Tensor) or light.shape != log_t.shape:
        given = (
            f"an array of shape {list(light.shape)}"
            if isinstance(light, Tensor)
            else f"a {type(light).__name__}"
        )
        raise AutogalError(
            f"The profile {profile.name} returns {given} for radii of shape {list(log_t.shape)}.",
            "Return one value a radius.",
        )
    check_precision(f"profile {profile.name}", light)
    good = torch.isfinite(light) & (light >= 0)
    if not bool(good.all()):
        first = float(log_t[~good].exp()[0])
        raise AutogalError(
            f"The profile {profile.name} is NaN, infinite or negative at the radius {first:.3g}{where}.",
            f"It must be a brightness at every radius above 0, in units of {profile.size.name}, and "
            f"everywhere within its bounds.",
        )
    try:
        g, g_log_t, g_shape = profile.evaluate(log_t, shape)
    except Exception as error:
        raise AutogalError(
            f"The profile {profile.name} is not differentiable: {said(error)}.", DERIVATIVES
        ) from error
    for by, slope in zip(("the radius", *(own.name for own in profile.shape)), chain([g_log_t], g_shape)):
        if not bool(torch.isfinite(slope).all()):
            raise AutogalError(
                f"The derivative of the profile {profile.name} by {by} is NaN or infinite{where}.",
                "Avoid powers and roots of what may be 0, also on the side of torch.where that is not taken.",
            )
    return g, g_log_t, g_shape


def _stated(profile: RadialProfile, log_t: Tensor, shape: Tensor) -> Tensor:
    """What the user's own function returns."""
    if hasattr(profile, "surface_brightness"):
        return profile.surface_brightness(log_t.exp(), *(v.exp()[:, None] for v in shape.unbind(-1)))
    return profile.intensity(log_t, shape)


def _check_light(profile: RadialProfile, shape: Tensor) -> None:
    """The total, what the size means, and the derivatives against differences."""
    plane = _plane()
    ring = (
        2
        * math.pi
        * _values(profile, plane, shape)[0]
        * torch.exp(2 * plane)
        * (_PLANE[1] - _PLANE[0])
        / (_PLANE[2] - 1)
    )
    total = float(ring.sum())
    if profile.brightness == "mag":
        ends = float(ring[:, :80].abs().sum() + ring[:, -80:].abs().sum())
        if not abs(total - 1) < 1e-3 or ends > 1e-2:
            raise AutogalError(
                f"The light of the profile {profile.name} does not add up to a finite total of 1.",
                "It must fall faster than 1/r^2 and not rise as 1/r^2 to the centre; autogal.Profile "
                "normalises it.",
            )
        half = float((ring.cumsum(-1) - ring / 2)[0, _PLANE[2] // 2])  # at the size itself, the middle node
        if profile.size.name == "r_eff" and abs(half - 0.5) > 0.01:
            raise AutogalError(
                f"The size of the profile {profile.name} is called r_eff, but {half:.0%} of the light lies "
                f"within it.",
                "Give the size another name, or scale the radius so that it holds half of the light.",
            )
    log_t = torch.linspace(*_RADII, dtype=torch.float64).expand(1, -1)
    _, by_log_t, by_shape = profile.evaluate(log_t, shape)
    around = [profile.evaluate(log_t + step, shape)[0] for step in (_STEP, -_STEP)]
    compare(f"profile {profile.name}", "the radius", by_log_t, *around, torch.tensor(_STEP))
    for i, own in enumerate(profile.shape):
        step = torch.zeros_like(shape)
        step[:, i] = _STEP
        above, below = (profile.evaluate(log_t, shape + move)[0] for move in (step, -step))
        if torch.equal(above, below):
            far = (profile.evaluate(log_t, shape + move * (_WIDE / _STEP))[0] for move in (step, -step))
            raise unused(f"profile {profile.name}", own.name, *far)
        compare(f"profile {profile.name}", own.name, by_shape[i], above, below, torch.tensor(_STEP))


def check_precision(name: str, light: Tensor) -> None:
    """Refuse light in single precision: its derivatives, and differences of images, would be lost in
    rounding."""
    if light.dtype != torch.float64 and light.is_floating_point():
        raise AutogalError(
            f"The {name} returns light in {str(light.dtype).removeprefix('torch.')}.", _PRECISION
        )


def unused(name: str, parameter: str, above: Tensor, below: Tensor) -> AutogalError:
    """Why a small step of a parameter changes nothing, given the light a large step above and below."""
    if torch.equal(above, below):
        return AutogalError(
            f"The light of the {name} does not depend on {parameter}.", "Use the parameter, or leave it out."
        )
    return _edge(name, parameter)


def compare(name: str, by: str, slope: Tensor, above: Tensor, below: Tensor, step: Tensor) -> None:
    """Refuse a derivative that is not the one by differences, `step` above and below, at a good part of
    the places; at a kink it need not be."""
    difference = (above - below) / (2 * step)
    told = difference.abs() > 1e-6 * difference.abs().amax()
    wrong = ((slope - difference).abs() > 0.05 * difference.abs()) & told
    if not float(wrong.sum()) > 0.2 * float(told.sum()):
        return
    off = ((above - below - 2 * step * slope).abs() / (above.abs() + below.abs()))[wrong].median()
    if off > _JUMP:
        raise _edge(name, by)
    what = f"The derivative of the {name} by {by} is not that of its light: "
    if off < _ROUNDING and bool((slope[wrong] != 0).double().mean() > 0.5):
        raise AutogalError(what + "that is rounded to single precision.", _PRECISION)
    raise AutogalError(what + "it is not differentiable.", DERIVATIVES)


def _edge(name: str, by: str) -> AutogalError:
    return AutogalError(
        f"The light of the {name} has a hard edge: by {by} it jumps, and no derivative says how the edge "
        f"moves.",
        _SMOOTH,
    )


def said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split()).rstrip('.')}"[:300]
