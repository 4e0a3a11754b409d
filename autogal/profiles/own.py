"""Profiles in files of the user's own."""

from __future__ import annotations

from functools import lru_cache

from autogal.profiles.emissivity import Emissivity
from autogal.profiles.emissivity_validation import validate_emissivity
from autogal.profiles.radial import RadialProfile
from autogal.profiles.validation import validate_profile
from autogal.runtime.references import load_reference

__all__ = ["own_profile"]

_FORM = "Write profile: MODULE:CLASS, as my_profiles:SechSquared for the class SechSquared in my_profiles.py."


def own_profile(reference: str) -> RadialProfile | Emissivity:
    """A user's profile or emissivity, tried out.

    Parameters
    ----------
    reference : str
        MODULE:CLASS or FILE.py:CLASS; a relative file or a module is looked for in the working directory too.

    Raises
    ------
    AutogalError
        Where it cannot be imported, is no profile, or does not do what a profile must.
    """
    kind = load_reference(
        reference,
        "a profile",
        _is_profile,
        _FORM,
        "Make it a class derived from autogal.Profile or autogal.Emissivity.",
    )
    _tried(kind)
    return kind()


def _is_profile(thing: object) -> bool:
    return isinstance(thing, type) and issubclass(thing, RadialProfile | Emissivity)


@lru_cache(maxsize=64)
def _tried(kind: type[RadialProfile] | type[Emissivity]) -> None:
    (validate_emissivity if issubclass(kind, Emissivity) else validate_profile)(kind)
