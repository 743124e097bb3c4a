"""An arm's dataset: what its generations answered, curated, split by seed and exported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from sys import intern

from teams_dagster.core.disk_rows import Rows
from teams_dagster.core.hashing import content_hash
from teams_dagster.dataset.arms import TRAINED_ARM, Arm
from teams_dagster.dataset.card import CARD
from teams_dagster.dataset.curation import Curated, DroppedSample, curate, signatures_of
from teams_dagster.dataset.export import FILES, describe_folder, export_dataset
from teams_dagster.dataset.gating import Gate, gate_for, gated_samples
from teams_dagster.dataset.origin import AnsweredGeneration, data_card, generations_of, write_lineage
from teams_dagster.dataset.pairs import Pairs
from teams_dagster.dataset.preferences import write_preferences
from teams_dagster.dataset.row_counts import RowCounts, count_rows
from teams_dagster.dataset.sample import Example, Sample
from teams_dagster.dataset.separation import Separated, remaining_overlap, separate
from teams_dagster.dataset.shortfall import shortfalls
from teams_dagster.dataset.splits import split_examples
from teams_dagster.dataset.stored import all_seeds
from teams_dagster.dataset.target import Kept, within_targets
from teams_dagster.instructions.seed_splits import EmptySplitError, Split, dataset_sides, seed_clusters
from teams_dagster.instructions.signatures import StoredSignatures
from teams_dagster.instructions.stored_seeds import evaluation_texts_of
from teams_dagster.ledger.writer import Ledger
from teams_dagster.store.artefact_store import Artefact, ArtefactMissing, ArtefactStore
from teams_dagster.store.facts.dataset import DatasetFacts, ResponseFacts
from teams_dagster.store.tables import write_table

MIN_SCORE = "min_score"
"""In the configuration of a dataset that was made with a threshold of scores."""


def threshold_of(dataset: Artefact) -> float:
    """The threshold of scores that a dataset was made with; 0 without one."""
    return dataset.manifest.get("config", {}).get(MIN_SCORE, 0.0)


@dataclass(frozen=True)
class DatasetSources:
    """What an arm's dataset is made from."""

    arm: Arm
    answered: Sequence[Artefact]
    """The answers to every generation of the arm."""
    sides: Mapping[str, Split]
    """The side of each seed, the same in every arm."""
    evaluation_sets: Sequence[Path]
    """Files that models are scored on."""
    evaluation_texts: Sequence[str]
    """Their texts: a sample that has words of these is dropped."""
    pairs: Pairs | None = None
    """What people wrote, where it is in this dataset."""
    gate: Gate = field(default_factory=Gate)
    """The scores that choose among answers and drop pairs."""

    @property
    def targets(self) -> dict[str, int]:
        """By partition, the rows of a generation that was to bring so many and no more."""
        facts = {a.manifest["partition_key"]: a.read_facts(ResponseFacts).target_samples for a in self.answered}
        return {partition: target for partition, target in facts.items() if target is not None}

    def samples(self) -> Iterator[Sample]:
        """Those of every generation with the answers that the scores chose, then people's pairs: read as they come."""
        for artefact in self.answered:
            yield from gated_samples(artefact, self.gate)
        yield from self.pairs.samples if self.pairs else ()

    @property
    def inputs(self) -> dict[str, str]:
        """By name, the version of each."""
        return {
            **({"pairs": self.pairs.version} if self.pairs else {}),
            **{f"{self.arm.responses} {a.manifest['partition_key']}": a.data_version for a in self.answered},
            "evaluation_sets": content_hash(self.evaluation_texts),
            "sides": content_hash(self.sides),
            **self.gate.inputs,
        }


def dataset_sources(
    store: ArtefactStore,
    arm: Arm,
    evaluation_sets: Sequence[Path],
    pairs: Pairs | None = None,
    min_score: float = 0.0,
    *,
    without: str | None = None,
) -> DatasetSources:
    """What an arm's dataset would be made from now; `pairs` are the trained arm's alone, and have their sides in both.

    Generated pairs that score less than `min_score` are dropped; 0 drops none. `without` is the partition of a
    generation that is still being played, and is not among them.

    Raises ArtefactMissing where no generation has answers and no pairs take their place; ScoresMissing and
    JudgeCannotGate where the scores that it takes are not there or may not be used.
    """
    own = pairs if arm == TRAINED_ARM else None
    partitions = [] if own and own.instead else store.partitions(arm.responses)
    answered = [store.current(arm.responses, partition) for partition in partitions if partition != without]
    if not answered and not (own and own.instead) and without is None:
        raise ArtefactMissing(f"no generation has answers in {store.root}: materialise {arm.responses} first")
    gate = gate_for(store, answered, min_score)
    evaluation_texts = evaluation_texts_of(evaluation_sets)
    sides = dataset_sides(seed_clusters([*all_seeds(store), *(pairs.seeds if pairs else ())]))
    return DatasetSources(arm, answered, sides, evaluation_sets, evaluation_texts, own, gate)


