"""What the quick ways in load: a number of a version, a page of help or a catalogue needs no torch."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from autogal.results import Catalogue

from .results.scenes import make_cutout, make_fit

HEAVY = {"torch", "hydra", "matplotlib", "pytorch_lightning", "lightning", "torchvision", "scipy"}
LOADED = "\nimport sys; print('loaded', *{name.partition('.')[0] for name in sys.modules})"
COMMAND = "import sys; sys.argv = ['autogal', *{words!r}]\nfrom autogal.cli import main\nassert main() == 0"

DOORS = {
    "import autogal": "import autogal; dir(autogal)",
    "autogal --version": COMMAND.format(words=["--version"]),
    "autogal --help": COMMAND.format(words=["--help"]),
    "autogal fit --help": COMMAND.format(words=["fit", "--help"]),
    "autogal.Flag": "from autogal import AutogalError, Flag",
    "autogal.Catalogue": "from autogal import Catalogue",
    "autogal.results": "from autogal.results import Catalogue",
    "autogal.read of a file": "import autogal; assert len(autogal.read({folder!r} + '/run/catalogue.fits')) == 2",  # noqa: E501
    "autogal.read of a run": "import autogal; assert len(autogal.read({folder!r} + '/run')) == 2",
    "ecsv": "import autogal; autogal.Catalogue.read({folder!r} + '/a.ecsv').write({folder!r} + '/b.ecsv')",
    "parquet": "import autogal; autogal.Catalogue.read({folder!r} + '/a.parquet')",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("doors")
    catalogue = Catalogue.from_fitted([make_cutout("a"), make_cutout("b")], make_fit(2))
    for where in ("run/catalogue.fits", "a.ecsv", "a.parquet"):
        catalogue.write(folder / where)
    return str(folder)


def run(program: str) -> tuple[list[str], float]:
    """What it printed, and how long it took [s]."""
    begin = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), time.perf_counter() - begin


@pytest.mark.parametrize("door", DOORS)
def test_a_quick_way_in_loads_nothing_heavy(door, folder):
    program = DOORS[door].replace("{folder!r}", repr(folder)) + LOADED
    loaded = set(run(program)[0][-1].split()[1:])
    assert loaded & HEAVY == set()
    assert "autogal" in loaded


def test_files_are_written_with_the_standard_library_alone():
    loaded = set(run("import autogal.runtime.files" + LOADED)[0][-1].split()[1:])
    before = set(run("pass" + LOADED)[0][-1].split()[1:])
    assert loaded - before - set(sys.stdlib_module_names) == {"autogal"}


@pytest.mark.parametrize(
    "door", ["import autogal", "autogal --version", "autogal fit --help", "autogal.read of a run"]
)
def test_a_quick_way_in_is_quick(door, folder):
    """Within 2.5 times of what numpy and astropy's tables take to load, measured in turn, the best of
    three of each."""
    program = DOORS[door].replace("{folder!r}", repr(folder))
    pairs = [(run(program)[1], run("import numpy, astropy.table")[1]) for _ in range(3)]
    assert min(mine for mine, _ in pairs) <= 2.5 * min(base for _, base in pairs)
