"""Whether all that a generation's lineage rests on is stored: its manifest, prompts, policy, seeds and every chain."""

from __future__ import annotations

from collections.abc import Iterator

from teams_dagster.dataset.generation import GenerationManifest
from teams_dagster.dataset.manifests import generated_for, read_manifest
from teams_dagster.dataset.quality.chains import StoredGeneration, chain_faults
from teams_dagster.dataset.steering import UNTRAINED_VERSIONS
from teams_dagster.dataset.stored import answers_file
from teams_dagster.ledger.costs import answered_requests
from teams_dagster.ledger.writer import Ledger
from teams_dagster.store.artefact_store import Artefact, ArtefactMissing, ArtefactStore
from teams_dagster.store.parquet import distinct_values, read_rows


def generation_faults(store: ArtefactStore, ledger: Ledger, responses: Artefact) -> Iterator[str]:
    """What is missing from the chains of a generation, as sentences; what is gone ends the search.

    Args:
        responses: The artefact of the generation's answers.
    """
    try:
        generated = generated_for(store, responses)
        manifest = read_manifest(generated)
        yield from _manifest_faults(generated, manifest)
        generation = StoredGeneration(
            transitions=generated.path("transitions.parquet"),
            samples=responses.path("samples.parquet"),
            answers=answers_file(responses),
            seeds=store.of_version("seed_instructions", manifest.seeds_version).path("seeds.parquet"),
            policies={policy.data_version for policy in store.all_of("trained_policy")} | UNTRAINED_VERSIONS,
            prompts=_templates(generated) | _templates(responses),
        )
    except ArtefactMissing as missing:
        yield str(missing)
        return
    for name, version in manifest.prompt_versions:
        if version not in generation.prompts:
            yield f"the prompt {name} it asked with, {version}, is not stored"
    yield from map(str, chain_faults(generation, lambda ids: answered_requests(ledger, ids)))


def _manifest_faults(generated: Artefact, manifest: GenerationManifest) -> Iterator[str]:
    stored = read_rows(generated.path("generations.parquet"))
    if [row["generation_version"] for row in stored] != [manifest.version]:
        yield f"its manifest is {manifest.version}, which table generations does not say"
    if generated.manifest["inputs"].get("generation") != manifest.version:
        yield f"its manifest is {manifest.version}, and its instructions were made from another"


def _templates(artefact: Artefact) -> set[str]:
    return distinct_values(artefact.path("prompt_templates.parquet"), ["prompt_version"])
