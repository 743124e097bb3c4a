"""What the report tells: plain values, filled by whoever has read the stores, rendered by `page`.

Everything has an empty default, so that a project at its beginning has a report too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.metadata import Table
from teams_dagster.core.operations import Operation
from teams_dagster.evaluation.privacy import MembershipScore
from teams_dagster.evaluation.scores import Score as EvaluationScore
from teams_dagster.instructions.review import Verdict
from teams_dagster.ledger.costs import Cost
from teams_dagster.policy.comparison.scores import Score as PolicyScore
from teams_dagster.policy.curve import IterationRecord

if TYPE_CHECKING:
    from teams_dagster.evaluation.paper import PaperValue
    from teams_dagster.evaluation.win_rate import WinRate
    from teams_dagster.policy.comparison.distinctness import Measure
    from teams_dagster.student.curves import TrainingPoint

OFFLINE = "offline"

SERVED_HERE = (OFFLINE, "transformers", "embedding")
"""Providers that answer in the process that asks."""


@dataclass(frozen=True)
class RoleModel:
    """Which model serves a role."""

    role: str
    provider: str
    model: str
    named_by: str = ""
    """The setting that names it for every role that names none; empty where the role names it itself."""

    @property
    def offline(self) -> bool:
        """Whether the role is played by rules, not by a language model."""
        return self.provider == OFFLINE


@dataclass(frozen=True)
class About:
    """What the report is about."""

    dataset_version: str | None = None
    policy_version: str | None = None
    steered_by: str | None = None
    """Which policy without training steered the latest generation; None: the trained one."""
    generations: tuple[str, ...] = ()
    """Partition keys, the latest last."""
    seeds: int = 0
    seeds_source: str = ""
    models: tuple[RoleModel, ...] = ()
    """The models of the latest generation, and of the roles that other stages ask."""
    own_prompts: tuple[tuple[str, str], ...] = ()
    """(name, version) of the prompts in use that are not those that ship."""
    preflight: tuple[str, ...] = ()
    """What the preflights of the roles warned of, or failed on where a setting let it go on."""
    student: str = ""
    """Its name, path or hub id."""
    student_embedded: bool = False


@dataclass(frozen=True)
class PolicyResults:
    """How the policy was trained, and how it compares."""

    algorithm: str = ""
    """Which trained it, by its name in the configuration."""
    curve: tuple[IterationRecord, ...] = ()
    scores: tuple[PolicyScore, ...] = ()
    flat_reward: bool = False
    """In the first batch of the training, or under uniform on held-out seeds."""
    uniform_variance: float | None = None
    """Of the reward, under uniform on held-out seeds; None where policies were not compared."""
    trained_with: tuple[RoleModel, ...] = ()
    """Whom the training asked: the instructor, the reviewer, and a guide where it had one."""
    cost_nano_usd: int = 0
    """Of the answers that the training used, whoever paid first."""
    unpriced: int = 0
    """How many of them have no known price."""
    soft_reward: bool = False
    """Whether the reward is the probability of the verdict."""
    pairs_in_both_orders: int | None = None
    """Edits with a verdict in both orders of the texts; None where one order was asked."""
    orders_disagree: float | None = None
    """Share of them with another verdict the other way round."""
    order_difference: float | None = None
    """Mean P(Not Equal) in the order of the edit less that the other way round."""
    verdicts_without_probability: int | None = None
    """Those that a soft reward took as 0 or 1."""
    edits_without_tokens: int | None = None
    """Those that reward `dollars` could not price."""

    def score(self, policy: str, metric: str) -> PolicyScore | None:
        """A policy's score in a metric, where it was measured."""
        return next((s for s in self.scores if (s.policy, s.metric) == (policy, metric)), None)


@dataclass(frozen=True)
class Stage:
    """A stage of the way from an edit to a sample."""

    name: str
    count: int
    lost: Mapping[str, int] = field(default_factory=dict[str, int])
    """Those that do not reach the next stage, by reason."""


