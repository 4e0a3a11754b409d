"""autogal: the structure of galaxies in survey images, with nobody in the loop."""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

if (
    TYPE_CHECKING
):  # loaded at first use: torch takes seconds, and neither `autogal --help` nor a catalogue needs it
    from autogal.api import fit, render
    from autogal.deprojection.fit import free_form
    from autogal.errors import AutogalError
    from autogal.flags import Flag
    from autogal.model import Model
    from autogal.profiles import Emissivity, Profile, Sersic, ShapeParameter
    from autogal.results.catalogue import Catalogue, read

__all__ = [
    "AutogalError",
    "Catalogue",
    "Emissivity",
    "Flag",
    "Model",
    "Profile",
    "Sersic",
    "ShapeParameter",
    "fit",
    "free_form",
    "read",
    "render",
]

try:
    __version__ = version("autogal")
except PackageNotFoundError:  # a source tree that is not installed
    __version__ = "unknown"

_HOMES = {
    "AutogalError": "autogal.errors",
    "Catalogue": "autogal.results.catalogue",
    "Emissivity": "autogal.profiles",
    "Flag": "autogal.flags",
    "Model": "autogal.model",
    "Profile": "autogal.profiles",
    "Sersic": "autogal.profiles",
    "ShapeParameter": "autogal.profiles",
    "fit": "autogal.api",
    "free_form": "autogal.deprojection.fit",
    "read": "autogal.results.catalogue",
    "render": "autogal.api",
}


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'autogal' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
