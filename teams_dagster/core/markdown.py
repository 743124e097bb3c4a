"""Markdown of untrusted texts: for the metadata that Dagster's UI shows, and for cards that travel as files."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Mapping, Sequence

from teams_dagster.core.text import shorten, visible

LONGEST_CELL = 400
"""Characters of a table cell that are shown."""

_LINK_SIGNS = re.compile(r"((?:://|@|(?<=www)\.)+)", re.IGNORECASE)
"""By what GitHub's Markdown, which Dagster's UI speaks, knows an address in plain text: `http://`, `www.`, `a@b.c`.

It looks for them after it has read character references, so that these do not hide them; inside code it does not look.
"""


def data_uri(png: bytes) -> str:
    """A picture as an address that holds it."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def as_markdown_image(png: bytes, alt: str) -> str:
    """An image that needs no file: the picture travels in its address."""
    return f"![{_inert(alt)}]({data_uri(png)})"


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table whose cells are text only: no mark-up, HTML or line break of theirs has any effect.

    Long cells are cut and say by how much. Raises ValueError when a row has another number of cells than there are
    columns.
    """
    lines = [_line(columns), "|" + " --- |" * len(columns)]
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"a row of {len(row)} cells in a table of {len(columns)} columns: {row!r}")
        lines.append(_line(row))
    return "\n".join(lines)


def front_matter(header: Mapping[str, object]) -> str:
    """The YAML header of a card, a line a field, in ASCII and without what is empty.

    Values are JSON, which is YAML, with YAML's escapes. huggingface_hub's card classes write a soft hyphen as it is and
    their templates escape nothing; PyYAML puts a `---` within a text on a line of its own, where the header then ends.
    """
    lines = (f"{name}: {_yaml(value)}" for name, value in header.items() if value)
    return "\n".join(["---", *lines, "---"])


def _yaml(value: object) -> str:
    return re.sub(r"[^ -~]", lambda found: f"\\U{ord(found[0]):08x}", json.dumps(value, ensure_ascii=False))


def inline(text: str) -> str:
    """`text` on one line of a file, with no mark-up of its own; people read its source too, so signs are escaped."""
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", html.escape(" ".join(visible(text).split()), quote=False))


def code(text: str) -> str:
    """`text` as code on one line of a file."""
    return f"`{' '.join(visible(text).replace('`', chr(39)).split())}`"


def card_table(header: tuple[str, str], rows: Iterable[tuple[str, object]]) -> str:
    """A table of two columns in a file; empty where there are no rows."""
    body = [f"| {inline(name)} | {inline(str(value))} |" for name, value in rows]
    return "\n".join([f"| {header[0]} | {header[1]} |", "|---|---|", *body]) if body else ""


def _line(cells: Sequence[object]) -> str:
    return "| " + " | ".join(_inert(shorten(str(cell), LONGEST_CELL)) for cell in cells) + " |"


def _inert(text: str) -> str:
    """`text` on one line; what Markdown or HTML would act on is a character reference, what it would link is code."""
    plain_and_signs = _LINK_SIGNS.split(" ".join(visible(text).split()))
    return "".join(f"`{part}`" if place % 2 else _escaped(part) for place, part in enumerate(plain_and_signs))


def _escaped(text: str) -> str:
    return re.sub(r"[\\`*_\[\]()|#~!:$]", lambda found: f"&#{ord(found[0])};", html.escape(text, quote=False))
