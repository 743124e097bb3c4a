"""What should not be among kept samples."""

from __future__ import annotations

from pathlib import Path

import pytest

from teams_dagster.core.hashing import content_hash
from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.quality.answers import SHOWN, declines, kept_texts, too_short
from teams_dagster.store.tables import write_table

FULL = "The tides follow the moon, which pulls at the seas. "


@pytest.mark.parametrize(
    "response",
    [
        "I'm sorry, but I can't help with that. " + FULL * 20,
        "As an AI language model, I have no opinions. " + FULL * 20,
        "Unfortunately, I am unable to access the internet. " + FULL * 20,
        "I cannot provide medical advice. " + FULL * 20,
        "Sorry, no.",
    ],
)
def test_an_answer_that_declines_is_found_however_long(response: str) -> None:
    assert declines(response)


@pytest.mark.parametrize(
    "response",
    [
        FULL,
        "I can't believe how well this went! " + FULL,
        "Dear Ms Lee, we will not be able to join you on Monday. " + FULL,
        "Answer: a model such as GPT, as an AI language model, predicts words.",
        "42",
    ],
)
def test_an_answer_that_answers_is_not(response: str) -> None:
    assert not declines(response)


def test_an_answer_of_a_word_or_two_is_short_in_any_script() -> None:
    assert too_short("Positive.")
    assert too_short("正面")
    assert not too_short("It is positive")
    assert not too_short("这是正面")
    assert not too_short("https://example.org/" + "a" * 100)


def stored(folder: Path, samples: list[tuple[Instruction, str]], parent: Instruction) -> tuple[Path, Path, Path]:
    """The files of a generation whose samples all edit `parent`."""
    rows = [
        {
            "sample_id": content_hash("sample", at),
            "transition_id": content_hash("transition", at),
            "episode_id": content_hash("episode"),
            "step": at,
            "partition_key": "2026-11-02",
            "seed_id": content_hash("seed"),
            "instruction_id": instruction.instruction_id,
            "instruction": instruction.text,
            "input": instruction.input,
            "response": response,
            "accepted": True,
        }
        for at, (instruction, response) in enumerate(samples)
    ]
    transitions = [
        {
            **{name: row[name] for name in ("transition_id", "episode_id", "step", "seed_id", "accepted")},
            "purpose": "generate",
            "operation": "deepening",
            "probability": 1.0,
            "policy": "trained",
            "policy_version": content_hash("policy"),
            "parent_id": parent.instruction_id,
            "reward": 1.0,
            "queries": 2,
        }
        for row in rows
    ]
    instructions = [{"instruction_id": parent.instruction_id, "text": parent.text, "input": parent.input}]
    return (
        write_table(folder, "samples", rows),
        write_table(folder, "transitions", transitions),
        write_table(folder, "instructions", instructions),
    )


def test_prompt_words_are_counted_and_those_of_the_parent_are_not(tmp_path: Path) -> None:
    leak = Instruction("#Rewritten Prompt#: explain how tides work")
    found = kept_texts(*stored(tmp_path, [(leak, FULL), (Instruction("Explain tides."), FULL)], Instruction("Tides?")))
    assert (found.kept, found.leaking) == (2, 1)
    assert found.examples["leaking"] == [content_hash("sample", 0)]
    honest = kept_texts(*stored(tmp_path, [(leak, FULL)], Instruction("Improve the given prompt.")))
    assert honest.leaking == 0


def test_a_phrase_of_a_prompt_in_an_answer_is_a_leak_and_a_tag_of_html_is_none(tmp_path: Path) -> None:
    asked = Instruction("Write a form.")
    samples = [(asked, "The rewritten instruction is: " + FULL), (asked, "<form><input></form> " + FULL)]
    found = kept_texts(*stored(tmp_path, samples, asked))
    assert found.examples == {"leaking": [content_hash("sample", 0)]}


def test_of_many_samples_a_few_are_named_and_all_are_counted(tmp_path: Path) -> None:
    asked = Instruction("Is it good?")
    found = kept_texts(*stored(tmp_path, [(asked, "Yes.")] * (SHOWN + 4), asked))
    assert (found.short, found.share("short")) == (SHOWN + 4, 1.0)
    assert len(found.examples["short"]) == SHOWN
