"""Facts of group `policy`: `trained_policy` and `policy_comparison`."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from teams_dagster.core.metadata import Table
from teams_dagster.core.protocol import ModelIdentity
from teams_dagster.core.text import NANO
from teams_dagster.store.facts.base import Hidden, QueryFacts, Shown


class EpisodeFacts(QueryFacts):
    """Facts of a step that runs episodes."""

    asking: Annotated[dict[str, int], Hidden()] = Field(default_factory=dict)
    """How many `episodes` there were, and what they asked; empty where it is not on record."""


def _dollars(nano_usd: int) -> float:
    return nano_usd / NANO


def _mix_table(mix: dict[str, float]) -> Table:
    return Table(("operation", "share, last iteration"), [(name, f"{share:.1%}") for name, share in mix.items()])


class PolicyFacts(EpisodeFacts):
    """What a training came to; figures of an iteration are of the last one where nothing else is said."""

    model_config = ConfigDict(serialize_by_alias=True, populate_by_name=True)

    algorithm: str = "trpo"
    mean_return: Annotated[float, Field(alias="return"), Shown(name="return")]
    accepted_per_query: float
    accepted_per_episode: float
    reward_variance: float
    """Under the untrained policy."""
    entropy: float
    """In nats."""
    kl: float | None = None
    """Between the policies before and after the update."""
    explained_variance: float | None = None
    """Of the critic."""
    iterations: int
    questions: int
    """Asked in the whole training, the guide's included."""
    guidance_queries: Annotated[int, Shown(name="queries_to_the_guide")] = 0
    own_steps: Annotated[int | None, Shown(name="steps_of_the_policy_itself")] = None
    """In the last iteration, where a guide acted in it too: the figures are then of these steps alone, or of the
    guide's where there are none. None where nobody else acted."""
    fallbacks: Annotated[int, Shown(name="guide_could_not_be_read")] = 0
    stopped_early: bool = False
    cost_nano_usd: Annotated[int, Shown(name="cost_usd", form=_dollars)] = 0
    """Of the answers whose price is known."""
    unpriced: Annotated[int, Hidden()] = 0
    """Answers without a known price."""
    flat_reward: bool
    reviews_an_edit: Annotated[int, Hidden()] = 1
    """Queries of the reviewer on one edit: 2 where the reward takes verdicts in both orders of the texts."""
    soft_reward: Annotated[bool, Hidden()] = False
    """Whether the reward is the probability of the verdict."""
    pairs_in_both_orders: int | None = None
    """Edits with a verdict that could be read in both orders; None where one order is asked."""
    orders_disagree: float | None = None
    """Of those, the share whose two verdicts differ: how often the order of the texts decides."""
    order_difference: float | None = None
    """Mean P(Not Equal) in the order of the edit less that the other way round; None without probabilities."""
    verdicts_without_probability: int | None = None
    """Edits that a soft reward paid by their verdict, as 0 or 1, because the reply came without its probability."""
    edits_without_tokens: int | None = None
    """Edits that reward `dollars` counted as 0, because an answer came without its number of tokens."""
    operation_mix: Annotated[dict[str, float], Shown(form=_mix_table)]
    """Each operation's share."""
    instructor: Annotated[ModelIdentity, Hidden()]
    reviewer: Annotated[ModelIdentity, Hidden()]


class ComparisonFacts(EpisodeFacts):
    """What was compared."""

    flat_reward: bool
    reward_variance: Annotated[dict[str, float], Hidden()] = Field(default_factory=dict)
    """Of each policy."""
    seeds: Annotated[int, Hidden()]
    """Held-out seeds that were played."""
    training_seeds: int
    questions_per_seed: Annotated[int, Shown(name="queries_from_each_seed")]