@dataclass(frozen=True)
class OperationAtStep:
    """How often an operation was chosen at a step of the generations' episodes, and accepted."""

    step: int
    operation: str
    chosen: int
    accepted: int


@dataclass(frozen=True)
class LengthAtStep:
    """Words of the accepted texts (instruction and input) at a step; step 0 are the seeds."""

    step: int
    texts: int
    low: float
    """10th percentile."""
    median: float
    high: float
    """90th percentile."""


@dataclass(frozen=True)
class GenerationResults:
    """What a generation asked, what that cost, and what of it is in the dataset."""

    partition_key: str
    questions: int
    """Rewrites, reviews, answers and ratings, paid or reused; error retries are not counted."""
    cost_nano_usd: int
    """Of all calls ever sent for it."""
    unpriced: int
    kept: int
    """Its samples in the dataset."""
    low: float
    """10th percentile of their words, instruction and input together; this and the next are NaN where none is kept."""
    median: float
    high: float
    """90th percentile."""

    @property
    def questions_per_sample(self) -> float | None:
        """None where nothing was kept."""
        return self.questions / self.kept if self.kept else None

    @property
    def nano_usd_per_sample(self) -> float | None:
        """Of the calls whose price is known; None where nothing was kept."""
        return self.cost_nano_usd / self.kept if self.kept else None


@dataclass(frozen=True)
class Edit:
    """One transition of a sample's chain."""

    step: int
    operation: str
    probability: float
    """With which the policy chose the operation."""
    after: Instruction | None
    """None where no edit came back."""
    accepted: bool
    reason: str = ""
    """The verdict, or the rule that eliminated the edit."""
    reward: float | None = None


@dataclass(frozen=True)
class Chain:
    """How a sample came about: its seed, every edit of it, its answer."""

    sample_id: str
    seed_id: str
    partition_key: str
    seed: Instruction
    edits: tuple[Edit, ...]
    response: str


@dataclass(frozen=True)
class RatedOperation:
    """What was said of the pairs that one operation made last."""

    operation: str
    pairs: int
    mean_score: float | None
    """Of those that have a score; None where none has."""
    dropped: int


@dataclass(frozen=True)
class PairRatings:
    """What scores said of the pairs, and what that did."""

    pairs: int
    """Scored ones: each of several answers to an instruction makes one."""
    without_score: int
    ratings: Mapping[str, int]
    """What the judge said, counted; empty where programs alone scored."""
    least: float
    """Pairs of a lower score are not in the dataset; 0: none is left out for its score."""
    dropped: Mapping[str, int]
    """Pairs left out for their score, by reason."""
    by_operation: tuple[RatedOperation, ...]
    compared: int = 0
    """Instructions whose first answer has a score, and a later one too."""
    later_better: int = 0
    """Of these, those to which a later answer scored better than the first."""
    queries: int = 0
    """To the judge, paid or reused."""
    cost_nano_usd: int = 0
    """Of all attempts ever sent to rate."""
    unpriced: int = 0


@dataclass(frozen=True)
class DatasetResults:
    """What the generations made."""

    examples: Mapping[str, int] = field(default_factory=dict[str, int])
    """Samples kept, by split."""
    overlap: str = ""
    """What held-out examples still share with training; empty where it was not measured."""
    funnel: tuple[Stage, ...] = ()
    operations: tuple[OperationAtStep, ...] = ()
    lengths: tuple[LengthAtStep, ...] = ()
    diversity_by_step: tuple[Measure, ...] = ()
    """Of the accepted texts of each step; the `policy` of a measure is the step, `0` the seeds."""
    generations: tuple[GenerationResults, ...] = ()
    """The latest last."""
    diversity_by_generation: tuple[Measure, ...] = ()
    """Of the samples of the latest generations; the `policy` of a measure is the partition key."""
    chains: tuple[Chain, ...] = ()
    """A few, to look at."""
    ratings: PairRatings | None = None
    """None where no pair was scored."""

    @property
    def kept(self) -> int:
        """Samples in the dataset."""
        return sum(self.examples.values())


