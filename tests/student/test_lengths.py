from __future__ import annotations

from pathlib import Path

import pytest

from teams_dagster.dataset.sample import Example
from teams_dagster.student.chat import encode_example, encode_prompt, template_version
from teams_dagster.student.lengths import lengths_for
from teams_dagster.student.loading import Recipe, load_tokenizer


@pytest.fixture
def alpaca_adapter(base: Path, tmp_path: Path) -> Path:
    tokenizer, name = load_tokenizer(base, "alpaca")
    Recipe("lora", name, template_version(tokenizer), 512).save(tmp_path)
    return tmp_path


def test_an_example_is_as_long_as_under_the_template_that_takes_most(
    base: Path, alpaca_adapter: Path, examples: list[Example]
) -> None:
    lengths = lengths_for(base, [alpaca_adapter])
    own, alpaca = load_tokenizer(base)[0], load_tokenizer(base, "alpaca")[0]
    for example in examples:
        taken = [len(encode_example(tokenizer, example, 1000).input_ids) for tokenizer in (own, alpaca)]
        assert lengths.whole(example) == max(taken)
        assert lengths.prompt(example.instruction) == len(encode_prompt(alpaca, example.instruction))
        assert lengths.whole(example) <= lengths.prompt(example.instruction) + lengths.response(example)


def test_templates_that_are_the_same_count_once(base: Path, alpaca_adapter: Path) -> None:
    assert len(lengths_for(base, []).tokenizers) == 1
    assert len(lengths_for(base, [alpaca_adapter, alpaca_adapter]).tokenizers) == 2
