"""The prompts, as readable template files beside this one.

A template is Markdown with two parts, the system message and the user message, divided by a line of `---`.
`_name.md` files are parts that templates include; `_operations.md` is no file, but made from the operations. An
artefact whose queries used the prompts holds them in table `prompt_templates`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import jinja2

from teams_dagster.core.hashing import content_hash
from teams_dagster.core.operations import TEXT_OPERATIONS, Operation
from teams_dagster.core.protocol import Message
from teams_dagster.instructions.lookalikes import imitates_tags
from teams_dagster.store.tables import write_table

FOLDER = Path(__file__).parent

_DIVIDER = "\n---\n"

_TAG = re.compile(r"^</?(\w+)>$", re.MULTILINE)
"""A line of a template that opens or closes a text."""

MARK_DIGITS = 12


@dataclass(frozen=True)
class Prompt:
    """One prompt template; `version` is the hash of its source and of every part it includes."""

    name: str
    version: str
    source: str

    def render(self, **values: str) -> tuple[Message, ...]:
        """The messages. Raises jinja2.UndefinedError for a value that the template needs and did not get."""
        return _rendered(self.source, tuple(values.items()))

    def render_marked(self, **values: str) -> tuple[Message, ...]:
        """`render`, with tags that no value can close where one of them looks as if it did.

        The tags then carry a mark that is a hash of all values. Other messages, and so the answers that are stored for
        them, stay the same whatever this does.
        """
        names = set(_TAG.findall(self.source))
        if not any(imitates_tags(value, names) for value in values.values()):
            return self.render(**values)
        mark = content_hash("marked", values)[:MARK_DIGITS]
        return _rendered(_TAG.sub(lambda tag: f"{tag[0][:-1]}-{mark}>", self.source), tuple(values.items()))


@cache
def prompt(name: str) -> Prompt:
    """The prompt in `<name>.md`. Raises FileNotFoundError for a prompt that does not exist."""
    return load_prompt(FOLDER / f"{name}.md")


def load_prompt(path: Path) -> Prompt:
    """The prompt in a file. Raises FileNotFoundError, and ValueError where its two parts are not told apart."""
    source = _resolve(path.read_text(encoding="utf-8"))
    if source.count(_DIVIDER) != 1:
        raise ValueError(f"prompt {path.name} must hold exactly one line of '---' between system and user message")
    return Prompt(path.stem, content_hash("prompt", source), source)


def all_prompts() -> tuple[Prompt, ...]:
    """Every prompt in the folder, by name."""
    return tuple(prompt(path.stem) for path in sorted(FOLDER.glob("*.md")) if not path.name.startswith("_"))


def _resolve(source: str) -> str:
    """`source` with its `{% include "_part.md" %}` lines replaced by the parts, so that a prompt is one text."""
    parts = {part.name: part.read_text(encoding="utf-8").strip() for part in FOLDER.glob("_*.md")}
    for name, part in (parts | {"_operations.md": _list_of_operations()}).items():
        source = source.replace(f'{{% include "{name}" %}}', part)
    return source


def _list_of_operations() -> str:
    """What the guide chooses from; `none` where it may leave the text as it is."""
    lines = [f"- {operation.value}: {operation.description}" for operation in (*TEXT_OPERATIONS, Operation.NONE)]
    return "\n".join([*lines[:-1], "{% if may_rest %}", lines[-1], "{% endif %}"])


_ENVIRONMENT = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
_ENVIRONMENT.globals.clear()  # no template uses them, and copying them takes half of a rendering


@lru_cache(maxsize=4_096)
def _rendered(source: str, values: tuple[tuple[str, str], ...]) -> tuple[Message, ...]:
    """Kept for a while: episodes that start from one seed ask the same questions."""
    system, user = source.split(_DIVIDER)
    parts = (("system", system), ("user", user))
    return tuple(Message(role, _compiled(part).render(dict(values)).strip()) for role, part in parts)


@cache
def _compiled(source: str) -> jinja2.Template:
    return _ENVIRONMENT.from_string(source)


def write_prompts(folder: Path, run_id: str) -> None:
    """Table `prompt_templates` of an artefact whose questions used the prompts."""
    rows = [{"prompt_version": p.version, "name": p.name, "text": p.source, "run_id": run_id} for p in all_prompts()]
    write_table(folder, "prompt_templates", rows)


def prompts_version() -> str:
    """One version for all prompts together."""
    return content_hash("prompts", {p.name: p.version for p in all_prompts()})
