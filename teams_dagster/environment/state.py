"""The values of the decision process: states, transitions, episodes and their names.

A state is (text, operations so far with their outcomes, step). Every name is a content hash of what led to it, so a
replayed episode has the same ids.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from teams_dagster.core.hashing import content_hash
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import Operation, Rewriting
from teams_dagster.core.protocol import Usage
from teams_dagster.core.rng import uniform
from teams_dagster.instructions.elimination import Rule
from teams_dagster.instructions.review import Verdict
from teams_dagster.store.transition_row import TransitionRow

HORIZON = 6
"""Transitions in an episode at most."""


class EpisodePurpose(StrEnum):
    """What an episode is run for."""

    TRAIN = "train"
    COMPARE = "compare"
    GENERATE = "generate"


class ChosenBy(StrEnum):
    """Who chose an operation."""

    POLICY = "policy"
    """A policy, trained or not, by a draw from its probabilities."""
    GUIDE = "guide"
    """The guide, whose answer named it."""
    FALLBACK = "fallback"
    """Nobody: the guide's answers could not be read, so it was drawn uniformly."""
    LOOK_AHEAD = "look_ahead"
    """A look-ahead, which tried every operation first."""
    BRANCH = "branch"
    """A branch of an episode, which tries an operation to see what follows."""


@dataclass(frozen=True)
class PastOperation:
    """An operation that was tried, and whether its edit was accepted."""

    operation: Rewriting
    accepted: bool


@dataclass(frozen=True)
class State:
    """What the policy sees, and what the next transition starts from."""

    seed_id: str
    chain: tuple[Instruction, ...]
    """The texts of the chain, the seed first, the current one last. Rejected edits are not in it (preset `graded`)."""
    past: tuple[PastOperation, ...] = ()
    """Every operation tried so far, in order."""
    produced_by: str | None = None
    """Id of the transition that produced the current text; None for the seed."""
    stream: str = field(default="", compare=False, repr=False)
    """Names the episode's random stream, for what is drawn anew at each state; no part of what the state is."""

    @property
    def instruction(self) -> Instruction:
        """The current text: what the next operation rewrites."""
        return self.chain[-1]

    @property
    def seed(self) -> Instruction:
        """The instruction that people wrote, at the root of the chain."""
        return self.chain[0]

    @property
    def step(self) -> int:
        """Transitions taken so far."""
        return len(self.past)


@dataclass(frozen=True)
class EpisodeKey:
    """What an episode is, and the root of its random stream.

    Draws do not depend on the policy's name or version: two policies that agree take the same path, which pairs them.
    """

    root_seed: int
    purpose: EpisodePurpose
    policy: str
    policy_version: str
    seed_id: str
    episode: int = 0
    """Which of a seed's episodes, when it has several."""
    iteration: int | None = None
    """The training iteration; None outside training."""
    partition_key: str | None = None
    """The generation's partition; None outside generation."""
    replica: int = 0
    """Which answer to each rewrite query (reviewers are always asked for replica 0)."""
    branch: str | None = None
    """What a branch of the episode tries first (an operation's name); None for the episode itself."""

    @property
    def order(self) -> tuple[str, int]:
        """Canonical order of episodes: by seed, then by episode."""
        return (self.seed_id, self.episode)

    @property
    def stream(self) -> str:
        """A name of the episode's random stream."""
        return f"{self.root_seed} {self.purpose.value} {self._period} {self.seed_id} {self.episode}"

    def draw(self, step: int, what: str) -> float:
        """A uniform draw from [0, 1) that belongs to this episode's `step` and to `what`."""
        return uniform(self.root_seed, self.purpose.value, self._period, self.seed_id, self.episode, step, what)

    @property
    def _period(self) -> str:
        return str(self.partition_key if self.partition_key is not None else self.iteration)


