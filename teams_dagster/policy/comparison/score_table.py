"""Every figure of a comparison: the bootstrap's, how distinct the texts are, and when training has paid for itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from teams_dagster.core.instruction import Instruction
from teams_dagster.policy.baselines import UNIFORM
from teams_dagster.policy.comparison.bootstrap import IN_DOLLARS, IN_QUESTIONS, samples_to_pay_off
from teams_dagster.policy.comparison.compare import Comparison
from teams_dagster.policy.comparison.contenders import TRAINED
from teams_dagster.policy.comparison.distinctness import METRICS, Measure, distinctness
from teams_dagster.policy.comparison.dollars import Spending, dollar_measures
from teams_dagster.policy.comparison.plan import ComparisonPlan
from teams_dagster.policy.comparison.playing import SeedPlay
from teams_dagster.policy.comparison.scores import Score, interval
from teams_dagster.policy.comparison.trainings import Asked
from teams_dagster.store.artefact_store import Artefact
from teams_dagster.store.facts.policy import PolicyFacts

TRAINING_ITERATIONS = "training_iterations"
TRAINING_QUERIES = "training_queries"
TRAINING_QUERIES_TO_GUIDE = "training_queries_to_guide"
"""What the trainings took, of every policy that an algorithm trained, where algorithms are compared."""


@dataclass(frozen=True)
class Kept:
    """What is needed of the compared episodes beside the bootstrap's figures; the episodes themselves are not kept."""

    spending: Spending
    """What their edits would cost in a generation."""
    texts: dict[str, dict[str, list[Instruction]]] = field(default_factory=dict[str, dict[str, list[Instruction]]])
    """By policy and seed, the accepted texts (of a trained policy: of the deployed training)."""

    parts: list[str] = field(default_factory=list[str])
    """The parts of the tables that the comparison's episodes were written to."""

    asked: dict[str, list[Asked]] = field(default_factory=dict[str, list[Asked]])
    """By policy, what its trainings took, where algorithms are compared."""

    def keep(self, name: str, by_seed: Mapping[str, SeedPlay]) -> None:
        """Take from what the policy `name` did under one of its training seeds."""
        if name not in self.texts:
            self.texts[name] = {seed_id: _texts(play) for seed_id, play in by_seed.items()}
        self.spending.keep(name, by_seed)


def all_scores(comparison: Comparison, kept: Kept, plan: ComparisonPlan, policy: Artefact) -> list[Score]:
    """The rows of table `policy_scores`."""
    return [
        *comparison.scores,
        *_distinct(comparison, kept, plan),
        *_in_dollars(comparison, kept, plan),
        *_paid_off(comparison, kept, plan, policy),
        *_asked_in_training(comparison, kept, plan),
    ]


def _asked_in_training(comparison: Comparison, kept: Kept, plan: ComparisonPlan) -> Iterator[Score]:
    """What the trainings of a policy took, in the mean."""
    for policy, trainings in kept.asked.items():
        for metric, counts in (
            (TRAINING_ITERATIONS, [each.iterations for each in trainings]),
            (TRAINING_QUERIES, [each.queries for each in trainings]),
            (TRAINING_QUERIES_TO_GUIDE, [each.of_guide for each in trainings]),
        ):
            yield _interval(comparison, metric, comparison.resamples.mean_of_trainings(counts), plan, policy)


def _distinct(comparison: Comparison, kept: Kept, plan: ComparisonPlan) -> list[Score]:
    """How distinct the texts of each policy are."""
    texts = kept.texts
    found = distinctness(texts, root_seed=plan.config.root_seed, confidence=plan.config.confidence)
    differences = [
        (metric, name, found.difference(TRAINED, name, metric))
        for metric in METRICS
        for name in texts
        if name != TRAINED
    ]
    return [
        *(_score(comparison, measure.policy, measure.metric, measure) for measure in found.measures),
        *(_score(comparison, TRAINED, f"{metric}_minus_{name}", m) for metric, name, m in differences if m is not None),
    ]


def _texts(play: SeedPlay) -> list[Instruction]:
    return [transition.after for transition in play.within() if transition.accepted and transition.after is not None]


def _score(comparison: Comparison, policy: str, metric: str, measure: Measure) -> Score:
    about = comparison.score(policy, "return")
    return Score(
        policy=policy,
        metric=metric,
        mean=measure.mean,
        ci_low=measure.ci_low,
        ci_high=measure.ci_high,
        episodes=about.episodes,
        queries=about.queries,
        training_seeds=1,
        policy_version=about.policy_version,
    )


def _in_dollars(comparison: Comparison, kept: Kept, plan: ComparisonPlan) -> list[Score]:
    """What edits would cost in a generation, of each policy whose costs are known."""
    found = dollar_measures(comparison.results, kept.spending.spent(), comparison.resamples)
    return [_interval(comparison, each.metric, each.values, plan, each.policy) for each in found]


def _paid_off(comparison: Comparison, kept: Kept, plan: ComparisonPlan, policy: Artefact) -> list[Score]:
    """After how many samples the training has paid for itself, in queries, and in dollars where they cost any.

    A training costs what its own answers did, the instructor's; it saves dollars of a generation, the expert's.
    """
    results, facts = comparison.results, policy.read_facts(PolicyFacts)
    in_questions = samples_to_pay_off(
        float(facts.questions),
        trained=(results[TRAINED].queries, results[TRAINED].accepted),
        uniform=(results[UNIFORM].queries, results[UNIFORM].accepted),
        resamples=comparison.resamples,
    )
    scores = [_interval(comparison, IN_QUESTIONS, in_questions, plan)]
    spent = kept.spending.spent()
    if {TRAINED, UNIFORM} <= spent.keys() and facts.cost_nano_usd and not facts.unpriced:
        in_dollars = samples_to_pay_off(
            float(facts.cost_nano_usd),
            trained=(spent[TRAINED].nano_usd, results[TRAINED].accepted),
            uniform=(spent[UNIFORM].nano_usd, results[UNIFORM].accepted),
            resamples=comparison.resamples,
        )
        scores.append(_interval(comparison, IN_DOLLARS, in_dollars, plan))
    return scores


def _interval(
    comparison: Comparison, metric: str, values: np.ndarray, plan: ComparisonPlan, policy: str = TRAINED
) -> Score:
    about = comparison.score(policy, "return")
    low, high = interval(values, plan.config.confidence)
    return Score(
        policy,
        metric,
        float(values[0]),
        low,
        high,
        about.episodes,
        about.queries,
        about.training_seeds,
        about.policy_version,
    )
