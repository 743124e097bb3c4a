"""Every figure of a comparison: the bootstrap's, how distinct the texts are, and when training has paid for itself."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from assets.answers_cost import answers_of, price_list
from assets.comparison_config import ComparisonPlan
from resources.language_models.roles import LanguageModels
from resources.stores import Artefact
from teams_dagster.instructions.instruction import Instruction
from teams_dagster.policy.baselines import UNIFORM
from teams_dagster.policy.comparison.compare import Comparison
from teams_dagster.policy.comparison.contenders import TRAINED
from teams_dagster.policy.comparison.pay_off import samples_to_pay_off
from teams_dagster.policy.comparison.playing import SeedPlay
from teams_dagster.policy.comparison.scores import Score, interval
from teams_dagster.policy.distinctness import METRICS, Measure, distinctness

IN_QUESTIONS = "samples_to_pay_for_training"
IN_DOLLARS = "samples_to_pay_for_training_in_dollars"

Plays = Mapping[str, Sequence[Mapping[str, SeedPlay]]]
"""By policy, what it did from each seed, once per training seed."""


def all_scores(
    comparison: Comparison, plays: Plays, plan: ComparisonPlan, policy: Artefact, models: LanguageModels
) -> list[Score]:
    """The rows of table `policy_scores`."""
    return [
        *comparison.scores,
        *_distinct(comparison, plays, plan),
        *_paid_off(comparison, plays, plan, policy, models),
    ]


def _distinct(comparison: Comparison, plays: Plays, plan: ComparisonPlan) -> list[Score]:
    """How distinct the texts of each policy are (of a trained one: of the deployed training)."""
    texts = {name: {seed_id: _texts(play) for seed_id, play in runs[0].items()} for name, runs in plays.items()}
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
    comparison: Comparison, plays: Plays, plan: ComparisonPlan, policy: Artefact, models: LanguageModels
) -> list[Score]:
    """After how many samples the training has paid for itself, in questions, and in dollars where they cost any."""
    results = comparison.results
    in_questions = samples_to_pay_off(
        float(policy.facts["questions"]),
        trained=(results[TRAINED].queries, results[TRAINED].accepted),
        uniform=(results[UNIFORM].queries, results[UNIFORM].accepted),
        resamples=comparison.resamples,
    )
    scores = [_interval(comparison, IN_QUESTIONS, in_questions, plan)]
    spent = _spent(plays, models)
    if spent is not None and policy.facts["cost_nano_usd"] and not policy.facts["unpriced"]:
        in_dollars = samples_to_pay_off(
            float(policy.facts["cost_nano_usd"]),
            trained=(spent[TRAINED], results[TRAINED].accepted),
            uniform=(spent[UNIFORM], results[UNIFORM].accepted),
            resamples=comparison.resamples,
        )
        scores.append(_interval(comparison, IN_DOLLARS, in_dollars, plan))
    return scores


def _spent(plays: Plays, models: LanguageModels) -> dict[str, np.ndarray] | None:
    """Nano-dollars of the answers used, whoever paid first, (T, N) by policy; None where a price is not known."""
    used = {
        name: [
            [[a for t in play.within() for a in answers_of(t)] for _, play in sorted(run.items())]
            for run in plays[name]
        ]
        for name in (TRAINED, UNIFORM)
    }
    prices = price_list(models, {name for runs in used.values() for run in runs for play in run for name in play})
    if any(price is None for price in prices.values()):
        return None
    return {
        name: np.array([[sum(prices[a] or 0 for a in play) for play in run] for run in runs], dtype=np.float64)
        for name, runs in used.items()
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


def pay_off_line(scores: Sequence[Score]) -> str:
    """When training has paid for itself, in words."""
    found = {score.metric: score for score in scores if score.policy == TRAINED}
    lines = []
    for metric, unit in ((IN_QUESTIONS, "questions"), (IN_DOLLARS, "dollars")):
        if score := found.get(metric):
            low, high = (_samples(value) for value in (score.ci_low, score.ci_high))
            lines.append(f"in {unit}: after {_samples(score.mean)} accepted edits ({low} to {high})")
    return "; ".join(lines)


def _samples(value: float) -> str:
    return "never" if math.isinf(value) else f"{value:,.0f}"
