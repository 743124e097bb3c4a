"""From samples of all generations to the examples a student may see: accepted, clean, and each new.

A sample is dropped for the first of these that holds: it was refused; it holds what UTF-8 cannot say; it shares 13
words in a row with an evaluation text; its instruction equals an earlier one but for case and white space; its
instruction is a near duplicate of an earlier one that was kept. "Earlier" is the canonical order (partition, seed,
episode, step), whatever order the samples come in, so that a new generation never drops a sample of an old one.

Near duplicates are found by signatures, which are kept beside a generation's answers: a sample's is made once. Texts
lie on disk, so that memory holds of each sample its names and its place.
"""

from __future__ import annotations

import logging
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from operator import itemgetter
from pathlib import Path
from sys import intern

import pyarrow.parquet as pq

from teams_dagster.core.disk_rows import Part, Rows
from teams_dagster.core.instruction import Instruction
from teams_dagster.dataset.sample import Example, ExamplesOnDisk, Sample
from teams_dagster.environment.recording import AT_ONCE
from teams_dagster.instructions.near_duplicates import duplicate_index, same_text_key
from teams_dagster.instructions.ngrams import NgramIndex
from teams_dagster.instructions.signatures import StoredSignatures, signatures_version, store_signatures
from teams_dagster.store.artefact_store import Artefact

SIGNATURES = "signatures"


def signatures_of(answered: Sequence[Artefact], say: Callable[[str], None]) -> StoredSignatures:
    """The signatures of the kept samples of `expert_responses` artefacts; those not stored yet are computed now."""
    for responses in answered:
        path = _path(responses)
        if not path.exists():
            say(f"computing the signatures of generation {responses.manifest['partition_key']}")
            store_signatures(path, lambda responses=responses: _kept(responses))
    return StoredSignatures([_path(responses) for responses in answered])


def _path(responses: Artefact) -> Path:
    """A file of another content, or of signatures computed otherwise, has another name."""
    return responses.folder.parent / SIGNATURES / f"{responses.data_version}-{signatures_version()}.npy"


def _kept(responses: Artefact) -> Iterator[Instruction]:
    columns = ["instruction", "input", "accepted"]
    for batch in pq.ParquetFile(responses.path("samples.parquet")).iter_batches(AT_ONCE, columns=columns):
        for row in batch.to_pylist():
            if row["accepted"]:
                yield Instruction(row["instruction"], row["input"])


_log = logging.getLogger(__name__)

_REPORT_EVERY = 10_000

_SURROGATE = re.compile("[\ud800-\udfff]")


class DropReason(StrEnum):
    """Why an accepted sample is not in the dataset."""

    NOT_UNICODE = "not_unicode"
    """A lone surrogate, which no UTF-8 file can hold."""
    CONTAMINATED = "contaminated"
    EXACT_DUPLICATE = "exact_duplicate"
    NEAR_DUPLICATE = "near_duplicate"
    NEAR_TRAINING = "near_training"
    """Of validation or held-out: a chain of near duplicates joins its instruction to one in training."""
    RESPONSE_IN_TRAINING = "response_in_training"
    """Of validation or held-out: its response is one of training's."""
    BEYOND_TARGET = "beyond_target"
    """Nothing is wrong with it: its generation was to bring so many, and brought more."""


@dataclass(frozen=True, slots=True)
class DroppedSample:
    """A sample that is not in the dataset."""

    sample_id: str
    reason: str
    """A `DropReason`, or for a refused sample the reason it was refused for."""
    duplicate_of: str | None = None
    """The sample kept in its place, for duplicates; the one in training, for what reaches it."""


@dataclass(frozen=True)
class Curated:
    """Every sample given is in one of the two, both in canonical order."""

    examples: Rows[Example]
    dropped: tuple[DroppedSample, ...]


def canonical_order(sample: Sample) -> tuple[str, str, str, int, str]:
    """Sort key: partition, seed, episode, step, and the id for samples that share all of them."""
    # many share these three: each is in memory once
    partition_key, seed_id, episode_id = map(intern, (sample.partition_key, sample.seed_id, sample.episode_id))
    return partition_key, seed_id, episode_id, sample.step, sample.sample_id


