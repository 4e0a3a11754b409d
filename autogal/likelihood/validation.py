"""A user's likelihood put to the test, before a run relies on it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from autogal.errors import AutogalError
from autogal.likelihood.likelihood import Likelihood, Terms

__all__ = ["validate_likelihood"]

_SIDE = 48  # px of the made-up stamps
_LEVELS = (3.0, 40.0)  # of their models, counts or units of the stamp
_OFF = 2.0  # in units of the noise, by which models are off that a step is tried from
_STEP = 1e-4  # relative
_AGREE = 1e-3  # of a derivative, with that by differences
_SCATTER = 6.0  # standard deviations, and 3 %: of the mean deviance of what it draws, from what it expects


def validate_likelihood(likelihood: Likelihood) -> None:
    """Evaluate a likelihood for data that it draws itself, and for models that are off.

    Raises
    ------
    AutogalError
        Where something it gives has the wrong shape, is not finite, is not 0 of excluded pixels, or does not
        fit together: the score with the deviance, a step with both, or the expected deviance with what is
        drawn.
    """
    name = f"The likelihood {type(likelihood).__name__}"
    rng = np.random.default_rng(5)
    model = np.repeat(np.linspace(*_LEVELS, _SIDE)[:, None], _SIDE, 1)
    usable = np.ones(model.shape, bool)
    usable[:2] = False
    weight = torch.from_numpy(np.where(usable, 1.0 if likelihood.counts else 0.8, 0.0))[None]
    drawn = _called(name, "draw", lambda: likelihood.draw(model, usable, rng))
    if (
        not isinstance(drawn, np.ndarray)
        or drawn.shape != model.shape
        or not np.isfinite(drawn[usable]).all()
    ):
        raise AutogalError(
            f"{name} draws {_what(drawn)}.",
            f"draw must return noise, a finite number a pixel: an array of shape {model.shape}.",
        )
    there = torch.from_numpy(model)[None]
    data = there + torch.from_numpy(np.where(usable, drawn, 0.0))[None] / torch.where(weight > 0, weight, 1.0)
    for at in (there, there + _OFF / 0.8, 0.5 * there):
        _check_terms(name, likelihood, data, at, weight)
    _check_moments(name, likelihood, data, there, weight)


def _check_terms(name: str, likelihood: Likelihood, data: Tensor, model: Tensor, weight: Tensor) -> None:
    """Shapes, signs, the score against differences of the deviance, and the step that it is for."""
    terms = _terms(name, likelihood, data, model, weight)
    if bool((terms.deviance < -1e-6).any()):
        raise AutogalError(
            f"{name} has a negative deviance.",
            "It is -2 ln L less that of the best possible model of each pixel.",
        )
    if bool((terms.weight < 0).any()):
        raise AutogalError(
            f"{name} has a negative weight.",
            "It is a curvature, with which score / weight is a step that does not overshoot.",
        )
    step = _STEP * model
    above, below = (_terms(name, likelihood, data, model + sign * step, weight).deviance for sign in (1, -1))
    by_steps = -(above - below) / (4 * step)
    off = (terms.score - by_steps).abs() > _AGREE * (by_steps.abs() + by_steps.abs().mean())
    if float(off.double().mean()) > 0.05:  # a corner here and there does no harm
        raise AutogalError(
            f"The score of {name[0].lower()}{name[1:]} is not -1/2 of the derivative of its deviance by "
            f"the model.",
            "Check signs and factors of two: terms gives deviance, score and weight, in this order.",
        )
    used = weight > 0
    if bool((terms.weight[used] == 0).any()):
        raise AutogalError(
            f"{name} has no weight in some pixels that are not excluded.",
            "Give a curvature above zero: a step is score / weight.",
        )
    moved = model + torch.where(used, terms.score / terms.weight.clamp(min=1e-300), 0.0)
    there = _terms(name, likelihood, data, moved, weight).deviance
    if bool((there > terms.deviance * (1 + 1e-6) + 1e-6).double().mean() > 0.05):
        raise AutogalError(
            f"{name} overshoots: the step score / weight raises the deviance.",
            "Give a larger weight, as iterative reweighting does.",
        )
    if likelihood.quadratic:
        squared = weight.square()
        if not (
            torch.allclose(terms.weight, squared) and torch.allclose(terms.score, squared * (data - model))
        ):
            raise AutogalError(
                f"{name} is no sum of squares of (data - model) * weight.",
                "Leave quadratic = True out of its class.",
            )


def _check_moments(name: str, likelihood: Likelihood, data: Tensor, model: Tensor, weight: Tensor) -> None:
    """The information, and the expected deviance against that of what was drawn."""
    used = weight > 0
    information = _called(name, "information", lambda: likelihood.information(model, weight))
    _check(name, "information", information, weight)
    if bool((information[used] <= 0).any()):
        raise AutogalError(
            f"{name} has no information in some pixels.",
            "Fisher's information is above zero: errors are its inverse.",
        )
    moments = _called(name, "expected", lambda: likelihood.expected(model, weight))
    if not isinstance(moments, tuple) or len(moments) != 2:
        raise AutogalError(
            f"{name} expects {_what(moments)}.",
            "expected must return two arrays, mean and variance of the deviance of each pixel.",
        )
    for what, moment in zip(("mean", "variance"), moments):
        _check(name, f"expected {what}", moment, weight)
    mean, variance = (float(moment.double().sum()) for moment in moments)
    found = float(_terms(name, likelihood, data, model, weight).deviance.double().sum())
    if abs(found - mean) > _SCATTER * max(variance, 0.0) ** 0.5 + 0.03 * mean:
        count = int(used.sum())
        raise AutogalError(
            f"{name} draws data whose deviance is {found / count:.3g} a pixel, where it expects "
            f"{mean / count:.3g}.",
            "draw gives noise in units of 1 / weight, and expected the mean of the deviance of such data.",
        )


def _terms(name: str, likelihood: Likelihood, data: Tensor, model: Tensor, weight: Tensor) -> Terms:
    terms = _called(name, "terms", lambda: likelihood.terms(data, model, weight))
    if not isinstance(terms, Terms):
        raise AutogalError(
            f"The terms of {name[0].lower()}{name[1:]} are {_what(terms)}.",
            "Return Terms(deviance, score, weight), from autogal.likelihood.",
        )
    for what, plane in terms._asdict().items():
        _check(name, what, plane, weight)
    return terms


def _check(name: str, what: str, plane: object, weight: Tensor) -> None:
    if not isinstance(plane, Tensor) or plane.shape != weight.shape:
        raise AutogalError(
            f"The {what} of {name[0].lower()}{name[1:]} is {_what(plane)}.",
            f"Return one number a pixel, of shape {list(weight.shape)}.",
        )
    if not bool(torch.isfinite(plane).all()):
        raise AutogalError(
            f"The {what} of {name[0].lower()}{name[1:]} is NaN or infinite in some pixels.",
            "It must be finite at every model, also far from the data and in pixels that are excluded.",
        )
    if bool((plane[weight == 0] != 0).any()):
        raise AutogalError(
            f"The {what} of {name[0].lower()}{name[1:]} is not 0 in excluded pixels.",
            "Multiply it by the square of weight, which is 0 there.",
        )


def _called(name: str, method: str, call):
    try:
        return call()
    except Exception as error:
        told = f"{type(error).__name__}: {' '.join(str(error).split()).rstrip('.')}"[:300]
        raise AutogalError(
            f"{name} fails in {method}: {told}.",
            "It is called with tensors [B, H, W] as autogal.likelihood.Likelihood has it.",
        ) from error


def _what(thing: object) -> str:
    return (
        f"an array of shape {list(thing.shape)}" if hasattr(thing, "shape") else f"a {type(thing).__name__}"
    )
