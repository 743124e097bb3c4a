"""Checks of the dataset."""

from collections.abc import Iterator
from itertools import chain

import dagster as dg
import pyarrow.parquet as pq

from assets.check_results import needs_output, not_applicable, not_run, verdict, warning
from teams_dagster.dataset.export import FILES
from teams_dagster.dataset.quality.duplicates import find_repetition
from teams_dagster.dataset.sample import ExamplesOnDisk
from teams_dagster.dataset.separation import shared_with_training
from teams_dagster.dataset.splits import SPLITS
from teams_dagster.dataset.stored import NOTHING_KEPT, examples_in, generations_of, read_samples, stored_side
from teams_dagster.instructions.seed_splits import Split
from teams_dagster.instructions.stored_seeds import read_seeds
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.store.facts.dataset import DatasetFacts
from teams_dagster.store.facts.models import BaseFacts

MOST_REPEATED = 0.5
"""Above this share of kept samples that the dataset holds already, half of a generation's money bought nothing."""


@dg.asset_check(
    asset="instruction_dataset",
    blocking=True,
    description="No seed is on two sides of the split, and no validation or held-out example has a near duplicate, or"
    " its response, in training.",
    metadata={"severity": "error", "remedy": "Materialise `instruction_dataset` again with `force: true`."},
)
@needs_output
def splits_are_apart(store: dg.ResourceParam[ArtefactStore]) -> dg.AssetCheckResult:
    """A held-out score means nothing where the student has seen the question."""
    dataset = store.current("instruction_dataset")
    splits: dict[Split, ExamplesOnDisk] = {split: ExamplesOnDisk(stored_side(dataset, split)) for split in SPLITS}
    sides: dict[str, str] = {}
    shared = [
        f"{example.sample_id} in {split} and {sides[example.seed_id]}"
        for split, examples in splits.items()
        for example in examples
        if sides.setdefault(example.seed_id, split) != split
    ]
    shared += [f"{drop.sample_id} is like {drop.duplicate_of} in train" for drop in shared_with_training(splits)]
    told = f"{len(shared)} seeds, texts or responses are on two sides"
    if overlap := dataset.read_facts(DatasetFacts).overlap:
        told += f"; {overlap['responses']:.1%} of held-out responses share 13 words in a row with training"
    return verdict(not shared, told, examples=shared[:5])


@dg.asset_check(
    asset="instruction_dataset",
    description="The dataset holds every generation as it is now.",
    metadata={"severity": "warning", "remedy": "Materialise `instruction_dataset`."},
)
@needs_output
def dataset_is_up_to_date(store: dg.ResourceParam[ArtefactStore]) -> dg.AssetCheckResult:
    """A generation that was made again changes the dataset only when the dataset is made again too."""
    dataset = store.current("instruction_dataset")
    facts, inputs = dataset.read_facts(DatasetFacts), dataset.manifest["inputs"]
    if facts.pairs and not facts.generations:
        return warning(True, "people's pairs take the place of the generations (TEAMS_PAIRS_MODE)")
    stale = [
        partition
        for partition in store.partitions("expert_responses")
        if inputs.get(f"expert_responses {partition}") != store.current("expert_responses", partition).data_version
    ]
    return warning(
        not stale,
        f"generations {', '.join(stale)} changed since: materialise instruction_dataset"
        if stale
        else "it holds every generation",
    )


@dg.asset_check(
    asset="instruction_dataset",
    blocking=True,
    description="The exported files hold what the manifest says.",
    metadata={
        "severity": "error",
        "remedy": "A file was edited: materialise `instruction_dataset` again with `force: true`.",
    },
)
@needs_output
def files_are_whole(store: dg.ResourceParam[ArtefactStore]) -> dg.AssetCheckResult:
    """A file that somebody edited or cut is found before a model is trained on it."""
    dataset = store.current("instruction_dataset")
    counts = {split: pq.read_metadata(dataset.path(f"{FILES}/{split}.parquet")).num_rows for split in SPLITS}
    changed = dataset.changed_files()
    return verdict(
        not changed and counts == dataset.read_facts(DatasetFacts).examples,
        f"changed since they were written: {', '.join(changed)}" if changed else f"{sum(counts.values())} examples",
    )


@dg.asset_check(
    asset="instruction_dataset",
    additional_deps=["base_model"],
    description="The embedded student's texts share no 13 words in a row with seeds or samples.",
    metadata={"severity": "error", "remedy": "Take the seeds that the finding names out."},
)
@needs_output
def student_has_not_seen_the_dataset(store: dg.ResourceParam[ArtefactStore]) -> dg.AssetCheckResult:
    """A base that was pre-trained on the questions would be scored on its memory."""
    from teams_dagster.student.corpus import contaminated

    if not store.current("base_model").read_facts(BaseFacts).embedded:
        return not_applicable("what a configured student was pre-trained on is not known here")
    seeds = [seed.instruction for seed in read_seeds(store.current("seed_instructions"))]
    read = 0

    def texts() -> Iterator[str]:
        nonlocal read
        dataset = store.current("instruction_dataset")
        asked = chain(seeds, (example.instruction for example in examples_in(dataset)))
        told = (f"{instruction.text}\n{instruction.input}" for instruction in asked)
        for text in chain(told, (example.response for example in examples_in(dataset))):
            read += 1
            yield text

    shared = contaminated(texts())
    return verdict(not shared, f"{len(shared)} of {read} texts are shared", examples=shared[:3])


@dg.asset_check(
    asset="instruction_dataset",
    description="No example repeats another, within a generation or across; the latest generation brings new ones.",
    metadata={
        "severity": "error",
        "remedy": "Materialise `instruction_dataset` again with `force: true`. It is a warning where only"
        " the latest generation repeats earlier ones: use other seeds, or a model that varies its answers.",
    },
)
@needs_output
def dataset_repeats_nothing(store: dg.ResourceParam[ArtefactStore]) -> dg.AssetCheckResult:
    """A repeated example weighs twice; a generation that repeats the earlier ones was paid for in vain."""
    dataset, answered = store.current("instruction_dataset"), generations_of(store, "expert_responses")
    samples = (sample for responses in answered for sample in read_samples(responses))
    found = find_repetition(examples_in(dataset), samples)
    if not found.generations:
        return not_run(NOTHING_KEPT)
    shares = {
        partition: f"{share.left_out} of {share.kept} kept samples left out, {share.repeats} of them repeat others"
        for partition, share in found.generations.items()
    }
    if found.exact or found.near:
        pairs = [f"{one} and {other}" for one, other in (*found.exact, *found.near)]
        return verdict(
            False,
            f"{len(found.exact)} examples equal others and {len(found.near)} are nearly equal, such as {pairs[0]}:"
            " materialise instruction_dataset again with `force: true`",
            examples=pairs[:5],
            generations=shares,
        )
    partition, latest = list(found.generations.items())[-1]
    if len(found.generations) > 1 and latest.repeated > MOST_REPEATED:
        return warning(
            False,
            f"generation {partition} repeats what is there in {latest.repeated:.0%} of its {latest.kept} kept samples:"
            " use other seeds, another policy, or a model that varies its answers before you pay for the next",
            generations=shares,
        )
    return verdict(True, f"no repetition; generation {partition}: {shares[partition]}", generations=shares)
