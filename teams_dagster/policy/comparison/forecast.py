"""What a comparison will ask: its trainings, then each policy's allowance."""

from __future__ import annotations

from math import ceil

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import TEXT_OPERATIONS
from teams_dagster.core.protocol import Role
from teams_dagster.environment.reward import RewardConfig
from teams_dagster.environment.state import HORIZON
from teams_dagster.ledger.costs import costs_by
from teams_dagster.ledger.writer import Ledger
from teams_dagster.llm.context import CallContext
from teams_dagster.policy.baselines import CEILING, GUIDE, LOOK_AHEAD, baselines, is_deterministic
from teams_dagster.policy.comparison.plan import ComparisonPlan
from teams_dagster.policy.comparison.playing import Allowance
from teams_dagster.policy.config import TrainingConfig
from teams_dagster.policy.query_forecast import (
    UNTRAINED,
    EpisodeStats,
    episodes_of,
    guiding,
    last_stats,
    rewriting,
    stats_of,
    still_open,
)
from teams_dagster.pricing.forecast import QueryForecast
from teams_dagster.store.artefact_store import Artefact, ArtefactStore


def comparison_questions(
    store: ArtefactStore,
    training_seeds: dict[str, Instruction],
    held_out: dict[str, Instruction],
    plan: ComparisonPlan,
    training: TrainingConfig,
    policy: Artefact | None,
    earlier: Artefact | None,
    tried: EpisodeStats | None = None,
) -> list[QueryForecast]:
    """What a comparison will ask, by what earlier ones asked, or the preflight of its instructor (`tried`).

    `policy` is None before it is trained.

    Where some queries of it failed `earlier`, they alone are open, but answers that trainings then get can change
    what they ask next: the most is everything.
    """
    seeds, each = len(held_out), _allowance(plan, training.reward).episodes
    episodes = still_open(earlier, comparison_episodes(plan, training, seeds))
    most = sum(map(_most_episodes, _trained(plan, training))) + played_episodes(plan, training, seeds, each)
    texts = [*training_seeds.values(), *held_out.values()]
    stated = last_stats(policy) if policy else UNTRAINED
    seen = stats_of(store.all_of("policy_comparison")) or episodes_of(stated, tried)
    reviews = training.reward.reviews_an_edit
    asked = rewriting(Role.INSTRUCTOR, episodes, texts, seen, stated, most=most, reviews_an_edit=reviews)
    guided = sum(_guided_episodes(other.config) for other in plan.trainings(training))
    guided += _episodes_of(GUIDE, plan, seeds, each)
    return asked + (guiding(min(episodes, guided), texts, [], most=guided) if guided else [])


def comparison_episodes(plan: ComparisonPlan, config: TrainingConfig, seeds: int) -> int:
    """Episodes of a comparison on so many held-out seeds, about."""
    return trained_episodes(plan, config) + played_episodes(plan, config, seeds, _likely(plan, config.reward))


def trained_episodes(plan: ComparisonPlan, config: TrainingConfig) -> int:
    """Episodes that ask as much as all trainings are likely to: branches, and edits that a look-ahead tries, count."""
    return round(sum(training.expected_edits for training in _trained(plan, config)) / HORIZON)


def _trained(plan: ComparisonPlan, config: TrainingConfig) -> list[TrainingConfig]:
    """What is trained; a search asks as much as a training of the deployed policy's."""
    searches = [config] * len(plan.searched) * plan.training_seeds
    return searches + [training.config for training in plan.trainings(config)]


def _most_episodes(config: TrainingConfig) -> int:
    return config.iterations * config.episodes_per_iteration * config.most_edits_an_episode // HORIZON


def _guided_episodes(config: TrainingConfig) -> int:
    """Episodes in which a model may guide, branches included, at most."""
    return config.iterations * config.episodes_per_iteration * config.most_branches if config.asks_guide else 0


def played_episodes(plan: ComparisonPlan, config: TrainingConfig, seeds: int, each: int) -> int:
    """Episodes that ask as much as all policies do: a look-ahead's count for each operation that it tries.

    `each` is how many a policy plays from one seed.
    """
    policies = 1 + len(plan.ablations) + len(plan.compared_algorithms(config))
    trained = plan.training_seeds * policies * seeds * each
    return trained + sum(_episodes_of(name, plan, seeds, each) for name in plan.baselines)


def _episodes_of(name: str, plan: ComparisonPlan, seeds: int, count: int) -> int:
    if name not in plan.baselines:
        return 0
    if name in plan.searched:
        return seeds * plan.training_seeds * count
    if name in (LOOK_AHEAD, CEILING):
        charged = ceil(plan.config.questions_per_seed / (len(TEXT_OPERATIONS) * HORIZON))
        return seeds * (min(charged, count) if name == LOOK_AHEAD else count) * plain_episodes_of(name)
    return seeds * (1 if is_deterministic(baselines()[name]) else count)


def plain_episodes_of(policy: str) -> int:
    """As how many an episode of a policy that is played counts: a look-ahead tries every operation at each step."""
    return len(TEXT_OPERATIONS) if policy in (LOOK_AHEAD, CEILING) else 1


def _likely(plan: ComparisonPlan, reward: RewardConfig) -> int:
    """Episodes from one seed: one more than the allowance is enough for, since some edits are not reviewed."""
    return ceil(plan.config.questions_per_seed / reward.queries_an_episode) + 1


def _allowance(plan: ComparisonPlan, reward: RewardConfig) -> Allowance:
    """What each policy may ask from one seed."""
    return Allowance(plan.config.questions_per_seed, reward.queries_an_episode)


def comparison_asking(
    ledger: Ledger, where: CallContext, plan: ComparisonPlan, training: TrainingConfig, seeds: int
) -> dict[str, int]:
    """What the comparison asked in the step `where`, for the facts of its artefact; nothing where all was answered."""
    rows = {"run_id": where.run_id, "asset_key": where.asset_key}
    asked = {cost.group["purpose"]: cost for cost in costs_by(ledger, ["purpose"], rows)}
    if "rewrite" not in asked or "review" not in asked:
        return {}
    rewrites, reviews, orders = asked["rewrite"], asked["review"], training.reward.reviews_an_edit
    return {
        "episodes": comparison_episodes(plan, training, seeds),
        "rewrites": rewrites.asked,
        "reviews": reviews.asked // orders,
        "new_rewrites": rewrites.asked - rewrites.reused,
        "new_reviews": (reviews.asked - reviews.reused) // orders,
        "accepted": 0,
        "guidance": asked["guide"].asked if "guide" in asked else 0,
    }
