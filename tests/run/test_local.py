"""A fit shared out to several processes: the same catalogue, and nothing lost where one of them ends
early."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

import autogal
from autogal.cli import main
from autogal.configuration.composing import compose
from autogal.errors import AutogalError
from autogal.results import Catalogue
from autogal.run import local
from autogal.run.blocks import Block

from ..results.scenes import make_cutout, make_fit

WORDS = [
    "psf=star.fits",
    "zeropoint=25",
    "pixel_scale=0.4",
    "device=cpu",
    "objects.fits=false",
    "objects.png=false",
]
ONE_CORE = {"OMP_NUM_THREADS": "1"}  # of each process: more of them than cores only wait for one another


@pytest.fixture
def five(tmp_path, write_galaxy) -> Path:
    """Five inputs, the second of them missing."""
    for k in (0, 2, 3, 4):
        write_galaxy(tmp_path / f"g{k}.fits", tmp_path / "star.fits", mag=18.0 + 0.3 * k, seed=k)
    (tmp_path / "list.txt").write_text("\n".join(f"g{k}.fits" for k in range(5)))
    return tmp_path


def read(folder: Path) -> Table:
    return Table.read(folder / "catalogue.fits", hdu=1)


def assert_same(one: Path, other: Path):
    first, second = Catalogue.read(one / "catalogue.fits"), Catalogue.read(other / "catalogue.fits")
    assert list(first.table["id"]) == list(second.table["id"]) == [f"g{k}" for k in range(5)]
    for name in first.table.colnames:
        assert np.array_equal(
            first.table[name], second.table[name], equal_nan=first.table[name].dtype.kind == "f"
        ), name
    assert np.array_equal(first.covariance, second.covariance, equal_nan=True)


def test_two_processes_give_the_catalogue_of_one(autogal_command, five):
    alone = autogal_command("fit", "@list.txt", *WORDS, "block=1", "out=one", **ONE_CORE)
    assert alone.returncode == 0, alone.stderr
    before = set(five.iterdir())
    shared = autogal_command(
        "fit", "@list.txt", *WORDS, "block=1", "out=two", "trainer.devices=2", **ONE_CORE
    )
    assert shared.returncode == 0, shared.stderr
    assert_same(five / "one", five / "two")
    assert set(five.iterdir()) - before == {five / "two"}
    assert {path.name for path in (five / "two").iterdir()} == {
        "autogal.log",
        "catalogue.fits",
        "config.yaml",
    }
    for text in (shared.stdout, shared.stderr, (five / "two" / "autogal.log").read_text()):
        assert "lightning" not in text.lower() and "tip" not in text.lower()
    assert "g1" in (five / "two" / "autogal.log").read_text(), "what another process says reaches the log"


def test_processes_that_run_the_command_again_and_more_of_them_than_blocks(autogal_command, five):
    """`ddp` starts the others by the same command line; one of the three has nothing to do."""
    autogal_command("fit", "@list.txt", *WORDS, "block=3", "out=one", **ONE_CORE)
    words = [*WORDS, "block=3", "out=three", "trainer.devices=3", "trainer.strategy=ddp", "--", "@list.txt"]
    shared = autogal_command("fit", *words, **ONE_CORE)
    assert shared.returncode == 0, shared.stderr
    assert_same(five / "one", five / "three")
    assert shared.stdout.count("5 objects") == 1 and "(sum of 3 processes)" in shared.stdout


def test_ctrl_c_in_several_processes_keeps_what_is_done(five):
    (five / "list.txt").write_text("g0.fits\n" * 2000)
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from autogal.cli import main; sys.exit(main())"
    )
    words = ["fit", "@list.txt", *WORDS, "block=2", "out=results", "trainer.devices=2"]
    run = subprocess.Popen(
        [sys.executable, "-c", code, *words],
        cwd=five,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        env=os.environ | ONE_CORE,
    )
    catalogue = five / "results" / "catalogue.fits"
    try:
        waited = time.monotonic()
        while not catalogue.exists() and run.poll() is None and time.monotonic() - waited < 240:
            time.sleep(0.02)
        os.killpg(run.pid, signal.SIGINT)  # as a terminal does: to all of them
        _, said = run.communicate(timeout=300)
    finally:
        run.kill()
    assert run.returncode == 130, said
    assert (
        said.endswith("Interrupted. What was done is kept in the out= folder.\n") and "Traceback" not in said
    )
    assert 2 <= len(read(five / "results")) < 2000
    assert not (five / "results" / ".autogal_blocks").exists()


DYING = """
import os, signal, sys, time
sys.path.insert(0, {root!r})
from tests.run.test_local import *

class Dying(Blocks):
    def fit(self, block, device):
        if block.first == 2:  # the first block of the second process
            while not os.path.exists("kept"):
                time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGKILL)
        if block.first == 4:
            time.sleep(600)
        return super().fit(block, device)

