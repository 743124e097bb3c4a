"""The one rule of each operation: how it is performed, and when the guide tries it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from resources.language_models.offline.breadth import sibling
from resources.language_models.offline.clauses import add_clause
from resources.language_models.offline.concretizing import concretize
from resources.language_models.offline.kinds import Reading
from resources.language_models.offline.structuring import complicate
from teams_dagster.core.operations import Operation

Edited = str | tuple[str, str] | None
"""A new text, or a new text with a new input; None where nothing is left to add."""

LAST = 6.0
"""The turn of an operation that says nothing about its turn: after all others."""


@dataclass(frozen=True)
class Look:
    """What the guide sees of a text at a glance."""

    is_question: bool
    has_digits: bool
    is_short: bool
    has_input: bool

    @property
    def second(self) -> float:
        """The turn right after the first, which is 0 where there are digits to reason about, else 1."""
        return 0.5 if self.has_digits else 1.5


@dataclass(frozen=True)
class Rule:
    """What the offline model knows of one operation."""

    edit: Callable[[Reading, int], Edited]
    """Performs it on a text, in one replica."""
    turn: Callable[[Look], float] = lambda look: LAST
    """When the guide tries it on a text of this look: lower is sooner, and equal turns are in the order of `RULES`."""
    renews: bool = False
    """Whether it gives a brand-new instruction, on which everything can be tried anew: the guide's last resort."""


RULES: dict[Operation, Rule] = {
    Operation.BREADTH: Rule(sibling, renews=True),
    Operation.ADD_CONSTRAINTS: Rule(
        partial(add_clause, Operation.ADD_CONSTRAINTS),
        turn=lambda look: 3 if look.is_question else 1,
    ),
    Operation.DEEPENING: Rule(
        partial(add_clause, Operation.DEEPENING),
        turn=lambda look: 1 if look.is_question else 2,
    ),
    Operation.CONCRETIZING: Rule(
        concretize,
        turn=lambda look: look.second if look.is_short else 5,
    ),
    Operation.INCREASE_REASONING_STEPS: Rule(
        partial(add_clause, Operation.INCREASE_REASONING_STEPS),
        turn=lambda look: 0 if look.has_digits else 2 if look.is_question else 3,
    ),
    Operation.COMPLICATE_INPUT: Rule(
        complicate,
        turn=lambda look: look.second if look.has_input else 4,
    ),
}
"""The rule of every operation that asks something."""
