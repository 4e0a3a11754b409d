"""The rules of the house, read from the source: which part may import which, and how files look."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "autogal"
MODULES = sorted(PACKAGE.rglob("*.py"))
LONGEST = 350

# Data runs images -> segment -> initialise -> (model + solvers) -> uncertainty -> results.
# (from, to): arrows that must never be; `but` may be imported all the same.
FORBIDDEN = [
    ("autogal.solvers", "autogal", "autogal.solvers"),
    ("autogal.profiles", "autogal.rendering", None),
    ("autogal.profiles", "autogal.model", None),
    ("autogal.rendering", "autogal.model", None),
    ("autogal.rendering", "autogal.batch", None),
    ("autogal.model", "autogal.batch", None),
    ("autogal.model", "autogal.fitting", None),
    ("autogal.images", "autogal.results", None),
    ("autogal", "autogal.cli", None),
]
# Names under which projects are imported, where they differ from those in pyproject.toml.
DISTRIBUTIONS = {"hydra": "hydra-core", "pytorch_lightning": "pytorch-lightning"}


def module_name(path: Path, package: Path = PACKAGE) -> str:
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(source: str, module: str, is_package: bool = False) -> Iterator[str]:
    """Full names of everything a module imports, wherever in it, relative imports too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                parents = parts[: len(parts) - node.level + is_package]
                base = ".".join([*parents, base]).rstrip(".")
            yield from (f"{base}.{alias.name}" for alias in node.names)


def inside(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def violations(source: str, module: str, is_package: bool = False) -> list[str]:
    found = []
    for imported in imports(source, module, is_package):
        for origin, target, but in FORBIDDEN:
            if inside(module, origin) and inside(imported, target) and not (but and inside(imported, but)):
                found.append(f"{module} imports {imported}")
    return found


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_no_forbidden_import(path):
    assert violations(path.read_text(), module_name(path), path.name == "__init__.py") == []


@pytest.mark.parametrize(("module", "is_package", "source"), [
    ("autogal.solvers.lm", False, "import autogal.model"),
    ("autogal.solvers.lm", False, "from autogal import flags"),
    ("autogal.solvers.lm", False, "from ..model import grid"),
    ("autogal.solvers", True, "from ..errors import AutogalError"),
    ("autogal.solvers.lm", False, "def f():\n    from autogal.images.cutout import Cutout"),
    ("autogal.profiles.sersic", False, "from autogal.rendering.hankel import transform"),
    ("autogal.profiles", True, "from .. import model"),
    ("autogal.images.paths", False, "import autogal.results.columns as c"),
    ("autogal.pipeline", False, "from autogal.cli import main"),
    ("autogal", True, "from . import cli"),
])
def test_the_reader_sees_forbidden_imports(module, is_package, source):
    assert len(violations(source, module, is_package)) == 1


@pytest.mark.parametrize(("module", "source"), [
    ("autogal.solvers.lm", "import torch\nfrom autogal.solvers.result import Result\nfrom .result import Result"),
    ("autogal.rendering.grid", "from autogal.profiles import radial"),
    ("autogal.results.columns", "from autogal.images.cutout import Cutout"),
])
def test_the_reader_lets_the_others_pass(module, source):
    assert violations(source, module) == []


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_every_module_says_what_is_public(path):
    tree = ast.parse(path.read_text())
    public = [node.value for node in tree.body if isinstance(node, ast.Assign)
              and any(isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets)]
    assert len(public) == 1, "one __all__ a module"
    assert ast.get_docstring(tree), "a docstring that says what the module is for"


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_files_are_short(path):
    assert len(path.read_text().splitlines()) <= LONGEST


def test_no_drawer_for_everything():
    assert [path for path in MODULES if path.stem in ("utils", "util", "helpers", "misc", "common", "tools")] == []


def test_what_is_imported_is_declared():
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
    declared = {re.match(r"[\w.-]+", requirement)[0] for requirement in project["dependencies"]}
    used = {name.partition(".")[0] for path in MODULES
            for name in imports(path.read_text(), module_name(path), path.name == "__init__.py")}
    foreign = used - set(sys.stdlib_module_names) - {"autogal"}
    assert {DISTRIBUTIONS.get(name, name) for name in foreign} <= declared