if __name__ == "__main__":
    settings = compose(overrides=["device=cpu", "trainer.devices=2", "out=."])
    rows = []
    def keep(part, first):
        rows.append(first)
        open("kept", "w").close()
    try:
        local.share_out(Dying(3), local.fit_trainer(settings), Path(), keep)
    except AutogalError as error:
        print(rows, error.what)
"""


def test_a_process_that_dies_takes_no_other_rows_along(tmp_path):
    script = tmp_path / "dying.py"
    script.write_text(DYING.format(root=str(Path(__file__).parents[2])))
    done = subprocess.run(
        [sys.executable, script],
        cwd=tmp_path,
        text=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        env=os.environ | ONE_CORE,
        timeout=600,
    )
    assert done.stdout.startswith("[0] A process of the run ended before its work was done: "), done.stderr
    assert "SIGKILL" in done.stdout and "4 of 6 cutouts were not fitted" in done.stdout


class Blocks:
    """As those of a run, two cutouts each, with fits that are made up."""

    def __init__(self, count: int, problem: Exception | None = None):
        self.entries, self.problem = [f"g{k}" for k in range(2 * count)], problem

    def __len__(self) -> int:
        return len(self.entries) // 2

    def read(self, numbers):
        for first in (2 * number for number in numbers):
            yield Block(first, [make_cutout(id) for id in self.entries[first : first + 2]], 0.0)

    def fit(self, block: Block, device: str) -> Catalogue:
        if self.problem is not None and block.first == 2:
            raise self.problem
        return Catalogue.from_fitted(block.cutouts, make_fit(2), keep_cutouts=False)


def share_out(blocks: Blocks, folder: Path) -> list[int]:
    """In this process, without another one; the first rows of the blocks that came."""
    trainer, came = local.fit_trainer(compose(overrides=["device=cpu", f"out='{folder}'"])), []
    try:
        local.share_out(blocks, trainer, folder, lambda part, first: came.append(first))
    finally:
        assert list(folder.iterdir()) == [folder / "autogal.log"]
        blocks.came = sorted(came)
    return blocks.came


@pytest.fixture(autouse=True)
def terminating():
    """Put back what a share does to SIGTERM, and to the log, in this process."""
    before, handlers = signal.getsignal(signal.SIGTERM), list(logging.getLogger("autogal").handlers)
    yield
    signal.signal(signal.SIGTERM, before)
    for name in ("autogal", "py.warnings"):
        logger = logging.getLogger(name)
        for handler in [handler for handler in logger.handlers if handler not in handlers]:
            logger.removeHandler(handler)
    logging.captureWarnings(False)


def test_all_blocks_come(tmp_path):
    assert share_out(Blocks(4), tmp_path) == [0, 2, 4, 6]


@pytest.mark.parametrize("problem", [AutogalError("There is no PSF.", "Give one."), ValueError("odd")])
def test_what_goes_wrong_in_a_process_ends_the_run_and_keeps_what_was_done(problem, tmp_path):
    blocks = Blocks(4, problem)
    with pytest.raises((AutogalError, RuntimeError), match=str(problem).splitlines()[0]) as caught:
        share_out(blocks, tmp_path)
    assert blocks.came == [0]
    if isinstance(problem, AutogalError):
        assert caught.value.remedy == "Give one."
    else:
        assert "ValueError: odd" in (tmp_path / "autogal.log").read_text()


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["-m", "solver=lm,adam", "trainer.devices=2"], "A sweep with trainer.devices=2"),
        (["trainer.strategy=nonsense"], "trainer cannot be set up"),
        (["+trainer.precision=16", "trainer.devices=2"], "trainer cannot be set up"),
        (["trainer.accelerator=gpu"], "device=cpu and trainer.accelerator=gpu contradict"),
        (["trainer.devices=0"], "trainer cannot be set up"),
    ],
)
def test_requests_that_cannot_be_met(words, what, five, monkeypatch, capsys):
    monkeypatch.chdir(five)
    assert main(["fit", "@list.txt", *WORDS, *words]) == 2
    said = capsys.readouterr().err
    lines = said.strip().splitlines()
    assert what in lines[-2] and len(lines) == 2 + ("-m" in words)  # Hydra names the job of a sweep


def test_one_process_needs_no_lightning(autogal_command, five):
    code = (
        "import sys; from autogal.cli import main; code = main(sys.argv[1:]); "
        "print([name for name in sys.modules if 'lightning' in name], file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "fit", "g0.fits", *WORDS], cwd=five, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr.strip()) == (0, "[]")


def test_arrays_are_fitted_where_they_are():
    with pytest.raises(AutogalError, match="takes no trainer="):
        autogal.fit(np.zeros((1, 32, 32)), trainer={"devices": 2})
