"""Where a run says what it does: warnings on the console, everything in ``autogal.log``."""

from __future__ import annotations

import logging
import os
import platform
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from autogal.errors import AutogalError

__all__ = ["debugging", "is_quiet", "join_log", "run_log", "show_warnings"]

log = logging.getLogger(__name__)

_LOGGERS = ("autogal", "py.warnings")
_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
_LEVELS = {"quiet": logging.ERROR, "usual": logging.WARNING, "verbose": logging.INFO}
_REPEATS = 3
_SHOWN_PATHS = 20


def debugging() -> bool:
    """True where the user asked for tracebacks and debug messages (``AUTOGAL_DEBUG=1``)."""
    return os.environ.get("AUTOGAL_DEBUG", "") not in ("", "0")


def is_quiet() -> bool:
    """True where nothing but errors is to be shown (``--quiet``)."""
    return any(
        isinstance(handler, _Console) and handler.level >= logging.ERROR
        for handler in logging.getLogger("autogal").handlers
    )


def show_warnings(volume: str = "usual") -> None:
    """Show autogal's warnings on the console; called by the command line, once or again.

    A message that comes a thousand times, one for each object, is shown three
    times; ``autogal.log`` has them all.

    Parameters
    ----------
    volume : {"usual", "quiet", "verbose"}
        Quiet: no warnings; verbose: all that ``autogal.log`` gets, each time.
    """
    logger = logging.getLogger("autogal")
    if not any(isinstance(handler, _Console) for handler in logger.handlers):
        logger.addHandler(_Console())
    for handler in logger.handlers:
        if isinstance(handler, _Console):
            handler.setLevel(logging.DEBUG if debugging() else _LEVELS[volume])
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.DEBUG if debugging() else logging.INFO)


@contextmanager
def run_log(settings: DictConfig, paths: Sequence[str] = ()) -> Iterator[Path]:
    """Make the folder of a run, write its ``config.yaml``, and keep its ``autogal.log``.

    Parameters
    ----------
    settings : DictConfig
        The whole configuration; ``settings.out`` names the folder.
    paths : sequence of str, optional
        What was to be fitted; named in the log.

    Yields
    ------
    pathlib.Path
        The folder. An exception that leaves the block is logged, with its
        traceback unless it is an :class:`AutogalError`, and goes on.

    Raises
    ------
    AutogalError
        Where the folder cannot be made or written to.
    """
    folder = Path(settings.out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_configuration(settings, folder / "config.yaml")
        handler = _file(folder)
    except OSError as error:
        raise AutogalError(
            f"The folder {folder} cannot be written to: {error.strerror or error}.",
            "Choose another one with out=FOLDER.",
        ) from error
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    _listen(handler)
    started = time.perf_counter()
    try:
        _log_start(paths)
        yield folder
        log.info("done in %.1f s", time.perf_counter() - started)
    except AutogalError as error:
        log.error("%s %s", error.what, error.remedy, extra={"only_file": True})
        raise
    except KeyboardInterrupt:
        log.warning("interrupted after %.1f s", time.perf_counter() - started, extra={"only_file": True})
        raise
    except Exception:
        log.exception("stopped by an unexpected error", extra={"only_file": True})
        raise
    finally:
        logging.captureWarnings(False)
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
        handler.close()


def join_log(folder: Path) -> None:
    """In another process of a run: send what it says where the first one's messages go, for as long as it
    lives."""
    if not any(isinstance(handler, logging.FileHandler) for handler in logging.getLogger("autogal").handlers):
        show_warnings()
        _listen(_file(folder))


def _file(folder: Path) -> logging.FileHandler:
    handler = logging.FileHandler(folder / "autogal.log", encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter(_FORMAT))
    return handler


def _listen(handler: logging.Handler) -> None:
    for logger in map(logging.getLogger, _LOGGERS):
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG if debugging() else logging.INFO)
    logging.captureWarnings(True)


class _Console(logging.Handler):
    """Warnings on stderr, as one line each; stderr is looked up each time, so that a progress bar can
    catch it."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self._seen: Counter[tuple[str, int]] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "only_file", False):
            return
        place = (record.pathname, record.lineno)
        self._seen[place] += 1
        everything = self.level < logging.WARNING
        if self._seen[place] > _REPEATS and not everything:
            return
        more = " (more of these: see autogal.log)" if self._seen[place] == _REPEATS and not everything else ""
        try:
            print(f"{record.levelname.lower()}: {record.getMessage()}{more}", file=sys.stderr, flush=True)
        except Exception:
            self.handleError(record)


def _write_configuration(settings: DictConfig, path: Path) -> None:
    head = (
        f"# autogal {metadata.version('autogal')}, {time.strftime('%Y-%m-%d %H:%M:%S')}: every setting of "
        f"this run\n"
    )
    part = path.with_suffix(".yaml.part")
    part.write_text(head + OmegaConf.to_yaml(settings, resolve=True), encoding="utf-8")
    os.replace(part, path)


def _log_start(paths: Sequence[str]) -> None:
    versions = ", ".join(
        f"{name} {metadata.version(name)}" for name in ("autogal", "torch", "numpy", "astropy")
    )
    log.info("%s, Python %s on %s", versions, platform.python_version(), platform.platform())
    log.info(
        "command: %s", " ".join(sys.argv[:_SHOWN_PATHS]) + (" ..." if len(sys.argv) > _SHOWN_PATHS else "")
    )
    for path in paths[:_SHOWN_PATHS]:
        log.info("input: %s", path)
    if len(paths) > _SHOWN_PATHS:
        log.info("and %d more", len(paths) - _SHOWN_PATHS)
