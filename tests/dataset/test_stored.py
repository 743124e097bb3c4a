"""What is read of generations and their answers as artefacts hold them."""

from __future__ import annotations

from pathlib import Path

from teams_dagster.dataset.stored import answers_file, seeds_played
from teams_dagster.store.artefact_store import Artefact
from tests.support.chains import Chain, write_answers, write_generation

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
