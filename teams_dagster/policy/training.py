"""Training a policy: iterations of rollouts, advantages, one TRPO step and one critic fit (TeaMs-RL section 3).

No rollout starts before the previous update; within one, episodes advance freely. Each iteration hands its episodes to
a sink, then replaces the checkpoint, so a killed run continues after its last finished iteration and ends with the
same weights.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from teams_dagster.completions.protocol import Asker, Role
from teams_dagster.environment.episodes import EpisodePlan, run_episodes
from teams_dagster.environment.state import Episode, EpisodeKey, EpisodePurpose
from teams_dagster.environment.transition import Environment
from teams_dagster.instructions.instruction import Instruction
from teams_dagster.instructions.novelty import Pool
from teams_dagster.instructions.operations import TEXT_OPERATIONS, Operation
from teams_dagster.instructions.prompts import prompt
from teams_dagster.policy.algorithms.critic import fit_lbfgs
from teams_dagster.policy.algorithms.minibatches import rows
from teams_dagster.policy.algorithms.objectives import sampled
from teams_dagster.policy.algorithms.report import PolicyStep
from teams_dagster.policy.algorithms.trpo import trpo_step
from teams_dagster.policy.checkpoint import Checkpoint, IterationRecord, TrainingOrigin
from teams_dagster.policy.config import TrainingConfig
from teams_dagster.policy.estimators import advantages, discounted_returns, explained_variance, normalised
from teams_dagster.policy.features import FEATURE_VERSION, FEATURES
from teams_dagster.policy.network import PolicyNetwork, ValueNetwork
from teams_dagster.policy.rollouts import Batch, batch_of, is_flat, tally
from teams_dagster.streams import content_hash, generator

_log = logging.getLogger(__name__)

POLICY_NAME = "trained"

Sink = Callable[[int, Sequence[Episode]], None]
"""Receives an iteration's number and its episodes, before the checkpoint says that the iteration is finished. After a
kill it may receive the same iteration, with the same episodes, again."""


class TrainingFailed(RuntimeError):
    """Training cannot go on; the message says why and what to do."""


async def train(
    asker: Asker,
    seeds: Mapping[str, Instruction],
    config: TrainingConfig,
    path: Path,
    *,
    sink: Sink | None = None,
    on_episode: Callable[[Episode], object] | None = None,
    progress: Callable[[str], None] = _log.info,
) -> Checkpoint:
    """Train a policy on `seeds` (by seed id), with the checkpoint at `path`; continue from it where there is one.

    `on_episode` hears of each episode as it is done, `progress` of each iteration.

    Raises TrainingFailed when the checkpoint belongs to another run, or when no question of a batch was answered.
    """
    environment = Environment(asker, Pool(seeds.values()), config.reward, Role.INSTRUCTOR)
    checkpoint = _begin(environment, seeds, config, path)
    if 0 < checkpoint.iteration < config.iterations:
        progress(f"continuing after iteration {checkpoint.iteration} of {config.iterations}")
    while not checkpoint.finished:
        iteration = checkpoint.iteration
        plans = _plans(seeds, config, iteration, checkpoint.policy_version)
        episodes = await run_episodes(environment, checkpoint.actor(), plans, on_episode=on_episode)
        _demand_answers(iteration, episodes)
        if sink:
            sink(iteration, episodes)
        checkpoint = _update(checkpoint, episodes)
        checkpoint.save(path)
        progress(_summary(checkpoint.curve[-1], config))
    if is_flat(checkpoint.curve[0].reward_variance):
        progress(
            f"the reward is flat (variance {checkpoint.curve[0].reward_variance:.4f} under the untrained policy):"
            " no policy can show a gain over uniform"
        )
    return checkpoint


def _begin(
    environment: Environment, seeds: Mapping[str, Instruction], config: TrainingConfig, path: Path
) -> Checkpoint:
    """The checkpoint at `path`, or that of an untrained policy."""
    if not seeds:
        raise TrainingFailed("there are no training seeds; give the policy at least one")
    origin = TrainingOrigin(
        seeds_version=content_hash("seeds", sorted((name, seed.instruction_id) for name, seed in seeds.items())),
        pool_version=environment.pool.version,
        feature_version=FEATURE_VERSION,
        prompt_versions={
            name: prompt(name).version for name in (*(operation.value for operation in TEXT_OPERATIONS), "review")
        },
        instructor=environment.asker.identity(Role.INSTRUCTOR),
        reviewer=environment.asker.identity(Role.REVIEWER),
    )
    if not path.exists():
        policy, critic = _networks(config)
        return Checkpoint(policy.weights(), critic.weights(), config, origin)
    checkpoint = Checkpoint.load(path)
    if checkpoint.config != config or checkpoint.origin != origin:
        raise TrainingFailed(
            f"{path} belongs to a training with another configuration, seeds, prompts, features or models; delete it,"
            " or train in another folder"
        )
    return checkpoint


def _demand_answers(iteration: int, episodes: Sequence[Episode]) -> None:
    """Raises TrainingFailed when questions were asked and none was answered."""
    failures = [episode.failed.failure for episode in episodes if episode.failed]
    steps = (step for episode in episodes for step in episode.transitions)
    if failures and all(step.operation is Operation.NONE for step in steps):
        raise TrainingFailed(
            f"iteration {iteration + 1}: no question was answered in {len(episodes)} episodes; the first failed with"
            f" {failures[0]!r}. Make the instructor and reviewer reachable and run again: finished iterations are kept"
        )


def _networks(config: TrainingConfig) -> tuple[PolicyNetwork, ValueNetwork]:
    policy = PolicyNetwork(FEATURES, config.hidden, config.allowed, (config.root_seed, "weights", "policy"))
    return policy, ValueNetwork(FEATURES, config.hidden, (config.root_seed, "weights", "critic"))


def _plans(seeds: Mapping[str, Instruction], config: TrainingConfig, iteration: int, version: str) -> list[EpisodePlan]:
    """An iteration's episodes, one for each seed it draws."""
    met: Counter[str] = Counter()
    plans = []
    for seed_id in _drawn(sorted(seeds), config.episodes_per_iteration, config.root_seed, iteration):
        key = EpisodeKey(
            root_seed=config.root_seed,
            purpose=EpisodePurpose.TRAIN,
            policy=POLICY_NAME,
            policy_version=version,
            seed_id=seed_id,
            episode=met[seed_id],
            iteration=iteration,
        )
        plans.append(EpisodePlan(key, seeds[seed_id]))
        met[seed_id] += 1
    return plans


