"""Generations, their answers and the datasets made of them, as artefacts hold them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.export import FILES
from teams_dagster.dataset.export import examples_in as examples_in_file
from teams_dagster.dataset.manifests import generated_for
from teams_dagster.dataset.provenance import LINEAGE
from teams_dagster.dataset.quality.scratch import scratch
from teams_dagster.dataset.sample import Accepted, Example, Sample
from teams_dagster.dataset.splits import SPLITS
from teams_dagster.environment.recording import AT_ONCE
from teams_dagster.instructions.seed_splits import Split
from teams_dagster.instructions.seeds import Seed
from teams_dagster.instructions.stored_seeds import read_seeds
from teams_dagster.store.artefact_store import Artefact, ArtefactMissing, ArtefactStore


def responses_inputs(generated: Artefact) -> dict[str, str]:
    """What the answers of a generation are made from."""
    return {generated.manifest["asset_key"]: generated.data_version}


ANSWERS_EACH = "answers"
"""In the configuration of answers: how many each instruction was given, where that is more than one."""


def answers_settings(answers: int) -> dict[str, int]:
    """What of their configuration decides them; nothing for one answer each, as before there was a choice."""
    return {ANSWERS_EACH: answers} if answers > 1 else {}


def answers_asked(responses: Artefact) -> int:
    """How many answers each instruction was given."""
    return responses.manifest.get("config", {}).get(ANSWERS_EACH, 1)


def seeds_played(*generated: Artefact) -> set[str]:
    """The seeds that generations' transitions begin at: on the way to a target not all that they were offered."""
    files = [generation.path("transitions.parquet") for generation in generated]
    return {seed for file in files for seed in pq.read_table(file, columns=["seed_id"])["seed_id"].unique().to_pylist()}


ANSWERS = "sample_answers"
"""The table of all answers, where several were asked for to each instruction."""


def has_several(responses: Artefact) -> bool:
    """Whether each instruction was given several answers, so that table `sample_answers` has them all."""
    return (responses.folder / f"{ANSWERS}.parquet").is_file()


def answers_file(responses: Artefact) -> Path:
    """The file with a row for every answer (`sample_id`, `respond_request_id`): of one each they are the samples'."""
    return responses.path(f"{ANSWERS if has_several(responses) else 'samples'}.parquet")


def accepted_of(generated: Artefact) -> Iterator[Accepted]:
    """The accepted transitions of a generation, in its order; texts that memory does not hold wait on disk.

    Raises ArtefactMissing where the text of one is not stored.
    """
    files = {table: str(generated.path(f"{table}.parquet")) for table in ("transitions", "instructions")}
    with scratch() as connection:
        rows = connection.execute(_ACCEPTED, files)
        while batch := rows.fetchmany(AT_ONCE):
            for transition_id, episode_id, step, seed_id, text, given in batch:
                if text is None:
                    raise ArtefactMissing(
                        f"{files['instructions']} has no text of transition {transition_id}: `teams restore BACKUP`"
                        " puts it back"
                    )
                yield Accepted(
                    transition_id=transition_id,
                    episode_id=episode_id,
                    step=step,
                    seed_id=seed_id,
                    instruction=Instruction(text, given),
                )


_ACCEPTED = """
select transition_id, episode_id, step, seed_id, texts.text, texts.input
from read_parquet($transitions, file_row_number = true) as transitions
left join read_parquet($instructions) as texts using (instruction_id)
where accepted order by transitions.file_row_number"""


def read_samples(responses: Artefact) -> Iterator[Sample]:
    """The samples of an `expert_responses` artefact, in its order."""
    for batch in pq.ParquetFile(responses.path("samples.parquet")).iter_batches(10_000):
        for row in batch.to_pylist():
            instruction = Instruction(row.pop("instruction"), row.pop("input"))
            known = {name: row[name] for name in Sample.__dataclass_fields__ if name in row}
            yield Sample(instruction=instruction, **known)


def read_examples(dataset: Artefact, split: Split) -> list[Example]:
    """One side of an `instruction_dataset` artefact."""
    return list(stored_side(dataset, split))


def stored_side(dataset: Artefact, split: Split) -> Iterator[Example]:
    """The same, read as it is asked for."""
    return examples_in_file(dataset_file(dataset, split))


def dataset_file(dataset: Artefact, split: Split) -> Path:
    """The Parquet file of one side."""
    return dataset.path(f"{FILES}/{split}.parquet")


def read_steps(dataset: Artefact) -> dict[str, int]:
    """By sample id, the edits between its seed and its instruction."""
    rows = pq.read_table(dataset.path(LINEAGE), columns=["sample_id", "operations"]).to_pylist()
    return {row["sample_id"]: len(row["operations"]) for row in rows}


def all_seeds(store: ArtefactStore) -> list[Seed]:
    """The seeds of every seed file so far, earlier files first, so that an old seed keeps its side."""
    return [seed for library in store.all_of("seed_instructions") for seed in read_seeds(library)]


NOTHING_KEPT = "no generation has a kept sample"


def generations_of(store: ArtefactStore, asset_key: str) -> list[Artefact]:
    """The current output of every generation, in order. Raises ArtefactMissing when there is none."""
    found = [store.current(asset_key, partition) for partition in store.partitions(asset_key)]
    if not found:
        raise ArtefactMissing(f"{asset_key} has no output in {store.root}: materialise it first")
    return found


def answered_generations(store: ArtefactStore) -> Iterator[tuple[str, Artefact, Artefact]]:
    """Partition, instructions and answers of every answered generation. Raises ArtefactMissing."""
    for responses in generations_of(store, "expert_responses"):
        yield responses.manifest["partition_key"], generated_for(store, responses), responses


def examples_in(dataset: Artefact) -> Iterator[Example]:
    """The examples of an `instruction_dataset` artefact, every side of the split."""
    for split in SPLITS:
        yield from stored_side(dataset, split)
