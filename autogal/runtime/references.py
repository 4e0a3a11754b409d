"""Things of the user's own, named MODULE:NAME or FILE.py:NAME: the one way in which a configuration refers
to code."""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Callable, Iterable
from functools import lru_cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from autogal.errors import AutogalError

__all__ = ["is_reference", "load_reference", "resolve_reference"]


def is_reference(name: str) -> bool:
    """Whether something in the configuration is a user's own, MODULE:NAME or FILE.py:NAME, rather than one
    of the names there are."""
    return ":" in name


def resolve_reference(reference: str, folders: Iterable[Path]) -> str:
    """The same reference, written so that it is found from any folder and in any process.

    Parameters
    ----------
    reference : str
        MODULE:NAME or FILE.py:NAME.
    folders : iterable of Path
        Where a module's file may lie; it goes before those that Python knows.

    Returns
    -------
    str
        FILE.py:NAME with a full path; as it is where the module is a loaded one, or in none of the folders.
    """
    module, _, name = reference.rpartition(":")
    if hasattr(sys.modules.get(module), name):
        return reference
    file = Path(module if module.endswith(".py") else f"{module.replace('.', '/')}.py")
    for folder in folders:
        if (folder / file).is_file():
            return f"{(folder / file).resolve()}:{name}"
    return reference


def load_reference(
    reference: str, what: str, fits: Callable[[Any], bool], form: str, remedy: str = ""
) -> Any:
    """What a reference names; a relative file or a module is looked for in the working directory too.

    Parameters
    ----------
    reference : str
        MODULE:NAME or FILE.py:NAME.
    what : str
        What it should be, as ``"a profile"``.
    fits : callable
        Whether something in the module is that.
    form : str
        How to write such a reference: what to do where it names nothing.
    remedy : str
        What to do where it names something else; `form` by default.

    Raises
    ------
    AutogalError
        Where it cannot be imported, or is not `what`.
    """
    module, _, name = resolve_reference(reference, [Path.cwd()]).rpartition(":")
    if not module or not name.isidentifier():
        raise AutogalError(f"{reference!r} does not name {what}.", form)
    home = _load(module)
    thing = getattr(home, name, None)
    if thing is None:
        there = [
            key
            for key, value in vars(home).items()
            if fits(value) and getattr(value, "__module__", None) == home.__name__
        ]
        raise AutogalError(
            f"There is no {name} in {module}.", f"It has {', '.join(there)}." if there else form
        )
    if not fits(thing):
        raise AutogalError(f"{name} in {module} is not {what}.", remedy or form)
    return thing


def _load(module: str) -> ModuleType:
    try:
        if module.endswith(".py"):
            return _from_file(module, Path(module).stat().st_mtime_ns)
        return importlib.import_module(module)
    except Exception as error:
        if isinstance(error, FileNotFoundError) or (
            isinstance(error, ModuleNotFoundError) and error.name == module.partition(".")[0]
        ):
            raise AutogalError(
                f"There is no module {module}, to which the configuration refers.",
                "Put its file beside the folder of --config-dir or into the working directory, or install "
                "it.",
            ) from None
        raise AutogalError(
            f"{module} cannot be imported: {type(error).__name__}: "
            f"{' '.join(str(error).split()).rstrip('.')}.",
            "Import it in Python to see where it fails; it is your own code.",
        ) from error


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