@dataclass(frozen=True)
class Adapter:
    """How an adapter was trained."""

    kind: str
    model_version: str
    trainable_parameters: int
    examples: int
    updates: int
    device: str
    dtype: str
    curve: tuple[TrainingPoint, ...] = ()


@dataclass(frozen=True)
class ModelResults:
    """The models and their scores."""

    adapters: tuple[Adapter, ...] = ()
    scores: tuple[EvaluationScore, ...] = ()
    win_rates: tuple[WinRate, ...] = ()
    privacy: tuple[MembershipScore, ...] = ()
    stages: Table | None = None
    """The base, one fine-tuning and what token-level trainings made of that; None where there was none."""


@dataclass(frozen=True)
class QuestionCounts:
    """Queries asked for the pairs that were kept: reused answers count, error retries do not."""

    rewrites: int = 0
    """Of the generations."""
    answers: int = 0
    reviews: int = 0
    """Of the generations."""
    ratings: int = 0
    """Of pairs, by the judge."""
    policy: int = 0
    """All of the policy's training and comparison: once, however many pairs follow."""


@dataclass(frozen=True)
class Account:
    """What was asked and what it cost."""

    total: Cost = field(default_factory=lambda: Cost({}))
    by_role: tuple[Cost, ...] = ()
    by_operation: tuple[Cost, ...] = ()
    by_role_and_operation: tuple[Cost, ...] = ()
    by_model: tuple[Cost, ...] = ()
    """Grouped by provider and model."""
    by_asset: tuple[Cost, ...] = ()
    pairs: Table | None = None
    """Dollars per kept pair, by operation and step; None where nothing cost anything."""
    questions: QuestionCounts = field(default_factory=QuestionCounts)

    @property
    def calls_to_endpoints(self) -> int:
        """Calls that a server answered, paid by its price; the others were served in this process."""
        return sum(row.ok for row in self.by_model if row.group.get("provider") not in SERVED_HERE)


@dataclass(frozen=True)
class Report:
    """All that the page shows."""

    title: str = "TeaMs report"
    about: About = field(default_factory=About)
    policy: PolicyResults = field(default_factory=PolicyResults)
    dataset: DatasetResults = field(default_factory=DatasetResults)
    models: ModelResults = field(default_factory=ModelResults)
    paper: tuple[PaperValue, ...] = ()
    """The paper's table."""
    account: Account = field(default_factory=Account)


def funnel_stages(
    transitions: int, not_accepted: Mapping[str, int], refused: Mapping[str, int], dropped: Mapping[str, int]
) -> tuple[Stage, ...]:
    """The stages asked, reviewed, accepted, answered and kept.

    `not_accepted` are transitions by cause: `none`, a verdict, a rule's name, or `failed`; `refused` are answers by
    reason; `dropped` are samples that are not in the dataset by reason, refused answers included.
    """
    verdicts = {verdict.value for verdict in Verdict}
    by_reviewer = {cause: count for cause, count in not_accepted.items() if cause in verdicts}
    unreviewed = {
        cause: count for cause, count in not_accepted.items() if cause not in verdicts and cause != Operation.NONE.value
    }
    by_curation = dict(Counter(dropped) - Counter(refused))
    asked = transitions - not_accepted.get(Operation.NONE.value, 0)
    reviewed = asked - sum(unreviewed.values())
    accepted = reviewed - sum(by_reviewer.values())
    answered = accepted - sum(refused.values())
    return (
        Stage("asked", asked, unreviewed),
        Stage("reviewed", reviewed, by_reviewer),
        Stage("accepted", accepted, dict(refused)),
        Stage("answered", answered, by_curation),
        Stage("kept", answered - sum(by_curation.values())),
    )
