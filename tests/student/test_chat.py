from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.sample import Example
from teams_dagster.student.base import train_tokenizer
from teams_dagster.student.chat import (
    ALPACA_TEMPLATE,
    MASKED,
    ExampleTooLong,
    encode_example,
    encode_prompt,
    encode_response,
    render_prompt,
    template,
    template_version,
)
from teams_dagster.student.loading import Student
from teams_dagster.student.rows import encode_rows
from tests.support.properties import example_count

TOKENIZER = train_tokenizer(["a few words to learn the bytes from"], vocabulary=270)


def test_labels_cover_exactly_the_response_and_one_end_token(student: Student, examples: list[Example]) -> None:
    tokenizer = student.tokenizer
    for example in examples:
        encoded = encode_example(tokenizer, example, 1000)
        learnt = [label for label in encoded.labels if label != MASKED]
        first = len(encoded.labels) - len(learnt)
        assert tokenizer.decode(learnt[:-1]) == example.response
        assert learnt[-1] == tokenizer.eos_token_id
        assert list(encoded.input_ids[first:]) == learnt
        assert set(encoded.labels[:first]) == {MASKED}
        assert encoded.response_tokens == len(learnt)


def test_training_sees_the_prompt_that_generation_gives(student: Student, examples: list[Example]) -> None:
    for example in examples:
        encoded = encode_example(student.tokenizer, example, 1000)
        prompt = encode_prompt(student.tokenizer, example.instruction)
        assert list(encoded.input_ids[: len(prompt)]) == prompt
        assert student.tokenizer.decode(prompt) == render_prompt(student.tokenizer, example.instruction)


def test_the_input_is_part_of_the_prompt(student: Student) -> None:
    prompt = render_prompt(student.tokenizer, Instruction("Count the words.", "one two three"))
    assert "Count the words." in prompt
    assert "one two three" in prompt


@settings(max_examples=example_count(60))
@given(
    instruction=st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40),
    response=st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40),
)
def test_any_text_survives_and_ends_with_the_end_token(instruction: str, response: str) -> None:
    tokens = encode_response(TOKENIZER, Instruction(instruction), response)
    assert tokens[-1] == TOKENIZER.eos_token_id
    assert TOKENIZER.decode(tokens[:-1]) == response


def test_what_does_not_fit_is_named_and_never_cut(student: Student, examples: list[Example]) -> None:
    long = Example("long", "seed-9", Instruction("Repeat."), "again and " * 100)
    with pytest.raises(ExampleTooLong, match="long"):
        encode_example(student.tokenizer, long, 64)
    rows = encode_rows(student.tokenizer, [*examples, long], 64)
    assert rows.too_long == ("long",)
    assert len(rows) == len(examples)
    with pytest.raises(ValueError, match="raise it"):
        encode_rows(student.tokenizer, [long], 64)


def test_rows_are_the_examples_tokens_with_loss_on_the_response(student: Student, examples: list[Example]) -> None:
    rows = encode_rows(student.tokenizer, examples, 64)
    encoded = [encode_example(student.tokenizer, example, 64) for example in examples]
    assert rows.table["input_ids"].to_pylist() == [list(e.input_ids) for e in encoded]
    assert rows.table["labels"].to_pylist() == [list(e.labels) for e in encoded]
    assert rows.response_tokens == sum(e.response_tokens for e in encoded)


def test_the_alpaca_template_writes_alpacas_two_prompts() -> None:
    tokenizer = train_tokenizer(["a few words"], vocabulary=262)
    tokenizer.chat_template = template(ALPACA_TEMPLATE)
    assert render_prompt(tokenizer, Instruction("Do it.")) == (
        "Below is an instruction that describes a task. Write a response that appropriately completes the request."
        "\n\n### Instruction:\nDo it.\n\n### Response:"
    )
    assert render_prompt(tokenizer, Instruction("Do it.", "With this.")) == (
        "Below is an instruction that describes a task, paired with an input that provides further context. "
        "Write a response that appropriately completes the request."
        "\n\n### Instruction:\nDo it.\n\n### Input:\nWith this.\n\n### Response:"
    )
    tokens = encode_response(tokenizer, Instruction("Do it."), "Done.")
    assert tokenizer.decode(tokens) == "Done.<|end|>"


def test_a_template_that_changes_its_own_prompt_is_refused() -> None:
    tokenizer = train_tokenizer(["a few words"], vocabulary=262)
    tokenizer.chat_template = "{{ messages | length }}{{ messages[-1]['content'] }}"
    with pytest.raises(ValueError, match="does not begin with its own prompt"):
        encode_response(tokenizer, Instruction("Do it."), "Done.")


def test_the_version_of_a_template_changes_with_it() -> None:
    tokenizer = train_tokenizer(["a few words"], vocabulary=262)
    before = template_version(tokenizer)
    tokenizer.chat_template = template(ALPACA_TEMPLATE)
    assert template_version(tokenizer) != before
