"""A step ends where a few texts answer everything; labels, choices and refusals of what is often refused end none."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from uuid import UUID

import pytest

from resources.language_models.readable import fault
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import Operation
from teams_dagster.core.protocol import Completion, Intent, Message, Outcome, Purpose, Request, Role
from teams_dagster.llm.canned import told_apart
from teams_dagster.llm.trial import TRIED
from teams_dagster.llm.trials import Trials

SORRY = "I'm sorry, but I can't help with that."
CANNED = [
    f"{word}, I am here to assist you with any of your needs."
    for word in "Hello Welcome Yes Well Dear Now So Ah".split()
]
SUBJECTS = ["river", "bridge", "engine", "poem", "tax", "leaf"]
DRAWS = Random(1)


def explain(number: int) -> str:
    return f"Explain how the {SUBJECTS[number % 6]} of case {number} came to be."


def explained(number: int) -> str:
    return f"Case {number} is long explained by the fact that {number * 7} follows from it."


def asked(text: str, purpose: Purpose = Purpose.RESPOND) -> Request:
    operation = Operation.DEEPENING if purpose is Purpose.REWRITE else None
    intent = Intent(purpose, Instruction(text), operation=operation)
    return Request(Role.EXPERT, intent, (Message("user", text),), "prompt-1")


def paid(
    prompt: Callable[[int], str], reply: Callable[[int], str | None], purpose: Purpose = Purpose.RESPOND
) -> int | None:
    """How many of three hundred replies a step takes until it ends, where None is the provider's refusal."""
    trials = Trials(fault)
    for number in range(300):
        said = reply(number)
        outcome = Outcome.REFUSAL if said is None else Outcome.USABLE
        if trials.answered(asked(prompt(number), purpose), Completion(said or "", "stop", outcome)) is not None:
            return number + 1
    return None


@pytest.mark.parametrize(
    ("good", "reply"),
    [
        pytest.param(0, lambda number: CANNED[0], id="one text"),
        pytest.param(0, lambda number: CANNED[number % 2], id="two in turn"),
        pytest.param(0, lambda number: CANNED[number % 5], id="five in turn"),
        pytest.param(0, lambda number: CANNED[number % 8], id="eight in turn"),
        pytest.param(0, lambda number: DRAWS.choice(CANNED), id="eight at random"),
        pytest.param(0, lambda number: ["ok", "Hello!"][number % 2], id="two short ones"),
        pytest.param(0, explain, id="what was asked"),
        pytest.param(0, lambda number: f"You said: {explain(number)}", id="that it was asked"),
        pytest.param(0, lambda number: "negative", id="a label for everything"),
        pytest.param(0, lambda number: SORRY, id="refusals"),
        pytest.param(0, lambda number: f"Request {number} received, thank you.", id="a counter"),
        pytest.param(0, lambda number: f"Your ticket {UUID(int=number << 90)} is being processed.", id="an id"),
        pytest.param(
            30,
            lambda number: f"On Tuesday, {number % 28 + 1} December 2026, at {number % 24}:00 the service is down.",
            id="a date after good answers",
        ),
        pytest.param(0, lambda number: f"您的请求编号{number}已经收到，请耐心等待处理。", id="a counter in Chinese"),
        pytest.param(30, lambda number: SORRY, id="refusals after good answers"),
        pytest.param(100, lambda number: None, id="a provider's refusals after good answers"),
        pytest.param(200, lambda number: CANNED[number % 3], id="three in turn after good answers"),
    ],
)
def test_replies_that_answer_nothing_end_a_step_after_about_twenty(
    good: int, reply: Callable[[int], str | None]
) -> None:
    ended = paid(explain, lambda number: explained(number) if number < good else reply(number))
    assert ended is not None
    assert TRIED <= ended - good <= 25


@pytest.mark.parametrize("reply", [explain, lambda number: CANNED[number % 2]])
def test_rewrites_that_change_nothing_or_are_canned_end_it_as_well(reply: Callable[[int], str]) -> None:
    assert paid(explain, reply, Purpose.REWRITE) == TRIED


