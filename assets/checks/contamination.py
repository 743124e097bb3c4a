"""Checks that no seed is taken from what models are scored on."""

from collections.abc import Iterator

from assets.contamination import contamination_check
from teams_dagster.dataset.quality.contamination import StoredText
from teams_dagster.instructions.ngrams import NGRAM_WORDS, PARAPHRASE_WORDS
from teams_dagster.instructions.stored_seeds import read_seeds
from teams_dagster.store.artefact_store import Artefact


def _seeds(artefact: Artefact) -> Iterator[StoredText]:
    for seed in read_seeds(artefact):
        yield StoredText(seed.seed_id, (seed.instruction.text, seed.instruction.input, seed.response))


contamination_of_seeds = [
    contamination_check("seed_instructions", "seeds", _seeds, size) for size in (NGRAM_WORDS, PARAPHRASE_WORDS)
]
