"""What went wrong with a configuration, said to a person: what is wrong, and what to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
    SearchPathException,
)
from omegaconf import DictConfig
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    InterpolationResolutionError,
    OmegaConfBaseException,
    ValidationError,
)

from autogal.errors import AutogalError, did_you_mean

__all__ = ["explain"]

_WHOLE = "`--cfg job` shows every key and its value."
# Arguments of autogal.fit that the command line has in another form
_IN_PYTHON = {
    "start": (
        "In Python start= takes a table; on the command line the manifest has starting values: x, y, mag, "
        "r_eff, n, q, pa, sky beside image."
    ),
    "images": "Write the images without a key, as in `autogal fit cutouts/*.fits`.",
}
_FILE_LIKE = re.compile(r"\.(fits?|fts|csv|ecsv|parquet|txt)(\.(gz|fz|bz2))?(\[.*\])?$", re.IGNORECASE)


def explain(error: Exception, known_keys: Callable[[], Iterable[str]]) -> AutogalError:
    """Turn an error of Hydra or OmegaConf into the two lines a user can act on.

    Parameters
    ----------
    error : Exception
        As caught, with its chain of causes.
    known_keys : callable
        Gives the keys there are; called only where one has to be guessed.
    """
    chain = list(_causes(error))
    for cause in chain:
        match cause:
            case AutogalError():
                return cause
            case OverrideParseException():
                return _not_an_override(cause.override)
            case MissingConfigException():
                return _no_such_choice(cause)
            case SearchPathException():
                return AutogalError(
                    f"{cause}.", "Give --config-dir the folder that holds your groups, as --config-dir=conf."
                )
            case InterpolationResolutionError():
                return AutogalError(
                    f"{_first_line(cause)}.", f"Put a key that exists between ${{ and }}. {_WHOLE}"
                )
            case ConfigAttributeError() | ConfigKeyError():
                return _no_such_key(
                    str(cause.full_key or cause.key), cause.parent_node, str(chain[0]), known_keys()
                )
            case ValidationError() if cause.full_key:
                return _wrong_value(cause, known_keys())
            case _ if type(cause).__module__.startswith("yaml."):  # PyYAML, which is OmegaConf's own choice
                return _not_yaml(cause)
            case UnicodeDecodeError():
                return AutogalError(
                    f"A YAML file of the configuration is not UTF-8: {_first_line(cause)}.",
                    "Save it as UTF-8 text.",
                )
            case RecursionError():
                return AutogalError(
                    "A YAML file of the configuration refers to itself, in its defaults, an alias or an "
                    "interpolation.",
                    "Take the circle out.",
                )
            case ValueError() if "defaults list" in str(cause):
                return AutogalError(
                    f"{_first_line(cause)}.", "Write defaults: with one - a line below, or leave it out."
                )
            case ConfigCompositionException() if "Ambiguous value" in str(cause):
                given = _between(str(cause), "'")
                return AutogalError(
                    f"{given} has several values.",
                    "Add -m to run each in turn; quote a value that has a comma in it.",
                )
            case ConfigCompositionException() if (
                "Could not override '" in str(cause) and cause.__cause__ is None
            ):
                return _no_such_key(_between(str(cause), "'"), None, str(cause), known_keys())
            case ConfigCompositionException() if "Multiple values for" in str(cause):
                group = str(cause).split("Multiple values for ")[1].split(".")[0]
                return AutogalError(
                    f"{group} is given twice.", f"Write {group}=..., without the +, to choose another one."
                )
    kind = (
        "Configuration"
        if isinstance(error, HydraException | OmegaConfBaseException)
        else type(error).__name__
    )
    return AutogalError(f"{kind}: {_first_line(error)}", _WHOLE)


def _not_yaml(error: Exception) -> AutogalError:
    mark = getattr(error, "problem_mark", None)
    where = (
        f"{mark.name}, line {mark.line + 1}"
        if mark is not None
        else str(getattr(error, "name", "A file of the configuration"))
    )
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or _first_line(error)
    return AutogalError(
        f"{where} cannot be read as YAML: {problem}.",
        "Indent with spaces, give each key once, and close what is opened.",
    )


def _no_such_key(key: str, parent: DictConfig | None, message: str, names: Iterable[str]) -> AutogalError:
    stem, _, leaf = key.rpartition(".")
    siblings = [str(name) for name in parent] if isinstance(parent, DictConfig) else []
    sibling = did_you_mean(leaf, siblings)
    if stem and siblings:
        meant = f"{stem}.{sibling}" if sibling else None
    else:
        names = list(names)
        inside = [name for name in names if stem and name.partition(".")[0] == key.partition(".")[0]]
        meant = did_you_mean(key, inside or [*siblings, *names])
    what = f"There is no key {key}."
    if not stem and key in _IN_PYTHON:
        return AutogalError(what, _IN_PYTHON[key])
    given = re.search(r"use \+(.*)", message)
    if given and _FILE_LIKE.search(given[1]):
        hint = f"Did you mean {meant}? " if meant else ""
        return AutogalError(what, f"{hint}If {given[1]} is a file: there is none of that name here.")
    if meant:
        return AutogalError(what, f"Did you mean {meant}?")
    if siblings and stem:
        return AutogalError(what, f"The keys of {stem} are: {', '.join(siblings)}.")
    return AutogalError(what, _WHOLE)


def _no_such_choice(error: MissingConfigException) -> AutogalError:
    group, _, choice = (error.missing_cfg_file or "").rpartition("/")
    options = [str(option) for option in error.options or []]
    if not group or not options:
        return AutogalError(
            f"There is no configuration {error.missing_cfg_file}.",
            "Check --config-name, --config-path and --config-dir.",
        )
    meant = did_you_mean(choice, options)
    listed = f"The choices are: {', '.join(options)}."
    return AutogalError(
        f"There is no {group} called {choice}.", f"Did you mean {meant}? {listed}" if meant else listed
    )


def _wrong_value(error: ValidationError, names: Iterable[str]) -> AutogalError:
    key = str(error.full_key)
    what = _first_line(error)
    number = re.search(r"could not be converted to (Integer|Float)", what)
    if number:
        value = _between(what, "'")
        kind = "a whole number" if number[1] == "Integer" else "a number"
        return AutogalError(
            f"{key}={value} is not {kind}.", f"Give {key} {kind}, or null where the default is null."
        )
    inside = [name for name in names if name.startswith(f"{key}.")]
    if inside:
        return AutogalError(f"{key} cannot be a single value.", f"Its keys are: {', '.join(inside)}.")
    return AutogalError(f"{key}: {what}", _WHOLE)


def _not_an_override(text: str) -> AutogalError:
    key, equals, value = text.partition("=")
    if equals and re.fullmatch(r"[~+]{0,2}[\w./@:]+", key):
        return AutogalError(f"The value of {text} cannot be read.", f"Quote it twice: {key}='\"{value}\"'.")
    return AutogalError(
        f"{text} is neither a file nor key=value.", "If it is a file, put it after -- on the command line."
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what lies under it. Hydra's words say which override; OmegaConf's, below, which key."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")


def _between(text: str, mark: str) -> str:
    parts = text.split(mark)
    return parts[1] if len(parts) > 2 else text
