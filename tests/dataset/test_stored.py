"""What is read of generations and their answers as artefacts hold them."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.stored import accepted_of, answers_file, seeds_played
from teams_dagster.store.artefact_store import Artefact, ArtefactMissing
from tests.support.chains import Chain, write_answers, write_generation
from tests.support.memory import most_held

CHAINS = tuple(Chain(seed, (("breadth", None, accepted),)) for seed, accepted in ((0, True), (7, False), (7, True)))


def test_seeds_are_those_that_were_played_whether_an_edit_was_accepted_or_not(tmp_path: Path) -> None:
    write_generation(tmp_path, CHAINS[:2])
    assert seeds_played(Artefact(tmp_path)) == {"seed-0", "seed-7"}


def test_every_answer_has_a_row_where_several_were_asked_for_and_else_the_samples_are_the_answers(
    tmp_path: Path,
) -> None:
    write_generation(tmp_path, CHAINS)
    assert answers_file(Artefact(tmp_path)).name == "samples.parquet"
    write_answers(tmp_path, CHAINS, 2)
    assert answers_file(Artefact(tmp_path)).name == "sample_answers.parquet"


def transition(number: int, *, accepted: bool = True) -> dict[str, Any]:
    ids = {"transition_id": f"t{number}", "episode_id": "e", "seed_id": "s", "instruction_id": f"i{number}"}
    return {**ids, "step": number, "accepted": accepted}


def generation(folder: Path, transitions: list[dict[str, Any]], texts: dict[str, str]) -> Artefact:
    instructions = [{"instruction_id": name, "text": text, "input": "given"} for name, text in texts.items()]
    for table, rows in (("transitions", transitions), ("instructions", instructions)):
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{table}.parquet")
    return Artefact(folder)


def test_accepted_transitions_come_with_their_texts_in_the_order_of_their_table(tmp_path: Path) -> None:
    rows = [transition(3), transition(1, accepted=False), transition(2), transition(0)]
    made = generation(tmp_path, rows, {f"i{number}": f"text {number}" for number in range(4)})
    told = [(each.transition_id, each.step, each.instruction) for each in accepted_of(made)]
    assert told == [(f"t{number}", number, Instruction(f"text {number}", "given")) for number in (3, 2, 0)]


def test_an_accepted_transition_without_its_text_is_named(tmp_path: Path) -> None:
    made = generation(tmp_path, [transition(0), transition(1)], {"i0": "text"})
    with pytest.raises(ArtefactMissing, match="no text of transition t1"):
        list(accepted_of(made))


def test_memory_does_not_hold_the_texts_of_a_generation(tmp_path: Path) -> None:
    count, length = 8_000, 2_000
    texts = {f"i{number}": f"{number} ".ljust(length, "x") for number in range(count)}
    made = generation(tmp_path, [transition(number) for number in range(count)], texts)
    assert most_held(lambda: deque(accepted_of(made), maxlen=1)) < count * length / 2
