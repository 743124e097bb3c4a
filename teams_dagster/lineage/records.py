"""What a lineage tells: plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Query:
    """One attempt to get an answer that a transition or a sample rests on."""

    request_id: str
    request_key: str
    purpose: str
    role: str
    provider: str
    model: str
    prompt_version: str
    status: str
    """`ok`, `failed` or `unresolved`."""
    outcome: str | None
    error_kind: str | None
    reused: bool
    """Whether somebody else had asked it before: the cost was theirs."""
    prompt_tokens: int | None
    completion_tokens: int | None
    cost_nano_usd: int | None
    """None where no price is known."""
    latency_ms: float | None
    started_at: str
    run_id: str
    asset_key: str


@dataclass(frozen=True)
class Step:
    """A transition with its texts and queries."""

    transition_id: str
    parent_transition_id: str | None
    step: int
    operation: str
    probability: float
    chosen_by: str
    policy: str
    policy_version: str
    text_before: str
    input_before: str
    text_after: str | None
    input_after: str | None
    prompt: str | None
    """Name of the template."""
    prompt_version: str | None
    review_prompt_version: str | None
    verdict: str | None
    verdict_probability: float | None
    """P(Not Equal), the mean of both orders where both were asked."""
    orders_agree: bool | None
    """Whether the verdict was the same in both orders of the texts; None where one was asked or could not be read."""
    order_difference: float | None
    """P(Not Equal) in the order of the edit less that the other way round."""
    eliminated_by: str | None
    failure: str | None
    novelty: float | None
    reward: float
    reward_preset: str | None
    pool_version: str | None
    accepted: bool
    run_id: str | None
    queries: tuple[Query, ...] = ()


@dataclass(frozen=True)
class Answer:
    """An answer of the expert, and whether a rule refused it."""

    response: str | None
    accepted: bool
    reason: str | None
    queries: tuple[Query, ...] = ()
    reasoning: str | None = None
    """What was thought before it, where the sample keeps that."""
    answer: int = 0
    """Which of several, from 0."""


@dataclass(frozen=True)
class Score:
    """What was said of one of the expert's answers."""

    answer: int
    """Which of them, from 0."""
    chosen: bool
    score: float | None
    rating: str | None
    constraints: int
    broken: int
    broken_constraints: str | None
    """JSON."""
    reply: str | None
    """What the judge wrote; None where it was not asked, or did not answer."""
    response: str | None
    """The answer, where it is one of several."""
    queries: tuple[Query, ...] = ()


@dataclass(frozen=True)
class Origin:
    """An output of an asset that the sample came through."""

    asset_key: str
    partition_key: str | None
    data_version: str
    code_version: str
    run_id: str
    made_at: str


@dataclass(frozen=True)
class Lineage:
    """All that is known of how a sample, or a transition that became none, came about, and what it went into."""

    transition_id: str
    sample_id: str | None
    episode_id: str
    purpose: str
    """`generate`, `train` or `compare`."""
    partition_key: str | None
    seed: Mapping[str, Any]
    """The row of table `seeds`."""
    chain: tuple[Step, ...]
    """From the edit of the seed to the transition itself."""
    beside: tuple[Step, ...]
    """The other transitions of the episode: refused, or after it."""
    answer: Answer | None
    policy: Mapping[str, Any]
    """The row of table `policies`; empty for a policy that was never trained."""
    origins: tuple[Origin, ...]
    datasets: tuple[tuple[str, str], ...]
    """(dataset version, split)."""
    adapters: tuple[tuple[str, str, str], ...]
    """(kind, model version, dataset version)."""
    other_answers: tuple[Answer, ...] = ()
    """Further answers to the same instruction: refused, or not chosen."""
    scores: tuple[Score, ...] = ()
    """Of its answers, where they were scored."""

    @property
    def queries(self) -> list[Query]:
        """Those of the chain, of the answers, and of their scores."""
        answers = (*([self.answer] if self.answer else ()), *self.other_answers)
        return [query for part in (*self.chain, *answers, *self.scores) for query in part.queries]

    @property
    def cost_nano_usd(self) -> int | None:
        """What the queries cost, whoever paid; None where a price is not known."""
        costs = [query.cost_nano_usd for query in self.queries if query.status != "failed"]
        return None if None in costs else sum(cost for cost in costs if cost is not None)
