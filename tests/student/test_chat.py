from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.sample import Example
from teams_dagster.student.adapter_config import AdapterConfig, TrainedReasoning
from teams_dagster.student.adapters import train_adapter
from teams_dagster.student.answering import text_of
from teams_dagster.student.base import train_tokenizer
from teams_dagster.student.chat import (
    ALPACA_TEMPLATE,
    MASKED,
    ExampleTooLong,
    encode_example,
    encode_prompt,
    encode_response,
    labels_learn,
    render_prompt,
    template,
    template_version,
)
from teams_dagster.student.conversation import TemplateFault
from teams_dagster.student.loading import Recipe, Student, load_tokenizer
from teams_dagster.student.parity import parity_faults
from teams_dagster.student.rows import encode_rows
from tests.support.bare_base import bare_base
from tests.support.layouts import tiny_layout
from tests.support.properties import example_count

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

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


THOUGHT, ANSWER = "Two and two are four.", "It is 4."
WITH = Example("with", "s", Instruction("Add 2 and 2."), ANSWER, reasoning=THOUGHT)
WITHOUT = Example("without", "s", Instruction("Add 2 and 2."), ANSWER)

PLAIN = (
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
"""Knows nothing of thoughts."""
WRITES = PLAIN.replace(
    "{{ m.content }}",
    "{% if m.reasoning_content %}<think>\n{{ m.reasoning_content }}\n</think>\n\n{% endif %}{{ m.content }}",
)
"""Writes `reasoning_content` between marks, as templates of reasoning models do."""
UNMARKED = PLAIN.replace("{{ m.content }}", "{{ m.reasoning_content }} {{ m.content }}")
OPENS = PLAIN.replace("<|assistant|>\n{% endif %}", "<|assistant|>\n<think>\n{% endif %}")
"""Ends its prompt in a thought, and leaves thoughts out of conversations."""
CUTS = PLAIN.replace("{{ m.content }}", "{{ m.content.split('</think>')[-1] }}")
"""Takes a thought out of an answer."""


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bare_base(tmp_path_factory.mktemp("base"))


@pytest.fixture
def bare_tokenizer(bare: Path) -> PreTrainedTokenizerBase:
    return load_tokenizer(bare)[0]


def learnt(tokenizer: PreTrainedTokenizerBase, example: Example, reasoning: TrainedReasoning) -> str:
    labels = encode_example(tokenizer, example, 1_000, reasoning).labels
    text = tokenizer.decode([label for label in labels if label != MASKED])
    return str(text).removesuffix(str(tokenizer.eos_token))


def test_the_response_alone_is_learnt_unless_thoughts_are_asked_for(bare_tokenizer: PreTrainedTokenizerBase):
    assert encode_example(bare_tokenizer, WITH, 1_000) == encode_example(bare_tokenizer, WITHOUT, 1_000)


@pytest.mark.parametrize(("template", "reasoning"), [(WRITES, "template"), (PLAIN, "think"), (WRITES, "think")])
def test_labels_decode_to_the_thought_and_the_response(
    bare_tokenizer: PreTrainedTokenizerBase, template: str, reasoning: TrainedReasoning
):
    bare_tokenizer.chat_template = template
    assert learnt(bare_tokenizer, WITH, reasoning) == f"<think>\n{THOUGHT}\n</think>\n\n{ANSWER}"


@pytest.mark.parametrize("reasoning", ["template", "think"])
def test_an_example_without_a_thought_is_learnt_as_it_is(
    bare_tokenizer: PreTrainedTokenizerBase, reasoning: TrainedReasoning
):
    bare_tokenizer.chat_template = WRITES
    assert learnt(bare_tokenizer, WITHOUT, reasoning) == ANSWER


@pytest.mark.parametrize(
    ("template", "reasoning", "message"),
    [
        (PLAIN, "template", "leaves `reasoning_content` out.*set reasoning to `think`"),
        (UNMARKED, "template", "tell it from the answer.*set reasoning to `think`"),
        (OPENS, "template", r"prompts .* end with .*</think>.*set template to `alpaca`"),
        (OPENS, "think", r"prompts .* end with .*</think>.*set template to `alpaca`"),
        (CUTS, "think", "does not write the response as it is"),
    ],
)
def test_a_template_that_loses_thoughts_is_refused_by_name(
    bare_tokenizer: PreTrainedTokenizerBase, template: str, reasoning: TrainedReasoning, message: str
):
    bare_tokenizer.chat_template = template
    with pytest.raises(TemplateFault, match=message):
        encode_example(bare_tokenizer, WITH, 1_000, reasoning)


def test_labels_that_lost_the_marks_of_a_thought_do_not_say_what_is_to_be_learnt(
    bare_tokenizer: PreTrainedTokenizerBase,
):
    bare_tokenizer.chat_template = WRITES
    labels = encode_example(bare_tokenizer, WITH, 1_000, "template").labels
    cut = [label for label in labels if label != MASKED][4:]
    assert labels_learn(bare_tokenizer, labels, WITH, "template")
    assert not labels_learn(bare_tokenizer, cut, WITH, "template")


def test_rows_count_what_is_learnt_with_a_thought(bare_tokenizer: PreTrainedTokenizerBase):
    assert encode_rows(bare_tokenizer, [WITH, WITHOUT], 1_000, "think").reasoned == 1
    assert encode_rows(bare_tokenizer, [WITH, WITHOUT], 1_000).reasoned == 0


def test_a_thought_counts_towards_the_longest_example(bare_tokenizer: PreTrainedTokenizerBase):
    length = len(encode_example(bare_tokenizer, WITHOUT, 1_000).input_ids)
    assert encode_rows(bare_tokenizer, [WITH, WITHOUT], length, "think").too_long == ("with",)


@pytest.mark.parametrize("reasoning", ["think", None])
def test_an_adapter_that_learnt_thoughts_is_asked_as_it_was_trained(
    bare: Path, bare_tokenizer: PreTrainedTokenizerBase, reasoning: TrainedReasoning | None
):
    recipe = Recipe("lora", "tokenizer", template_version(bare_tokenizer), 512, reasoning=reasoning)
    assert parity_faults(bare, bare, recipe, WITH) == []


def test_a_student_that_thinks_answers_without_its_thought(bare_tokenizer: PreTrainedTokenizerBase):
    model: Any = None
    student = Student(model, bare_tokenizer, "tokenizer", four_bit=False)
    said = f"<think>\n{THOUGHT}\n</think>\n\n{ANSWER}{bare_tokenizer.eos_token}"
    assert text_of(student, bare_tokenizer(said, add_special_tokens=False)["input_ids"]) == ANSWER


def test_a_dataset_without_thoughts_cannot_be_trained_on_them(bare: Path, tmp_path: Path):
    config = AdapterConfig(kind="lora", reasoning="think", max_steps=1)
    with pytest.raises(ValueError, match=r"no training example has a thought.*expert_responses.*reasoning: true"):
        train_adapter(bare, [WITHOUT], [], tmp_path, config)


def test_a_training_on_thoughts_says_how_many_and_leaves_that_in_its_recipe(tmp_path: Path):
    student = tiny_layout("qwen2", tmp_path / "student")
    config = AdapterConfig(kind="lora", reasoning="think", max_steps=1, batch_size=2, rank=2)
    report = train_adapter(student, [WITH, WITHOUT], [], tmp_path / "adapter", config)
    assert report.reasoned == 1
    assert Recipe.load(tmp_path / "adapter").reasoning == "think"
