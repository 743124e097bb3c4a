"""What is shared with evaluation sets is named: text, file, words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from teams_dagster.dataset.quality.duplicates import StoredText, overlaps
from teams_dagster.instructions.ngrams import NGRAM_WORDS, PARAPHRASE_WORDS

QUESTION = (
    "Mira bakes 14 loaves a day, keeps two for her family, gives three to a neighbour and sells the rest at the market"
    " for 4 dollars each. How many dollars does she earn in a week of five days?"
)
ANSWER = "She sells 14 - 2 - 3 = <<14-2-3=9>>9 loaves a day.\nThat is 9 * 4 * 5 = $<<9*4*5=180>>180.\n#### 180"
PARAPHRASE = "A baker keeps two for her family, gives three to a friend and sells the rest. How many did she bake?"


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two evaluation sets, one in GSM8K's form."""
    maths, other = tmp_path / "maths_test.jsonl", tmp_path / "other.jsonl"
    maths.write_text(json.dumps({"question": QUESTION, "answer": ANSWER}) + "\n", encoding="utf-8")
    other.write_text(json.dumps({"question": "Name a river of Europe that flows north."}) + "\n", encoding="utf-8")
    return [other, maths]


TEXTS = [
    StoredText("clean", ("Explain how tides work.", "", "The moon pulls.")),
    StoredText("copied", ("Solve this.", QUESTION, "180")),
    StoredText("paraphrased", (PARAPHRASE, "", "Fourteen.")),
]


def test_thirteen_words_find_what_was_copied_with_its_file(files: list[Path]) -> None:
    [found] = overlaps(TEXTS, files, NGRAM_WORDS)
    assert (found.text_id, found.file) == ("copied", "maths_test.jsonl")
    assert len(found.ngram.split()) == NGRAM_WORDS


def test_eight_words_find_a_paraphrase_too(files: list[Path]) -> None:
    found = {overlap.text_id: overlap.ngram for overlap in overlaps(TEXTS, files, PARAPHRASE_WORDS)}
    assert found.keys() == {"copied", "paraphrased"}
    assert found["paraphrased"] == "keeps two for her family gives three to"


def test_without_evaluation_sets_nothing_is_shared() -> None:
    assert list(overlaps(TEXTS, [], PARAPHRASE_WORDS)) == []
