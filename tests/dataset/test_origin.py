"""What a dataset's card counts: every request that its texts, and the scores of them, came from."""

from __future__ import annotations

from pathlib import Path

from teams_dagster.dataset.origin import generation_requests
from teams_dagster.store.artefact_store import Artefact
from tests.support.chains import Chain, write_answers, write_generation

CHAINS = (Chain(0, (("breadth", None, True),)),)
EDIT = {"rewrite-0-0", "review-0-0"}


def test_a_generation_took_its_rewrites_reviews_and_answers(tmp_path: Path) -> None:
    write_generation(tmp_path, CHAINS)
    assert set(generation_requests(Artefact(tmp_path), Artefact(tmp_path))) == {*EDIT, "respond-0-0"}


def test_of_several_answers_it_took_those_too_that_are_not_in_the_dataset(tmp_path: Path) -> None:
    write_generation(tmp_path, CHAINS)
    write_answers(tmp_path, CHAINS, 3)
    answers = {"respond-0-0", "respond-0-0-1", "respond-0-0-2"}
    assert set(generation_requests(Artefact(tmp_path), Artefact(tmp_path))) == {*EDIT, *answers}
