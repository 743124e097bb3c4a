"""Training a policy: iterations of rollouts and one update each (TeaMs-RL section 3; RLGF).

No rollout starts before the previous update; within one, episodes advance freely. Each iteration hands its episodes to
a sink, then replaces the checkpoint, so a killed run continues after its last finished iteration and ends with the
same weights.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from teams_dagster.core.hashing import content_hash
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import TEXT_OPERATIONS, Operation
from teams_dagster.core.protocol import LLMClient, Role
from teams_dagster.core.threads import one_thread
from teams_dagster.environment.decisions import Drawing, apart
from teams_dagster.environment.state import HORIZON, ChosenBy, Episode
from teams_dagster.environment.transition import Environment
from teams_dagster.instructions.novelty import Pool
from teams_dagster.instructions.prompts import prompt
from teams_dagster.policy.algorithms.algorithm import Algorithm, UpdateReport, algorithm_of
from teams_dagster.policy.algorithms.learner import Learner, policy_key
from teams_dagster.policy.baselines import LookAheadGuide
from teams_dagster.policy.checkpoint import Checkpoint, TrainingOrigin, changed_operations
from teams_dagster.policy.collecting import Collected, RollingIn, batch_of, collect, plan_batch, repeated
from teams_dagster.policy.config import TrainingConfig
from teams_dagster.policy.curve import IterationRecord, is_flat, own_steps, tally, without_tokens
from teams_dagster.policy.guide import Advisor, Guide
from teams_dagster.policy.network import Network
from teams_dagster.policy.reader.reading import Reader, reader

_log = logging.getLogger(__name__)

POLICY_NAME = "trained"

Sink = Callable[[int, Sequence[Episode]], None]
"""Receives an iteration's number and its episodes, before the checkpoint says that the iteration is finished. After a
kill it may receive the same iteration, with the same episodes, again."""


class TrainingFailed(RuntimeError):
    """Training cannot go on; the message says why and what to do."""


async def train(
    client: LLMClient,
    seeds: Mapping[str, Instruction],
    config: TrainingConfig,
    path: Path,
    *,
    name: str = POLICY_NAME,
    reference: Checkpoint | None = None,
    base: str | None = None,
    sink: Sink | None = None,
    on_episode: Callable[[Episode], object] | None = None,
    progress: Callable[[str], None] = _log.info,
) -> Checkpoint:
    """Train a policy on `seeds` (by seed id), with the checkpoint at `path`; continue from it where there is one.

    `name` is what its transitions are filed under. `reference` is the policy that `kl_reference` keeps near to; None:
    the uniform policy. `base` is where the student lies, where the policy reads with it. `on_episode` hears of each
    episode as it is done, `progress` of each iteration.

    Raises TrainingFailed when the checkpoint belongs to another run, or when no query of a batch was answered.
    """
    if not seeds:
        raise TrainingFailed("there are no training seeds; give the policy at least one")
    encode = reader(config, tuple(seeds.values()), base)
    environment = Environment(client, Pool(seeds.values()), config.reward, Role.INSTRUCTOR)
    algorithm = algorithm_of(config.algorithm, config.root_seed)
    learner = _new_learner(config, encode, reference)
    checkpoint = _begin(_origin(environment, seeds, encode, config, reference), config, learner, path, base)
    learner.restore(checkpoint.state)
    if 0 < checkpoint.iteration < config.iterations:
        progress(f"continuing after iteration {checkpoint.iteration} of {config.iterations}")
    while not checkpoint.finished:
        collected = await _rollouts(environment, seeds, checkpoint, algorithm, encode, name, on_episode)
        _demand_answers(checkpoint.iteration, collected.everything)
        _demand_token_counts(config, environment, collected.everything)
        if sink:
            sink(checkpoint.iteration, collected.everything)
        learning = partial(_updated, checkpoint, algorithm, learner, collected, encode)
        checkpoint = await apart(learning) if config.reads_prompts else learning()
        checkpoint.save(path)
        progress(_summary(checkpoint.curve[-1], config))
    if checkpoint.stopped_early:
        progress(f"stopped early: {config.patience} iterations brought no better return")
    if is_flat(checkpoint.curve[0].reward_variance):
        progress(
            f"the reward is flat (variance {checkpoint.curve[0].reward_variance:.4f} in the first batch):"
            " no policy can show a gain over uniform"
        )
    return checkpoint


def _new_learner(config: TrainingConfig, encode: Reader, reference: Checkpoint | None) -> Learner:
    """A learner before its first update. Raises TrainingFailed for a reference policy of another kind."""
    if reference is not None:
        there, here = (
            (reference.origin.feature_version, reference.config.hidden, reference.config.allow_none),
            (encode.version, config.hidden, config.allow_none),
        )
        if there != here:
            raise TrainingFailed(
                f"the reference policy {reference.policy_version} reads other features, has other layers or may choose"
                " other operations than the one to be trained: train it with the same settings"
            )
    return Learner.new(
        features=encode.critic_size,
        hidden=config.hidden,
        allowed=config.allowed,
        algorithm=config.algorithm,
        critic=config.critic,
        kl=config.kl_reference,
        gamma=config.gamma,
        decay=config.gae_decay,
        root_seed=config.root_seed,
        reference=reference.policy if reference else None,
        policy=_language_model(encode, config),
    )


def _language_model(encode: Reader, config: TrainingConfig) -> Network | None:
    """The policy of a language model; None where a small network reads features."""
    if not config.reads_prompts:
        return None
    from teams_dagster.policy.reader.network import LanguageModelPolicy
    from teams_dagster.policy.reader.prompt import PromptReader

    if not isinstance(encode, PromptReader):
        raise TypeError(f"{encode} reads no prompts")
    return LanguageModelPolicy(encode, config.allowed, policy_key(config.root_seed))


def _origin(
    environment: Environment,
    seeds: Mapping[str, Instruction],
    encode: Reader,
    config: TrainingConfig,
    reference: Checkpoint | None,
) -> TrainingOrigin:
    """What the training is made from."""
    asked = [
        *(operation.value for operation in TEXT_OPERATIONS),
        "review",
        *(["guide"] if config.asks_guide else []),
    ]
    return TrainingOrigin(
        seeds_version=content_hash("seeds", sorted((name, seed.instruction_id) for name, seed in seeds.items())),
        pool_version=environment.pool.version,
        feature_version=encode.version,
        prompt_versions={name: prompt(name).version for name in asked},
        instructor=environment.client.identity(Role.INSTRUCTOR),
        reviewer=environment.client.identity(Role.REVIEWER),
        guide=environment.client.identity(Role.GUIDE) if config.asks_guide else None,
        reference_version=reference.policy_version if reference else None,
        base_version=encode.base_version,
    )


def _begin(
    origin: TrainingOrigin, config: TrainingConfig, learner: Learner, path: Path, base: str | None
) -> Checkpoint:
    """The checkpoint at `path`, or that of an untrained policy."""
    if not path.exists():
        return Checkpoint(learner.state(), config, origin, base=base)
    checkpoint = Checkpoint.load(path, base)
    if checkpoint.config != config or checkpoint.origin != origin:
        operations = changed_operations(checkpoint.origin)
        other = (
            f"other operations ({operations})"
            if operations
            else "another configuration, seeds, prompts, features or models"
        )
        raise TrainingFailed(f"{path} belongs to a training with {other}; delete it, or train in another folder")
    return checkpoint


async def _rollouts(
    environment: Environment,
    seeds: Mapping[str, Instruction],
    checkpoint: Checkpoint,
    algorithm: Algorithm,
    encode: Reader,
    name: str,
    on_episode: Callable[[Episode], object] | None,
) -> Collected:
    """The next iteration's episodes."""
    config, iteration = checkpoint.config, checkpoint.iteration
    plans = plan_batch(
        seeds,
        count=config.episodes_per_iteration,
        root_seed=config.root_seed,
        iteration=iteration,
        policy=name,
        version=checkpoint.policy_version,
        of_each=config.episodes_per_seed,
    )
    decider = RollingIn(
        Drawing(encode.actor(checkpoint.policy, config.allowed)),
        guide_of(config),
        {
            plan.key.order: algorithm.roll_in(iteration, HORIZON, lambda what, key=plan.key: key.draw(0, what))
            for plan in plans
        },
    )
    return await collect(environment, decider, plans, config.allowed_operations, on_episode)


