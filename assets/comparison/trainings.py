"""What is trained for the comparison: the deployed policy's other seeds, and the ablations."""

import shutil
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from pathlib import Path
from typing import Any

from assets.comparison.config import ComparisonPlan, Training
from assets.policy import CHECKPOINT, load_policy
from assets.recording import EpisodeTables, is_whole, part_folder
from resources.stores import Artefact
from teams_dagster.completions.ordered import in_order
from teams_dagster.completions.protocol import Asker
from teams_dagster.environment.state import Episode
from teams_dagster.instructions.instruction import Instruction
from teams_dagster.instructions.operations import TEXT_OPERATIONS
from teams_dagster.policy.checkpoint import Checkpoint
from teams_dagster.policy.comparison.contenders import TRAINED, TRAINED_WITHOUT_NONE, Contender

TRAININGS = "trainings"

AT_ONCE = 4
"""Trainings under way at once: while one learns or waits for the last answers of a batch, others ask."""


async def trained_contenders(
    asker: Asker,
    seeds: dict[str, Instruction],
    deployed: Checkpoint,
    plan: ComparisonPlan,
    folder: Path,
    run_id: str,
    on_episode: Callable[[Episode], object],
    say: Callable[[str], None],
) -> list[Contender]:
    """The policies that were trained, the deployed one first, after training those that are missing in `folder`.

    An interrupted step keeps the trainings that were finished; one that was not begins again, and meets the answers
    that it has paid for.
    """
    found: dict[str, list[Checkpoint]] = {TRAINED: [deployed]}

    def begun(training: Training) -> Coroutine[Any, Any, Checkpoint]:
        return _trained(asker, seeds, training, folder, run_id, on_episode)

    trainings = plan.trainings(deployed.config)
    async with aclosing(in_order(begun, trainings, AT_ONCE)) as checkpoints:
        for training in trainings:
            checkpoint = await anext(checkpoints)
            last = checkpoint.curve[-1]
            say(
                f"trained {training.name} with root seed {training.config.root_seed}: return {last.mean_return:.3f},"
                f" accepted per query {last.accepted_per_query:.3f} in its last iteration"
            )
            found.setdefault(training.name, []).append(checkpoint)
    donors = tuple(seeds.values())
    contenders = [
        Contender(
            name,
            tuple(checkpoint.actor(donors=donors) for checkpoint in checkpoints),
            tuple(checkpoint.policy_version for checkpoint in checkpoints),
        )
        for name, checkpoints in found.items()
    ]
    if deployed.config.allow_none:
        contenders.insert(1, _without_none(found[TRAINED], donors))
    return contenders


def _without_none(checkpoints: list[Checkpoint], donors: tuple[Instruction, ...]) -> Contender:
    """The trained policies, kept from resting while they act."""
    return Contender(
        TRAINED_WITHOUT_NONE,
        tuple(checkpoint.actor(TEXT_OPERATIONS, donors) for checkpoint in checkpoints),
        tuple(checkpoint.policy_version for checkpoint in checkpoints),
    )


async def _trained(
    asker: Asker,
    seeds: dict[str, Instruction],
    training: Training,
    folder: Path,
    run_id: str,
    on_episode: Callable[[Episode], object],
) -> Checkpoint:
    from teams_dagster.policy.training import train

    part, home = part_folder(folder, training.part), folder / TRAININGS / training.part
    if not is_whole(part):
        shutil.rmtree(home, ignore_errors=True)
        with EpisodeTables(part, run_id) as tables:
            return await train(
                asker,
                seeds,
                training.config,
                home / CHECKPOINT,
                name=training.name,
                sink=lambda _, episodes: tables.record(episodes),
                on_episode=on_episode,
            )
    return Checkpoint.load(home / CHECKPOINT)


def trained_parts(plan: ComparisonPlan, policy: Artefact) -> list[str]:
    """The parts of the tables that the trainings make."""
    return [training.part for training in plan.trainings(load_policy(policy).config)]
