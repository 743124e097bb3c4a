"""Page: the asset checks, from their definitions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from docs.generate.markdown import code, table
from teams_dagster.definitions import defs

INTRODUCTION = """# Asset checks

Checks read what is stored. They run with their asset, in job `checks`, or by [`teams checks`](../ci.md), and name the
generation at fault.

- **stops**: a run that materialises the asset ends before anything is built or paid on what was found.
- **error**: something that must not be, found.
- **warning**: for you to judge.

A check that did not look says `not run`, with `not_run` in its metadata. Where its output is missing it does not pass;
where a healthy project has nothing to look at, such as no generation to compare the first one with, it does.
"""


def page() -> str:
    """The whole page: a section for each asset that has checks of its own."""
    return "\n".join([INTRODUCTION, *_sections()])


def _sections() -> Iterator[str]:
    graph = defs.resolve_asset_graph()
    by_asset: defaultdict[str, list[tuple[str, str, str, str]]] = defaultdict(list)
    order = [key.to_user_string() for key in graph.toposorted_asset_keys]
    shared: defaultdict[str, list[str]] = defaultdict(list)
    for key in sorted(graph.asset_check_keys):
        shared[key.name].append(key.asset_key.to_user_string())
    for key in sorted(graph.asset_check_keys):
        check = graph.get(key)
        effect = "stops" if check.blocking else check.metadata["severity"]
        row = (code(key.name), check.description or "", effect, check.metadata["remedy"])
        by_asset[key.asset_key.to_user_string()].append(row)
    everywhere = next(name for name, assets in shared.items() if len(assets) > 2)
    header = ("Check", "What must be true", "Otherwise", "What to do")
    yield "## Every asset that leaves tables\n"
    yield table(header, [row for row in by_asset[shared[everywhere][0]] if row[0] == code(everywhere)])
    for asset in order:
        if rows := [row for row in by_asset[asset] if row[0] != code(everywhere)]:
            yield f"## {asset}\n"
            yield table(header, rows)
