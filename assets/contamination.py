"""Checks that nothing stored is taken from what models are scored on, recomputed from the stored texts.

Thirteen words in a row are refused when seeds are read and samples curated, so a finding here is an error. Eight find
paraphrases too, and phrases that everybody writes: these are worth a look and stop nothing.
"""

from collections.abc import Callable, Iterator
from itertools import islice

import dagster as dg

from assets.check_results import needs_output, not_applicable, verdict, warning
from resources.language_models.roles import LanguageModels
from teams_dagster.dataset.quality.duplicates import StoredText, overlaps
from teams_dagster.instructions.ngrams import NGRAM_WORDS
from teams_dagster.instructions.seed_files import SeedFileError
from teams_dagster.store.artefact_store import Artefact, ArtefactStore

SHOWN = 5


def contamination_check(
    asset_key: str, what: str, texts: Callable[[Artefact], Iterator[StoredText]], size: int
) -> dg.AssetChecksDefinition:
    """The check that no text of an asset shares `size` words in a row with an evaluation set.

    Args:
        what: What the texts are, for people and in the check's name: `seeds`, `samples`.
        texts: Reads them from the asset's artefact.
        size: Words; `NGRAM_WORDS` of them are an error, fewer a warning.
    """
    refused = size == NGRAM_WORDS

    @dg.asset_check(
        asset=asset_key,
        name=f"{what}_share_no_{size}_words_with_evaluation_sets",
        description=f"No stored text has {size} words in a row of a file in TEAMS_EVALUATION_SETS.",
        metadata={
            "severity": "error" if refused else "warning",
            "remedy": f"Materialise `{asset_key}` again with `TEAMS_EVALUATION_SETS` as it is now."
            if refused
            else "Look whether the texts are paraphrases; if so, take their seeds out.",
        },
    )
    @needs_output
    def share_no_words(store: dg.ResourceParam[ArtefactStore], models: LanguageModels) -> dg.AssetCheckResult:
        artefact, files = store.current(asset_key), models.settings().evaluation_sets
        if not files:
            return not_applicable("TEAMS_EVALUATION_SETS names no file that models are scored on")
        counted, shared, examples = 0, 0, []

        def stored() -> Iterator[StoredText]:
            nonlocal counted
            for text in texts(artefact):
                counted += 1
                yield text

        try:
            found = overlaps(stored(), files, size)
            examples = list(islice(found, SHOWN))
            shared = len(examples) + sum(1 for _ in found)
        except SeedFileError as error:
            return verdict(False, f"an evaluation set cannot be read: {error}")
        names = ", ".join(file.name for file in files)
        if not shared:
            return verdict(True, f"none of {counted} {what} shares {size} words in a row with {names}")
        finding = f"{shared} of {counted} {what} ({shared / counted:.1%}) share {size} words: {examples[0]}"
        details = {"share": shared / counted, "examples": [str(example) for example in examples]}
        if refused:
            return verdict(
                False, f"{finding}. Materialise {asset_key} again: it was made without these files", **details
            )
        return warning(False, f"{finding}. Look whether they are paraphrases; if so, take their seeds out", **details)

    return share_no_words
