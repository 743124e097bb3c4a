"""Pairs that people wrote: instructions with the answers they gave, for a dataset beside or instead of generations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from teams_dagster.core.hashing import content_hash
from teams_dagster.dataset.sample import Sample
from teams_dagster.instructions.seed_files import SeedFileError
from teams_dagster.instructions.seeds import Seed, load_seeds
from teams_dagster.llm.reasoning import split_reasoning

PAIRS = "pairs"
"""In the place of a generation's partition. It comes after every week: a pair never drops a sample that was there."""
NO_RESPONSE = "no_response"


@dataclass(frozen=True)
class Pairs:
    """What a file of pairs gave."""

    seeds: tuple[Seed, ...]
    """Each with its answer, in the order of the file."""
    refused: Mapping[str, int]
    """Rows that are not used, by reason."""
    source: str
    """Name of the file."""
    sha256: str
    instead: bool
    """Whether they take the place of the generations."""

    @property
    def version(self) -> str:
        """Hash of what enters a dataset."""
        return content_hash("pairs", [(seed.seed_id, seed.response) for seed in self.seeds], self.instead)

    @property
    def samples(self) -> list[Sample]:
        """The pairs as samples that nobody generated: each is at the root of its own lineage."""
        return [_sample(seed) for seed in self.seeds]


def _sample(seed: Seed) -> Sample:
    """A pair, with what was thought before its answer apart from that."""
    thought, answer = split_reasoning(seed.response)
    return Sample(
        sample_id=pair_id(seed),
        transition_id="",
        episode_id="",
        step=0,
        partition_key=PAIRS,
        seed_id=seed.seed_id,
        instruction=seed.instruction,
        response=answer,
        respond_request_id=None,
        accepted=True,
        reason=None,
        reasoning=thought or None,
    )


def pair_id(seed: Seed) -> str:
    """The sample id of a pair."""
    return content_hash("pair", seed.seed_id, seed.response)


def load_pairs(path: Path, *, instead: bool) -> Pairs:
    """The pairs in `path`, read as a seed file is; rows without an answer, or with thoughts alone, are not used.

    Raises SeedFileError, which begins with the setting's name, for a file that cannot be read or has no pair.
    """
    try:
        library = load_seeds(path)
    except SeedFileError as error:
        raise SeedFileError(f"TEAMS_PAIRS: {error}") from error
    refused = Counter(str(row.reason) for row in library.refused)
    answered = tuple(seed for seed in library.seeds if split_reasoning(seed.response)[1].strip())
    if not answered:
        raise SeedFileError(
            f"TEAMS_PAIRS: {path.name} has {len(library.seeds)} instructions and no answer to any: give each row a"
            " response (or output, answer, completion)"
        )
    refused[NO_RESPONSE] += len(library.seeds) - len(answered)
    return Pairs(answered, dict(+refused), library.source, library.sha256, instead)