def _drawn(ids: Sequence[str], count: int, root_seed: int, iteration: int) -> list[str]:
    """The next `count` of an endless series of shuffles of `ids`, so that each is met equally often.

    No id comes twice where there are `count` of them: a shuffle that continues a batch puts the batch's own ids last.
    """
    begin, order, drawn = iteration * count, [], []
    for epoch in range((begin + count - 1) // len(ids) + 1):
        begun = set(order[len(ids) - (epoch * len(ids)) % count :]) if count <= len(ids) and epoch else set()
        shuffled = [ids[index] for index in generator(root_seed, "train", "seeds", epoch).permutation(len(ids))]
        order = sorted(shuffled, key=begun.__contains__)
        low = max(begin - epoch * len(ids), 0)
        drawn.extend(order[low : max(begin + count - epoch * len(ids), 0)])
    return drawn


def _update(checkpoint: Checkpoint, episodes: Sequence[Episode]) -> Checkpoint:
    """One iteration's learning: a new checkpoint with one more point on its curve."""
    config = checkpoint.config
    policy, critic = _networks(config)
    policy.load(checkpoint.policy)
    critic.load(checkpoint.critic)
    batch = batch_of(episodes)
    with _one_thread():
        explained, loss, update = learn(policy, critic, batch, config)
    total = tally(episodes)
    record = IterationRecord(
        iteration=checkpoint.iteration,
        policy_version=checkpoint.policy_version,
        episodes=total.episodes,
        truncated=total.truncated,
        queries=total.queries,
        mean_return=total.mean_return,
        accepted_per_query=total.accepted_per_query,
        accepted_per_episode=total.accepted_per_episode,
        reward_variance=total.reward_variance,
        unclear=total.unclear,
        operation_mix={name: count / total.transitions for name, count in total.operations.items()},
        eliminated=total.eliminated,
        entropy=update.entropy,
        explained_variance=explained,
        critic_loss=loss,
        update=update.status.value,
        kl=update.kl,
        improvement=update.improvement,
        step_size=update.step_size,
    )
    return Checkpoint(policy.weights(), critic.weights(), config, checkpoint.origin, (*checkpoint.curve, record))


def learn(
    policy: PolicyNetwork, critic: ValueNetwork, batch: Batch, config: TrainingConfig
) -> tuple[float, float, PolicyStep]:
    """Improve both networks in place on `batch`: the critic's fit after the advantages and before the policy's step.

    Returns the critic's explained variance before its fit, its loss after it, and what the policy's step did.
    """
    valid = batch.valid
    with torch.no_grad():
        values = critic(batch.features)
        final = torch.where(batch.truncated, critic(batch.final_features), 0.0)
    targets = discounted_returns(batch.rewards, valid, final, gamma=config.gamma)
    gains = advantages(batch.rewards, values, valid, final, gamma=config.gamma, decay=config.gae_decay)
    inputs = rows(batch.features, valid)
    loss = fit_lbfgs(critic, inputs, rows(targets, valid), config.critic)
    judge = sampled(rows(batch.actions, valid), rows(normalised(gains, valid), valid))
    update = trpo_step(lambda: policy(inputs), list(policy.parameters()), judge, config.trpo)
    return explained_variance(values, targets, valid), loss, update


@contextmanager
def _one_thread() -> Iterator[None]:
    """Matrix products on one thread: the same bits on machines with other numbers of cores, and faster this small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _summary(record: IterationRecord, config: TrainingConfig) -> str:
    likeliest = max(record.operation_mix, key=lambda name: record.operation_mix[name])
    return (
        f"iteration {record.iteration + 1} of {config.iterations}: return {record.mean_return:.3f},"
        f" accepted per query {record.accepted_per_query:.3f}, per episode {record.accepted_per_episode:.2f},"
        f" KL {record.kl:.4f}, entropy {record.entropy:.2f}, most often {likeliest}"
        f" ({record.operation_mix[likeliest]:.0%})"
    )
