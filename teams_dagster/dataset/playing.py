"""A generation: its world, its episodes, what is written down of them, and what came of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from teams_dagster.core.files import write_atomically
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import LLMClient, Role
from teams_dagster.dataset.generation import ROUND_STRIDE, GenerationManifest
from teams_dagster.dataset.manifests import MANIFEST
from teams_dagster.dataset.steering import UNTRAINED_POLICIES, policy_title, transition_policy, untrained_name
from teams_dagster.environment.decisions import Actor
from teams_dagster.environment.episodes import EpisodePlan, run_episode
from teams_dagster.environment.recording import EpisodeTables
from teams_dagster.environment.reward import RewardConfig
from teams_dagster.environment.state import Episode, EpisodeKey, EpisodePurpose
from teams_dagster.environment.transition import Environment
from teams_dagster.instructions.novelty import Pool
from teams_dagster.instructions.prompts import write_prompts
from teams_dagster.instructions.seed_splits import seed_clusters
from teams_dagster.instructions.seeds import Seed
from teams_dagster.instructions.stored_seeds import read_seeds
from teams_dagster.llm import loop
from teams_dagster.llm.context import Tallies
from teams_dagster.llm.engine import Engine
from teams_dagster.llm.ordered import in_order
from teams_dagster.llm.progress import Progress
from teams_dagster.llm.workers import LocalWorker, Worker
from teams_dagster.policy.baselines import ForcedSchedule
from teams_dagster.policy.checkpoint import Checkpoint, divide, load_policy, policy_seeds
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.tables import write_table


def generation_inputs(manifest: GenerationManifest) -> dict[str, str]:
    """What a generation is made from."""
    return {"generation": manifest.version}


def generation_policy(store: ArtefactStore, manifest: GenerationManifest) -> Artefact | None:
    """The trained policy that steers a generation; None where one that needs no training does."""
    if untrained_name(manifest.policy_version):
        return None
    return store.of_version("trained_policy", manifest.policy_version)


def generation_seeds(store: ArtefactStore, manifest: GenerationManifest) -> dict[str, Instruction]:
    """The seeds of a generation by id, in the manifest's order."""
    library = store.of_version("seed_instructions", manifest.seeds_version)
    texts = {seed.seed_id: seed.instruction for seed in read_seeds(library)}
    return {seed_id: texts[seed_id] for seed_id, _ in manifest.replicas}


def generation_world(
    store: ArtefactStore, manifest: GenerationManifest, client: LLMClient
) -> tuple[Environment, Checkpoint | None, dict[str, Instruction]]:
    """What a generation happens in: its environment with `client`, its trained policy, and its seeds' texts by id."""
    return *generation_environment(store, manifest, client), generation_seeds(store, manifest)


def generation_environment(
    store: ArtefactStore, manifest: GenerationManifest, client: LLMClient, library: Sequence[Seed] = ()
) -> tuple[Environment, Checkpoint | None]:
    """The environment of a generation with `client`, and its trained policy.

    The pool of a policy that was not trained on seeds of this store is drawn from the generation's own; of one that is
    not begun, whose seeds are not stored yet, from `library`.
    """
    policy = generation_policy(store, manifest)
    checkpoint = load_policy(policy) if policy else None
    trained_on = policy.manifest["inputs"].get("seed_instructions") if policy else None
    stored = trained_on or manifest.seeds_version
    if stored:
        pool, _ = policy_seeds(store.of_version("seed_instructions", stored))
    else:
        pool, _ = divide(library, seed_clusters(library))
    return Environment(client, Pool(pool.values()), reward_of(checkpoint), Role.EXPERT), checkpoint


def reward_of(checkpoint: Checkpoint | None) -> RewardConfig:
    """The reward of a generation: the one that its policy was trained with, or the default one."""
    return checkpoint.config.reward if checkpoint else RewardConfig()


def generation_reward(store: ArtefactStore, manifest: GenerationManifest) -> RewardConfig:
    """The same for a generation by its manifest."""
    policy = generation_policy(store, manifest)
    return reward_of(load_policy(policy) if policy else None)


def generation_actor(manifest: GenerationManifest, checkpoint: Checkpoint | None) -> Actor:
    """Who chooses the operations of a generation, given its trained policy, if it has one."""
    actor = checkpoint.actor() if checkpoint else UNTRAINED_POLICIES[policy_title(manifest.policy_version)]
    return ForcedSchedule(actor) if manifest.forced_schedule else actor


