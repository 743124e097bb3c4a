"""What is trained for the comparison: the deployed policy's other seeds, and the ablations."""

import shutil
from collections.abc import Callable
from pathlib import Path

from assets.comparison_config import ComparisonPlan, Training
from assets.policy import CHECKPOINT, load_policy
from assets.recording import EpisodeTables, is_whole, part_folder
from resources.stores import Artefact
from teams_dagster.completions.protocol import Asker
from teams_dagster.environment.state import Episode
from teams_dagster.instructions.instruction import Instruction
from teams_dagster.instructions.operations import TEXT_OPERATIONS
from teams_dagster.policy.checkpoint import Checkpoint
from teams_dagster.policy.comparison.contenders import TRAINED, TRAINED_WITHOUT_NONE, Contender

TRAININGS = "trainings"


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
    for training in plan.trainings(deployed.config):
        checkpoint = await _trained(asker, seeds, training, folder, run_id, on_episode)
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
