"""The prompts, as readable template files beside this one, or in a folder of the project's own.

A template is Markdown with two sections, the system message and the user message, divided by a line of `---`. Sections
between them are examples for few-shot prompting, what a user asked and what the assistant is to reply, in turn.
`_name.md` files are parts that templates include; `_operations.md` is no file, but made from the operations. An
artefact whose queries used the prompts holds them in table `prompt_templates`.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path

import jinja2

from teams_dagster.core.hashing import content_hash
from teams_dagster.core.lookalikes import imitates_tags
from teams_dagster.core.operations import TEXT_OPERATIONS, Operation
from teams_dagster.core.protocol import Message
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
        if not names or not any(imitates_tags(value, names) for value in values.values()):
            return self.render(**values)
        mark = content_hash("marked", values)[:MARK_DIGITS]
        return _rendered(_TAG.sub(lambda tag: f"{tag[0][:-1]}-{mark}>", self.source), tuple(values.items()))


@dataclass
class _InUse:
    """Which prompts this process asks with."""

    folder: Path | None = None
    """Whose files stand for the shipped ones of the same name."""
    loaded: dict[str, Prompt] = field(default_factory=dict[str, Prompt])


_in_use = _InUse()


def use_prompts(folder: Path | None) -> None:
    """Ask with the files of `folder` in the place of the shipped ones of the same name; None: with the shipped ones.

    A file is read once in a process: what is edited during a run changes none of its queries.
    """
    global _in_use
    if folder != _in_use.folder:
        _in_use = _InUse(folder)


def own_folder() -> Path | None:
    """The folder whose files stand for the shipped prompts; None where those are in use."""
    return _in_use.folder


@contextmanager
def stored_prompts(prompts: Mapping[str, Prompt]) -> Generator[None]:
    """Ask with these prompts, by name, within the block: those that an artefact was made with."""
    global _in_use
    before, _in_use = _in_use, _InUse(_in_use.folder, dict(prompts))
    try:
        yield
    finally:
        _in_use = before


def prompt(name: str, shipped: Path = FOLDER) -> Prompt:
    """The prompt in use by this name. Raises FileNotFoundError for a prompt that does not exist.

    Args:
        name: Its file's name without `.md`.
        shipped: The folder where it lies if the project has none of its own.
    """
    if name not in _in_use.loaded:
        own = None if _in_use.folder is None else _in_use.folder / f"{name}.md"
        path = own if own is not None and own.is_file() else shipped / f"{name}.md"
        _in_use.loaded[name] = load_prompt(path, _in_use.folder)
    return _in_use.loaded[name]


def load_prompt(path: Path, parts: Path | None = None) -> Prompt:
    """The prompt in a file, whose included parts lie in the folder `parts` where they are there.

    Raises FileNotFoundError, and ValueError where its sections are no system message and turns that end with a user's.
    """
    source = _resolve(read_template(path), parts)
    if len(source.split(_DIVIDER)) % 2:
        raise ValueError(
            f"prompt {path.name} must hold a system message, then the user's message, divided by a line of '---'; each"
            f" example between them is two sections more, and it has {len(source.split(_DIVIDER))} section(s)"
        )
    return Prompt(path.stem, content_hash("prompt", source), source)


def read_template(path: Path) -> str:
    """A template's text, without a byte order mark. Raises UnicodeDecodeError where it is not UTF-8."""
    return path.read_text(encoding="utf-8-sig")


def all_prompts() -> tuple[Prompt, ...]:
    """Every prompt of the dataset, by name."""
    return tuple(prompt(path.stem) for path in sorted(FOLDER.glob("*.md")) if not path.name.startswith("_"))


def shipped_prompts() -> tuple[Prompt, ...]:
    """The same, as they ship."""
    return tuple(load_prompt(path) for path in sorted(FOLDER.glob("*.md")) if not path.name.startswith("_"))


def _resolve(source: str, own: Path | None) -> str:
    """`source` with its `{% include "_part.md" %}` lines replaced by the parts, so that a prompt is one text."""
    folders = (FOLDER,) if own is None else (FOLDER, own)
    parts = {part.name: read_template(part).strip() for folder in folders for part in sorted(folder.glob("_*.md"))}
    for name, part in ({"_operations.md": _list_of_operations()} | parts).items():
        source = source.replace(f'{{% include "{name}" %}}', part)
    return source


def _list_of_operations() -> str:
    """What the guide chooses from; `none` where it may leave the text as it is."""
    lines = [f"- {operation.value}: {operation.description}" for operation in (*TEXT_OPERATIONS, Operation.NONE)]
    return "\n".join([*lines[:-1], "{% if may_rest %}", lines[-1], "{% endif %}"])


_ENVIRONMENT = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
# No template uses jinja's globals, and copying them takes half of a rendering.
_ENVIRONMENT.globals.clear()  # pyright: ignore[reportUnknownMemberType]


@lru_cache(maxsize=4_096)
def _rendered(source: str, values: tuple[tuple[str, str], ...]) -> tuple[Message, ...]:
    """Kept for a while: episodes that start from one seed ask the same queries."""
    system, *turns = source.split(_DIVIDER)
    parts = [("system", system), *((("user", "assistant")[n % 2], turn) for n, turn in enumerate(turns))]
    return tuple(Message(role, _compiled(part).render(dict(values)).strip()) for role, part in parts)


@cache
def _compiled(source: str) -> jinja2.Template:
    return _ENVIRONMENT.from_string(source)


def write_prompts(folder: Path, run_id: str, others: Iterable[Prompt] = ()) -> None:
    """Table `prompt_templates` of an artefact whose queries used the prompts of the dataset, and `others`."""
    used = (*all_prompts(), *others)
    rows = [{"prompt_version": p.version, "name": p.name, "text": p.source, "run_id": run_id} for p in used]
    write_table(folder, "prompt_templates", rows)


def prompts_version() -> str:
    """One version for all prompts together."""
    return content_hash("prompts", {p.name: p.version for p in all_prompts()})