def guide_of(config: TrainingConfig) -> Advisor:
    """Who guides a training, if anybody does."""
    if config.guide == "look_ahead":
        return LookAheadGuide(may_rest=config.allow_none)
    return Guide(config.allowed_operations)


def _demand_token_counts(config: TrainingConfig, environment: Environment, episodes: Sequence[Episode]) -> None:
    """Raises TrainingFailed when dollars are rewarded and no answer of a model in a batch came with its tokens."""
    if config.reward.dollars is None:
        return
    prices = config.reward.dollars.prices
    transitions = [transition for episode in episodes for transition in episode.transitions]
    rewrites = [transition.rewrite_usage for transition in transitions if transition.rewrite_usage is not None]
    reviews = [usage for transition in transitions for usage in transition.review_usages]
    for role, price, usages in (
        (Role.INSTRUCTOR, prices.rewrite, rewrites),
        (Role.REVIEWER, prices.review, reviews),
    ):
        if usages and all(price.cost(usage) is None for usage in usages):
            raise TrainingFailed(
                f"reward `dollars` counts tokens, and {environment.client.identity(role).model} ({role.value}) reports"
                f" none: {len(usages)} of its answers came without; train with `reward: graded`, or name another model"
            )


def _demand_answers(iteration: int, episodes: Sequence[Episode]) -> None:
    """Raises TrainingFailed when queries were asked and none was answered."""
    failures = [episode.failed.failure for episode in episodes if episode.failed]
    steps = (step for episode in episodes for step in episode.transitions)
    if failures and all(step.operation is Operation.NONE for step in steps):
        raise TrainingFailed(
            f"iteration {iteration + 1}: no query was answered in {len(episodes)} episodes; the first failed with"
            f" {failures[0]!r}. Make the models reachable and run again: finished iterations are kept"
        )