def build_dataset(
    folder: Path,
    run_id: str,
    sources: DatasetSources,
    store: ArtefactStore,
    ledger: Ledger,
    *,
    log: Callable[[str], None],
) -> tuple[str, DatasetFacts]:
    """Curate and split `sources`, and export them into `folder` with lineage and data card.

    Args:
        folder: Where the files, the card and the tables `dataset_samples` and `lineage` are written.
        run_id: The run that each row of `dataset_samples` names.
        sources: What the dataset is made from.
        store: Holds the generations that the answers belong to.
        ledger: Knows what each sample cost.
        log: Told what takes long.

    Returns:
        The dataset's version and its facts.
    """
    signatures = signatures_of(sources.answered, log)
    selected = select_examples(sources.samples(), sources, sources.targets, signatures)
    splits = selected.splits
    counted = count_rows(splits, selected.partitions, sources.pairs)
    version = content_hash("dataset", counted.contents)
    export_dataset(folder / FILES, splits, reasoning=bool(counted.thoughts))
    if counted.preferences:
        write_preferences(folder / FILES, splits)
    members = _write_members(folder, run_id, version, splits)
    generations = generations_of(store, sources.answered)
    facts = _facts(selected, counted, sources, _shortfalls(selected, counted, generations, sources.gate))
    names = [path.name for path in sources.evaluation_sets]
    card = data_card(sources.arm, version, facts, generations, ledger, names, sources.pairs, sources.gate)
    write_lineage(folder, members, generations, ledger, sources.pairs, sources.gate)
    (folder / CARD).write_text(card.to_json(), encoding="utf-8")
    describe_folder(folder / FILES, card)
    return version, facts


@dataclass(frozen=True)
class Selected:
    """The examples of a dataset, on disk, and what is left out of it."""

    splits: dict[Split, Rows[Example]]
    dropped: tuple[DroppedSample, ...]
    partitions: Mapping[str, str]
    """Of each sample of a generation with a target, that generation's partition."""


def select_examples(
    samples: Iterable[Sample],
    sources: DatasetSources,
    targets: Mapping[str, int],
    signatures: StoredSignatures | None = None,
) -> Selected:
    """The examples of each side that `samples` make, and what is left out of them.

    A generation that is played to a target counts with this what it brings; the dataset is made with it.

    Args:
        samples: Of every generation, and people's pairs. They are read once, and lie on disk from then on.
        sources: What the dataset is made from.
        targets: By partition, how many rows of it are wanted at most.
        signatures: Computed before, they save time and change nothing.

    Raises EmptySplitError where nothing would be on a side.
    """
    partitions: dict[str, str] = {}

    def noted() -> Iterator[Sample]:
        for sample in samples:
            if sample.partition_key in targets:
                partitions[sample.sample_id] = intern(sample.partition_key)
            yield sample

    curated = curate(noted(), evaluation_texts=sources.evaluation_texts, signatures=signatures)
    separated = _apart(curated, sources, signatures)
    ordered = ((example.sample_id, partitions.get(example.sample_id, "")) for example in curated.examples)
    splits, beyond = within_targets(separated.splits, ordered, targets)
    return Selected(splits, (*curated.dropped, *separated.dropped, *beyond), partitions)


def _apart(curated: Curated, sources: DatasetSources, signatures: StoredSignatures | None) -> Separated:
    """What of the `curated` samples is on each side. Raises EmptySplitError where nothing would be on one."""
    return separate(split_examples(curated.examples, sources.sides), signatures)


def kept_counter(sources: DatasetSources, log: Callable[[str], None]) -> Callable[[Sequence[Sample]], Kept]:
    """What counts the samples of a generation that is being played: those the dataset would have of it now.

    Args:
        sources: What the dataset is made from, without that generation.
        log: Told what takes long.
    """
    signatures = signatures_of(sources.answered, log)

    def count(samples: Sequence[Sample]) -> Kept:
        own = {sample.sample_id for sample in samples}
        everything = chain(sources.samples(), samples)
        curated = curate(everything, evaluation_texts=sources.evaluation_texts, signatures=signatures)
        try:
            splits = _apart(curated, sources, signatures).splits
        except EmptySplitError:
            return Kept(sum(example.sample_id in own for example in curated.examples), complete=False)
        return Kept(sum(example.sample_id in own for rows in splits.values() for example in rows))

    return count


def _shortfalls(
    selected: Selected, counted: RowCounts, generations: Sequence[AnsweredGeneration], gate: Gate
) -> list[str]:
    left_out: dict[str, list[DroppedSample]] = {}
    for drop in selected.dropped:
        if drop.sample_id in selected.partitions:
            left_out.setdefault(selected.partitions[drop.sample_id], []).append(drop)
    return shortfalls(generations, counted.of_target, left_out, gate)


def _write_members(folder: Path, run_id: str, version: str, splits: Mapping[Split, Iterable[Example]]) -> Path:
    """Table `dataset_samples`: which sample is on which side."""
    rows = (
        {
            "dataset_version": version,
            "sample_id": example.sample_id,
            "split": split,
            "seed_id": example.seed_id,
            "run_id": run_id,
        }
        for split, examples in splits.items()
        for example in examples
    )
    return write_table(folder, "dataset_samples", rows)


def _facts(selected: Selected, counted: RowCounts, sources: DatasetSources, short: list[str]) -> DatasetFacts:
    examples = {split: len(rows) for split, rows in selected.splits.items()}
    return DatasetFacts(
        samples=sum(examples.values()) + len(selected.dropped),
        examples=examples,
        seeds=counted.seeds,
        dropped=dict(Counter(str(drop.reason) for drop in selected.dropped)),
        overlap=remaining_overlap(selected.splits),
        generations=[artefact.manifest["partition_key"] for artefact in sources.answered],
        min_score=sources.gate.least or None,
        scoring=sources.gate.told,
        pairs={split: counted.pairs[split] for split in examples} if sources.pairs else {},
        reasoned=counted.thoughts,
        pairs_refused=dict(sources.pairs.refused) if sources.pairs else {},
        short_of_target=short,
    )
