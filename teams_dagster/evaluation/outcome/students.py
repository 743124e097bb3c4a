"""One student of an arm: trained, asked, and written down, so that a study that was interrupted goes on after it."""

from __future__ import annotations

import gc
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from teams_dagster.core.files import write_atomically
from teams_dagster.core.hashing import content_hash
from teams_dagster.dataset.sample import Example
from teams_dagster.evaluation.choice import DISTRACTORS, credit
from teams_dagster.evaluation.outcome.items import Items
from teams_dagster.evaluation.outcome.plan import OutcomePlan
from teams_dagster.student.adapter_config import CHECKPOINTS, MODEL

if TYPE_CHECKING:
    from teams_dagster.student.scoring import ResponseScore

MEASURED = "measured.json"

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Measured:
    """What was found of one student."""

    log_probabilities: tuple[float, ...]
    """Of each pair's answer, in the items' order; in nats, summed over its tokens."""
    tokens: tuple[int, ...]
    """Of each pair's answer, end of sequence included."""
    credits: tuple[float, ...]
    """Of each question: 1 where the pair's own answer is the likeliest per token, shared where several are."""
    replies: Mapping[str, str]
    """To each prompt, by its id."""
    updates: int
    final_loss: float | None
    """On training rows; None for the base."""


def measured_student(
    arm: str,
    student: int,
    base: str,
    rows: Sequence[Example],
    items: Items,
    plan: OutcomePlan,
    folder: Path,
    progress: Progress,
) -> Measured:
    """What a student of an arm scores that is trained on `rows`; without rows, the base itself.

    What `folder` has of the same rows, items and plan is read, and a training that was interrupted goes on there. The
    adapter is removed when it was measured.
    """
    made_of = _made_of(rows, items, plan, student)
    own = folder / f"{arm}-{student}-{made_of[:12]}"
    kept = own / MEASURED
    if kept.exists():
        return _read(kept)
    own.mkdir(parents=True, exist_ok=True)
    measured = _train_and_measure(base, rows, items, plan, own, student, progress)
    write_atomically(kept, json.dumps(asdict(measured), ensure_ascii=False))
    for name in (MODEL, CHECKPOINTS):
        shutil.rmtree(own / name, ignore_errors=True)
    return measured


def _train_and_measure(
    base: str,
    rows: Sequence[Example],
    items: Items,
    plan: OutcomePlan,
    folder: Path,
    student: int,
    progress: Progress,
) -> Measured:
    from teams_dagster.student.adapters import train_adapter
    from teams_dagster.student.answering import answer_examples
    from teams_dagster.student.chat import encode_example
    from teams_dagster.student.loading import load_adapter, load_student
    from teams_dagster.student.scoring import score_encoded

    updates, final_loss = 0, None
    if rows:
        config = plan.adapter.model_copy(update={"seed": student})
        report = train_adapter(base, rows, (), folder / MODEL, config, progress, checkpoints=folder / CHECKPOINTS)
        updates, final_loss = report.updates, report.curve[-1].loss if report.curve else None
        gc.collect()  # the trainer, and the student before: models know their parts, and these them
    model = load_adapter(base, folder / MODEL) if rows else load_student(base)
    wanted = (*items.pairs, *items.distractors)
    scores = score_encoded(
        model, [encode_example(model.tokenizer, each, model.context) for each in wanted], progress=progress
    )
    asked = [Example(prompt.prompt_id, prompt.task_id, prompt.instruction, "") for prompt in items.prompts]
    batches = answer_examples(model, asked, max_new_tokens=plan.max_new_tokens, progress=progress)
    replies = {answer.sample_id: answer.response for batch in batches for answer in batch}
    pairs = scores[: len(items.pairs)]
    return Measured(
        log_probabilities=tuple(score.log_probability for score in pairs),
        tokens=tuple(score.tokens for score in pairs),
        credits=tuple(_credits(items, scores)),
        replies=replies,
        updates=updates,
        final_loss=final_loss,
    )


def _credits(items: Items, scores: Sequence[ResponseScore]) -> Iterator[float]:
    """Of each question; `scores` are those of the pairs, and after them those of the distractors."""
    own = {pair.sample_id: score.loss for pair, score in zip(items.pairs, scores, strict=False)}
    others = [score.loss for score in scores[len(items.pairs) :]]
    for number, question in enumerate(items.questions):
        at = number * DISTRACTORS
        losses = (own[question.example.sample_id], *others[at : at + DISTRACTORS])
        yield credit([-loss for loss in losses])


def _made_of(rows: Sequence[Example], items: Items, plan: OutcomePlan, student: int) -> str:
    """What the figures of a student are a function of, its base apart."""
    return content_hash(
        "student of an outcome study",
        [(row.instruction.instruction_id, row.response) for row in rows],
        [(other.instruction.instruction_id, other.response) for other in items.distractors],
        [pair.sample_id for pair in items.pairs],
        [prompt.prompt_id for prompt in items.prompts],
        plan.max_new_tokens,
        plan.adapter.model_dump(mode="json"),
        student,
    )


def _read(path: Path) -> Measured:
    read = json.loads(path.read_text(encoding="utf-8"))
    return Measured(
        log_probabilities=tuple(read["log_probabilities"]),
        tokens=tuple(read["tokens"]),
        credits=tuple(read["credits"]),
        replies=read["replies"],
        updates=read["updates"],
        final_loss=read["final_loss"],
    )
