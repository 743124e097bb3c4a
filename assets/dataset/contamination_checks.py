"""Checks that no sample is taken from what models are scored on."""

from collections.abc import Iterator

from assets.contamination import contamination_check
from teams_dagster.dataset.quality.duplicates import StoredText
from teams_dagster.dataset.stored import examples_in
from teams_dagster.instructions.ngrams import NGRAM_WORDS, PARAPHRASE_WORDS
from teams_dagster.store.artefact_store import Artefact


def _samples(dataset: Artefact) -> Iterator[StoredText]:
    for example in examples_in(dataset):
        yield StoredText(
            example.sample_id,
            (example.instruction.text, example.instruction.input, example.response, example.reasoning or ""),
        )


contamination_of_samples = [
    contamination_check("instruction_dataset", "samples", _samples, size) for size in (NGRAM_WORDS, PARAPHRASE_WORDS)
]
