"""The prompts: enough of them, varied, alike on every machine, and each of them can be answered."""

from __future__ import annotations

from collections import Counter

import pytest

from teams_dagster.core.hashing import content_hash
from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.quality.constraints.constraint import Constraint, Kind
from teams_dagster.evaluation.constraints.prompts import (
    MOST,
    ConstrainedPrompt,
    constrained_prompts,
    followed,
    tasks,
    weight,
)
from teams_dagster.evaluation.constraints.verifying import Check, JsonKeys, Parts, kept
from teams_dagster.evaluation.constraints.wording import TEMPLATES

FILLER = "rain falls on our quiet street every single day".split()

SCRIPTS = {"Cyrillic": "дождь", "Greek": "βροχή", "Devanagari": "बारिश", "Hangul": "비가", "Hebrew": "גשם"}


def found(prompt: ConstrainedPrompt, kind: Kind) -> Constraint | None:
    return next((check for check in prompt.checks if isinstance(check, Constraint) and check.kind is kind), None)


def witness(prompt: ConstrainedPrompt) -> str:
    """A reply that keeps everything that `prompt` asks for, and says nothing."""
    if keys := next((check for check in prompt.checks if isinstance(check, JsonKeys)), None):
        return "{" + ", ".join(f'"{key}": "rain"' for key in keys.keys) + "}"
    lines = [" ".join(sentence) for sentence in sentences(prompt)]
    return dressed(prompt, laid_out(prompt, lines))


def sentences(prompt: ConstrainedPrompt) -> list[list[str]]:
    """As many as are asked for, of as many words."""
    asked, size = found(prompt, Kind.SENTENCES), found(prompt, Kind.WORDS)
    script = found(prompt, Kind.SCRIPT)
    word = SCRIPTS[script.texts[0]] if script else None
    count = asked.least if asked else 6
    least = size.least if size else 0
    each = max(3, -(-least // count))
    made = [[word or FILLER[(number + at) % len(FILLER)] for at in range(each)] for number in range(count)]
    if wanted := found(prompt, Kind.INCLUDES):
        made[0] += wanted.texts
    if wanted := found(prompt, Kind.TIMES):
        made[1] += wanted.texts * wanted.least
    if wanted := found(prompt, Kind.PLACEHOLDERS):
        made[1] += ["[name]"] * wanted.least
    if wanted := found(prompt, Kind.HIGHLIGHTS):
        made[1] += ["*rain*"] * wanted.least
    return [[*words[:-1], words[-1] + "."] for words in made]


def laid_out(prompt: ConstrainedPrompt, lines: list[str]) -> str:
    parts = next((check for check in prompt.checks if isinstance(check, Parts)), None)
    if parts:
        return f"\n{parts.mark}\n".join([" ".join(lines[: -parts.count + 1]), *lines[-parts.count + 1 :]])
    for kind, between in ((Kind.PARAGRAPHS, "\n\n"), (Kind.BULLETS, "\n"), (Kind.NUMBERED, "\n")):
        if (asked := found(prompt, kind)) is not None:
            blocks = [" ".join(lines[: -asked.least + 1]), *lines[-asked.least + 1 :]]
            marks = {Kind.BULLETS: lambda _: "- ", Kind.NUMBERED: lambda number: f"{number}. "}
            mark = marks.get(kind, lambda _: "")
            return between.join(mark(number) + block for number, block in enumerate(blocks, 1))
    if found(prompt, Kind.TABLE):
        return "| a | b |\n|---|---|\n" + "\n".join(f"| {line} | rain |" for line in lines)
    return " ".join(lines)


def dressed(prompt: ConstrainedPrompt, text: str) -> str:
    if wanted := found(prompt, Kind.STARTS_WITH):
        text = f"{wanted.texts[0]} {text}"
    if wanted := found(prompt, Kind.ENDS_WITH):
        text = f"{text} {wanted.texts[0]}."
    if found(prompt, Kind.POSTSCRIPT):
        text = f"{text} P.S. rain."
    if found(prompt, Kind.TITLE):
        text = f"<<rain>>\n{text}"
    if found(prompt, Kind.QUOTED):
        text = f'"{text}"'
    return text.upper() if found(prompt, Kind.UPPERCASE) else text.lower() if found(prompt, Kind.LOWERCASE) else text


def test_there_are_two_hundred_and_no_two_are_alike():
    prompts = constrained_prompts()
    assert (len(prompts), len({prompt.prompt_id for prompt in prompts})) == (200, 200)


def test_each_has_one_to_three_constraints_of_different_kinds():
    sizes = {len(prompt.kinds) for prompt in constrained_prompts()}
    assert sizes == set(range(1, MOST + 1))
    assert all(len(set(prompt.kinds)) == len(prompt.checks) for prompt in constrained_prompts())


def test_every_kind_is_asked_for_ten_times_at_least():
    counted = Counter(kind for prompt in constrained_prompts() for kind in prompt.kinds)
    assert counted.keys() == TEMPLATES.keys()
    assert min(counted.values()) >= 10


def test_every_task_is_asked_twice():
    counted = Counter(prompt.task_id for prompt in constrained_prompts())
    assert set(counted.values()) == {2}
    assert len(counted) == len(tasks())


def test_they_are_the_same_everywhere():
    made = content_hash("prompts", [prompt.prompt_id for prompt in constrained_prompts()])
    assert made == "35d8473a87180b2e08cff383a09737f4"


@pytest.mark.parametrize("prompt", constrained_prompts(), ids=lambda prompt: prompt.prompt_id[:8])
def test_its_constraints_can_be_kept_together(prompt: ConstrainedPrompt):
    reply = witness(prompt)
    broken: list[Check] = [check for check in prompt.checks if not kept(check, reply)]
    assert not broken, reply


LOW, SHORT = Constraint(Kind.LOWERCASE, ""), Constraint(Kind.WORDS, "", 0, 3)

BOTH = ConstrainedPrompt("two", "a task", Instruction("two"), ("lowercase", "words_at_most"), (LOW, SHORT))


def test_a_prompt_counts_where_all_of_its_constraints_are_kept_and_a_constraint_by_itself():
    found = followed(BOTH, "It rains.")
    assert (found.value("prompt_strict"), found.value("constraint_strict")) == (0.0, 0.5)
    assert followed(BOTH, "it rains.").value("prompt_strict") == 1.0


def test_what_is_forgiven_counts_loosely_alone():
    found = followed(BOTH, "Sure:\nit rains.")
    assert (found.value("prompt_strict"), found.value("prompt_loose")) == (0.0, 1.0)


def test_a_prompt_counts_as_one_or_as_many_as_it_has_constraints():
    assert (weight(BOTH, "prompt_loose"), weight(BOTH, "constraint_loose")) == (1, 2)
