"""Two hundred prompts that ask for something and for one to three constraints on it, the same on every machine.

Each of a hundred tasks, written by hand, is asked twice with different constraints. Which, in which words and with
which values is drawn; all kinds come up about equally often. Constraints that contradict each other are never drawn
together: `_APART` says which those are, and a test answers every prompt.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from teams_dagster.core.hashing import content_hash
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.rng import generator, uniform
from teams_dagster.evaluation.constraints.verifying import Check, kept, kept_loosely
from teams_dagster.evaluation.constraints.wording import TEMPLATES, Asked, Drawing

ROUNDS = 2
"""How often each task is asked."""

MOST = 3
"""Constraints of a prompt, at most."""

_LENGTH = {"words_at_most", "words_at_least", "words_between", "sentences"}
_LAYOUT = {"paragraphs", "parts", "bullets", "numbered", "table"}
_LETTERS = {"uppercase", "lowercase", "script"}
_ENDS = {"ends_with", "postscript", "quoted"}
_ENGLISH = {"includes", "times", "excludes", "starts_with", "ends_with", "postscript", "placeholders", "title"}
_WITH_JSON = {"json_keys", "words_at_most"}

_APART: tuple[tuple[Collection[str], Collection[str]], ...] = (
    *((group, group) for group in (_LENGTH, _LAYOUT, _LETTERS, _ENDS)),
    ({"json_keys"}, TEMPLATES.keys() - _WITH_JSON),
    ({"sentences"}, _LAYOUT | {"postscript", "title", "starts_with", "ends_with", "placeholders"}),
    ({"table"}, _LENGTH | _ENDS | {"starts_with", "no_commas", "highlights", "placeholders"}),
    ({"numbered"}, {"no_digits", "quoted", "starts_with"}),
    ({"bullets"}, {"quoted", "starts_with", "highlights"}),
    ({"paragraphs"}, {"postscript", "title"}),
    ({"parts"}, {"highlights", "postscript"}),
    ({"quoted"}, {"starts_with", "title"}),
    ({"title"}, {"starts_with"}),
    ({"script"}, _ENGLISH | {"table", "words_at_most", "words_at_least", "words_between"}),
)
"""Pairs of groups no two of which are asked for together: they contradict each other, or no answer would read well."""

_ONLY = {
    "placeholders": {"messages"},
    "postscript": {"messages"},
    "json_keys": {"records"},
    "table": {"ideas", "records"},
    "bullets": {"ideas", "explanations"},
    "numbered": {"ideas", "explanations"},
    "highlights": {"ideas", "explanations"},
    "title": {"stories", "explanations"},
    "parts": {"stories", "messages"},
    "includes": {"messages", "explanations", "ideas", "stories"},
    "times": {"messages", "explanations", "ideas", "stories"},
    "excludes": {"messages", "explanations", "ideas", "stories"},
}
"""Kinds that suit some sorts of task alone."""


@dataclass(frozen=True)
class Task:
    """What somebody wants, without constraints."""

    text: str
    sort: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class ConstrainedPrompt:
    """A task with constraints on the reply."""

    prompt_id: str
    task_id: str
    """Prompts of one task are alike: errors are clustered by it."""
    instruction: Instruction
    kinds: tuple[str, ...]
    """Names of its constraints, as `TEMPLATES` has them."""
    checks: tuple[Check, ...]


def tasks() -> list[Task]:
    """The tasks, in the order of their file."""
    read = tomllib.loads(files("teams_dagster.evaluation.constraints").joinpath("tasks.toml").read_text("utf-8"))
    return [Task(text, sort, tuple(words)) for sort, group in read.items() for text, words in group.items()]


@cache
def constrained_prompts() -> tuple[ConstrainedPrompt, ...]:
    """All prompts. A part of them from the front is a fair one: their order is drawn."""
    made: list[ConstrainedPrompt] = []
    asked: Counter[str] = Counter()
    asked_of: dict[str, tuple[str, ...]] = {}
    for turn in range(ROUNDS):
        for number, task in enumerate(tasks()):
            kinds = _kinds(task, 1 + (number + turn) % MOST, asked, turn, other_than=asked_of.get(task.text, ()))
            asked.update(kinds)
            asked_of[task.text] = kinds
            made.append(_prompt(task, kinds, turn))
    return tuple(sorted(made, key=lambda prompt: uniform("order of constrained prompts", prompt.prompt_id)))


def allowed_together(one: str, other: str) -> bool:
    """Whether a prompt may ask for both kinds."""
    pairs = ((one, other), (other, one))
    return one != other and not any(a in left and b in right for left, right in _APART for a, b in pairs)


def _kinds(task: Task, count: int, asked: Counter[str], turn: int, other_than: Collection[str]) -> tuple[str, ...]:
    """As many kinds as are wanted and fit together, those asked for least so far before others."""
    chosen: list[str] = []
    while len(chosen) < count:
        suitable = [
            kind
            for kind in _suitable(task)
            if kind not in other_than and all(allowed_together(kind, other) for other in chosen)
        ]
        if not suitable:
            break
        lots = {kind: (asked[kind], uniform("kind of constraint", turn, task.text, kind)) for kind in suitable}
        chosen.append(min(suitable, key=lots.__getitem__))
    return tuple(chosen)


def _suitable(task: Task) -> Iterator[str]:
    return (kind for kind in TEMPLATES if task.sort in _ONLY.get(kind, {task.sort}))


def _prompt(task: Task, kinds: tuple[str, ...], turn: int) -> ConstrainedPrompt:
    drawing = Drawing(generator("values of constraints", turn, task.text), task.words)
    asked = [TEMPLATES[kind](drawing) for kind in kinds]
    text = _text(task, asked, drawing)
    return ConstrainedPrompt(
        prompt_id=content_hash("constrained prompt", text),
        task_id=content_hash("task", task.text),
        instruction=Instruction(text),
        kinds=kinds,
        checks=tuple(each.check for each in asked),
    )


def _text(task: Task, asked: list[Asked], drawing: Drawing) -> str:
    """The task and what is asked of the reply, in a line or in two."""
    constraints = " ".join(each.sentence for each in asked)
    return drawing.of([f"{task.text} {constraints}", f"{task.text} {constraints}", f"{task.text}\n\n{constraints}"])


ACCURACIES = ("prompt_strict", "prompt_loose", "constraint_strict", "constraint_loose")
"""Of prompts all of whose constraints are kept, and of constraints."""


@dataclass(frozen=True)
class Followed:
    """How many constraints of a prompt a reply keeps."""

    constraints: int
    strict: int
    loose: int

    def value(self, accuracy: str) -> float:
        """What the prompt adds to one of `ACCURACIES`: a share of its constraints, or all of them or nothing."""
        unit, _, how = accuracy.partition("_")
        counted: int = getattr(self, how)
        return counted / self.constraints if unit == "constraint" else float(counted == self.constraints)


def followed(prompt: ConstrainedPrompt, reply: str) -> Followed:
    """What `reply` keeps of what `prompt` asks."""
    return Followed(
        constraints=len(prompt.checks),
        strict=sum(kept(check, reply) for check in prompt.checks),
        loose=sum(kept_loosely(check, reply) for check in prompt.checks),
    )


def weight(prompt: ConstrainedPrompt, accuracy: str) -> int:
    """How much a prompt counts in one of `ACCURACIES`: as one, or as many as it has constraints."""
    return len(prompt.checks) if accuracy.startswith("constraint") else 1
