from __future__ import annotations

import json
from importlib.resources import files

from teams_dagster.student.corpus import contaminated, corpus_texts, dialogues, passages


def test_the_texts_share_no_thirteen_words_with_the_seeds() -> None:
    lines = (files("teams_dagster.instructions") / "data" / "seeds.jsonl").read_text(encoding="utf-8").splitlines()
    seeds = [json.loads(line) for line in lines]
    assert contaminated(f"{seed['instruction']}\n{seed['input']}\n{seed.get('output', '')}" for seed in seeds) == []


def test_a_copied_run_of_thirteen_words_is_found() -> None:
    words = max(passages(), key=len).split()
    clean = "A sentence that nobody wrote into the texts which this product ships for its student to read."
    assert contaminated([clean, "Before. " + " ".join(words[2:20]) + " after."]) != []
    assert contaminated([clean]) == []


def test_there_are_many_texts_and_no_two_are_alike() -> None:
    assert len(passages()) > 400
    assert len(dialogues()) > 2000
    assert len(set(corpus_texts())) == len(corpus_texts())
    assert sum(bool(d.instruction.input) for d in dialogues()) > 500
