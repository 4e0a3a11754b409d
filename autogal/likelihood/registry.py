"""The likelihoods there are, by their names in the configuration, and those of the user's own."""

from __future__ import annotations

import inspect

from autogal.errors import AutogalError
from autogal.likelihood.gaussian import Gaussian
from autogal.likelihood.likelihood import Likelihood
from autogal.likelihood.poisson import Poisson
from autogal.likelihood.student_t import StudentT
from autogal.runtime.references import is_reference, load_reference

__all__ = ["LIKELIHOODS", "likelihood_class"]

#: By their names in the configuration
LIKELIHOODS: dict[str, type[Likelihood]] = {kind.name: kind for kind in (Gaussian, Poisson, StudentT)}

_FORM = "Write likelihood=MODULE:CLASS, as my_noise:Laplace for the class Laplace in my_noise.py."


def likelihood_class(name: str) -> type[Likelihood]:
    """The class of a likelihood.

    Parameters
    ----------
    name : str
        One of `LIKELIHOODS`, or MODULE:CLASS or FILE.py:CLASS of the user's own.

    Raises
    ------
    AutogalError
        Where there is none of that name, or the user's own is no likelihood.
    """
    if name in LIKELIHOODS:
        return LIKELIHOODS[name]
    if not is_reference(name):
        raise AutogalError(
            f"There is no likelihood called {name!r}.",
            f"Choose one of: {', '.join(LIKELIHOODS)}; your own is MODULE:CLASS.",
        )
    kind = load_reference(
        name,
        "a likelihood",
        _is_likelihood,
        _FORM,
        "Make it a class derived from autogal.likelihood.Likelihood.",
    )
    if inspect.isabstract(kind):
        raise AutogalError(
            f"The likelihood {kind.__name__} has no {', '.join(sorted(kind.__abstractmethods__))}.",
            "Write that method.",
        )
    return kind


def _is_likelihood(thing: object) -> bool:
    return isinstance(thing, type) and issubclass(thing, Likelihood)
