"""The public API: `from teams_dagster import ...`."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import teams_dagster

PACKAGE = Path(inspect.getfile(teams_dagster)).parent


def modules_after(statement: str) -> set[str]:
    """What a new interpreter has imported after `statement`."""
    code = f"import sys; {statement}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


@pytest.mark.parametrize("name", teams_dagster.__all__)
def test_a_public_name_is_what_its_own_module_defines(name: str) -> None:
    value = getattr(teams_dagster, name)
    assert value.__name__ == name
    assert value.__module__.startswith("teams_dagster.")
    assert inspect.getdoc(value)


def test_importing_the_package_imports_nothing_else_of_it_and_no_other_library() -> None:
    added = modules_after("import teams_dagster") - modules_after("import importlib, typing")
    assert added == {"teams_dagster"}


def test_a_configuration_is_made_without_torch() -> None:
    assert "torch" not in modules_after("from teams_dagster import Environment, TrainingConfig")


def test_a_name_that_is_not_public_is_refused() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'no_such_name'"):
        _ = teams_dagster.no_such_name  # pyright: ignore[reportAttributeAccessIssue]


def test_type_checkers_see_each_public_name_from_the_module_that_it_is_imported_from() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    (guarded,) = [node for node in tree.body if isinstance(node, ast.If)]
    declared = {
        alias.name: imported.module
        for imported in guarded.body
        if isinstance(imported, ast.ImportFrom)
        for alias in imported.names
    }
    assert declared == {name: f"teams_dagster.{module}" for name, module in teams_dagster._MODULES.items()}
    assert sorted(declared) == sorted(teams_dagster.__all__)
