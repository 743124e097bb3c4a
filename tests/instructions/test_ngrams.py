from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from teams_dagster.instructions.ngrams import NgramIndex, ngrams, share_overlapping, words
from tests.support.properties import example_count

LONG = " ".join(f"word{k}" for k in range(20))


def test_words_ignore_case_punctuation_and_width() -> None:
    assert words("It's  ＦＵＬＬ-width; snake_case, 3.5!") == ["it", "s", "full", "width", "snake", "case", "3", "5"]


def test_languages_without_spaces_have_words_too() -> None:
    assert words("写一首abc诗") == ["写", "一", "首", "abc", "诗"]


def test_a_text_of_n_words_has_n_minus_12_ngrams() -> None:
    assert len(ngrams(LONG)) == 8
    assert ngrams("too short") == set()


def test_thirteen_shared_words_are_an_overlap_and_twelve_are_not() -> None:
    index = NgramIndex([LONG])
    found = LONG.split()
    assert index.overlap("Solve: " + " ".join(found[3:16])) == " ".join(found[3:16])
    assert index.overlap(" ".join(found[:12]) + " and then " + " ".join(found[8:])) is None


def test_an_index_of_eight_words_finds_eight_and_not_seven() -> None:
    index, found = NgramIndex([LONG, "A short one."], 8), LONG.split()
    assert index.overlap("Solve: " + " ".join(found[3:11])) == " ".join(found[3:11])
    assert index.overlap("Solve: " + " ".join(found[3:10])) is None
    assert index.overlap("a SHORT one") == "a short one"


def test_a_text_divided_between_two_parts_is_found() -> None:
    found = LONG.split()
    assert NgramIndex([LONG]).overlap(" ".join(found[:10]), " ".join(found[10:])) is not None


def test_a_short_evaluation_text_matches_only_the_same_words() -> None:
    index = NgramIndex(["What is 2 + 2?", "", "..."])
    assert len(index) == 1
    assert index.overlap("WHAT is 2+2") == "what is 2 2"
    assert index.overlap("What is 2 + 2? Explain to a child.") is None


def test_without_evaluation_texts_nothing_overlaps() -> None:
    assert NgramIndex([]).overlap(LONG, "") is None


def test_what_html_writes_for_a_character_is_that_character() -> None:
    plain = 'Why do the tides of "R&D" rise by day, and what is it that they bring?'
    escaped = "Why&nbsp;do the tides of &quot;R&amp;D&#34; rise by&#xa0;day, and what is it that they bring?"
    assert NgramIndex([escaped]).overlap(plain) is not None
    assert NgramIndex([plain]).overlap(escaped) is not None


WORD = st.sampled_from(["one", "two", "éte", "字", "ไทย", "१"])


@settings(max_examples=example_count(60))
@given(
    st.lists(st.lists(WORD, max_size=40).map(" ".join), max_size=4),
    st.lists(st.lists(WORD, max_size=40).map(" ".join), max_size=4),
)
def test_the_share_that_overlaps_is_that_of_the_texts_with_a_common_ngram(texts: list[str], others: list[str]) -> None:
    every = {ngram for other in others for ngram in ngrams(other)}
    sharing = sum(not every.isdisjoint(ngrams(text)) for text in texts)
    assert share_overlapping(texts, others) == (sharing / len(texts) if texts else 0.0)
