"""The words of a command line, sorted: paths, Hydra's overrides, Hydra's options.

File names and Hydra's grammar do not mix: ``a.fits[SCI,1]`` and ``a b.fits``
are syntax errors there, ``a=1.fits`` is an override. So paths never reach
Hydra, and the values of keys that name a file are quoted for it.
"""

from __future__ import annotations

import difflib
import glob
import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from autogal.configuration.overrides import quoted
from autogal.errors import AutogalError

__all__ = ["CommandLine", "sort_words"]

# Hydra's own options: its long name, and what follows it.
_OPTIONS = {
    "--multirun": "nothing",
    "--run": "nothing",
    "--resolve": "nothing",
    "--hydra-help": "nothing",
    "--cfg": "value",
    "--package": "value",
    "--config-dir": "value",
    "--config-name": "value",
    "--config-path": "value",
    "--info": "perhaps",
}
_SHORT = {
    "-m": "--multirun",
    "-r": "--run",
    "-c": "--cfg",
    "-p": "--package",
    "-i": "--info",
    "-cd": "--config-dir",
    "-cn": "--config-name",
    "-cp": "--config-path",
}
_WORDS = {
    "--cfg": ("job", "hydra", "all"),
    "--info": ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
}
_VOLUMES = {"--quiet": "quiet", "-q": "quiet", "--verbose": "verbose", "-v": "verbose"}
_SHOWING = {"--cfg", "--info", "--hydra-help"}

_OVERRIDE = re.compile(r"(?P<key>(?:\+\+|[+~])?[A-Za-z_][\w./:@-]*)=(?P<value>.*)", re.DOTALL)
_REMOVAL = re.compile(r"~(?P<key>[A-Za-z_][\w./:@-]*)")
_FILE_KEYS = {
    "psf": "psf.path",
    "psf.path": "psf.path",
    "sigma": "sigma",
    "mask": "mask",
    "out": "out",
    "background": "background",
    "galaxies": "galaxies",
    "data": "data",
    "checkpoints": "checkpoints",
}
_SWEEP = re.compile(r"(choice|glob|range|interval|shuffle|sort|tag)\(.*\)")
_EXTENSION = re.compile(r"(?P<path>.+)\[[^\[\]]*\]")


@dataclass(frozen=True)
class CommandLine:
    """What stands after the verb.

    Attributes
    ----------
    paths : tuple of str
        Files, folders, globs, ``@lists``, as given.
    overrides : tuple of str
        In Hydra's grammar.
    options : tuple of str
        Hydra's options, each one word (``--cfg=job``).
    volume : str
        How much is said: ``usual``, ``quiet`` or ``verbose``.
    """

    paths: tuple[str, ...]
    overrides: tuple[str, ...]
    options: tuple[str, ...]
    volume: str = "usual"

    @property
    def only_shows(self) -> bool:
        """True where nothing is to be run: the configuration or Hydra's help is asked for."""
        return any(option.partition("=")[0] in _SHOWING for option in self.options)

    @property
    def words(self) -> list[str]:
        """What Hydra is given. Options first: its parser stops at an option between overrides."""
        return [*self.options, *self.overrides]


def sort_words(words: Sequence[str], keys: Collection[str]) -> CommandLine:
    """Sort what stands after the verb.

    An existing file is a path, whatever its name; after ``--`` everything is.

    Parameters
    ----------
    words : sequence of str
        The command line after the verb.
    keys : collection of str
        First parts of the keys there are (``solver``, ``out``, ...).

    Raises
    ------
    AutogalError
        For an unknown option, or one without its value.
    """
    paths, overrides, options, volumes = [], [], [], []
    rest = iter(words)
    for word in rest:
        if word == "--":
            paths.extend(rest)
        elif word in _VOLUMES:
            volumes.append(_VOLUMES[word])
        elif _is_option(word):
            options.append(_option(word, rest))
        elif _is_override(word, keys):
            overrides.append(word)
        elif word.startswith("-") and not os.path.exists(word):
            raise AutogalError(f"There is no option {word}.", _instead(word, keys))
        else:
            paths.append(word)
    sweep = "--multirun" in options
    asked = {option.partition("=")[0] for option in options}
    if len(both := asked & {"--multirun", "--run", "--cfg", "--info"}) > 1:
        raise AutogalError(f"{' and '.join(sorted(both))} exclude each other.", "Give one of them.")
    if len(set(volumes)) > 1:
        raise AutogalError("--quiet and --verbose exclude each other.", "Give one of them.")
    if "--resolve" in asked and "--cfg" not in asked:
        raise AutogalError("--resolve goes with --cfg only.", "Write --cfg job --resolve.")
    return CommandLine(
        tuple(paths),
        tuple(_quote_files(word, sweep) for word in overrides),
        tuple(options),
        volumes[0] if volumes else "usual",
    )