@dataclass(frozen=True)
class Transition:
    """One operation applied to one instruction: a row of table `transitions`, with the texts themselves."""

    transition_id: str
    parent_transition_id: str | None
    """The transition that produced `before`; None when that is the seed."""
    episode_id: str
    key: EpisodeKey
    step: int
    operation: Rewriting
    probability: float
    """With which the policy chose the operation."""
    before: Instruction
    after: Instruction | None
    """The edit, accepted or not. None when there is none: operation `none`, no parseable reply, a failed query."""
    rewrite_request_id: str | None
    review_request_id: str | None
    prompt_version: str | None
    """Of the rewrite's template; None for `none`."""
    review_prompt_version: str | None
    pool_version: str
    verdict: Verdict | None
    """None when the reviewer was not asked, or gave no answer."""
    eliminated_by: Rule | None
    failure: str | None
    """Why a query got no answer, which truncated the episode here; None otherwise."""
    novelty: float | None
    """d of the reward; None when the edit was not accepted, unless a soft reward needed it."""
    reward: float
    accepted: bool
    queries: int
    """Queries needed, paid or reused: 0 for `none`, 1 for an eliminated rewrite, 2 for a reviewed one, 3 for one that
    was reviewed in both orders."""
    reward_preset: str
    chosen_by: ChosenBy = ChosenBy.POLICY
    proposed: Operation | None = None
    """What the guide named for this state; None when it was not asked, or could not be read."""
    guide_request_id: str | None = None
    """The answer that was read, or the last that could not be."""
    unread_request_id: str | None = None
    """The guide's answer before that one, which could not be read."""
    rewrite_usage: Usage | None = None
    """Tokens of the rewrite as they were reported; None where none came back. The ledger keeps them, not the row."""
    review_usages: tuple[Usage, ...] = ()
    """The same of each review."""
    guidance_queries: int = 0
    """Queries asked to choose the operation: the guide's, or those of a look-ahead. The reward leaves them out."""
    verdict_probability: float | None = None
    """P(Not Equal), the mean of both orders where both were asked; None where the reviewer gave none."""
    turned_review_request_id: str | None = None
    """The answer to the review with the two texts the other way round; None where one order was asked."""
    orders_agree: bool | None = None
    """Whether both orders had the same verdict; None where one was asked, or one verdict could not be read."""
    order_difference: float | None = None
    """P(Not Equal) in the order of the edit less that in the other; None where one of them is not known."""

    @property
    def seed_id(self) -> str:
        """The seed at the root of the chain."""
        return self.key.seed_id

    def changed(self, **values: Any) -> Transition:
        """The same with other values. Raises TypeError for a name that no field has.

        What `dataclasses.replace` does in six times as long, seven times a step.
        """
        if not values.keys() <= self.__dict__.keys():
            raise TypeError(f"a transition has no {', '.join(sorted(values.keys() - self.__dict__.keys()))}")
        other = object.__new__(Transition)
        other.__dict__.update(self.__dict__)
        other.__dict__.update(values)
        return other

    def row(self) -> TransitionRow:
        """What a run of the process knows of its row: all but `sample_id` and `run_id`."""
        after = self.before if self.operation is Operation.NONE else self.after
        return {
            "transition_id": self.transition_id,
            "parent_transition_id": self.parent_transition_id,
            "episode_id": self.episode_id,
            "seed_id": self.key.seed_id,
            "purpose": self.key.purpose.value,
            "iteration": self.key.iteration,
            "partition_key": self.key.partition_key,
            "episode": self.key.episode,
            "replica": self.key.replica,
            "step": self.step,
            "operation": self.operation.value,
            "probability": self.probability,
            "policy": self.key.policy,
            "policy_version": self.key.policy_version,
            "parent_id": self.before.instruction_id,
            "instruction_id": after.instruction_id if after else None,
            "rewrite_request_id": self.rewrite_request_id,
            "review_request_id": self.review_request_id,
            "prompt_version": self.prompt_version,
            "review_prompt_version": self.review_prompt_version,
            "pool_version": self.pool_version,
            "verdict": self.verdict.value if self.verdict else None,
            "eliminated_by": self.eliminated_by.value if self.eliminated_by else None,
            "failure": self.failure,
            "novelty": self.novelty,
            "reward": self.reward,
            "accepted": self.accepted,
            "queries": self.queries,
            "reward_preset": self.reward_preset,
            "chosen_by": self.chosen_by.value,
            "proposed": self.proposed.value if self.proposed else None,
            "guide_request_id": self.guide_request_id,
            "unread_request_id": self.unread_request_id,
            "guidance_queries": self.guidance_queries,
            "verdict_probability": self.verdict_probability,
            "turned_review_request_id": self.turned_review_request_id,
            "orders_agree": self.orders_agree,
            "order_difference": self.order_difference,
        }


@dataclass(frozen=True)
class Episode:
    """A chain of at most HORIZON transitions from one seed."""

    episode_id: str
    key: EpisodeKey
    states: tuple[State, ...]
    """The state before each transition, then the state at the end: one more than `transitions`."""
    transitions: tuple[Transition, ...]
    """The transitions that happened. A step whose query failed is not among them."""
    failed: Transition | None = None
    """The step at which a query failed for good, which truncated the episode; None when it ran to the end."""

    @property
    def recorded(self) -> tuple[Transition, ...]:
        """Every transition to keep on record, a failed one included."""
        return (*self.transitions, self.failed) if self.failed else self.transitions

    @property
    def total_reward(self) -> float:
        """The undiscounted return."""
        return sum(transition.reward for transition in self.transitions)

    @property
    def accepted(self) -> int:
        """Accepted transitions."""
        return sum(transition.accepted for transition in self.transitions)

    @property
    def queries(self) -> int:
        """Queries needed, those of a failed step and those asked to choose operations included."""
        return sum(transition.queries + transition.guidance_queries for transition in self.recorded)


def episode_id(key: EpisodeKey, setting: str) -> str:
    """Name of an episode: its key and the hash of the `setting` it runs in (roles, models, reward, pool)."""
    branch = () if key.branch is None else (key.branch,)
    return content_hash(
        "episode",
        key.root_seed,
        key.purpose.value,
        key.policy,
        key.policy_version,
        key.seed_id,
        key.episode,
        key.iteration,
        key.partition_key,
        key.replica,
        setting,
        *branch,
    )


def transition_id(episode: str, step: int) -> str:
    """Name of an episode's transition at `step`."""
    return content_hash("transition", episode, step)


def sample_id_of(transition_id: str) -> str:
    """The id of the sample made from a transition."""
    return content_hash("sample", transition_id)
