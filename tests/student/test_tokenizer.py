from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teams_dagster.student.base import VOCABULARY, train_tokenizer
from teams_dagster.student.corpus import corpus_texts
from tests.support.properties import example_count

TOKENIZER = train_tokenizer(corpus_texts())


@settings(max_examples=example_count(100))
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_every_text_can_be_encoded_and_comes_back(text: str) -> None:
    assert TOKENIZER.decode(TOKENIZER(text, add_special_tokens=False)["input_ids"]) == text


def test_learning_is_deterministic_and_gives_the_size_asked_for() -> None:
    again = train_tokenizer(corpus_texts())
    assert len(again) == VOCABULARY
    assert again.get_vocab() == TOKENIZER.get_vocab()


def test_too_few_texts_for_a_vocabulary_are_an_error() -> None:
    with pytest.raises(ValueError, match="yield only"):
        train_tokenizer(["a b"], vocabulary=1000)