def _instead(word: str, keys: Collection[str]) -> str:
    """What may have been meant by an option that does not exist: a key, or another option."""
    name, equals, value = word.partition("=")
    key = name.lstrip("-").replace("-", "_")
    if _root(key) in keys:
        return f"Keys have no dashes: write {key}={value or 'VALUE'}."
    near = difflib.get_close_matches(name, [*_OPTIONS, *_VOLUMES, "--help", "--version"], n=1, cutoff=0.75)
    near_key = difflib.get_close_matches(key, keys, n=1, cutoff=0.75)
    if (near_key and equals) or not near:
        return (
            f"Did you mean {near_key[0]}={value}?" if near_key else "`autogal fit --help` lists the options."
        )
    return f"Did you mean {near[0]}?"


def _is_option(word: str) -> bool:
    name = word.partition("=")[0]
    return _SHORT.get(name, name) in _OPTIONS


def _option(word: str, rest: Iterator[str]) -> str:
    name, equals, value = word.partition("=")
    name = _SHORT.get(name, name)
    follows = _OPTIONS[name]
    if follows == "nothing":
        if equals:
            raise AutogalError(f"{name} takes no value.", f"Write {name} alone.")
        return name
    if follows == "perhaps":
        return f"{name}={value or 'all'}"
    if not equals:
        value = next(rest, "")
    words = _WORDS.get(name)
    if not value or (words and value not in words):
        what = f"{name} {value} is not possible." if value else f"{name} needs a value."
        raise AutogalError(what, f"Choose one of: {', '.join(words)}." if words else f"Write {name}=VALUE.")
    return f"{name}={value}"


def _is_override(word: str, keys: Collection[str]) -> bool:
    if _is_file(word):
        return False
    if match := _OVERRIDE.fullmatch(word):
        known = _root(match["key"]) in keys
        is_path = (
            os.path.isdir(word) or "/" in match["key"] or (glob.has_magic(word) and any(glob.iglob(word)))
        )
        return known or not is_path
    match = _REMOVAL.fullmatch(word)
    return match is not None and _root(match["key"]) in keys


def _is_file(word: str) -> bool:
    extension = _EXTENSION.fullmatch(word)
    return os.path.isfile(word) or (extension is not None and os.path.isfile(extension["path"]))


def _root(key: str) -> str:
    return re.split(r"[./:@]", key.lstrip("+~"), maxsplit=1)[0]


def _quote_files(word: str, sweep: bool) -> str:
    """Short forms of file keys written out, and their values made safe for Hydra's grammar."""
    match = _OVERRIDE.fullmatch(word)
    if match is None or match["key"].lstrip("+") not in _FILE_KEYS:
        return word
    prefix = match["key"][: len(match["key"]) - len(match["key"].lstrip("+"))]
    key, value = _FILE_KEYS[match["key"].lstrip("+")], match["value"]
    if _is_file(value):
        return f"{prefix}{key}={quoted(value)}"
    if match["key"] == "psf" and value.startswith("{"):
        return word
    if value in ("", "null") and key != "out":
        return f"{prefix}{key}=null"
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return f"{prefix}{key}={value}"
    if sweep and _SWEEP.fullmatch(value):
        return f"{prefix}{key}={value}"
    values = value.split(",") if sweep else [value]
    return f"{prefix}{key}={','.join(quoted(one) for one in values)}"
