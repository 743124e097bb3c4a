"""What a comparison of policies found, as its artefact holds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from teams_dagster.core.hashing import content_hash
from teams_dagster.core.operations import GenericRewrite
from teams_dagster.instructions.prompts import Prompt, prompts_version
from teams_dagster.instructions.requests import rewrite_prompt
from teams_dagster.policy.baselines import GENERIC_PROMPT
from teams_dagster.policy.comparison.compare import Comparison
from teams_dagster.policy.comparison.plan import ComparisonPlan
from teams_dagster.policy.comparison.scores import Score
from teams_dagster.pricing.generation_prices import GenerationPrices
from teams_dagster.store.artefact_store import Artefact
from teams_dagster.store.facts.policy import ComparisonFacts
from teams_dagster.store.parquet import read_rows


def comparison_inputs(
    seeds: Artefact,
    policy: Artefact,
    model_versions: Mapping[str, str],
    prices: GenerationPrices | None,
    plan: ComparisonPlan,
) -> dict[str, str]:
    """What a comparison is made from, besides its configuration, by name to version.

    `model_versions` are those of the models that are asked; `prices` those of a generation, which scores in dollars
    are counted by, None where they are not known.
    """
    priced = {} if prices is None else {"prices of a generation": content_hash(prices.model_dump(mode="json"))}
    return {
        **priced,
        "seed_instructions": seeds.data_version,
        "trained_policy": policy.data_version,
        "prompts": prompts_version(),
        **{f"prompt of {prompt.name}": prompt.version for prompt in own_prompts(plan)},
        **model_versions,
    }


def own_prompts(plan: ComparisonPlan) -> list[Prompt]:
    """Prompts that a comparison asks with and that are none of the dataset's."""
    return [rewrite_prompt(GenericRewrite.HARDER)] if GENERIC_PROMPT in plan.baselines else []


def scores_version(scores: Sequence[Score]) -> str:
    """The hash of a comparison's content."""
    return content_hash("policy_scores", [{k: repr(v) for k, v in asdict(score).items()} for score in scores])


def comparison_facts(
    comparison: Comparison,
    plan: ComparisonPlan,
    *,
    asking: dict[str, int],
    outcomes: dict[str, dict[str, Any]],
) -> ComparisonFacts:
    """The facts of a finished comparison; `asking` and `outcomes` are what its queries came to."""
    return ComparisonFacts(
        flat_reward=comparison.flat_reward,
        reward_variance={name: tally.reward_variance for name, tally in comparison.tallies.items()},
        seeds=len(comparison.seed_ids),
        training_seeds=plan.training_seeds,
        questions_per_seed=plan.config.questions_per_seed,
        unanswered=sum(tally.truncated for tally in comparison.tallies.values()),
        asking=asking,
        outcomes=outcomes,
    )


def read_policy_scores(artefact: Artefact) -> list[Score]:
    """The rows of table `policy_scores` in an artefact."""
    columns = [field.name for field in fields(Score)]
    return [Score(**row) for row in read_rows(artefact.path("policy_scores.parquet"), columns)]
