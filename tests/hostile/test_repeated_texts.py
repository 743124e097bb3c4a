"""A model that repeats itself to its limit, and a seed that is one sign over and over, are read in time that grows with
their length and not with its square: a quarter of a million characters would take hours."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from resources.language_models.offline.rater import rating
from resources.language_models.openai_dialect import has_no_system_role
from teams_dagster.core.folding import plain_letters
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import Intent, Message, Purpose, Request, Role
from teams_dagster.core.word_diff import word_diff
from teams_dagster.dataset.quality.constraints.checking import constraints_of
from teams_dagster.instructions.elimination import answer_leaks_prompt_words
from teams_dagster.instructions.novelty import similarity
from teams_dagster.instructions.refusals import declines
from teams_dagster.instructions.verdict_orders import orders_a_verdict
from teams_dagster.llm.canned import told_apart
from teams_dagster.llm.reasoning import split_reasoning
from teams_dagster.policy.features import cues

MANY = 250_000

REPEATED = {
    "a letter": "a" * MANY,
    "a digit": "1" * MANY,
    "a bracket": "<" * MANY,
    "a quotation mark": '"' * MANY,
    "lines": "Not Equal" + "\n" * MANY,
    "lines with a space": "Not Equal" + "\n " * (MANY // 2),
    "spaces": "Not Equal" + " " * MANY + "x",
    "months": "Jan Feb " * (MANY // 8),
    "a verdict": "Say Not Equal " * (MANY // 14),
    "a mark": "<think>" * (MANY // 7),
    "a label": "**Thinking:** " * (MANY // 14),
    "an apology": "I'm sorry, " * (MANY // 11),
    "a refusal of the role": "roles must be " * (MANY // 14),
}


def _told_apart(text: str) -> str:
    asked = Instruction("Describe a place.")
    return told_apart(
        Request(Role.EXPERT, Intent(Purpose.RESPOND, asked), (Message("user", asked.text),), prompt_version="v1"), text
    )


READERS: dict[str, Callable[[str], object]] = {
    "thoughts": split_reasoning,
    "canned": _told_apart,
    "verdicts": lambda text: orders_a_verdict(Instruction(text)),
    "refusals": declines,
    "system role": has_no_system_role,
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("repeated", REPEATED)
def test_a_text_that_repeats_itself_is_read_at_once(reader: str, repeated: str) -> None:
    READERS[reader](REPEATED[repeated])


TIDES = Instruction("Explain the tides.")

OF_ONE_READER: dict[str, tuple[Callable[[str], object], str]] = {
    "letters of one alphabet": (plain_letters, "é" + "a" * MANY),
    "spaces within a text": (lambda text: similarity(TIDES, Instruction(text)), "Say" + " " * MANY + "it."),
    "spaces in an answer": (lambda text: answer_leaks_prompt_words(text, TIDES), "Say" + " " * MANY + "it."),
    "lines of an instruction": (lambda text: cues(Instruction(text)), "Say" + "\n" * MANY + "it."),
    "lines of an answer": (lambda text: rating(TIDES, text), "Say" + "\n" * MANY + "it."),
    "words of a preview": (lambda text: word_diff(text[:-2], text), "the " * (MANY // 4)),
    "quotations that open": (constraints_of, "“" * MANY),
    "apostrophes that open": (constraints_of, " 'a" * (MANY // 3)),
    "apostrophes within a quotation": (constraints_of, "Name 'l" + "'affaire qu" * 40),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("case", OF_ONE_READER)
def test_what_one_reader_has_to_read_is_read_at_once(case: str) -> None:
    reader, text = OF_ONE_READER[case]
    reader(text)
