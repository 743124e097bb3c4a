"""An adapter is asked in the tokens that it was trained on, or the first difference is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.sample import Example
from teams_dagster.student.chat import template_version
from teams_dagster.student.loading import Recipe, load_tokenizer
from teams_dagster.student.parity import parity_faults
from tests.support.bare_base import bare_base


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bare_base(tmp_path_factory.mktemp("base"))


@pytest.fixture
def recipe(base: Path) -> Recipe:
    return Recipe("lora", "tokenizer", template_version(load_tokenizer(base)[0]), 512)


@pytest.fixture
def other(base: Path, tmp_path: Path) -> Path:
    """A copy of the base, to be changed."""
    return Path(shutil.copytree(base, tmp_path / "other"))


def edit(file: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def test_a_base_as_it_was_at_training_is_asked_in_the_same_tokens(
    base: Path, recipe: Recipe, examples: list[Example]
) -> None:
    for example in examples:
        assert parity_faults(base, base, recipe, example) == []


def test_another_template_is_told_with_the_first_token_that_differs(
    base: Path, other: Path, recipe: Recipe, examples: list[Example]
) -> None:
    template = other / "chat_template.jinja"
    template.write_text("Hello." + template.read_text())
    faults = parity_faults(base, other, recipe, examples[0])
    assert faults[0] == "the chat template is not that of training"
    assert "token 0 is '<|user|>' in training and " in faults[1]


def test_a_template_edited_in_place_after_training_is_told(
    other: Path, recipe: Recipe, examples: list[Example]
) -> None:
    template = other / "chat_template.jinja"
    template.write_text(template.read_text() + "\n")
    [fault] = parity_faults(other, other, recipe, examples[0])
    assert "a file of the base was changed" in fault


def test_generation_that_stops_at_another_token_is_told(
    base: Path, other: Path, recipe: Recipe, examples: list[Example]
) -> None:
    edit(other / "generation_config.json", lambda content: content.update(eos_token_id=7))
    [fault] = parity_faults(base, other, recipe, examples[0])
    assert fault.endswith("and generation stops at 7")


def test_another_end_token_is_told(base: Path, other: Path, recipe: Recipe, examples: list[Example]) -> None:
    edit(other / "tokenizer_config.json", lambda content: content.update(eos_token="<|pad|>"))
    faults = parity_faults(base, other, recipe, examples[0])
    assert "the end-of-sequence token is not that of training" in faults


def test_a_template_that_is_gone_is_told(base: Path, other: Path, recipe: Recipe, examples: list[Example]) -> None:
    (other / "chat_template.jinja").unlink()
    faults = parity_faults(base, other, recipe, examples[0])
    assert faults[0] == "the template at training was tokenizer, now it is alpaca"


def test_a_template_that_was_chosen_at_training_is_the_one_that_is_compared(
    base: Path, examples: list[Example]
) -> None:
    tokenizer, name = load_tokenizer(base, "alpaca")
    recipe = Recipe("lora", name, template_version(tokenizer), 512)
    assert parity_faults(base, base, recipe, examples[0]) == []


def test_a_template_that_asks_the_time_is_the_same_tokens_whenever_it_is_asked(
    other: Path, examples: list[Example]
) -> None:
    template = other / "chat_template.jinja"
    template.write_text("{{ strftime_now('%H:%M:%S.%f') }}" + template.read_text())
    trained_with, name = load_tokenizer(other)
    recipe = Recipe("lora", name, template_version(trained_with), 512)
    assert parity_faults(other, other, recipe, examples[0]) == []


def test_labels_that_are_not_the_response_are_told(other: Path, recipe: Recipe) -> None:
    example = Example("strange", "seed", Instruction("Name a colour."), "It is <|end|> blue.")
    [fault] = parity_faults(other, other, recipe, example)
    assert fault == "training learns 'It is <|end|> blue.<|end|>' instead of the response"
