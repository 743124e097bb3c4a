"""Pairs drawn to be labelled by hand: unselected, and the same ones for whoever draws again."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from benchmarks.evaluation.drawn_pairs import drawn, markdown


def store(path: Path, order: list[int], *, accepted: int) -> Path:
    """A store whose samples were written in `order`, the first `accepted` of them by number accepted."""
    with duckdb.connect(path) as connection:
        connection.execute("create table instructions (instruction_id text, text text, input text)")
        connection.execute("create table transitions (transition_id text, parent_id text, operation text)")
        connection.execute(
            "create table samples"
            " (sample_id text, transition_id text, instruction_id text, response text, accepted bool)"
        )
        for n in order:
            rows = [(f"b{n}", f"Before {n}.", ""), (f"a{n}", f"After {n}.", "1,2")]
            connection.executemany("insert into instructions values (?, ?, ?)", rows)
            connection.execute("insert into transitions values (?, ?, 'breadth')", [f"t{n}", f"b{n}"])
            values = [f"s{n}", f"t{n}", f"a{n}", f"Answer {n}.", n < accepted]
            connection.execute("insert into samples values (?, ?, ?, ?, ?)", values)
    return path


def test_the_same_seed_draws_the_same_accepted_pairs_whatever_order_they_were_written_in(tmp_path: Path) -> None:
    forward = drawn(store(tmp_path / "a", [*range(8)], accepted=6), 3, seed=1)
    backward = drawn(store(tmp_path / "b", [*reversed(range(8))], accepted=6), 3, seed=1)
    assert forward == backward
    assert forward[1] == 6


def test_a_pair_shows_both_texts_with_their_inputs_and_the_answer(tmp_path: Path) -> None:
    pairs, _ = drawn(store(tmp_path / "a", [0], accepted=1), 1, seed=0)
    page = "\n".join(markdown(pairs))
    assert "Before 0." in page
    assert "    After 0.\n\n    Input:\n    1,2" in page
    assert "Answer 0." in page


def test_fewer_pairs_than_are_to_be_drawn_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has 1 accepted pairs, fewer than the 20"):
        drawn(store(tmp_path / "a", [0], accepted=1), 20, seed=0)
