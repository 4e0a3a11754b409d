"""The command line: words sorted, Hydra kept quiet, errors in two lines, and the real thing as a
subprocess."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest
import yaml
from astropy.table import Table

from autogal import cli
from autogal.configuration.arguments import sort_words
from autogal.configuration.schemas import FitSettings
from autogal.errors import AutogalError

KEYS = {*FitSettings.__dataclass_fields__, "hydra"}


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def calls(folder, monkeypatch):
    """What the pipeline was called with; its work is replaced by ``calls.work``."""
    made = types.SimpleNamespace(settings=[], paths=[], work=lambda settings: None)

    def run(settings, paths):
        made.settings.append(settings)
        made.paths.append(paths)
        made.work(settings)

    pipeline = types.ModuleType("autogal.run.job")
    pipeline.run = run
    monkeypatch.setitem(sys.modules, "autogal.run.job", pipeline)
    monkeypatch.delenv("AUTOGAL_DEBUG", raising=False)
    return made


def two_lines(text: str) -> tuple[str, str]:
    lines = text.splitlines()
    assert len(lines) == 2, text
    assert lines[0].startswith("error: ")
    assert lines[1].startswith("       ")
    return lines[0].removeprefix("error: "), lines[1].strip()


# --- words -----------------------------------------------------------------------------------------------------------  # noqa: E501


@pytest.mark.parametrize(
    "name",
    ["a b.fits", "a=1.fits", "psf=1.fits", "~a.fits", "#1.fits", "(a).fits", "-m.fits", "out=x", "x[1].fits"],
)
def test_a_file_that_exists_is_a_path(folder, name):
    Path(name).touch()
    line = sort_words([name, "solver=lm"], KEYS)
    assert (line.paths, line.overrides) == ((name,), ("solver=lm",))


@pytest.mark.parametrize(
    "name",
    ["a.fits", "a.fits[SCI,1]", "@list.txt", "cutouts/*.fits", "~/a.fits", "sub/a=1.fits", "~backup.fits"],
)
def test_other_paths_need_not_exist(folder, name):
    assert sort_words([name], KEYS).paths == (name,)


def test_an_extension_of_an_awkward_file(folder):
    Path("a=1.fits").touch()
    assert sort_words(["a=1.fits[SCI,1]"], KEYS).paths == ("a=1.fits[SCI,1]",)


def test_a_folder_may_have_an_equals_sign_but_a_key_wins(folder):
    Path("field=3").mkdir()
    Path("solver=lm").mkdir()
    line = sort_words(["field=3", "solver=lm"], KEYS)
    assert (line.paths, line.overrides) == (("field=3",), ("solver=lm",))


def test_after_two_dashes_all_are_paths(folder):
    assert sort_words(["solver=lm", "--", "solver=lm", "-m", "--cfg"], KEYS).paths == (
        "solver=lm",
        "-m",
        "--cfg",
    )


@pytest.mark.parametrize(
    "word",
    [
        "solver=adam",
        "+new=1",
        "++out=1",
        "~survey",
        "solver.max_iterations=5",
        "hydra/launcher=joblib",
        "survey@other=sdss",
        "unknown=1",
    ],
)
def test_overrides(folder, word):
    line = sort_words([word], KEYS)
    assert (line.paths, len(line.overrides)) == ((), 1)


@pytest.mark.parametrize(
    ("word", "override"),
    [
        ("psf=star.fits", "psf.path='star.fits'"),
        ("psf.path=a b.fits", "psf.path='a b.fits'"),
        ("psf=star.fits[PSF,2]", "psf.path='star.fits[PSF,2]'"),
        ("psf=a,b.fits", "psf.path='a,b.fits'"),
        ("psf=null", "psf.path=null"),
        ("psf=", "psf.path=null"),
        ("psf={path:x.fits}", "psf={path:x.fits}"),
        ("psf.kind=optical", "psf.kind=optical"),
        ("sigma=it's.fits", "sigma='it\\'s.fits'"),
        ("mask='quoted.fits'", "mask='quoted.fits'"),
        ("out=run=1", "out='run=1'"),
        ("out=007", "out='007'"),
        ("out=runs/${survey.name}", "out='runs/${survey.name}'"),
    ],
)
def test_keys_that_name_files_are_quoted(folder, word, override):
    assert sort_words([word], KEYS).overrides == (override,)


def test_in_a_sweep_commas_part_files_unless_one_has_that_name(folder):
    assert sort_words(["-m", "psf=a.fits,b.fits"], KEYS).overrides == ("psf.path='a.fits','b.fits'",)
    assert sort_words(["psf=choice(a,b)", "--multirun"], KEYS).overrides == ("psf.path=choice(a,b)",)
    Path("a.fits,b.fits").touch()
    assert sort_words(["-m", "psf=a.fits,b.fits"], KEYS).overrides == ("psf.path='a.fits,b.fits'",)


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["--cfg", "job"], ["--cfg=job"]),
        (["-c", "all"], ["--cfg=all"]),
        (["--cfg=hydra"], ["--cfg=hydra"]),
        (["-m"], ["--multirun"]),
        (["--info"], ["--info=all"]),
        (["--info=plugins"], ["--info=plugins"]),
        (["-cd", "mine", "--config-name=other"], ["--config-dir=mine", "--config-name=other"]),
    ],
)
def test_options_are_hydras(folder, words, options):
    line = sort_words(["a.fits", *words, "solver=lm"], KEYS)
    assert (line.paths, line.overrides, list(line.options)) == (("a.fits",), ("solver=lm",), options)


@pytest.mark.parametrize(
    ("words", "what", "remedy"),
    [
        (["--multirn"], "There is no option --multirn.", "Did you mean --multirun?"),
        (["-z"], "There is no option -z.", "`autogal fit --help` lists the options."),
        (["--cfg", "jobb"], "--cfg jobb is not possible.", "Choose one of: job, hydra, all."),
        (["--config-dir"], "--config-dir needs a value.", "Write --config-dir=VALUE."),
        (["-m=3"], "--multirun takes no value.", "Write --multirun alone."),
        (["-m", "--cfg=job"], "--cfg and --multirun exclude each other.", "Give one of them."),
        (["--resolve"], "--resolve goes with --cfg only.", "Write --cfg job --resolve."),
    ],
)
def test_wrong_options(folder, words, what, remedy):
    with pytest.raises(AutogalError) as caught:
        sort_words(words, KEYS)
    assert (caught.value.what, caught.value.remedy) == (what, remedy)


# --- what reaches the pipeline, with its work replaced
# ----------------------------------------------------------------


def test_paths_and_settings_reach_the_pipeline(calls, folder):
    for name in ("a b.fits", "a=1.fits", "star 1.fits"):
        Path(name).touch()
    words = [
        "fit",
        "a b.fits",
        "a=1.fits",
        "b.fits[SCI,1]",
        "@list.txt",
        "psf=star 1.fits",
        "survey=sdss",
        "solver.max_iterations=7",
    ]
    assert cli.main(words) == 0
    assert calls.paths == [["a b.fits", "a=1.fits", "b.fits[SCI,1]", "@list.txt"]]
    settings = calls.settings[0]
    assert (settings.psf.path, settings.survey.name, settings.solver.max_iterations) == (
        "star 1.fits",
        "sdss",
        7,
    )
    assert "hydra" not in settings
    assert sorted(os.listdir()) == ["a b.fits", "a=1.fits", "star 1.fits"], "Hydra left something behind"


def test_process_state_is_put_back(calls):
    argv, cwd, environment = list(sys.argv), os.getcwd(), dict(os.environ)
    assert cli.main(["fit", "a.fits"]) == 0
    assert cli.main(["fit", "a.fits", "solvr=lm"]) == 2
    assert (sys.argv, os.getcwd(), dict(os.environ)) == (argv, cwd, environment)


def test_a_sweep_gives_each_job_its_folder(calls, capfd):
    assert (
        cli.main(
            ["fit", "-m", "a.fits", "solver=lm,adam", "dtype=float32,float64", "survey=sdss", "out=sweep"]
        )
        == 0
    )
    assert [settings.out for settings in calls.settings] == [
        f"sweep/solver={solver},dtype={dtype}"
        for solver in ("lm", "adam")
        for dtype in ("float32", "float64")
    ]
    assert calls.paths == [["a.fits"]] * 4
    assert all(settings.survey.name == "sdss" for settings in calls.settings)
    assert os.listdir() == ["sweep"]


def test_a_sweep_over_files_stays_on_one_level(calls):
    assert cli.main(["fit", "-m", "a.fits", "psf=p/1.fits,p/2.fits", "out=sweep"]) == 0
    assert [settings.out for settings in calls.settings] == [
        "sweep/psf.path=p%2F1.fits",
        "sweep/psf.path=p%2F2.fits",
    ]
    assert [settings.psf.path for settings in calls.settings] == ["p/1.fits", "p/2.fits"]


def test_a_sweep_with_nothing_to_vary_numbers_its_job(calls):
    assert cli.main(["fit", "-m", "a.fits", "solver=lm", "out=sweep"]) == 0
    assert [settings.out for settings in calls.settings] == ["sweep/0"]


def test_a_failed_job_does_not_stop_the_sweep_but_its_exit_code_says_so(calls, capfd):
    def work(settings):
        if settings.solver.name == "lm":
            raise AutogalError("The first job is wrong.", "Mend it.")

    calls.work = work
    assert cli.main(["fit", "-m", "a.fits", "solver=lm,adam", "out=sweep"]) == 2
    assert len(calls.settings) == 2
    assert capfd.readouterr().err.endswith("error: The first job is wrong.\n       Mend it.\n")


def test_a_job_travels_to_another_process():
    job = pickle.loads(pickle.dumps(cli.Job("fit", ("a b.fits",), frozenset({"solver"}))))
    assert (job.verb, job.paths, job.fixed) == ("fit", ("a b.fits",), frozenset({"solver"}))


def test_users_own_groups(calls, folder):
    (folder / "mine" / "survey").mkdir(parents=True)
    (folder / "mine" / "survey" / "vst.yaml").write_text("name: vst\npixel_scale: 0.21\n")
    assert cli.main(["fit", "a.fits", "--config-dir", "mine", "survey=vst"]) == 0
    assert calls.settings[0].survey.pixel_scale == 0.21


def test_ctrl_c(calls, capsys):
    def work(settings):
        raise KeyboardInterrupt

    calls.work = work
    assert cli.main(["fit", "a.fits"]) == 130
    assert capsys.readouterr().err == "Interrupted. What was done is kept in the out= folder.\n"


def test_an_error_of_the_run(calls, capsys):
    def work(settings):
        raise AutogalError("There is nothing to fit.", "Give images.")

    calls.work = work
    assert cli.main(["fit", "a.fits"]) == 2
    assert two_lines(capsys.readouterr().err) == ("There is nothing to fit.", "Give images.")


def test_an_unexpected_error_is_two_lines_too_and_a_traceback_on_request(calls, capsys, monkeypatch):
    def work(settings):
        raise ValueError("one\ntwo")

    calls.work = work
    assert cli.main(["fit", "a.fits"]) == 2
    what, remedy = two_lines(capsys.readouterr().err)
    assert what == "Unexpected ValueError: one two"
    assert "AUTOGAL_DEBUG=1" in remedy
    monkeypatch.setenv("AUTOGAL_DEBUG", "1")
    assert cli.main(["fit", "a.fits"]) == 2
    shown = capsys.readouterr().err
    assert "Traceback" in shown and "in work" in shown


# --- as a process ----------------------------------------------------------------------------------------------------  # noqa: E501


@pytest.mark.parametrize(
    ("words", "what", "remedy"),
    [
        (["fitt"], "There is no verb fitt.", "Did you mean `autogal fit`?"),
        (
            ["cook"],
            "There is no verb cook.",
            "The verbs are: fit, simulate, train, evaluate. See `autogal --help`.",
        ),
        (
            ["fit"],
            "No cutouts were given.",
            "Name them, as `autogal fit cutouts/*.fits`; `autogal fit --help` shows more.",
        ),
        (["fit", "solver=lm"], "No cutouts were given.", "Name them,"),
        (["fit", "a.fits", "solvr=lm"], "There is no key solvr.", "Did you mean solver?"),
        (["fit", "a.fits", "solver=lmm"], "There is no solver called lmm.", "Did you mean lm?"),
        (["fit", "a.fits", "solver=lm,adam"], "solver=lm,adam has several values.", "Add -m"),
        (["fit", "-m", "a.fits", "solver=lm,adm"], "There is no solver called adm.", "Did you mean adam?"),
        (["fit", "a.fits", "block=x"], "block=x is not a whole number.", "Give block a whole number"),
        (["fit", "a.fits", "dtype=int8"], "dtype=int8 is not possible.", "Choose one of: float32, float64."),
        (["fit", "a.fits", "pfs=star.fits"], "There is no key pfs.", "Did you mean psf?"),
        (["fit", "a.fits", "--out=x"], "There is no option --out=x.", "Keys have no dashes: write out=x."),
        (["simulate", "--pixel-scale"], "There is no option --pixel-scale.", "`autogal fit --help`"),
        (
            ["fit", "a.fits", "--zero-point=25"],
            "There is no option --zero-point=25.",
            "Did you mean zeropoint=25?",
        ),
        (
            ["fit", "a.fits", "--nonsense"],
            "There is no option --nonsense.",
            "`autogal fit --help` lists the options.",
        ),
        (
            ["fit", "a.fits", "-q", "--verbose"],
            "--quiet and --verbose exclude each other.",
            "Give one of them.",
        ),
        (["fit", "a.fits", "--multirn"], "There is no option --multirn.", "Did you mean --multirun?"),
        (
            ["fit", "a.fits", "--config-dir=none"],
            "Additional config directory",
            "Give --config-dir the folder",
        ),
        (["fit", "a.fits", "--config-name=other"], "There is no configuration other.", "Check --config-name"),
    ],
)
def test_errors_are_two_lines_and_exit_code_2(autogal_command, tmp_path, words, what, remedy):
    done = autogal_command(*words)
    assert done.returncode == 2
    assert done.stdout == ""
    shown_what, shown_remedy = two_lines(done.stderr)
    assert shown_what.startswith(what) and shown_remedy.startswith(remedy)
    if "-m" not in words:  # a sweep's folder is made before its jobs are composed
        assert list(tmp_path.iterdir()) == []


def test_debug_shows_the_traceback(autogal_command):
    done = autogal_command("fit", "a.fits", "solvr=lm", AUTOGAL_DEBUG="1")
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert done.stderr.endswith("error: There is no key solvr.\n       Did you mean solver?\n")


def test_help_and_version(autogal_command):
    version = autogal_command("--version")
    assert (version.returncode, version.stderr) == (0, "")
    assert version.stdout.startswith("autogal 0.")
    assert "autogal fit --help" in autogal_command("--help").stdout
    assert autogal_command().returncode == 2
    page = autogal_command("fit", "a.fits", "--help").stdout
    assert max(map(len, page.splitlines())) <= 110
    for word in ("EXAMPLES", "euclid_vis", "lm*", "covariance*", "psf=FILE", "@list.txt", "--config-dir"):
        assert word in page


def test_help_lists_the_users_own_groups(autogal_command, tmp_path):
    (tmp_path / "mine" / "survey").mkdir(parents=True)
    (tmp_path / "mine" / "survey" / "vst_atlas.yaml").write_text("name: vst_atlas\n")
    assert "vst_atlas" in autogal_command("fit", "--help", "--config-dir", "mine").stdout


@pytest.mark.parametrize(
    "words", [["--version"], ["--help"], ["fit", "--help"], ["simulate", "--help"], ["evaluate", "--help"]]
)
def test_help_is_quick(words):
    code = (
        "import sys; from autogal.cli import main; main(sys.argv[1:]); "
        "print([name for name in ('torch', 'hydra', 'astropy', 'matplotlib') if name in sys.modules], "
        "file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]", "heavy libraries are imported for a page of text"


def test_cfg_shows_the_whole_configuration(autogal_command, tmp_path):
    done = autogal_command("fit", "--cfg", "job", "survey=sdss", "psf=a b.fits")
    assert done.returncode == 0, done.stderr
    settings = yaml.safe_load(done.stdout)
    assert settings["survey"]["pixel_scale"] == 0.396
    assert settings["psf"]["path"] == "a b.fits"
    assert list(tmp_path.iterdir()) == []


def test_a_fit_from_files_with_awkward_names(autogal_command, tmp_path, write_galaxy):
    names = ["b=2.fits", "a 1.fits", "c.fits"]
    for k, name in enumerate(names):
        write_galaxy(tmp_path / name, tmp_path / "star (1).fits", mag=18.0 + 0.5 * k, seed=k)
    before = set(tmp_path.iterdir())
    done = autogal_command(
        "fit", *names, "psf=star (1).fits", "zeropoint=25", "pixel_scale=0.4", "out=results", "device=cpu"
    )
    assert done.returncode == 0, done.stderr
    table = Table.read(tmp_path / "results" / "catalogue.fits", hdu=1)
    assert [Path(str(path)).name for path in table["path"]] == names, "one row an input, in the order given"
    assert [str(status) for status in table["status"]] == ["converged"] * 3
    assert abs(table["mag"] - [18.0, 18.5, 19.0]).max() < 0.1
    assert set(tmp_path.iterdir()) - before == {tmp_path / "results"}
    settings = yaml.safe_load((tmp_path / "results" / "config.yaml").read_text())
    assert (settings["zeropoint"], settings["solver"]["name"]) == (25.0, "lm")
    assert "a 1.fits" in (tmp_path / "results" / "autogal.log").read_text()


def test_a_sweep_of_fits(autogal_command, tmp_path, write_galaxy):
    write_galaxy(tmp_path / "a.fits", tmp_path / "star.fits")
    done = autogal_command(
        "fit", "-m", "a.fits", "psf=star.fits", "solver=lm,adam", "out=sweep", "zeropoint=25", "device=cpu"
    )
    assert done.returncode == 0, done.stderr
    mags = [
        Table.read(tmp_path / "sweep" / name / "catalogue.fits", hdu=1)["mag"][0]
        for name in ("solver=lm", "solver=adam")
    ]
    assert abs(mags[0] - mags[1]) < 0.05
    assert {path.name for path in tmp_path.iterdir()} == {"a.fits", "star.fits", "sweep"}


def test_a_missing_file_costs_only_its_own_row(autogal_command, tmp_path, write_galaxy):
    write_galaxy(tmp_path / "a.fits", tmp_path / "star.fits")
    (tmp_path / "list.txt").write_text("missing.fits\na.fits\n")
    done = autogal_command("fit", "@list.txt", "psf=star.fits", "zeropoint=25", "out=results", "device=cpu")
    assert done.returncode == 0, done.stderr
    table = Table.read(tmp_path / "results" / "catalogue.fits", hdu=1)
    assert [str(status) for status in table["status"]] == ["failed", "converged"]


def test_an_out_folder_that_cannot_be(autogal_command, tmp_path, write_galaxy):
    write_galaxy(tmp_path / "a.fits", tmp_path / "star.fits")
    (tmp_path / "taken").write_text("a file")
    done = autogal_command("fit", "a.fits", "psf=star.fits", "out=taken", "device=cpu")
    assert done.returncode == 2
    what, remedy = two_lines(done.stderr)
    assert "taken" in what and "out=" in remedy


def test_ctrl_c_keeps_what_is_done(tmp_path, write_galaxy):
    write_galaxy(tmp_path / "a.fits", tmp_path / "star.fits")
    (tmp_path / "list.txt").write_text("a.fits\n" * 1000)
    # A shell that starts tests in the background makes them deaf to Ctrl-C; a user's is not.
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from autogal.cli import main; sys.exit(main())"
    )
    words = [
        "fit",
        "@list.txt",
        "psf=star.fits",
        "zeropoint=25",
        "out=results",
        "device=cpu",
        "block=4",
        "objects.png=false",
        "objects.fits=false",
    ]
    run = subprocess.Popen(
        [sys.executable, "-c", code, *words],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    catalogue = tmp_path / "results" / "catalogue.fits"
    try:
        waited = time.monotonic()
        while not catalogue.exists() and run.poll() is None and time.monotonic() - waited < 120:
            time.sleep(0.02)
        run.send_signal(signal.SIGINT)
        _, said = run.communicate(timeout=60)
    finally:
        run.kill()
    assert run.returncode == 130, said
    assert said.endswith("Interrupted. What was done is kept in the out= folder.\n")
    assert "Traceback" not in said
    table = Table.read(catalogue, hdu=1)
    assert 4 <= len(table) < 1000
    assert "interrupted" in (tmp_path / "results" / "autogal.log").read_text()


@pytest.mark.parametrize("words", [["--version"], ["fit", "--version"], ["train", "segmenter", "--version"]])
def test_the_version_wherever_it_is_asked_for(capsys, words):
    assert cli.main(words) == 0
    assert capsys.readouterr().out.startswith("autogal ")


@pytest.mark.parametrize(
    ("statuses", "strict", "code"),
    [
        (["failed", "failed"], False, 0),
        (["converged", "skipped"], True, 1),
        (["converged", "not_converged"], True, 1),
        (["failed"], True, 1),
        (["converged"], True, 0),
    ],
)
@pytest.mark.parametrize("sweep", [False, True])
def test_exit_codes(calls, monkeypatch, statuses, strict, code, sweep):
    done = types.SimpleNamespace(table={"status": statuses})
    monkeypatch.setattr(sys.modules["autogal.run.job"], "run", lambda settings, paths: done)
    words = ["-m", "solver=lm,adam"] if sweep else []
    assert cli.main(["fit", "a.fits", f"strict={str(strict).lower()}", *words]) == code


@pytest.mark.parametrize(
    ("option", "out", "err"),
    [
        ("--quiet", "", ""),
        ("-q", "", ""),
        (None, "a table\n", "warning: wrong\n"),
        ("-v", "a table\n", "info: so it is\nwarning: wrong\n"),
    ],
)
def test_how_much_is_said(calls, capsys, monkeypatch, option, out, err):
    logger = logging.getLogger("autogal")
    monkeypatch.setattr(logger, "handlers", [])

    def work(settings):
        print("a table")
        logging.getLogger("autogal.some").info("so it is")
        logging.getLogger("autogal.some").warning("wrong")

    calls.work = work
    assert cli.main(["fit", "a.fits", *([option] if option else [])]) == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == (out, err)


def test_quiet_does_not_hide_errors(calls, capsys, monkeypatch):
    monkeypatch.setattr(logging.getLogger("autogal"), "handlers", [])

    def work(settings):
        raise AutogalError("It is wrong.", "Mend it.")

    calls.work = work
    assert cli.main(["fit", "a.fits", "--quiet"]) == 2
    assert two_lines(capsys.readouterr().err) == ("It is wrong.", "Mend it.")


def test_a_run_again_in_the_same_folder_and_on_an_ascii_terminal(autogal_command, tmp_path, write_galaxy):
    """Nothing of the first run is lost or mixed with the second, a refused third touches neither, and
    signs that ASCII lacks end nothing."""
    for name in ("a", "b"):
        write_galaxy(tmp_path / f"{name}.fits", tmp_path / "star.fits")
    words = [
        "psf=star.fits",
        "zeropoint=25",
        "pixel_scale=0.4",
        "device=cpu",
        "segment=sep",
        "initialise=moments",
        "out=run",
    ]
    ascii = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    first = autogal_command("fit", "a.fits", *words)
    second = autogal_command("fit", "b.fits", *words, **ascii)
    assert first.returncode == second.returncode == 0, second.stderr
    assert "+-" in second.stdout and second.stdout.isascii()
    assert {path.stem for path in (tmp_path / "run" / "objects").iterdir()} == {"b"}
    assert {path.stem for path in (tmp_path / "run" / "earlier_1" / "objects").iterdir()} == {"a"}
    assert [
        str(one) for one in Table.read(tmp_path / "run" / "earlier_1" / "catalogue.fits", hdu=1)["id"]
    ] == ["a"]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert autogal_command("fit", "b.fits", *words, "model.bounds={no: [1, 2]}").returncode == 2
    assert autogal_command("fit", "run", *words).returncode == 2
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
