"""autogal: the structure of galaxies in survey images, with nobody in the loop."""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

__all__ = ["AutogalError", "Catalogue", "Emissivity", "Flag", "Model", "Profile", "Sersic", "ShapeParameter", "fit", "free_form", "render"]

try:
    __version__ = version("autogal")
except PackageNotFoundError:  # a source tree that is not installed
    __version__ = "unknown"

# Loaded at first use: torch takes seconds, and `autogal --help` does not need it
_HOMES = {
    "AutogalError": "autogal.errors",
    "Catalogue": "autogal.results",
    "Emissivity": "autogal.profiles",
    "Flag": "autogal.flags",
    "Model": "autogal.model",
    "Profile": "autogal.profiles",
    "Sersic": "autogal.profiles",
    "ShapeParameter": "autogal.profiles",
    "fit": "autogal.api",
    "free_form": "autogal.deprojection.fit",
    "render": "autogal.api",
}


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'autogal' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