def _updated(
    checkpoint: Checkpoint, algorithm: Algorithm, learner: Learner, collected: Collected, encode: Reader
) -> Checkpoint:
    """One iteration's learning: a new checkpoint with one more point on its curve."""
    batch = batch_of(collected, encode, checkpoint.config)
    with one_thread(encode.is_small):
        report = algorithm.update(learner, batch, checkpoint.iteration)
    record = _record(checkpoint, collected, report)
    made = replace(checkpoint, state=learner.state(), curve=(*checkpoint.curve, record))
    return made.without_data() if made.finished else made


def _record(checkpoint: Checkpoint, collected: Collected, report: UpdateReport) -> IterationRecord:
    episodes = collected.everything
    total = tally(episodes)
    return IterationRecord(
        iteration=checkpoint.iteration,
        policy_version=checkpoint.policy_version,
        episodes=total.episodes,
        truncated=total.truncated,
        queries=total.queries,
        guidance_queries=sum(step.guidance_queries for episode in episodes for step in episode.recorded),
        fallbacks=sum(step.chosen_by is ChosenBy.FALLBACK for episode in episodes for step in episode.transitions),
        mean_return=total.mean_return,
        accepted_per_query=total.accepted_per_query,
        accepted_per_episode=total.accepted_per_episode,
        reward_variance=total.reward_variance,
        unclear=total.unclear,
        operation_mix={name: count / max(1, total.transitions) for name, count in total.operations.items()},
        eliminated=total.eliminated,
        phase=report.phase,
        update=report.status,
        policy_steps=report.policy_steps,
        critic_steps=report.critic_steps,
        entropy=report.entropy,
        kl=report.kl,
        improvement=report.improvement,
        step_size=report.step_size,
        explained_variance=report.explained_variance,
        critic_loss=report.critic_loss,
        clip_fraction=report.clip_fraction,
        kappa=report.kappa,
        imitation_loss=report.imitation_loss,
        own=own_steps(episodes),
        without_tokens=without_tokens(episodes, checkpoint.config.reward),
        repeated=int(repeated(collected.episodes).sum()),
    )


def _summary(record: IterationRecord, config: TrainingConfig) -> str:
    own = record.acted
    unknown = f"; edits without their tokens: {record.without_tokens}" if record.without_tokens else ""
    repeats = f"; repeated: {record.repeated} accepted edits" if config.episodes_per_seed > 1 else ""
    likeliest = max(own.operation_mix, key=lambda name: own.operation_mix[name])
    whose = ""
    if record.own is not None:
        whose = f" of its own {record.own.steps} steps" if record.own.steps else " of the guide"
    return (
        f"iteration {record.iteration + 1} of {config.iterations}: return{whose} {own.mean_return:.3f},"
        f" accepted per query {own.accepted_per_query:.3f}, per episode {own.accepted_per_episode:.2f},"
        f" KL {record.kl:.4f}, entropy {record.entropy:.2f}, most often {likeliest}"
        f" ({own.operation_mix[likeliest]:.0%}){unknown}{repeats}"
    )
