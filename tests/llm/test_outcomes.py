"""What a billed completion turned out to be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teams_dagster.core.protocol import Outcome, Usage
from teams_dagster.llm.settling import classify, completion_of, storable


@pytest.mark.parametrize(
    ("text", "finish_reason", "refusal", "outcome"),
    [
        ("An answer.", "stop", None, Outcome.USABLE),
        ("An answer.", "STOP", None, Outcome.USABLE),
        ("An answer.", "end_turn", None, Outcome.USABLE),
        ("An answer.", "eos", None, Outcome.USABLE),
        ("An answer.", "stop_sequence", None, Outcome.USABLE),
        ("I'm sorry, I can't.", "stop", None, Outcome.USABLE),
        ("", "stop", None, Outcome.EMPTY),
        (" \n\t", "stop", None, Outcome.EMPTY),
        ("", "stop", "I will not.", Outcome.REFUSAL),
        ("half", "content_filter", None, Outcome.REFUSAL),
        ("half", "safety", None, Outcome.REFUSAL),
        ("half", "length", None, Outcome.TRUNCATED),
        ("half", "max_tokens", None, Outcome.TRUNCATED),
        ("half", "model_length", None, Outcome.TRUNCATED),
        ("half", "", None, Outcome.UNFINISHED),
        ("half", "other", None, Outcome.UNFINISHED),
        ("half", "tool_calls", None, Outcome.UNFINISHED),
        ("", "length", None, Outcome.TRUNCATED),
        (None, "tool_calls", None, Outcome.MALFORMED),
        ("a\x00b", "stop", None, Outcome.MALFORMED),
        ("a\ud800b", "stop", None, Outcome.MALFORMED),
    ],
)
def test_each_completion_has_one_outcome(
    text: str | None, finish_reason: str, refusal: str | None, outcome: Outcome
) -> None:
    assert classify(text, finish_reason, refusal) is outcome


@pytest.mark.parametrize("finish_reason", ["stop", "length"])
def test_an_answer_that_was_all_thinking_has_an_outcome_of_its_own(finish_reason: str) -> None:
    said = completion_of("<think>Let me see", finish_reason)
    assert (said.text, said.reasoning, said.outcome) == ("", "Let me see", Outcome.REASONING_ONLY)
    hidden = completion_of("", finish_reason, usage=Usage(10, 0, 16, 16))
    assert hidden.outcome is Outcome.REASONING_ONLY


def test_thinking_is_no_part_of_the_answer() -> None:
    said = completion_of("<think>Let me see</think>Green.", "stop", reasoning="Hm.")
    assert (said.text, said.reasoning, said.outcome) == ("Green.", "Hm.\n\nLet me see", Outcome.USABLE)
    assert completion_of("Green.", "stop").reasoning is None


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_every_text_becomes_storable_and_a_storable_one_is_left_alone(text: str) -> None:
    stored = storable(text)
    assert "\x00" not in stored
    assert stored.encode("utf-8").decode("utf-8") == stored
    assert storable(stored) == stored
    assert len(stored) == len(text)


@pytest.mark.parametrize("ends", ["<|im_end|>", "<|eot_id|>\n", "<end_of_turn><|endoftext|>"])
def test_tokens_that_end_a_turn_are_not_of_its_text(ends: str) -> None:
    assert completion_of(f"Green.{ends}", "stop").text == "Green."


@pytest.mark.parametrize("text", ["In ChatML a turn ends with `<|im_end|>`.", "<s>Red</s>", "Green.\n"])
def test_what_a_text_says_of_such_tokens_stays(text: str) -> None:
    assert completion_of(text, "stop").text == text


@pytest.mark.parametrize(
    "begins",
    [
        "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
        "<|im_start|>assistant\n",
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        "<start_of_turn>model\n",
        "<|assistant|>\n",
    ],
)
def test_tokens_that_begin_a_turn_are_not_of_its_text(begins: str) -> None:
    assert completion_of(f"{begins}Green.", "stop").text == "Green."
    assert completion_of(f"{begins}<think>Hm.</think>Green.", "stop").text == "Green."


@pytest.mark.parametrize("text", ["`<|im_start|>assistant` begins a turn.", "<|user|> asks."])
def test_a_text_about_such_tokens_is_left_as_it_is(text: str) -> None:
    assert completion_of(text, "stop").text == text
