"""Door: a token-level training in a process of its own, `python -m teams_dagster.rlgf.training_script REQUEST`.

Heavy packages are imported once the process is under its parent's control.
"""

from __future__ import annotations

import shutil
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from teams_dagster.rlgf.run_request import LESS_MEMORY, OWN_ANSWERS, RLGFRequest
from teams_dagster.rlgf.task import Task
from teams_dagster.student.adapter_config import CHECKPOINTS, MODEL, REPORT
from teams_dagster.student.isolation import be_killed_first, die_with
from teams_dagster.student.process import Say, carry_out

if TYPE_CHECKING:
    from teams_dagster.rlgf.asking import StepConnection
    from teams_dagster.rlgf.training import TokenTraining
    from teams_dagster.student.loading import Student


def main(arguments: list[str]) -> int:
    """Trains as the request file says; the exit code is 1 when that failed, and `failure.txt` then says why."""
    request = RLGFRequest.load(Path(arguments[0]))
    if request.parent is not None:
        die_with(request.parent)
    be_killed_first()
    return carry_out(request, lambda say: _train(request, say), LESS_MEMORY)


def _train(request: RLGFRequest, say: Say) -> None:
    from teams_dagster.rlgf.asking import StepConnection
    from teams_dagster.rlgf.training import CHECKPOINT

    folder = request.folder / CHECKPOINTS
    if (folder / CHECKPOINT).exists():
        say("going on from the last checkpoint of an interrupted training")
    with nullcontext() if request.address is None else StepConnection(request.address) as step:
        training = _training(request, _start(request), step, say)
        training.run()
    _write_model(request, folder / MODEL)
    shutil.copyfile(folder / REPORT, request.folder / REPORT)


def _start(request: RLGFRequest) -> Student:
    """The fine-tuned student, its adapter added into the base's weights."""
    from teams_dagster.student.loading import Recipe, load_adapter

    student = load_adapter(request.base, request.adapter, four_bit=False)
    if Recipe.load(request.adapter).kind == "full":  # all its weights were trained: there is nothing to add
        return student
    return replace(student, model=student.model.merge_and_unload(safe_merge=True))


def _training(request: RLGFRequest, student: Student, step: StepConnection | None, say: Say) -> TokenTraining:
    from teams_dagster.rlgf.guides import BlackBoxGuide
    from teams_dagster.rlgf.judged import JudgedPairs, JudgedReward, start_answers
    from teams_dagster.rlgf.training import TokenTraining, vocabulary_of

    task = request.task if isinstance(request.task, Task) else request.task.task(student, request.config.max_new_tokens)
    guide = reward = pairs = None
    if step is not None and request.guide is not None:
        guide = BlackBoxGuide(step.guide, student.tokenizer, vocabulary_of(student))
    if step is not None and request.judge is not None:
        start = start_answers(
            student,
            [*task.prompts, *task.evaluation],
            request.folder / OWN_ANSWERS,
            max_new_tokens=request.config.max_new_tokens,
            progress=lambda line: say(f"the model before the training: {line}"),
        )
        reward = JudgedReward(start, step.judge)
        pairs = JudgedPairs(step.judge) if request.config.pairs else None
    return TokenTraining(
        student,
        task,
        request.config,
        request.folder / CHECKPOINTS,
        base=request.start,
        guide=guide,
        guide_name=request.guide,
        reward=reward,
        reward_name=request.judge,
        batch_reward=pairs,
        queries=None if step is None else lambda: step.queries,
        progress=say,
    )


def _write_model(request: RLGFRequest, trained: Path) -> None:
    """Where an adapter was trained, one with the adapter that it started from; else all weights as they are."""
    from teams_dagster.student.joining import join_adapters

    if request.config.weights.kind == "full":
        shutil.copytree(trained, request.folder / MODEL)
    else:
        join_adapters(request.adapter, trained, request.folder / MODEL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
