"""The hand-written stubs name nothing that the installed libraries do not have."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "typings"
STUBS = sorted(file.relative_to(FOLDER) for file in FOLDER.rglob("*.pyi"))


def missing(body: list[ast.stmt], there: object, where: str) -> Iterator[str]:
    """What `body` declares and `there` lacks."""
    for node in body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            if not node.target.id.startswith("_") and not hasattr(there, node.target.id):  # else a name for a type
                yield f"{where}.{node.target.id}"
        elif isinstance(node, ast.ClassDef | ast.FunctionDef):
            found = getattr(there, node.name, None)
            if found is None:
                yield f"{where}.{node.name}"
            elif isinstance(node, ast.ClassDef):
                yield from missing(node.body, found, f"{where}.{node.name}")
            elif not node.name.startswith("__") and callable(found):  # Python itself passes by place what those take
                yield from (f"{where}.{node.name}({name})" for name in named(node) - set(parameters(found)))


def named(function: ast.FunctionDef) -> set[str]:
    """The parameters that a caller may name."""
    return {one.arg for one in (*function.args.args, *function.args.kwonlyargs)} - {"self", "cls"}


def parameters(function: object) -> Iterator[str]:
    assert callable(function)
    yield from inspect.signature(function).parameters


@pytest.mark.parametrize("stub", STUBS, ids=str)
def test_a_stub_names_only_what_its_module_has(stub: Path) -> None:
    module = ".".join(stub.with_suffix("").parts).removesuffix(".__init__")
    tree = ast.parse((FOLDER / stub).read_text(encoding="utf-8"))

    assert list(missing(tree.body, importlib.import_module(module), module)) == []
