"""Pairs of a store drawn at random and unselected, as Markdown, to be read and labelled by hand.

    python benchmarks/evaluation/drawn_pairs.py data/written/teams.duckdb --pairs 20 --seed 0

Of the accepted samples, in the order of their ids, so that the same store and seed draw the same pairs.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent

import duckdb

ACCEPTED = """
select s.sample_id, t.operation, b.text, b.input, a.text, a.input, s.response
from samples s
join transitions t using (transition_id)
join instructions b on b.instruction_id = t.parent_id
join instructions a on a.instruction_id = s.instruction_id
where s.accepted
order by s.sample_id
"""


@dataclass(frozen=True)
class Pair:
    """An edit that was accepted and the answer to it."""

    sample_id: str
    operation: str
    before: str
    before_input: str
    after: str
    after_input: str
    response: str


def drawn(store: Path, pairs: int, seed: int) -> tuple[list[Pair], int]:
    """The pairs, and how many they were drawn from. Raises ValueError where there are fewer."""
    with duckdb.connect(store, read_only=True) as connection:
        found = [Pair(*row) for row in connection.execute(ACCEPTED).fetchall()]
    if len(found) < pairs:
        raise ValueError(f"{store} has {len(found)} accepted pairs, fewer than the {pairs} that are to be drawn")
    return random.Random(seed).sample(found, pairs), len(found)


def markdown(pairs: list[Pair]) -> Iterator[str]:
    """A section for each pair."""
    for number, pair in enumerate(pairs, 1):
        yield f"### {number}. {pair.operation}\n"
        yield f"Sample `{pair.sample_id[:12]}`.\n"
        yield from _quoted("Before", pair.before, pair.before_input)
        yield from _quoted("After", pair.after, pair.after_input)
        yield from _quoted("Answer", pair.response, "")


def _quoted(title: str, text: str, material: str) -> Iterator[str]:
    yield f"{title}:\n\n{indent(f'{text}{_input(material)}', ' ' * 4)}\n"


def _input(material: str) -> str:
    return f"\n\nInput:\n{material}" if material else ""


def main() -> None:
    """Print the sections."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path, help="the file teams.duckdb")
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    pairs, of = drawn(asked.store, asked.pairs, asked.seed)
    print(f"{asked.pairs} of {of} accepted pairs, drawn with seed {asked.seed}.\n")
    print("\n".join(markdown(pairs)))


if __name__ == "__main__":
    main()