def curate(
    samples: Iterable[Sample], *, evaluation_texts: Iterable[str], signatures: StoredSignatures | None = None
) -> Curated:
    """Keep the accepted samples that are clean and new; say of every other why not.

    `signatures` that were computed before save time and change nothing.

    Raises ValueError for a sample that contradicts itself: accepted without a response, or refused without a reason.
    """
    clean, ordered = _in_order(samples, NgramIndex(evaluation_texts))
    keepers = _Keepers(signatures)
    kept = array("q")
    dropped: list[DroppedSample] = []
    for done, found in enumerate(ordered, 1):
        if isinstance(found, DroppedSample):
            dropped.append(found)
        elif (repeated := keepers.duplicate(example := clean[found])) is not None:
            dropped.append(repeated)
        else:
            keepers.keep(example)
            kept.append(found)
        if done % _REPORT_EVERY == 0:
            _log.info("Curated %d of %d samples, %d kept", done, len(ordered), len(kept))
    return Curated(Part(clean, kept), tuple(dropped))


def _in_order(samples: Iterable[Sample], forbidden: NgramIndex) -> tuple[ExamplesOnDisk, list[int | DroppedSample]]:
    """The clean examples, and in canonical order each one's place among them, or why a sample is none."""
    clean = ExamplesOnDisk()
    found: list[tuple[tuple[str, str, str, int, str], int | DroppedSample]] = []
    for sample in samples:
        example = _example(sample)
        drop = _refused(sample) if example is None else _unclean(example, forbidden)
        if drop is None and example is not None:
            clean.append(_without_unclean_rejected(example, forbidden))
        found.append((canonical_order(sample), len(clean) - 1 if drop is None else drop))
    found.sort(key=itemgetter(0))
    return clean, [place for _, place in found]


def _example(sample: Sample) -> Example | None:
    if not sample.accepted:
        return None
    if sample.response is None:
        raise ValueError(f"Sample {sample.sample_id} is accepted but has no response.")
    return Example(
        sample.sample_id,
        sample.seed_id,
        sample.instruction,
        sample.response,
        rejected=sample.rejected,
        reasoning=sample.reasoning,
    )


def _refused(sample: Sample) -> DroppedSample:
    if sample.reason is None:
        raise ValueError(f"Sample {sample.sample_id} is refused but has no reason.")
    return DroppedSample(sample.sample_id, sample.reason)


def _unclean(example: Example, forbidden: NgramIndex) -> DroppedSample | None:
    parts = (example.instruction.text, example.instruction.input, example.response, example.reasoning or "")
    if any(map(_SURROGATE.search, parts)):
        return DroppedSample(example.sample_id, DropReason.NOT_UNICODE)
    if forbidden.overlap(*parts) is not None:
        return DroppedSample(example.sample_id, DropReason.CONTAMINATED)
    return None


def _without_unclean_rejected(example: Example, forbidden: NgramIndex) -> Example:
    if example.rejected is None or _unclean(replace(example, response=example.rejected), forbidden) is None:
        return example
    return replace(example, rejected=None)


class _Keepers:
    """The instructions kept so far."""

    def __init__(self, signatures: StoredSignatures | None) -> None:
        self._exact: dict[str, str] = {}
        self._near = duplicate_index(signatures)

    def duplicate(self, example: Example) -> DroppedSample | None:
        """How `example` repeats a kept one; None where it does not."""
        same = self._exact.get(same_text_key(example.instruction))
        if same is not None:
            return DroppedSample(example.sample_id, DropReason.EXACT_DUPLICATE, same)
        near = self._near.matches(example.instruction)
        if near:
            return DroppedSample(example.sample_id, DropReason.NEAR_DUPLICATE, near[0])
        return None

    def keep(self, example: Example) -> None:
        self._exact[same_text_key(example.instruction)] = example.sample_id
        self._near.add(example.sample_id, example.instruction)
