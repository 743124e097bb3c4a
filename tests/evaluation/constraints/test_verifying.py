"""Each kind of constraint, told kept from broken."""

from __future__ import annotations

import pytest

from teams_dagster.dataset.quality.constraints.constraint import Constraint, Kind
from teams_dagster.evaluation.constraints.verifying import Check, JsonKeys, Parts, kept, kept_loosely
from teams_dagster.evaluation.constraints.wording import TEMPLATES


def of(kind: Kind, least: int = 0, most: int | None = None, *texts: str) -> Constraint:
    return Constraint(kind, "", least, most, texts)


CASES: list[tuple[str, Check, str, str]] = [
    ("words_at_most", of(Kind.WORDS, 0, 4), "It rains on us.", "It rains on all of us."),
    ("words_at_most", of(Kind.WORDS, 0, 3), "Sûr, déjà là.", "Sûr, on est déjà là."),
    ("words_at_least", of(Kind.WORDS, 5), "Every evening it rains here.", "It rains here."),
    ("words_between", of(Kind.WORDS, 3, 5), "It rains here, often.", "It rains."),
    ("words_between", of(Kind.WORDS, 3, 5), "Дождь идёт весь день.", "Сегодня дождь идёт здесь весь день."),
    ("sentences", of(Kind.SENTENCES, 2, 2), "It rains. Dr. Low knows why.", "It rains. It pours. It stops."),
    ("sentences", of(Kind.SENTENCES, 2, 2), "雨が降る。 寒い。", "雨が降る。"),
    ("paragraphs", of(Kind.PARAGRAPHS, 2, 2), "It rains.\n\nIt pours.", "It rains. It pours."),
    ("parts", Parts("***", 2), "It rains.\n***\nIt pours.", "It rains. *** It pours."),
    ("parts", Parts("---", 3), "A.\n---\nB.\n --- \nC.", "A.\n---\n\n---\nC."),
    ("bullets", of(Kind.BULLETS, 2, 2), "- wet\n- cold", "- wet\n- cold\n- dark"),
    ("numbered", of(Kind.NUMBERED, 2, 2), "1. Mix\n2. Bake", "Mix, then bake."),
    ("json_keys", JsonKeys(("a", "b")), '{"a": 1, "b": null, "c": []}', '{"a": 1}'),
    ("json_keys", JsonKeys(("a",)), '```json\n{"a": "ü"}\n```', 'Here it is: {"a": "ü"}'),
    ("json_keys", JsonKeys(("a",)), '{"a": {"a": 1}}', '{"a": 1, "a": 2}'),
    ("json_keys", JsonKeys(("a",)), '{"a": 1}', '[{"a": 1}]'),
    ("table", of(Kind.TABLE), "| a | b |\n|---|---|\n| 1 | 2 |", "a is 1"),
    ("placeholders", of(Kind.PLACEHOLDERS, 2), "Dear [name], come on [date].", "Dear [name], come."),
    ("highlights", of(Kind.HIGHLIGHTS, 1), "It is *very* wet.", "It is very wet."),
    ("includes", of(Kind.INCLUDES, 0, None, "café"), "The CAFÉ is full.", "The coffee house is full."),
    ("times", of(Kind.TIMES, 2, None, "rain"), "Rain and more rain.", "Rain and snow."),
    ("excludes", of(Kind.EXCLUDES, 0, None, "rain"), "The train is late.", "The rain is late."),
    ("uppercase", of(Kind.UPPERCASE), "ÉTÉ, IT RAINS.", "ÉTÉ, it rains."),
    ("lowercase", of(Kind.LOWERCASE), "é, it rains.", "É, it rains."),
    (
        "starts_with",
        of(Kind.STARTS_WITH, 0, None, "First of all"),
        "First of all, it rains.",
        "It rains, first of all.",
    ),
    ("ends_with", of(Kind.ENDS_WITH, 0, None, "and that is it"), "It rains and that is it.", "And that is it. Bye."),
    ("no_commas", of(Kind.NO_COMMAS), "It rains and pours.", "It rains، it pours."),
    ("no_digits", of(Kind.NO_DIGITS), "In two days.", "In ٢ days."),
    ("quoted", of(Kind.QUOTED), "“It rains.”", '"It" rains.'),
    ("title", of(Kind.TITLE), "<<Rain>>\nIt rains.", "Rain\nIt rains."),
    ("postscript", of(Kind.POSTSCRIPT), "Bye.\nP.S. Write soon.", "Bye. Write soon."),
    ("script", of(Kind.SCRIPT, 0, None, "Hangul"), "비가 온다.", "It rains."),
]


@pytest.mark.parametrize(("kind", "check", "keeps", "breaks"), CASES)
def test_a_reply_that_keeps_a_constraint_is_told_from_one_that_does_not(
    kind: str, check: Check, keeps: str, breaks: str
):
    assert (kept(check, keeps), kept(check, breaks)) == (True, False)


def test_every_kind_that_prompts_ask_for_is_tried():
    assert {kind for kind, *_ in CASES} == set(TEMPLATES)


@pytest.mark.parametrize("reply", ["", "  \n\t "])
@pytest.mark.parametrize("check", [check for _, check, *_ in CASES])
def test_an_empty_reply_keeps_nothing(check: Check, reply: str):
    assert not kept_loosely(check, reply)


def test_a_greeting_before_the_answer_is_forgiven_loosely_alone():
    check, reply = of(Kind.LOWERCASE), "Sure! Here it is:\nit rains."
    assert (kept(check, reply), kept_loosely(check, reply)) == (False, True)


def test_a_farewell_after_the_answer_is_forgiven_loosely_alone():
    check, reply = JsonKeys(("a",)), '{"a": 1}\nAnything else?'
    assert (kept(check, reply), kept_loosely(check, reply)) == (False, True)


def test_asterisks_of_mark_up_are_forgiven_loosely_alone():
    check, reply = of(Kind.QUOTED), '**"It rains."**'
    assert (kept(check, reply), kept_loosely(check, reply)) == (False, True)


def test_a_constraint_that_is_kept_strictly_is_kept_loosely():
    assert all(kept_loosely(check, keeps) for _, check, keeps, _ in CASES)


def test_deeply_nested_json_is_none():
    assert not kept(JsonKeys(("a",)), "[" * 100_000)
