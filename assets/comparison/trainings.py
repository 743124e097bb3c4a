"""What is trained for the comparison: the deployed policy's other seeds, and the ablations."""

from collections.abc import Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assets.comparison.config import ComparisonPlan, Training
from assets.policy import CHECKPOINT, recording, training_parts
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


@dataclass(frozen=True)
class Trainings:
    """The trainings of one comparison, kept in its folder: an interrupted one goes on after its last iteration."""

    seeds: dict[str, Instruction]
    """What is trained on, by id."""
    deployed: Checkpoint
    reference: Checkpoint | None
    """The policy that the deployed one was kept near to."""
    plan: ComparisonPlan
    folder: Path

    async def contenders(
        self, asker: Asker, run_id: str, on_episode: Callable[[Episode], object], say: Callable[[str], None]
    ) -> list[Contender]:
        """The policies that were trained, the deployed one first, after training what is missing."""
        found: dict[str, list[Checkpoint]] = {TRAINED: [self.deployed]}

        def begun(training: Training) -> Coroutine[Any, Any, Checkpoint]:
            return self._trained(asker, training, run_id, on_episode)

        trainings = self.plan.trainings(self.deployed.config)
        async with aclosing(in_order(begun, trainings, AT_ONCE)) as checkpoints:
            for training in trainings:
                checkpoint = await anext(checkpoints)
                last = checkpoint.curve[-1]
                say(
                    f"trained {training.name} with root seed {training.config.root_seed}: in its last iteration return"
                    f" {last.mean_return:.3f}, accepted per query {last.accepted_per_query:.3f}"
                )
                found.setdefault(training.name, []).append(checkpoint)
        contenders = [self._contender(name, checkpoints) for name, checkpoints in found.items()]
        if TRAINED_WITHOUT_NONE in self.plan.ablations and self.deployed.config.allow_none:
            contenders.insert(1, self._contender(TRAINED_WITHOUT_NONE, found[TRAINED]))
        return contenders

    def parts(self) -> list[str]:
        """The parts of the tables that the finished trainings wrote."""
        return [
            part
            for training in self.plan.trainings(self.deployed.config)
            for part in training_parts(Checkpoint.load(self._path(training)), training.part)
        ]

    def _contender(self, name: str, checkpoints: list[Checkpoint]) -> Contender:
        allowed = TEXT_OPERATIONS if name == TRAINED_WITHOUT_NONE else None
        donors = tuple(self.seeds.values())
        return Contender(
            name,
            tuple(checkpoint.actor(allowed, donors) for checkpoint in checkpoints),
            tuple(checkpoint.policy_version for checkpoint in checkpoints),
        )

    def _path(self, training: Training) -> Path:
        return self.folder / TRAININGS / training.part / CHECKPOINT

    async def _trained(
        self, asker: Asker, training: Training, run_id: str, on_episode: Callable[[Episode], object]
    ) -> Checkpoint:
        from teams_dagster.policy.training import train

        return await train(
            asker,
            self.seeds,
            training.config,
            self._path(training),
            name=training.name,
            reference=self.reference,
            sink=recording(self.folder, run_id, training.part),
            on_episode=on_episode,
            progress=lambda _: None,
        )
