from __future__ import annotations

import json
from pathlib import Path

from teams_dagster.dataset.pairs import NO_RESPONSE, load_pairs

THOUGHT = "<think>\nSeven days, without the weekend.\n</think>\n\nFive."


def written(folder: Path, *responses: str) -> Path:
    file = folder / "pairs.jsonl"
    rows = [{"instruction": f"Count the {n + 1}. week.", "response": said} for n, said in enumerate(responses)]
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return file


def test_what_was_thought_before_an_answer_is_no_part_of_it(tmp_path: Path) -> None:
    thoughtful, plain = load_pairs(written(tmp_path, THOUGHT, "Six."), instead=False).samples
    assert (thoughtful.response, thoughtful.reasoning) == ("Five.", "Seven days, without the weekend.")
    assert (plain.response, plain.reasoning) == ("Six.", None)


def test_a_pair_that_is_all_thought_has_no_answer(tmp_path: Path) -> None:
    pairs = load_pairs(written(tmp_path, "<think>Seven days, or five?</think>", "Six."), instead=False)
    assert pairs.refused == {NO_RESPONSE: 1}
    assert [sample.response for sample in pairs.samples] == ["Six."]
