"""What the worked examples share: a copy of the package in which files are changed as a contributor would
change them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

#: A stamp of one galaxy, fitted: the shortest way through everything
FIT = """
    import numpy as np, autogal
    from astropy.table import Table
    y, x = np.mgrid[-8:9, -8:9]
    star = np.exp(-(x**2 + y**2) / 4.5)
    truth = Table({"x": [23.3], "y": [24.1], "mag": [18.0], "r_eff": [4.0], "n": [1.2], "q": [0.7], "pa": [40.0]})
    image = autogal.render(truth, psf=star / star.sum(), shape=(48, 48), zeropoint=25.0)
    image = image + np.random.default_rng(1).normal(0, 0.3, image.shape)
    catalogue = autogal.fit(image, np.full_like(image, 0.3), star / star.sum(), start=truth, zeropoint=25.0, device="cpu", **OPTIONS)
"""


@pytest.fixture
def changed_package(repository, tmp_path) -> Callable[..., Callable[[str], str]]:
    """Change files of a copy of the package; returns what runs a program with that copy, and gives what it
    printed.

    ``changed_package({"results/columns.py": [(old, new), ...], "results/formats/mine.py": "text"}, most=2)``:
    a list of replacements changes a file, of which each `old` must stand there once, and text is a new file.
    More than `most` files are refused. Names are of the package, but those that begin with ``conf/``.
    """

    def change(changes: Mapping[str, str | list[tuple[str, str]]], most: int) -> Callable[[str], str]:
        assert len(changes) <= most, (
            f"{len(changes)} files are touched where {most} are promised: {', '.join(changes)}"
        )
        package = tmp_path / "copy" / "autogal"
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(repository / "autogal", package, ignore=ignored)
        shutil.copytree(repository / "conf", package / "conf", ignore=ignored)
        os.symlink(repository / "checkpoints", package / "checkpoints")
        for name, change in changes.items():
            file = package / name
            if isinstance(change, str):
                assert not file.exists(), f"{name} is there already"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(textwrap.dedent(change))
                continue
            text = file.read_text()
            for old, new in change:
                assert text.count(old) == 1, f"{name}: {old!r} stands there {text.count(old)} times"
                text = text.replace(old, new)
            file.write_text(text)
        return lambda program, **options: run_program(program, package.parent, tmp_path, **options)

    return change


@pytest.fixture
def program(tmp_path, repository) -> Callable[[str], str]:
    """Runs a program with the package as it is, in a folder of its own; gives what it printed."""
    return lambda program, **options: run_program(program, repository, tmp_path, **options)


def run_program(program: str, first: Path, folder: Path, **options) -> str:
    text = textwrap.dedent(program).replace("FIT", textwrap.dedent(FIT).replace("OPTIONS", repr(options)))
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(first), str(folder)]),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", f"import autogal; assert autogal.__file__.startswith({str(first)!r})\n{text}"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
