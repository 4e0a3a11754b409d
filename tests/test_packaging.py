"""The wheel: all of it is inside, and it works in a clean environment, away from the source."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

SOURCES = ("pyproject.toml", "README.md", "LICENSE", "autogal", "conf", "checkpoints")


@pytest.fixture(scope="module")
def source(repository, tmp_path_factory) -> Path:
    """A copy to build from: nothing is left in the source tree, or taken from an old build."""
    source = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        origin = repository / name
        if origin.is_dir():
            shutil.copytree(origin, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif origin.exists():
            shutil.copy(origin, source / name)
    return source


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            "--wheel-dir",
            target,
            shutil.copytree(source, target / "source"),
        ],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return next(target.glob("autogal-*.whl"))


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory) -> Path:
    """A fresh environment with the wheel; torch and the rest come from this one, by a path file."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "--python",
            python,
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
            wheel,
        ],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    Path(site, "dependencies.pth").write_text(
        "\n".join({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    )
    return folder


def run(environment: Path, *words: str, cwd: Path) -> str:
    variables = {
        key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))
    }
    done = subprocess.run(
        [environment / "bin" / words[0], *words[1:]],
        cwd=cwd,
        env=variables,
        text=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_everything_is_in_the_wheel(wheel, source):
    expected = {path.relative_to(source).as_posix() for path in (source / "autogal").rglob("*.py")} | {
        "autogal/py.typed"
    }
    for name, patterns in (
        ("conf", ["*.yaml", "__init__.py"]),
        ("checkpoints", ["*.safetensors", "*.json", "__init__.py"]),
    ):
        for pattern in patterns:
            expected |= {
                f"autogal/{path.relative_to(source).as_posix()}" for path in (source / name).rglob(pattern)
            }
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert expected == inside
    assert "autogal/conf/survey/sdss.yaml" in inside


def test_the_installed_package_is_the_wheels(environment, tmp_path):
    where = run(environment, "python", "-c", "import autogal; print(autogal.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(environment)


def test_the_installed_command_finds_its_configuration(environment, tmp_path):
    assert run(environment, "autogal", "--version", cwd=tmp_path).startswith("autogal ")
    assert "euclid_vis" in run(environment, "autogal", "fit", "--help", cwd=tmp_path)
    shown = run(environment, "autogal", "fit", "--cfg", "job", "survey=hst_acs", cwd=tmp_path)
    assert "zeropoint: 25.94734" in shown
    assert list(tmp_path.iterdir()) == []


def test_the_installed_command_fits(environment, tmp_path, write_galaxy):
    write_galaxy(tmp_path / "galaxy.fits", tmp_path / "star.fits")
    run(
        environment,
        "autogal",
        "fit",
        "galaxy.fits",
        "psf=star.fits",
        "out=results",
        "device=cpu",
        cwd=tmp_path,
    )
    assert (tmp_path / "results" / "catalogue.fits").is_file()
