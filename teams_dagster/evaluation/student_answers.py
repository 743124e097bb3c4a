"""The students' answers to held-out instructions, kept as they come."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from teams_dagster.dataset.sample import Example
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.student.adapter_config import MODEL
from teams_dagster.student.stored import student_path

if TYPE_CHECKING:
    from teams_dagster.student.answering import StudentAnswer
    from teams_dagster.student.loading import Student


BASE = "base"


TABLE = "student_answers"


ASKED_ALIKE = ("seed", "questions", "max_new_tokens")
"""The settings that decide what is answered, and how long."""


@dataclass(frozen=True)
class Answering:
    """Which models answer which instructions."""

    models: Mapping[str, Artefact]
    """By name, the base first."""
    held_out: Sequence[Example]
    settings: Mapping[str, Any]
    """Those of `ASKED_ALIKE`."""
    folder: Path
    """Where answers are kept from batch to batch: an interrupted run goes on from them."""
    progress: Callable[[str], None]


@dataclass(frozen=True)
class Answered:
    """The instructions that were put to every model, and what each answered."""

    examples: tuple[Example, ...]
    too_long: int
    """Instructions left out: their prompt leaves no room for an answer."""
    answers: Mapping[str, Mapping[str, StudentAnswer]]
    """By model and sample id."""


def answer_all(answering: Answering, earlier: Mapping[str, Mapping[str, StudentAnswer]]) -> Answered:
    """Every model's answers; those in `earlier`, by model, are not made again. One model is in memory at a time.

    Raises ValueError where no held-out instruction leaves room for an answer.
    """
    import gc

    from teams_dagster.student.answering import draw_examples, with_room
    from teams_dagster.student.lengths import lengths_for
    from teams_dagster.student.loading import load_adapter, load_student

    base = student_path(answering.models[BASE])
    adapters = {name: model.path(MODEL) for name, model in answering.models.items() if name != BASE}
    student, asked_for = load_student(base), answering.settings["max_new_tokens"]
    lengths = lengths_for(base, adapters.values())
    fitting, too_long = with_room(lengths, answering.held_out, student.context - asked_for)
    if not fitting:
        raise ValueError(
            f"none of {len(answering.held_out)} held-out instructions leaves room for {asked_for} tokens in a context"
            f" of {student.context}: lower max_new_tokens"
        )
    examples = draw_examples(fitting, answering.settings["questions"], seed=answering.settings["seed"])
    found = {name: {**earlier.get(name, {}), **_read_kept(_kept(answering.folder, name))} for name in answering.models}
    for name in answering.models:
        if all(example.sample_id in found[name] for example in examples):
            continue
        if name != BASE:
            del student
            gc.collect()
            student = load_adapter(base, adapters[name])
        found[name] |= _answers_of(name, student, examples, answering, found[name])
    answers = {name: {e.sample_id: known[e.sample_id] for e in examples} for name, known in found.items()}
    return Answered(tuple(examples), len(too_long), answers)


def _answers_of(
    name: str,
    student: Student,
    examples: Sequence[Example],
    answering: Answering,
    known: Mapping[str, StudentAnswer],
) -> dict[str, StudentAnswer]:
    """What is not known yet, written down batch by batch."""
    from teams_dagster.student.answering import answer_examples

    path = _kept(answering.folder, name)
    made: dict[str, StudentAnswer] = {}
    batches = answer_examples(
        student,
        examples,
        max_new_tokens=answering.settings["max_new_tokens"],
        known=known,
        progress=lambda line: answering.progress(f"{name}: {line}"),
    )
    for batch in batches:
        with path.open("a", encoding="utf-8") as file:
            file.write("".join(json.dumps(asdict(answer)) + "\n" for answer in batch))
        made |= {answer.sample_id: answer for answer in batch}
    return made


def drop_kept(folder: Path) -> None:
    """Remove what answers were kept in until the table was written."""
    for path in folder.glob("answers-*.jsonl"):
        path.unlink()


def _kept(folder: Path, name: str) -> Path:
    """The file that a model's answers are kept in until the table is written."""
    return folder / f"answers-{name}.jsonl"


def _read_kept(path: Path) -> dict[str, StudentAnswer]:
    """The answers of an interrupted run. A last line that was cut off ends them, and is taken out of the file."""
    from teams_dagster.student.answering import StudentAnswer

    if not path.exists():
        return {}
    whole, _, torn = path.read_bytes().rpartition(b"\n")
    if torn:
        path.write_bytes(whole + b"\n" if whole else b"")
    answers = (StudentAnswer(**json.loads(line)) for line in whole.splitlines())
    return {answer.sample_id: answer for answer in answers}


def earlier_answers(
    asset_key: str, store: ArtefactStore, models: Mapping[str, Artefact], dataset: Artefact, wanted: Mapping[str, Any]
) -> dict[str, dict[str, StudentAnswer]]:
    """By model, what it answered before to the same draw: for another judge, or beside another adapter."""
    found: dict[str, dict[str, StudentAnswer]] = {}
    for artefact in store.all_of(asset_key):
        manifest = artefact.manifest
        same = {name: manifest["config"].get(name) for name in ASKED_ALIKE} == dict(wanted)
        of_base = manifest["inputs"].get("base_model") == models[BASE].data_version
        if not same or not of_base or manifest["inputs"].get("instruction_dataset") != dataset.data_version:
            continue
        for name, model in models.items():
            if manifest["inputs"].get(f"{name}_model") == model.data_version:
                found[name] = read_answers(artefact, name)
    return found


def read_answers(artefact: Artefact, model: str) -> dict[str, StudentAnswer]:
    """A model's answers in an artefact, by sample id."""
    from teams_dagster.student.answering import StudentAnswer

    columns = [*StudentAnswer.__dataclass_fields__]
    rows = pq.read_table(artefact.path(f"{TABLE}.parquet"), columns=columns, filters=[("model", "=", model)])
    return {row["sample_id"]: StudentAnswer(**row) for row in rows.to_pylist()}


def answer_rows(answered: Answered, models: Mapping[str, Artefact]) -> Iterator[dict[str, Any]]:
    """Rows of table `student_answers` (all columns but `run_id`)."""
    for name, answers in answered.answers.items():
        for answer in answers.values():
            yield {"model": name, "model_version": models[name].data_version, **asdict(answer)}
