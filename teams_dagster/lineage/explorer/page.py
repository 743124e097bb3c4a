"""The sample explorer as one HTML file: search, filter and step through samples, from disk, without a network."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from pathlib import Path

import duckdb
import jinja2
from markupsafe import Markup

from teams_dagster.core.files import replacing
from teams_dagster.core.html import text_only_templates
from teams_dagster.core.text import number
from teams_dagster.lineage.explorer.columns import Block, Reader, Texts
from teams_dagster.lineage.explorer.content import MOST_SAMPLES, blocks, choose

MEMORY_LIMIT = "768MB"
"""What DuckDB may use while it reads; what does not fit waits in a folder beside its file."""

SCRIPTS = (
    "texts",
    "differences",
    "data",
    "facts",
    "searching",
    "finding",
    "list",
    "questions",
    "steps",
    "sample",
    "overview",
    "explorer",
    "keys",
)
"""The page's script, in parts: `web/<name>.js`."""


@dataclass(frozen=True)
class ExplorerFacts:
    """What the page says about itself, and only its maker knows."""

    data_folder: str
    """Its name, to tell pages apart."""
    rows_verified: int
    """Rows that were made again from the ledger's answers and agree."""
    rows_not_verified: Mapping[str, int]
    """The others, by the reason why not."""
    chain_head: str | None
    """The hash that seals the asset outputs; None when they are not sealed."""
    sealed_at: datetime | None


@dataclass(frozen=True)
class ExplorerReport:
    """What a page holds."""

    samples: int
    transitions: int
    texts: int
    """Different ones."""
    characters: int
    """Of all texts."""
    file_bytes: int


def write_explorer(
    read_model: Path, target: Path, *, about: ExplorerFacts, sample_ids: Sequence[str] | None = None
) -> ExplorerReport:
    """Write the page of all rows of table `samples`, or of those with `sample_ids`, to `target`, whole or not at all.

    `read_model` is a DuckDB file with the tables of the README; it is only read. The same data gives the same bytes.
    Memory holds hashes of the texts, not the texts. Raises ExplorerError for more than MOST_SAMPLES samples or
    MOST_CHARACTERS of text, for an unknown sample, and for a chain that the read model does not hold;
    duckdb.IOException while someone has the read model open for writing.
    """
    with replacing(target) as draft, duckdb.connect(read_model, read_only=True) as connection:
        connection.execute(f"set memory_limit = '{MEMORY_LIMIT}'")
        connection.execute("set enable_progress_bar = false")
        samples = choose(connection, sample_ids, MOST_SAMPLES)
        reader = Reader(connection, Texts())
        _write(draft, about, samples, blocks(reader))
        texts, size = reader.texts, draft.stat().st_size
    return ExplorerReport(samples, reader.counts["transitions"], texts.count, texts.characters, size)


def _write(path: Path, about: ExplorerFacts, samples: int, content: Iterable[Block]) -> None:
    style, script = _style(), _script()
    parts = _template().generate(
        about=about,
        samples=samples,
        style=Markup(style),
        script=Markup(script),
        style_hash=_hash(style),
        script_hash=_hash(script),
        blocks=_packed(content),
    )
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(parts)


def _packed(content: Iterable[Block]) -> Iterator[Markup]:
    """Each block as the browser unpacks it: JSON, gzip, base64. None of the three holds anything that ends a tag."""
    for block in content:
        said = json.dumps([block.table, block.columns], ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        yield Markup(base64.b64encode(gzip.compress(said.encode("utf-8"), 6, mtime=0)).decode("ascii"))


@cache
def _template() -> jinja2.Template:
    environment = text_only_templates("teams_dagster.lineage.explorer", "web")
    environment.filters.update(number=number, moment=_moment)  # pyright: ignore[reportUnknownMemberType]
    return environment.get_template("page.html.jinja")


def _moment(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _style() -> str:
    return _file("page.css")


def _script() -> str:
    """All parts in one function, so that they share their names with each other and with nothing else."""
    parts = "\n".join(_file(f"{name}.js") for name in SCRIPTS)
    return f'(() => {{\n"use strict";\n{parts}\n}})();\n'


def _hash(text: str) -> str:
    """What a Content-Security-Policy names an inline script or style by."""
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _file(name: str) -> str:
    return resources.files("teams_dagster.lineage.explorer").joinpath("web", name).read_text("utf-8")
