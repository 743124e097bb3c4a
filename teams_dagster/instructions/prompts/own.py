"""A project's own prompts (`TEAMS_PROMPTS`): files that replace or add templates, checked before any query."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

import jinja2
from jinja2 import meta

from teams_dagster.core.operations import TEXT_OPERATIONS, Returns
from teams_dagster.instructions.prompts import FOLDER, Prompt, load_prompt, own_folder, read_template, use_prompts

_INSTRUCTION = frozenset({"instruction", "input"})


class PromptInvalid(ValueError):
    """A template that cannot be asked with, named by its file."""


@dataclass(frozen=True)
class Requirements:
    """What a template must hold."""

    placeholders: frozenset[str] = _INSTRUCTION
    """Values that it must show."""
    optional: frozenset[str] = frozenset()
    """Values that it may show."""
    words: tuple[str, ...] = ()
    """What it must say, so that its replies can be read."""


def requirements() -> dict[str, Requirements]:
    """What each template must hold, by its name."""
    both = ("Instruction:", "Input:")
    rewrites = {
        operation.value: Requirements(words=both if operation.returns is Returns.INSTRUCTION_AND_INPUT else ())
        for operation in TEXT_OPERATIONS
    }
    return rewrites | {
        "respond": Requirements(),
        "review": Requirements(_INSTRUCTION | {"new_instruction", "new_input"}, words=("Equal", "Not Equal")),
        "guide": Requirements(
            _INSTRUCTION | {"history"},
            frozenset({"steps_left", "may_rest"}),
            tuple(operation.value for operation in TEXT_OPERATIONS),
        ),
        "harder": Requirements(words=both),
        "rate": Requirements(
            _INSTRUCTION | {"answer", "mark"},
            words=("unanswerable", "off topic", "constraint ignored", "partly", "good", "cannot tell"),
        ),
        "judge": Requirements(_INSTRUCTION | {"first", "second", "mark"}, words=("A", "B", "tie")),
    }


def use_own_prompts(folder: Path | None) -> None:
    """Ask with the templates of `folder` from now on, or with the shipped ones only (None). Raises PromptInvalid."""
    if folder != own_folder():
        if folder is not None:
            check_prompts(folder)
        use_prompts(folder)


def check_prompts(folder: Path) -> None:
    """Raises PromptInvalid, naming the file and what is wrong with it, for the first template that cannot be used."""
    if not folder.is_dir():
        raise PromptInvalid(f"{folder} is no folder: give the folder that holds your templates")
    known = requirements()
    templates = sorted(folder.glob("*.md"))
    if not templates:
        raise PromptInvalid(
            f"{folder} holds no template: its files are {', '.join(_file_names(known))}, or parts of them"
        )
    for path in templates:
        if path.name.startswith("_"):
            _check_included(path, [*FOLDER.glob("*.md"), *templates])
        elif path.stem in known:
            _check_template(path, folder, known[path.stem])
        else:
            nearest = difflib.get_close_matches(path.name, _file_names(known), n=1)
            hint = f"; did you mean {nearest[0]}?" if nearest else f": there are {', '.join(_file_names(known))}"
            raise PromptInvalid(f"{path} is no template of this project{hint}")
    _check_shipped_with_parts(folder)


def _file_names(known: dict[str, Requirements]) -> list[str]:
    return [f"{name}.md" for name in known]


def _check_included(part: Path, templates: list[Path]) -> None:
    include = f'{{% include "{part.name}" %}}'
    if not any(include in _text(template) for template in templates):
        raise PromptInvalid(f"{part} is a part that no template includes: write {include} where it belongs")


def _check_shipped_with_parts(folder: Path) -> None:
    """The shipped templates, with the parts that the folder replaces."""
    for name, required in requirements().items():
        path = FOLDER / f"{name}.md"
        if path.is_file() and not (folder / path.name).is_file():
            _check_template(path, folder, required)


def _check_template(path: Path, folder: Path, required: Requirements) -> None:
    try:
        prompt = load_prompt(path, folder)
        shown = meta.find_undeclared_variables(jinja2.Environment().parse(prompt.source))
        missing_parts = list(meta.find_referenced_templates(jinja2.Environment().parse(prompt.source)))
    except UnicodeDecodeError as error:
        raise PromptInvalid(f"{path} is not UTF-8: {error.reason} at byte {error.start}") from error
    except jinja2.TemplateSyntaxError as error:
        raise PromptInvalid(f"{path} is no template: {error.message} (line {error.lineno})") from error
    except ValueError as error:
        raise PromptInvalid(f"{path}: {error}") from error
    if missing_parts:
        raise PromptInvalid(f"{path} includes {missing_parts[0]}, and no such part exists in {folder} or ships")
    if missing := sorted(required.placeholders - shown):
        raise PromptInvalid(f"{path} does not show {_listed(missing)}, without which nobody could reply to it")
    if unknown := sorted(shown - required.placeholders - required.optional):
        raise PromptInvalid(
            f"{path} shows {_listed(unknown)}, which it is not given: it may show"
            f" {_listed(sorted(required.placeholders | required.optional))}"
        )
    _check_words(path, prompt, required)


def _check_words(path: Path, prompt: Prompt, required: Requirements) -> None:
    if absent := [word for word in required.words if word not in prompt.source]:
        raise PromptInvalid(
            f"{path} does not say {', '.join(map(repr, absent))}: replies are read by these words, in any language"
        )


def _text(path: Path) -> str:
    try:
        return read_template(path)
    except UnicodeDecodeError as error:
        raise PromptInvalid(f"{path} is not UTF-8: {error.reason} at byte {error.start}") from error


def _listed(placeholders: list[str]) -> str:
    return ", ".join(f"{{{{ {name} }}}}" for name in placeholders)
