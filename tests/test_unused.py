"""Nothing in the package is there for its own sake: every function, class and method is used by some other
part of it."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted([*(ROOT / "autogal").rglob("*.py"), *(ROOT / "scripts").glob("*.py")])
LONGEST_NAME = 150  # characters of a string that may hold a name, as "module:function" or "{column}"
# What users are given, though nothing in the package calls it
PUBLIC = {"from_arrays"}
# Folders whose modules are found by their names, and the classes with them
FOUND = ("results/formats",)


def used(tree: ast.Module) -> Counter[str]:
    """How often each name is used: read, looked up as an attribute, or held by a short string that is no
    docstring."""
    found: Counter[str] = Counter()
    silent = {
        id(part)
        for node in tree.body
        if isinstance(node, ast.Assign) and any(getattr(one, "id", "") == "__all__" for one in node.targets)
        for part in ast.walk(node)
    }
    silent |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name):
                found[name] += 1
            case ast.Constant(value=str() as text) if id(node) not in silent and len(text) <= LONGEST_NAME:
                found.update(re.findall(r"\w+", text))
    return found


def defined(tree: ast.Module) -> Iterator[str]:
    """Functions and classes of a module, and methods of classes that fill no other project's slots."""
    known = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        if isinstance(node, ast.ClassDef) and all(getattr(base, "id", None) in known for base in node.bases):
            yield from (one.name for one in node.body if isinstance(one, ast.FunctionDef))


def unused(files: dict[Path, str]) -> list[str]:
    trees = {file: ast.parse(source) for file, source in files.items()}
    total = sum((used(tree) for tree in trees.values()), Counter())
    names = {
        name
        for file, tree in trees.items()
        for name in defined(tree)
        if name[0].islower() or not any(folder in file.as_posix() for folder in FOUND)
    }
    return sorted(name for name in names if not total[name] and not name.startswith("__"))


def test_everything_is_used():
    assert [name for name in unused({file: file.read_text() for file in FILES}) if name not in PUBLIC] == []


def test_the_reader_sees_what_is_not_used():
    code = {
        Path(
            "a.py"
        ): "__all__ = ['f', 'g', 'A']\ndef f(): pass\ndef g(): return f()\nclass A:\n    def m(self): pass\n    def n(self): self.m()\n",  # noqa: E501
        Path(
            "b.py"
        ): "from a import A, g\nx = A()\nclass Foreign(Module):\n    def forward(self): pass\nhook = 'b:Foreign'\n",  # noqa: E501
    }
    assert unused(code) == ["g", "n"]
