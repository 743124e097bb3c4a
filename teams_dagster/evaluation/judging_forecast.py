"""What judging answers would ask, before it is asked."""

from __future__ import annotations

from collections.abc import Sequence

from teams_dagster.core.protocol import Purpose, Role
from teams_dagster.dataset.sample import Example
from teams_dagster.evaluation.judging import judge_query
from teams_dagster.instructions.requests import VERDICT
from teams_dagster.policy.query_forecast import SAMPLED, mean_bytes
from teams_dagster.pricing.forecast import QueryForecast
from teams_dagster.store.artefact_store import Artefact
from teams_dagster.store.facts.base import QueryFacts
from teams_dagster.student.stored import ADAPTERS

ORDERS = 2
"""Each pair is judged with either answer first."""

BYTES_PER_TOKEN = 4
"""Of answers of which there is no example yet; half of the longest is taken for usual."""


def judging_questions(
    questions: int,
    max_new_tokens: int,
    held_out: Sequence[int],
    like: Sequence[Example],
    earlier: Artefact | None,
    *,
    pairs: int = len(ADAPTERS),
) -> list[QueryForecast]:
    """The queries to the judge that a win rate takes.

    Args:
        questions: Held-out instructions that the models answer, at most.
        max_new_tokens: Tokens of an answer, at most.
        held_out: How many held-out instructions there are: at least, likely and at most.
        like: Some of them, or examples like them.
        earlier: The same win rate, where it was made before: what failed then is all that is open.
        pairs: Pairs of models that are compared.
    """
    counts = [ORDERS * pairs * min(questions, count) for count in held_out]
    if earlier is not None:
        unanswered = earlier.read_facts(QueryFacts).unanswered
        counts = [min(count, unanswered) for count in counts]
    answer = "x" * (BYTES_PER_TOKEN * max_new_tokens // 2)
    answers = [(each.instruction, each.response or answer) for each in like[:SAMPLED]]
    prompts = [judge_query(instruction, answer, answer) for instruction, answer in answers]
    least, likely, most = counts
    return [QueryForecast(Role.JUDGE, Purpose.JUDGE, least, likely, most, mean_bytes(prompts), VERDICT.max_tokens)]
