"""What is trained for the comparison: the deployed policy's other seeds, and the ablations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import TEXT_OPERATIONS
from teams_dagster.environment.recording import training_parts
from teams_dagster.llm.engine import Engine
from teams_dagster.llm.processes import in_processes
from teams_dagster.policy.checkpoint import Checkpoint
from teams_dagster.policy.comparison.contenders import TRAINED, TRAINED_WITHOUT_NONE, Contender
from teams_dagster.policy.comparison.plan import ComparisonPlan
from teams_dagster.policy.comparison.share import (
    Done,
    EngineFactory,
    Share,
    Training,
    hearing,
    train_elsewhere,
    train_share,
)


@dataclass(frozen=True)
class Asked:
    """What one training took."""

    iterations: int
    queries: int
    """The guide's included."""
    of_guide: int

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> Asked:
        """By its learning curve."""
        curve = checkpoint.curve
        return cls(len(curve), sum(p.queries for p in curve), sum(p.guidance_queries for p in curve))


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
    run_id: str
    elsewhere: EngineFactory | None
    """How processes beside this one ask, which train and play what is compared; None where this one asks alone."""

    async def contenders(self, engine: Engine, done: Done, say: Callable[[str], None]) -> list[Contender]:
        """The policies that were trained, the deployed one first, after training what is missing."""
        await self._train(engine, done, say)
        found = self._checkpoints()
        contenders = [self._contender(name, checkpoints) for name, checkpoints in found.items()]
        if TRAINED_WITHOUT_NONE in self.plan.ablations and self.deployed.config.allow_none:
            contenders.insert(1, self._contender(TRAINED_WITHOUT_NONE, found[TRAINED]))
        return contenders

    def asked(self) -> dict[str, list[Asked]]:
        """What each training of the policy and of the compared algorithms took; empty where none is compared."""
        if not self.plan.algorithms:
            return {}
        compared = {TRAINED, *self.plan.compared_algorithms(self.deployed.config)}
        found = self._checkpoints()
        return {name: [Asked.of(checkpoint) for checkpoint in found[name]] for name in found if name in compared}

    def parts(self) -> list[str]:
        """The parts of the tables that the finished trainings wrote."""
        return [
            part
            for training in self._all
            for part in training_parts(Checkpoint.load(training.checkpoint(self.folder)).iteration, training.part)
        ]

    @property
    def sharing(self) -> EngineFactory | None:
        """How processes beside this one ask; None where this one asks alone."""
        return None if self.loads_model else self.elsewhere

    @property
    def alone(self) -> str | None:
        """Why one process asks where several could; None where that does not matter."""
        if self.elsewhere is None or not self.loads_model:
            return None
        wanted = self.elsewhere.processes
        return f"one process asks, and not {wanted}: each would load the model that the policies read with"

    @property
    def loads_model(self) -> bool:
        """Whether the policies read with a model, which would be loaded in each process."""
        return bool(self.deployed.config.features.embedding_model or self.deployed.config.reads_prompts)

    @property
    def _all(self) -> list[Training]:
        return self.plan.trainings(self.deployed.config)

    def _checkpoints(self) -> dict[str, list[Checkpoint]]:
        """By the names of the policies, what was trained of each; of `trained` the deployed one first."""
        found = {TRAINED: [self.deployed]}
        for training in self._all:
            found.setdefault(training.name, []).append(
                Checkpoint.load(training.checkpoint(self.folder), self.deployed.base)
            )
        return found

    def _contender(self, name: str, checkpoints: list[Checkpoint]) -> Contender:
        allowed = TEXT_OPERATIONS if name == TRAINED_WITHOUT_NONE else None
        donors = tuple(self.seeds.values())
        return Contender(
            name,
            tuple(checkpoint.actor(allowed, donors) for checkpoint in checkpoints),
            tuple(checkpoint.policy_version for checkpoint in checkpoints),
        )

    async def _train(self, engine: Engine, done: Done, say: Callable[[str], None]) -> None:
        """Train what is missing.

        Neither how many processes do it nor which of them trains what makes a difference to what comes out.
        """
        processes = self._processes()
        if self.elsewhere is None or processes < 2:
            await train_share(engine, self._share(self._all), done, say)
            return
        # Dealt out like cards, so that each has as many to go on with after an interruption.
        shares = [self._share(self._all[first::processes]) for first in range(processes)]
        await in_processes(train_elsewhere, [(share, self.elsewhere) for share in shares], hearing(engine, done, say))

    def _processes(self) -> int:
        """How many processes train; below 2: this one."""
        if self.elsewhere is None or self.loads_model:
            return 1
        return min(self.elsewhere.processes, sum(self._is_missing(training) for training in self._all))

    def _share(self, trainings: list[Training]) -> Share:
        return Share(tuple(trainings), self.seeds, self.reference, self.folder, self.run_id, self.deployed.base)

    def _is_missing(self, training: Training) -> bool:
        path = training.checkpoint(self.folder)
        return not path.exists() or not Checkpoint.load(path).finished
