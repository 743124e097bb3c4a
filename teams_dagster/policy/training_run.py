"""A training as a step runs it: its episodes are written down, and the log says how far it is."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from teams_dagster.core.instruction import Instruction
from teams_dagster.environment.recording import recording
from teams_dagster.llm.engine import Engine
from teams_dagster.llm.progress import Progress, spent_so_far
from teams_dagster.policy.checkpoint import BASE, CHECKPOINT, Checkpoint, kept_base
from teams_dagster.policy.config import TrainingConfig
from teams_dagster.policy.query_forecast import episodes_left


async def train_policy(
    asking: AbstractAsyncContextManager[Engine],
    seeds: dict[str, Instruction],
    training: TrainingConfig,
    reference: Checkpoint | None,
    *,
    folder: Path,
    run_id: str,
    log: Callable[[str], None],
    student: str | None = None,
) -> Checkpoint:
    """Train on `seeds`; what an interrupted training left in `folder` is continued.

    Args:
        asking: Opens the engine.
        seeds: What is trained on, by id.
        reference: The policy to stay near to; None: the uniform one.
        folder: Where the checkpoint and the parts of the tables are written.
        student: The folder of the student that the policy reads with, which is kept beside the checkpoint; None where
            it does not.

    Raises what `policy.training.train` does.
    """
    from teams_dagster.policy.training import train

    if student is not None and kept_base(folder) is None:
        draft = folder / f".{BASE}"
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(student, draft)
        draft.rename(folder / BASE)
    async with (
        asking as engine,
        Progress(episodes_left(training, folder), "episodes", engine.tallies, log, kept="edits accepted") as progress,
    ):
        return await train(
            engine,
            seeds,
            training,
            folder / CHECKPOINT,
            reference=reference,
            base=kept_base(folder),
            sink=recording(folder, run_id),
            on_episode=lambda episode: progress.done(episode.accepted, 0 if episode.key.branch else 1),
            progress=lambda line: log(f"{line}; {spent_so_far(engine.tallies)}"),
        )
