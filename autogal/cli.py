"""The command line: ``autogal <verb> [paths ...] [key=value ...]``.

A thin parser of our own chooses the verb and keeps file paths away from
Hydra's grammar; the rest is Hydra's own ``main``, so that its sweeps (``-m``),
launchers and options work as anywhere else.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from functools import partial
from importlib import import_module, metadata
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:  # what takes long to import comes where it is used: --help and --version are quick
    from omegaconf import DictConfig

    from autogal.configuration.arguments import CommandLine

__all__ = ["Job", "main"]

INCOMPLETE = 1
FAILED = 2
INTERRUPTED = 130
# Each verb's module, imported when it is needed; its function `run(settings, paths)` does the work
_VERBS = {
    "fit": "autogal.run.job",
    "simulate": "autogal.simulate.run",
    "train": "autogal.training.run",
    "evaluate": "autogal.evaluate.run",
}
_TAKE_PATHS = {"fit": "cutouts"}
# What a verb takes as its second word, and the key that it stands for
_SECOND_WORDS = {
    "train": ("network", ("segmenter", "initialiser")),
    "evaluate": ("part", ("segmenter", "initialiser", "pipeline", "calibration", "invariance")),
}
_LONGEST_NAME = 200  # of a job's folder; file systems end at 255 bytes


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    words : sequence of str, optional
        What stands after ``autogal``; by default the process's arguments.

    Returns
    -------
    int
        Exit code: 0; 1 where strict=true and a row is not converged; 2 after an error (two lines on stderr);
        130 after Ctrl-C.
    """
    from autogal.runtime.terminal import ensure_printable

    words = list(sys.argv[1:] if words is None else words)
    ensure_printable()
    try:
        return _dispatch(words)
    except KeyboardInterrupt:
        print("Interrupted. What was done is kept in the out= folder.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `autogal fit --help | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        return _report(error)


class Job:
    """One job of a verb: what Hydra calls with a composed configuration.

    An instance carries the paths, so that a launcher which runs it in another
    process or on another machine brings them along.

    Parameters
    ----------
    verb : str
    paths : tuple of str
        As on the command line.
    fixed : frozenset of str
        Keys given one value; those that vary in a sweep name the job's folder.
    volume : str
        How much is said: ``usual``, ``quiet`` or ``verbose``.
    """

    def __init__(
        self,
        verb: str,
        paths: tuple[str, ...] = (),
        fixed: frozenset[str] = frozenset(),
        volume: str = "usual",
    ):
        self.verb = verb
        self.paths = paths
        self.fixed = fixed
        self.volume = volume
        self.argv = tuple(sys.argv)
        self.failure: Exception | None = None
        self.begun = False
        self.incomplete = False

    def __call__(self, settings: DictConfig) -> None:
        from hydra.core.hydra_config import HydraConfig
        from hydra.types import RunMode

        from autogal.configuration.composing import check
        from autogal.runtime.logs import show_warnings

        self.begun = True
        sys.argv = list(self.argv)  # launchers of more processes repeat it
        show_warnings(self.volume)
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            settings.out = str(Path(settings.out) / self._folder(HydraConfig.get()))
            if self.volume != "quiet":
                print(f"--- {settings.out}", flush=True)
            check(settings)
            self._run(settings)
            return
        try:
            check(settings)
            self._run(settings)
        except Exception as error:  # past Hydra, which would add lines of its own
            self.failure = error

    def _run(self, settings: DictConfig) -> None:
        if settings.get("given_starts") == "auto":
            from hydra.core.hydra_config import HydraConfig

            from autogal.configuration.overrides import whether_segmented

            settings.given_starts = whether_segmented(HydraConfig.get().overrides.task)
        from autogal.configuration.references import resolve_references

        resolve_references(settings, _own_folders())
        with redirect_stdout(None) if self.volume == "quiet" else nullcontext():
            done = import_module(_VERBS[self.verb]).run(settings, list(self.paths))
        if settings.get("strict") and done is not None:
            self.incomplete |= any(status != "converged" for status in done.table["status"])

    def _folder(self, hydra: DictConfig) -> str:
        """The overrides that vary, as ``solver=adam,dtype=float64``; the job's number where that will not
        do."""
        from hydra.core.override_parser.overrides_parser import OverridesParser

        parts = []
        for override in OverridesParser.create().parse_overrides(list(hydra.overrides.task)):
            if override.get_key_element() not in self.fixed and override.get_key_element() != "out":
                value = str(override.value()) if override.value() is not None else "null"
                parts.append(f"{override.get_key_element().removeprefix('++')}={value}")
        # Quoting keeps names apart and on one level: psf.path=a/b.fits -> psf.path=a%2Fb.fits
        name = quote(",".join(parts), safe="=,+~@ ")
        return name if 0 < len(name) <= _LONGEST_NAME else str(hydra.job.num)


def _own_folders() -> list[Path]:
    """Where users' own code may lie: in the folders of their configurations, beside them, and in the
    working directory."""
    from hydra.core.hydra_config import HydraConfig

    own = [
        Path(source.path).resolve()
        for source in HydraConfig.get().runtime.config_sources
        if source.schema == "file"
    ]
    return [*(folder for one in own for folder in (one, one.parent)), Path.cwd()]


def _dispatch(words: list[str]) -> int:
    from autogal.errors import AutogalError

    verb, rest = (words[0], words[1:]) if words else ("", [])
    options = rest[: rest.index("--")] if "--" in rest else rest
    if verb in ("--version", "-V") or (verb in _VERBS and not {"--version", "-V"}.isdisjoint(options)):
        print(f"autogal {metadata.version('autogal')}")
        return 0
    if verb in ("", "--help", "-h", "help"):
        from autogal.configuration.help import overview

        print(overview(), end="")
        return 0 if verb else FAILED
    if verb not in _VERBS:
        import difflib

        near = difflib.get_close_matches(verb, _VERBS, n=1)
        remedy = (
            f"Did you mean `autogal {near[0]}`?"
            if near
            else f"The verbs are: {', '.join(_VERBS)}. See `autogal --help`."
        )
        raise AutogalError(f"There is no verb {verb}.", remedy)
    return _do(verb, rest)


def _do(verb: str, words: list[str]) -> int:
    options = words[: words.index("--")] if "--" in words else words
    if "--help" in options or "-h" in options:
        from autogal.configuration.help import page

        print(page(verb, _config_dirs(options)), end="")
        return 0

    from autogal.configuration.arguments import sort_words
    from autogal.configuration.schemas import SCHEMAS
    from autogal.errors import AutogalError

    if verb in _SECOND_WORDS:
        words = _second_word(verb, words)
    keys = {*SCHEMAS[verb].__dataclass_fields__, "hydra", *_own_groups(_config_dirs(options))}
    line = sort_words(words, keys)
    if verb in _TAKE_PATHS and not line.paths and not line.only_shows:
        raise AutogalError(
            f"No {_TAKE_PATHS[verb]} were given.",
            f"Name them, as `autogal {verb} cutouts/*.fits`; `autogal {verb} --help` shows more.",
        )
    if verb not in _TAKE_PATHS and line.paths:
        raise AutogalError(
            f"`autogal {verb}` takes no path, but {line.paths[0]} was given.",
            f"`autogal {verb} --help` shows its keys.",
        )
    line = _normalised(line)
    job = Job(verb, line.paths, _fixed(line, verb), line.volume)
    _hand_to_hydra(job, line)
    if job.failure is not None:
        raise job.failure
    return INCOMPLETE if job.incomplete else 0


def _second_word(verb: str, words: list[str]) -> list[str]:
    """The words with the verb's second one, wherever among the others it stands, as Hydra has it."""
    from autogal.errors import AutogalError

    key, choices = _SECOND_WORDS[verb]
    if any(word.startswith(f"{key}=") for word in words):  # one of the user's own, as network=mine
        return words
    named = [word for word in words if word in choices]
    if len(named) != 1:
        written = [f"autogal {verb} {choice}" for choice in choices]
        raise AutogalError(
            f"What to {verb} was not said."
            if not named
            else f"autogal {verb} takes one of {', '.join(named)} at a time.",
            f"Write {', '.join(written[:-1])} or {written[-1]}; `autogal {verb} --help` shows more.",
        )
    return [f"{key}={word}" if word in choices else word for word in words]


def _normalised(line: CommandLine) -> CommandLine:
    """The same in Hydra's words, for which ``model=[a,b]`` would be one model with the keys of both."""
    from dataclasses import replace

    from autogal.configuration.overrides import normalise_overrides, several_models

    lists = [word for word in line.overrides if word.startswith("model=[") and word.endswith("]")]
    names = [name.strip() for name in lists[-1][len("model=[") : -1].split(",")] if lists else []
    others = normalise_overrides(word for word in line.overrides if word not in lists)
    return replace(line, overrides=(*(several_models(names) if lists else ()), *others))


def _hand_to_hydra(job: Job, line: CommandLine) -> None:
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from autogal.configuration.composing import HYDRA_VERSION, known_keys
    from autogal.configuration.explaining import explain
    from autogal.configuration.packaged import CONFIG_MODULE

    start = hydra.main(
        version_base=HYDRA_VERSION, config_path=f"pkg://{CONFIG_MODULE}", config_name=job.verb
    )(job)
    try:
        with _hydra_arguments(line.words):
            start()
    except (HydraException, OmegaConfBaseException) as error:
        raise explain(error, partial(known_keys, job.verb)) from error
    except Exception as error:
        if job.begun:
            raise
        # a user's YAML that cannot be read: Hydra lets the parser's own errors through
        raise explain(_named(error, line.options), partial(known_keys, job.verb)) from error


def _named(error: Exception, options: Sequence[str]) -> Exception:
    """An error with the name of the user's file that it is about, where that is not said."""
    from autogal.errors import AutogalError

    if not isinstance(error, UnicodeDecodeError):
        return error
    for file in (file for folder in _config_dirs(options) for file in sorted(Path(folder).rglob("*.yaml"))):
        try:
            file.read_text(encoding="utf-8")
        except UnicodeDecodeError as problem:
            return AutogalError(
                f"{file} is not UTF-8 text: {problem.reason} at byte {problem.start}.", "Save it as UTF-8."
            )
    return error


@contextmanager
def _hydra_arguments(words: Sequence[str]) -> Iterator[None]:
    """Hydra reads sys.argv, and keeps errors to itself unless HYDRA_FULL_ERROR is 1."""
    argv, full = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv = [argv[0], *words]
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        sys.argv = argv
        if full is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = full


def _fixed(line: CommandLine, verb: str) -> frozenset[str]:
    """The keys given one value."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    from autogal.configuration.composing import known_keys
    from autogal.configuration.explaining import explain

    try:
        parsed = OverridesParser.create().parse_overrides(list(line.overrides))
    except Exception as error:
        raise explain(error, partial(known_keys, verb)) from error
    return frozenset(one.get_key_element() for one in parsed if not one.is_sweep_override())


def _config_dirs(words: Sequence[str]) -> list[str]:
    folders = []
    for word, following in pairwise([*words, ""]):
        name, equals, value = word.partition("=")
        if name in ("--config-dir", "-cd"):
            folders.append(value if equals else following)
    return [folder for folder in folders if folder]


def _own_groups(folders: Sequence[str]) -> Iterator[str]:
    for folder in folders:
        if Path(folder).is_dir():
            yield from (path.name for path in Path(folder).iterdir() if path.is_dir())


def _report(error: Exception) -> int:
    """Two lines on stderr: what is wrong, and what to do."""
    from autogal.errors import AutogalError
    from autogal.runtime.logs import debugging

    if debugging():
        traceback.print_exception(error)
    match error:
        case AutogalError():
            what, remedy = error.what, error.remedy
        case OSError() if error.filename is not None:
            what = f"{error.filename}: {error.strerror}."
            remedy = "Check the path and who may read and write it."
        case _:
            what = f"Unexpected {type(error).__name__}: {' '.join(str(error).split())}"
            remedy = "This is a fault in autogal or in your own code: AUTOGAL_DEBUG=1 shows the traceback."
    print(f"error: {what}", file=sys.stderr)
    if remedy:
        print(f"       {remedy}", file=sys.stderr)
    return FAILED


if __name__ == "__main__":
    sys.exit(main())