def test_the_embedded_rules_may_say_the_same_to_much() -> None:
    trials = Trials(fault, frozenset({Role.EXPERT}))
    replies = [trials.answered(asked(explain(n)), Completion(CANNED[n % 2], "stop", Outcome.USABLE)) for n in range(60)]
    assert set(replies) == {None}


@pytest.mark.parametrize(
    ("prompt", "reply"),
    [
        pytest.param(
            lambda number: f"Classify as positive or negative: film {number}",
            lambda number: "Negative" if number < 150 else "Positive",
            id="labels, sorted",
        ),
        pytest.param(
            lambda number: f"What is the sentiment of tweet {number}?", lambda number: "neutral", id="a label"
        ),
        pytest.param(lambda number: f"Does {number} divide {number * 3}?", lambda number: "Yes.", id="yes"),
        pytest.param(lambda number: f"Question {number}. A) x B) y", lambda number: "A", id="a choice"),
        pytest.param(lambda number: f"What is {number} minus {number}?", lambda number: "0", id="a number"),
        pytest.param(
            lambda number: f"Put item {number} under World, Sports or Sci/Tech.",
            lambda number: "Sci/Tech",
            id="a topic",
        ),
        pytest.param(
            lambda number: f"Name the capital of land {number % 4} in {number}.",
            lambda number: ["Paris", "Rome", "Bern", "Oslo"][number % 4],
            id="a few names",
        ),
        pytest.param(lambda number: "What is six times seven?" + " " * number, str, id="numbers"),
        pytest.param(
            lambda number: f"What is the square root of {number * number}?",
            lambda number: f"The final answer is {number}.",
            id="numbers in a sentence",
        ),
        pytest.param(
            lambda number: f"A farmer has {number} cows and sells half of them. How many are left?",
            lambda number: f"After careful thought I get {number // 2} as my answer.",
            id="numbers that were asked for",
        ),
        pytest.param(
            lambda number: f"Describe the history of town {number}.",
            lambda number: f"The town was founded in the year {1000 + number} by settlers.",
            id="a year of what was asked about",
        ),
        pytest.param(
            lambda number: f"Write a function that adds {number} to its argument.",
            lambda number: f"def add(x):\n    return x + {number}",
            id="numbers in code",
        ),
        pytest.param(lambda number: f"判断评论{number}的情感", lambda number: "负面", id="a label in Chinese"),
        pytest.param(explain, lambda number: explained(number // 2), id="each answer twice"),
        pytest.param(
            explain, lambda number: explained(number) if number % 3 else "None is on record.", id="one of three"
        ),
        pytest.param(
            lambda number: f"How is account {number} hacked?" if number < 60 else explain(number),
            lambda number: SORRY if number < 60 else explained(number),
            id="what is refused stands first",
        ),
        pytest.param(
            lambda number: f"Write hate speech {number}" if number > 99 else explain(number),
            lambda number: None if number > 99 else explained(number),
            id="what is refused stands last",
        ),
    ],
)
def test_replies_that_may_well_be_the_same_end_nothing(
    prompt: Callable[[int], str], reply: Callable[[int], str | None]
) -> None:
    assert paid(prompt, reply) is None


@pytest.mark.parametrize(
    ("variable", "told"),
    [
        ("Mon, Jan 5, 2026", "# #"),
        ("Mon Tue jan feb 5", "Mon #"),
        ("12 May", "#"),
        ("order#A12-7", "#"),
        ("maybe 7", "maybe #"),
        ("5 may#78", "##7#"),
        ("x_may 5", "x_may #"),
        ("\u00b2", "\u00b2"),
    ],
)
def test_whatever_has_a_digit_and_the_days_and_months_beside_it_tells_no_reply_apart(variable: str, told: str) -> None:
    said = "Our staff was pleased to welcome everybody"
    assert told_apart(asked("Describe a place."), f"{said} ({variable})") == f"{said} ({told})"
