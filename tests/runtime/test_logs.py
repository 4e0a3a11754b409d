"""The record of a run: its folder, config.yaml and autogal.log; warnings on the console, not too many."""

from __future__ import annotations

import logging
import warnings

import pytest
import yaml

from autogal.configuration.composing import compose
from autogal.errors import AutogalError
from autogal.runtime.logs import run_log, show_warnings

log = logging.getLogger("autogal.somewhere")


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.delenv("AUTOGAL_DEBUG", raising=False)
    return compose(overrides=["solver=adam", f"out={tmp_path}/deep/run"])


@pytest.fixture
def console(monkeypatch):
    """The console handler, put on for one test."""
    monkeypatch.delenv("AUTOGAL_DEBUG", raising=False)
    logger = logging.getLogger("autogal")
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "level", logger.level)
    show_warnings()
    show_warnings()
    assert len(logger.handlers) == 1


def test_the_configuration_is_written_resolved(settings):
    with run_log(settings, ["a.fits"]) as folder:
        assert str(folder) == settings.out
        written = yaml.safe_load((folder / "config.yaml").read_text())
    assert written["solver"]["learning_rate"] == settings.solver.learning_rate
    assert "${" not in (folder / "config.yaml").read_text()
    assert sorted(path.name for path in folder.iterdir()) == ["autogal.log", "config.yaml"]


def test_the_log_holds_inputs_messages_and_warnings_of_libraries(settings):
    with run_log(settings, [f"{k}.fits" for k in range(30)]) as folder:
        log.info("one thing")
        log.debug("a detail")
        warnings.warn("from a library", stacklevel=1)
    text = (folder / "autogal.log").read_text()
    assert "input: 19.fits" in text and "input: 20.fits" not in text and "and 10 more" in text
    assert "one thing" in text and "from a library" in text and "done in" in text
    assert "a detail" not in text


def test_a_second_run_adds_to_the_log(settings):
    for word in ("first", "second"):
        with run_log(settings) as folder:
            log.info(word)
    log.warning("after the run")
    text = (folder / "autogal.log").read_text()
    assert text.index("first") < text.index("second") and "after the run" not in text


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (AutogalError("This is wrong.", "Mend it."), "This is wrong. Mend it."),
        (ValueError("a fault"), "Traceback"),
        (KeyboardInterrupt(), "interrupted"),
    ],
)
def test_what_ends_a_run_is_logged_and_goes_on(settings, error, said):
    with pytest.raises(type(error)), run_log(settings):
        raise error
    with open(f"{settings.out}/autogal.log") as file:
        assert said in file.read()


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(AutogalError) as caught, run_log(compose(overrides=[f"out={tmp_path}/taken"])):
        pass
    assert "taken" in caught.value.what and "out=" in caught.value.remedy


def test_the_console_shows_warnings_a_few_times(console, capsys):
    for k in range(10):
        log.info("quiet %d", k)
        log.warning("object %d is odd", k)
    log.error("another place")
    assert capsys.readouterr().err.splitlines() == [
        "warning: object 0 is odd",
        "warning: object 1 is odd",
        "warning: object 2 is odd (more of these: see autogal.log)",
        "error: another place",
    ]


def test_the_end_of_a_run_is_not_told_twice(console, settings, capsys):
    with pytest.raises(AutogalError), run_log(settings):
        raise AutogalError("This is wrong.")
    assert capsys.readouterr().err == ""
