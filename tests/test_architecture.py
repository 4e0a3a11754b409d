"""The rules of the house, read from the source: which part may import which, and how files look."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "autogal"
MODULES = sorted(PACKAGE.rglob("*.py"))
LONGEST = 450  # lines of a file
WIDEST = 110  # columns of a line

# A part imports what is on its floor or below, for annotations too; nothing imports in a circle.
FLOORS = [
    ("errors", "flags", "parameters"),
    ("runtime", "configuration"),
    ("images", "profiles", "solvers", "likelihood", "networks"),
    ("rendering",),
    ("model",),
    ("batch",),
    ("uncertainty", "fitting", "model_images", "deprojection"),
    ("segment", "initialise", "canonical"),
    ("neighbours", "beginning"),
    ("pipeline",),
    ("results", "report", "interchange"),
    ("run", "api", "cli", ""),  # "": autogal itself
]
# Beside the floors: they import what they use but the command line, the later ones the earlier ones; no floor
# imports them.
BESIDE = ("simulate", "training", "evaluate")
# Parts that know nothing of the others on the floors below them.
ALONE = ("solvers",)
# Upward imports inside functions that stay: (module, imported module): why.
LAZY: dict[tuple[str, str], str] = {}

# What is still to be put right; a part that is mended leaves these lists.
NOT_YET: set[tuple[str, str]] = set()
CIRCLES_NOT_YET: list[set[str]] = []
# Names under which projects are imported, where they differ from those in pyproject.toml.
DISTRIBUTIONS = {"hydra": "hydra-core", "pytorch_lightning": "pytorch-lightning"}

_HEIGHT = {part: height for height, parts in enumerate(FLOORS) for part in parts}


class Import(NamedTuple):
    """A name that a module imports, and whether it does so in a function."""

    name: str
    is_lazy: bool = False


def module_name(path: Path, package: Path = PACKAGE) -> str:
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def all_imports(source: str, module: str, is_package: bool = False) -> Iterator[Import]:
    """Everything a module imports, wherever in it and for whatever, relative imports too."""

    def visit(node: ast.AST, in_function: bool) -> Iterator[Import]:
        in_function |= isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, in_function) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                base = ".".join([*parts[: len(parts) - node.level + is_package], base]).rstrip(".")
            yield from (Import(f"{base}.{alias.name}", in_function) for alias in node.names)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, in_function)

    yield from visit(ast.parse(source), False)


def imports(source: str, module: str, is_package: bool = False) -> Iterator[str]:
    """Full names of everything a module imports."""
    return (one.name for one in all_imports(source, module, is_package))


def inside(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def part_of(name: str) -> str:
    """``"model"`` for ``"autogal.model.spec.build"``; a name that `autogal` itself has is of the empty
    part."""
    part = [*name.split("."), ""][1]
    return part if part in _HEIGHT or part in BESIDE else ""


def is_upward(origin: str, target: str) -> bool:
    """Whether an import of one part by another goes up."""
    if origin == target or (origin in BESIDE and target not in BESIDE and target not in ("cli", "")):
        return False
    if target in BESIDE:
        return origin not in BESIDE or BESIDE.index(origin) < BESIDE.index(target)
    return origin in BESIDE or _HEIGHT[target] > _HEIGHT[origin] or origin in ALONE


def violations(source: str, module: str, is_package: bool = False) -> list[tuple[str, str]]:
    """Upward imports: the module, and the module or name that it imports."""
    found = []
    for imported in all_imports(source, module, is_package):
        if not inside(imported.name, "autogal") or not is_upward(part_of(module), part_of(imported.name)):
            continue
        target = imported.name if imported.name in NAMES else imported.name.rpartition(".")[0]
        if not (imported.is_lazy and (module, target) in LAZY):
            found.append((module, target))
    return list(dict.fromkeys(found))


def circles(graph: Mapping[str, set[str]]) -> list[set[str]]:
    """The groups of nodes of which each reaches every other."""
    order, back = [], {node: set() for node in graph}
    for node, targets in graph.items():
        for target in targets:
            back[target].add(node)

    def reach(start: str, edges: Mapping[str, set[str]], seen: set[str]) -> list[str]:
        """What is reached for the first time, each behind all that it reaches."""
        out, stack = [], [(start, iter(edges[start]))]
        seen.add(start)
        while stack:
            _node, rest = stack[-1]
            following = next((one for one in rest if one not in seen), None)
            if following is None:
                out.append(stack.pop()[0])
            else:
                seen.add(following)
                stack.append((following, iter(edges[following])))
        return out

    seen: set[str] = set()
    for node in graph:
        if node not in seen:
            order += reach(node, graph, seen)
    seen, groups = set(), []
    for node in reversed(order):
        if node not in seen:
            groups.append(set(reach(node, back, seen)))
    return [group for group in groups if len(group) > 1]


NAMES = {module_name(path) for path in MODULES}
ARROWS = [
    arrow
    for path in MODULES
    for arrow in violations(path.read_text(), module_name(path), path.name == "__init__.py")
]


def import_graph() -> dict[str, set[str]]:
    """Of every module, the modules that it names."""
    graph = {}
    for path in MODULES:
        module = module_name(path)
        named = (
            name if name in NAMES else name.rpartition(".")[0]
            for name in imports(path.read_text(), module, path.name == "__init__.py")
        )
        graph[module] = {name for name in named if name in NAMES and name != module}
    return graph


def test_every_part_has_a_floor():
    parts = {[*module_name(path).split("."), ""][1] for path in MODULES}
    assert parts <= {*_HEIGHT, *BESIDE}


def test_nothing_imports_upward():
    assert sorted(set(ARROWS) - NOT_YET) == []


def test_no_part_imports_another_in_a_circle():
    parts: dict[str, set[str]] = {part: set() for part in (*_HEIGHT, *BESIDE)}
    for module, targets in import_graph().items():
        parts[part_of(module)] |= {part_of(target) for target in targets} - {part_of(module)}
    for module, target in NOT_YET:
        parts[part_of(module)].discard(part_of(target))
    assert circles(parts) == []


def test_no_module_imports_another_in_a_circle():
    assert [circle for circle in circles(import_graph()) if circle not in CIRCLES_NOT_YET] == []


def test_what_is_mended_has_left_the_lists():
    assert sorted(NOT_YET - set(ARROWS)) == []
    assert [circle for circle in CIRCLES_NOT_YET if circle not in circles(import_graph())] == []
    lazy = {
        (module_name(path), name.name if name.name in NAMES else name.name.rpartition(".")[0])
        for path in MODULES
        for name in all_imports(path.read_text(), module_name(path), path.name == "__init__.py")
        if name.is_lazy
    }
    assert [arrow for arrow in LAZY if arrow not in lazy] == []


@pytest.mark.parametrize(
    ("module", "is_package", "source"),
    [
        ("autogal.solvers.lm", False, "import autogal.model"),
        ("autogal.solvers.lm", False, "from autogal import flags"),
        ("autogal.solvers.lm", False, "from ..model import grid"),
        ("autogal.solvers", True, "from ..errors import AutogalError"),
        ("autogal.solvers.lm", False, "def f():\n    from autogal.images.cutout import Cutout"),
        ("autogal.profiles.sersic", False, "from autogal.rendering.hankel import transform"),
        ("autogal.profiles", True, "from .. import model"),
        ("autogal.images.paths", False, "import autogal.results.columns as c"),
        (
            "autogal.runtime.files",
            False,
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from autogal.images import Cutout",
        ),
        ("autogal.pipeline", False, "from autogal.cli import main"),
        ("autogal.pipeline", False, "from autogal import Catalogue"),
        ("autogal.results.data", False, "class A:\n    def f(self):\n        import autogal.api"),
        ("autogal.model.spec.build", False, "from autogal.simulate import Population"),
        ("autogal.simulate.run", False, "from autogal.training.run import run"),
        ("autogal.evaluate.run", False, "from autogal.cli import main"),
    ],
)
def test_the_reader_sees_upward_imports(module, is_package, source):
    assert len(violations(source, module, is_package)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "autogal.solvers.lm",
            "import torch\nfrom autogal.solvers.result import Result\nfrom .result import Result",
        ),
        ("autogal.rendering.grid", "from autogal.profiles import radial"),
        ("autogal.results.columns", "from autogal.images.cutout import Cutout"),
        (
            "autogal.evaluate.run",
            "from autogal.training.run import run\nfrom autogal.report.terminal import print_report",
        ),
        ("autogal.api", "from autogal.run.local import share_out"),
    ],
)
def test_the_reader_lets_the_others_pass(module, source):
    assert violations(source, module) == []


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, []),
        ({"a": {"b"}, "b": {"a", "c"}, "c": {"d"}, "d": {"c"}}, [{"a", "b"}, {"c", "d"}]),
        ({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}, [{"a", "b", "c"}]),
    ],
)
def test_the_reader_sees_circles(graph, expected):
    assert sorted(circles(graph), key=sorted) == expected


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_every_module_says_what_is_public(path):
    tree = ast.parse(path.read_text())
    public = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and any(isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets)
    ]
    assert len(public) == 1, "one __all__ a module"
    assert ast.get_docstring(tree), "a docstring that says what the module is for"


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_files_are_short(path):
    assert len(path.read_text().splitlines()) <= LONGEST


@pytest.mark.parametrize("folder", ["autogal", "scripts", "tests"])
def test_lines_are_not_wide(folder):
    """But for tables, which say so by noqa, and files of text, which the settings of the linter name."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    texts = [pattern for pattern, rules in settings["per-file-ignores"].items() if "E501" in rules]
    wide = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        if not any(path.relative_to(ROOT).match(pattern) for pattern in texts)
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if len(line) > WIDEST and "E501" not in line
    ]
    assert wide == []


def test_no_drawer_for_everything():
    assert [
        path for path in MODULES if path.stem in ("utils", "util", "helpers", "misc", "common", "tools")
    ] == []


def test_what_is_imported_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {re.match(r"[\w.-]+", requirement)[0] for requirement in project["dependencies"]}
    used = {
        name.partition(".")[0]
        for path in MODULES
        for name in imports(path.read_text(), module_name(path), path.name == "__init__.py")
    }
    foreign = used - set(sys.stdlib_module_names) - {"autogal"}
    assert {DISTRIBUTIONS.get(name, name) for name in foreign} <= declared
