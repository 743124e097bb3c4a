"""Every figure of a comparison: the bootstrap's, how distinct the texts are, and when training has paid for itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from teams_dagster.core.instruction import Instruction
from teams_dagster.environment.answers_cost import answers_of
from teams_dagster.ledger.costs import costs_of
from teams_dagster.ledger.writer import Ledger
from teams_dagster.policy.baselines import UNIFORM
from teams_dagster.policy.comparison.bootstrap import IN_DOLLARS, IN_QUESTIONS, samples_to_pay_off
from teams_dagster.policy.comparison.compare import Comparison
from teams_dagster.policy.comparison.contenders import TRAINED
from teams_dagster.policy.comparison.distinctness import METRICS, Measure, distinctness
from teams_dagster.policy.comparison.plan import ComparisonPlan
from teams_dagster.policy.comparison.playing import SeedPlay
from teams_dagster.policy.comparison.scores import Score, interval
from teams_dagster.store.artefact_store import Artefact
from teams_dagster.store.facts.policy import PolicyFacts

PRICED = (TRAINED, UNIFORM)


@dataclass(frozen=True)
class Kept:
    """What is needed of the compared episodes beside the bootstrap's figures; the episodes themselves are not kept."""

    texts: dict[str, dict[str, list[Instruction]]] = field(default_factory=dict)
    """By policy and seed, the accepted texts (of a trained policy: of the deployed training)."""
    answers: dict[str, list[list[list[str]]]] = field(default_factory=dict)
    """Of `PRICED` policies, the answers used, by training seed and seed."""

    def keep(self, name: str, by_seed: Mapping[str, SeedPlay]) -> None:
        """Take from what the policy `name` did under one of its training seeds."""
        if name not in self.texts:
            self.texts[name] = {seed_id: _texts(play) for seed_id, play in by_seed.items()}
        if name in PRICED:
            used = [[a for t in play.within() for a in answers_of(t)] for _, play in sorted(by_seed.items())]
            self.answers.setdefault(name, []).append(used)


def all_scores(
    comparison: Comparison, kept: Kept, plan: ComparisonPlan, policy: Artefact, ledger: Ledger
) -> list[Score]:
    """The rows of table `policy_scores`."""
    return [
        *comparison.scores,
        *_distinct(comparison, kept, plan),
        *_paid_off(comparison, kept, plan, policy, ledger),
    ]


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


def _paid_off(
    comparison: Comparison, kept: Kept, plan: ComparisonPlan, policy: Artefact, ledger: Ledger
) -> list[Score]:
    """After how many samples the training has paid for itself, in queries, and in dollars where they cost any."""
    results, facts = comparison.results, policy.read_facts(PolicyFacts)
    in_questions = samples_to_pay_off(
        float(facts.questions),
        trained=(results[TRAINED].queries, results[TRAINED].accepted),
        uniform=(results[UNIFORM].queries, results[UNIFORM].accepted),
        resamples=comparison.resamples,
    )
    scores = [_interval(comparison, IN_QUESTIONS, in_questions, plan)]
    spent = _spent(kept, ledger)
    if spent is not None and facts.cost_nano_usd and not facts.unpriced:
        in_dollars = samples_to_pay_off(
            float(facts.cost_nano_usd),
            trained=(spent[TRAINED], results[TRAINED].accepted),
            uniform=(spent[UNIFORM], results[UNIFORM].accepted),
            resamples=comparison.resamples,
        )
        scores.append(_interval(comparison, IN_DOLLARS, in_dollars, plan))
    return scores


def _spent(kept: Kept, ledger: Ledger) -> dict[str, np.ndarray] | None:
    """Nano-dollars of the answers used, whoever paid first, (T, N) by policy; None where a price is not known."""
    used = {name for runs in kept.answers.values() for run in runs for play in run for name in play}
    prices = costs_of(ledger, sorted(used))
    if any(price is None for price in prices.values()):
        return None
    return {
        name: np.array([[sum(prices[a] or 0 for a in play) for play in run] for run in runs], dtype=np.float64)
        for name, runs in kept.answers.items()
    }


def _interval(comparison: Comparison, metric: str, values: np.ndarray, plan: ComparisonPlan) -> Score:
    about = comparison.score(TRAINED, "return")
    low, high = interval(values, plan.config.confidence)
    return Score(
        TRAINED,
        metric,
        float(values[0]),
        low,
        high,
        about.episodes,
        about.queries,
        about.training_seeds,
        about.policy_version,
    )
