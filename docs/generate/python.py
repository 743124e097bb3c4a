"""Pages: the public API, and a page for each package of the method and of the connections."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import teams_dagster
from docs.generate.markdown import table

INTRODUCTION = """# Python

The method in `teams_dagster` is plain Python: no Dagster, no connections, usable from a notebook. `resources` holds the
connections that Dagster opens for it.

## The public API

What `from teams_dagster import ...` gives. It changes only with a line in the changelog, and each name is imported when
it is first used. [Examples](../../examples.md) use it.

{public}

## All packages

Each page has the documented names of one package. What is not in the public API may change with any version.

{packages}
"""

UNTITLED = "    options: {show_root_heading: false}\n"
"""Of the package itself, whose name is the page's."""

ROOTS = ("teams_dagster", "resources")

DOORS = ("teams_dagster.cli", "teams_dagster.definitions", "teams_dagster.automation")
"""What people type or load, told elsewhere."""


def pages() -> dict[str, str]:
    """Markdown by the name of the package; `index` links to them."""
    packages = dict(_packages())
    rows = [(f"[{name}]({name}.md)", _first_line(name)) for name in packages]
    index = INTRODUCTION.format(public=_public_names(), packages=table(("Package", "What it holds"), rows))
    return {"index": index, **{name: _page(name, modules) for name, modules in packages.items()}}


def _public_names() -> str:
    """Each public name, linked to where it is documented."""
    rows: list[tuple[str, str]] = []
    for name in teams_dagster.__all__:
        value = getattr(teams_dagster, name)
        link = f"[`{name}`][{value.__module__}.{name}]"
        rows.append((link, (inspect.getdoc(value) or "").splitlines()[0]))
    return table(("Name", "What it is"), rows)


def _packages() -> Iterator[tuple[str, list[str]]]:
    """Each package below the roots with its modules, and the roots with those that are in no package."""
    for root in ROOTS:
        found = [
            module for module in pkgutil.iter_modules([str(_folder(root))], f"{root}.") if module.name not in DOORS
        ]
        yield root, [module.name for module in found if not module.ispkg]
        for package in (module.name for module in found if module.ispkg):
            inner = pkgutil.walk_packages([str(_folder(package))], f"{package}.")
            yield package, [package, *(module.name for module in inner)]


def _page(name: str, modules: list[str]) -> str:
    sections = (f"::: {module}\n{UNTITLED if module == name else ''}" for module in modules)
    return "\n".join([f"# {name}\n", *sections])


def _folder(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(f"{package} is no package")
    return Path(next(iter(spec.submodule_search_locations)))


def _first_line(package: str) -> str:
    """What a package says of itself."""
    text = (_folder(package) / "__init__.py").read_text(encoding="utf-8")
    return text.removeprefix('"""').split('"""')[0].splitlines()[0]
