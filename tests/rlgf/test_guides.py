"""A guide of which only text is seen."""

import pytest

from teams_dagster.rlgf.guides import BlackBoxGuide, Counts
from teams_dagster.rlgf.sampling import Begun, Vocabulary
from teams_dagster.student.base import train_tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(["a few words to learn the bytes from"], vocabulary=270)


def guided(tokenizer, begun, reply, room=50):
    asked = []

    def ask(questions):
        asked.extend(questions)
        return [reply] * len(questions)

    guide = BlackBoxGuide(ask, tokenizer, Vocabulary(frozenset({tokenizer.eos_token_id}), tokenizer.pad_token_id))
    tokens = guide.write(
        [Begun(tuple(tokenizer("Go on: ")["input_ids"]), tuple(tokenizer(begun)["input_ids"]), room, ("k", 1))]
    )
    return tokenizer.decode(tokens[0]), asked, guide.counts


def test_it_is_given_the_prompt_and_the_beginning(tokenizer):
    _, asked, _ = guided(tokenizer, "few ", "words")
    assert [(question.prompt, question.begun, question.key) for question in asked] == [("Go on: ", "few ", "k/1")]


def test_what_it_says_follows_and_ends_the_text(tokenizer):
    text, _, counts = guided(tokenizer, "few ", "words")
    assert text == "words" + tokenizer.eos_token
    assert counts == Counts(asked=1)


def test_a_reply_that_repeats_the_beginning_is_understood_and_counted(tokenizer):
    text, _, counts = guided(tokenizer, "few", "few words")
    assert text == " words" + tokenizer.eos_token
    assert counts.repeated == 1


def test_a_reply_that_begins_with_a_longer_word_repeats_nothing(tokenizer):
    text, _, counts = guided(tokenizer, "few", "fewer words")
    assert text == "fewer words" + tokenizer.eos_token
    assert counts.repeated == 0


@pytest.mark.parametrize(
    ("begun", "reply", "follows"),
    [
        ("few", "Go on: few words", " words"),
        ("", "Go on: words", "words"),
        ("few ", "few words", "words"),
        ("a few wor", "a few words", "ds"),
    ],
    ids=["prompt and beginning", "prompt alone", "a space at the end", "a word that was begun"],
)
def test_a_reply_that_repeats_all_that_it_was_given_is_understood(tokenizer, begun, reply, follows):
    text, _, counts = guided(tokenizer, begun, reply)
    assert text == follows + tokenizer.eos_token
    assert counts.repeated == 1


def test_a_reply_longer_than_its_room_is_cut(tokenizer):
    text, _, _ = guided(tokenizer, "", "words to learn from", room=3)
    assert text == tokenizer.decode(tokenizer("words to learn from")["input_ids"][:3])


def test_a_guide_that_says_nothing_ends_the_text_and_is_counted(tokenizer):
    text, _, counts = guided(tokenizer, "few", "")
    assert text == tokenizer.eos_token
    assert counts.silent == 1
