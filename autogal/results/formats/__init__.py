"""The formats of a catalogue's file: one module each, found by its name; users name their own as
MODULE:CLASS."""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import ClassVar

from autogal.errors import AutogalError
from autogal.results.data import CatalogueData
from autogal.runtime.references import is_reference, load_reference

__all__ = ["CatalogueFormat", "build_format", "format_names"]

_FORM = "Write MODULE:CLASS, as my_formats:HDF5 for the class HDF5 in my_formats.py."


class CatalogueFormat(ABC):
    """How a catalogue is written to a file, and read from it.

    A format of the package is a module of this folder with one such class; its name is the module's. Whatever
    a format does, the file appears whole or not at all, and what it raises of the file system is said as an
    `AutogalError`.

    Attributes
    ----------
    ending : str
        Of its files, without the dot.
    """

    ending: ClassVar[str]

    @abstractmethod
    def write(self, catalogue: CatalogueData, path: Path) -> None:
        """Write a catalogue: its ``table``, its ``arrays``, and its ``meta``.

        Parameters
        ----------
        catalogue : CatalogueData
            It is not to be changed.
        path : Path
            A new file, with the ending of the format.
        """

    @abstractmethod
    def read(self, path: Path) -> CatalogueData:
        """Read what :meth:`write` wrote: `CatalogueData.of_parts` puts it together.

        Raises
        ------
        OSError, KeyError, ValueError
            Where the file is missing, or no catalogue.
        """


def format_names() -> list[str]:
    """The names of the formats that come with the package, the usual one first."""
    return sorted((module.name for module in iter_modules(__path__)), key=lambda name: (name != "fits", name))


def build_format(name: str) -> CatalogueFormat:
    """A format by its name, or a user's own.

    Parameters
    ----------
    name : str
        One of :func:`format_names`, or MODULE:CLASS or FILE.py:CLASS for a class derived from
        `CatalogueFormat`.

    Raises
    ------
    AutogalError
        Where there is no such format.
    """
    if is_reference(name):
        kind = load_reference(
            name,
            "a catalogue format",
            _is_format,
            _FORM,
            "Derive it from autogal.results.formats.CatalogueFormat.",
        )
        return kind()
    if name not in format_names():
        raise AutogalError(
            f"There is no catalogue format {name!r}.",
            f"Use one of {', '.join(format_names())}, or MODULE:CLASS for your own.",
        )
    module = import_module(f"{__name__}.{name}")
    return next(
        thing for thing in vars(module).values() if _is_format(thing) and thing.__module__ == module.__name__
    )()


def _is_format(thing: object) -> bool:
    return (
        isinstance(thing, type)
        and issubclass(thing, CatalogueFormat)
        and isinstance(getattr(thing, "ending", None), str)
    )
