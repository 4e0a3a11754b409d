"""Profiles and functions in files of the user's own."""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Callable, Iterable
from functools import lru_cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from autogal.errors import AutogalError
from autogal.profiles.emissivity import Emissivity
from autogal.profiles.radial import RadialProfile
from autogal.profiles.trial import try_profile
from autogal.profiles.trial_emissivity import try_emissivity

__all__ = ["is_reference", "own_function", "own_profile", "settle_reference"]

_FORM = 'Write profile: MODULE:CLASS, as my_profiles:SechSquared for the class SechSquared in my_profiles.py.'
_FUNCTION_FORM = "Write MODULE:FUNCTION, as my_ties:thickness for the function thickness in my_ties.py."


def is_reference(profile: str) -> bool:
    """Whether something in the configuration is a user's own, MODULE:CLASS or FILE.py:CLASS, rather than a name."""
    return ":" in profile


def settle_reference(reference: str, folders: Iterable[Path]) -> str:
    """The same profile, named so that it is found from any folder and in any process.

    Parameters
    ----------
    reference : str
        MODULE:CLASS or FILE.py:CLASS.
    folders : iterable of Path
        Where a module's file may lie; it goes before those that Python knows.

    Returns
    -------
    str
        FILE.py:CLASS with a full path; as it is where the module is a loaded one, or in none of the folders.
    """
    module, _, kind = reference.rpartition(":")
    if hasattr(sys.modules.get(module), kind):
        return reference
    file = Path(module if module.endswith(".py") else f"{module.replace('.', '/')}.py")
    for folder in folders:
        if (folder / file).is_file():
            return f"{(folder / file).resolve()}:{kind}"
    return reference


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
    module, name, home = _found(reference, "a profile", _FORM)
    kind = getattr(home, name, None)
    if kind is None:
        there = [key for key, value in vars(home).items() if _is_profile(value) and value.__module__ == home.__name__]
        raise AutogalError(f"There is no {name} in {module}.", f"It has {', '.join(there)}." if there else _FORM)
    if not _is_profile(kind):
        raise AutogalError(f"{name} in {module} is not a profile.", "Make it a class derived from autogal.Profile or autogal.Emissivity.")
    _tried(kind)
    return kind()


def own_function(reference: str) -> Callable:
    """A user's function, named as a profile is in `own_profile`.

    Raises
    ------
    AutogalError
        Where it cannot be imported, or is no function.
    """
    module, name, home = _found(reference, "a function", _FUNCTION_FORM)
    if not callable(getattr(home, name, None)):
        raise AutogalError(f"There is no function {name} in {module}.", _FUNCTION_FORM)
    return getattr(home, name)


def _found(reference: str, what: str, form: str) -> tuple[str, str, ModuleType]:
    """Module and name in a reference, and the module itself."""
    module, _, name = settle_reference(reference, [Path.cwd()]).rpartition(":")
    if not module or not name.isidentifier():
        raise AutogalError(f"{reference!r} does not name {what}.", form)
    return module, name, _load(module)


def _is_profile(thing: object) -> bool:
    return isinstance(thing, type) and issubclass(thing, RadialProfile | Emissivity)


@lru_cache(maxsize=64)
def _tried(kind: type[RadialProfile] | type[Emissivity]) -> None:
    (try_emissivity if issubclass(kind, Emissivity) else try_profile)(kind)


def _load(module: str) -> ModuleType:
    try:
        if module.endswith(".py"):
            return _from_file(module, Path(module).stat().st_mtime_ns)
        return importlib.import_module(module)
    except Exception as error:
        if isinstance(error, FileNotFoundError) or (isinstance(error, ModuleNotFoundError) and error.name == module.partition(".")[0]):
            raise AutogalError(f"There is no module {module}, to which the model refers.",
                               "Put its file beside the folder of --config-dir or into the working directory, or install it.") from None
        raise AutogalError(f"{module} cannot be imported: {type(error).__name__}: {' '.join(str(error).split()).rstrip('.')}.",
                           "Import it in Python to see where it fails; it is your own code.") from error


@lru_cache(maxsize=64)
def _from_file(file: str, changed: int) -> ModuleType:
    """The module in a file, anew where the file has `changed`; its neighbours can be imported from it."""
    name = f"{Path(file).stem}_{hashlib.sha1(file.encode()).hexdigest()[:8]}"
    spec = spec_from_file_location(name, file)
    module = module_from_spec(spec)
    folder = str(Path(file).parent)
    sys.path.insert(0, folder)
    sys.modules[name] = module  # where dataclasses and pickle look for it
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    finally:
        sys.path.remove(folder)
    return module