def episode_plans(manifest: GenerationManifest, seeds: dict[str, Instruction]) -> Iterator[EpisodePlan]:
    """One episode from each seed of the generation, in the manifest's order; on the way to a target, further rounds.

    A further episode of a seed draws anew and asks for other answers.
    """
    for number in range(manifest.episodes_per_seed):
        for seed_id, replica in manifest.play_order():
            key = EpisodeKey(
                root_seed=manifest.root_seed,
                purpose=EpisodePurpose.GENERATE,
                policy=transition_policy(manifest.policy_version, forced=manifest.forced_schedule),
                policy_version=manifest.policy_version,
                seed_id=seed_id,
                episode=number,
                partition_key=manifest.partition_key,
                replica=replica + number * ROUND_STRIDE,
            )
            yield EpisodePlan(key, seeds[seed_id])


class Asked(Protocol):
    """Who plays, as far as progress is told of it."""

    @property
    def tallies(self) -> Tallies:
        """What was asked so far."""
        ...


Player = TypeVar("Player", bound=Asked)


@dataclass(frozen=True)
class Playing(Generic[Player]):
    """How a generation of either arm is played."""

    manifest: GenerationManifest
    episodes: Callable[[Player, int], AsyncGenerator[Episode]]
    """Its episodes in their order, given who plays them and how many may be open at once."""
    total: int
    """How many there will be, likely."""
    counted: str
    """What its progress calls them."""


@dataclass(frozen=True)
class GenerationWork:
    """What whoever plays episodes of a generation needs, as values."""

    store: ArtefactStore
    manifest: GenerationManifest


@asynccontextmanager
async def episode_worker(
    work: GenerationWork, asking: AbstractAsyncContextManager[Engine]
) -> AsyncGenerator[LocalWorker[EpisodePlan, Episode]]:
    """Plays episodes of a generation."""
    async with asking as engine:
        environment, checkpoint = generation_environment(work.store, work.manifest, engine)
        actor = generation_actor(work.manifest, checkpoint)
        yield LocalWorker(partial(run_episode, environment, actor), engine.tallies)


def trained_playing(store: ArtefactStore, manifest: GenerationManifest) -> Playing[Worker[EpisodePlan, Episode]]:
    """A generation of the main line: one episode from each of its seeds, played by `episode_worker`."""

    def episodes(worker: Worker[EpisodePlan, Episode], width: int) -> AsyncGenerator[Episode]:
        return in_order(worker.call, episode_plans(manifest, generation_seeds(store, manifest)), width)

    return Playing(manifest, episodes, len(manifest.replicas), "seeds")


def play_generation(
    folder: Path,
    run_id: str,
    playing: Playing[Player],
    players: AbstractAsyncContextManager[Player],
    *,
    width: int,
    log: Callable[[str], None],
) -> None:
    """Play a generation and write it into `folder`: its tables, the prompts and its manifest.

    Args:
        folder: Where the tables `transitions`, `instructions`, `generations` and `prompt_templates` are written.
        run_id: The run that each row names.
        playing: The generation.
        players: Opens who plays it.
        width: Episodes that may be open at once.
        log: Told of the progress.
    """
    loop.run(_record(folder, run_id, playing, players, width, log))
    write_generation(folder, run_id, playing.manifest)


def write_generation(folder: Path, run_id: str, manifest: GenerationManifest) -> None:
    """Write beside a generation's episodes what they were played by: the prompts and its manifest."""
    write_prompts(folder, run_id)
    write_table(folder, "generations", [_generation_row(manifest, run_id)])
    write_atomically(folder / MANIFEST, manifest.to_json())


async def _record(
    folder: Path,
    run_id: str,
    playing: Playing[Player],
    players: AbstractAsyncContextManager[Player],
    width: int,
    log: Callable[[str], None],
) -> None:
    async with (
        players as player,
        Progress(
            playing.total,
            playing.counted,
            player.tallies,
            log,
            kept="instructions accepted",
            each="an accepted instruction",
        ) as progress,
    ):
        with EpisodeTables(folder, run_id) as tables:
            async with aclosing(playing.episodes(player, width)) as episodes:
                async for episode in episodes:
                    tables.record([episode])
                    progress.done(episode.accepted)


def _generation_row(manifest: GenerationManifest, run_id: str) -> dict[str, object]:
    return {
        "generation_version": manifest.version,
        "partition_key": manifest.partition_key,
        "policy_version": manifest.policy_version,
        "seeds_version": manifest.seeds_version,
        "seeds": len(manifest.replicas),
        "root_seed": manifest.root_seed,
        "fresh": manifest.fresh,
        "manifest": manifest.to_json(),
        "run_id": run_id,
    }
