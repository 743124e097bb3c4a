"""Checks of lineage: what a sample's chain names must be stored."""

from collections.abc import Iterator

import dagster as dg
import pyarrow.parquet as pq

from assets.checks.stored import generations_of
from assets.checks.verdicts import needs_output, not_run, verdict
from assets.manifests import generated_for, read_manifest
from resources.ledger import LedgerConnection
from resources.stores import Artefact, ArtefactMissing, ArtefactStore
from teams_dagster.dataset.generation import GenerationManifest
from teams_dagster.dataset.quality.chains import StoredGeneration, chain_faults
from teams_dagster.ledger.costs import answered_requests
from teams_dagster.ledger.writer import Ledger

SHOWN = 10


@dg.asset_check(
    asset="sample_lineage",
    description="Every sample's chain reaches a stored seed through answered requests, by a stored policy and stored"
    " prompts, of a stored generation.",
)
@needs_output
def every_chain_is_complete(store: ArtefactStore, ledger: LedgerConnection) -> dg.AssetCheckResult:
    """Complete, whether it can be replayed by this version of the code or not."""
    faults, samples = [], 0
    with ledger.open() as opened:
        for responses in generations_of(store, "expert_responses"):
            partition = responses.manifest["partition_key"]
            faults += [f"generation {partition}: {fault}" for fault in _faults(store, opened, responses)]
            samples += responses.facts["samples"]
    if faults:
        finding = f"{'; '.join(faults[:SHOWN])}. Restore the folders and the ledger database from a backup, or make the"
        return verdict(False, f"{finding} generation again", faults=faults[:SHOWN])
    if not samples:
        return not_run("no generation has a sample")
    return verdict(True, f"{samples} samples lead back to their seeds")


def _faults(store: ArtefactStore, ledger: Ledger, responses: Artefact) -> Iterator[str]:
    """What is wrong with one generation. What is gone ends the search: the rest hangs on it."""
    try:
        generated = generated_for(store, responses)
        manifest = read_manifest(generated)
        yield from _manifest_faults(generated, manifest)
        generation = StoredGeneration(
            transitions=generated.path("transitions.parquet"),
            samples=responses.path("samples.parquet"),
            seeds=store.of_version("seed_instructions", manifest.seeds_version).path("seeds.parquet"),
            policies={policy.data_version for policy in store.all_of("trained_policy")},
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
    stored = pq.read_table(generated.path("generations.parquet")).to_pylist()
    if [row["generation_version"] for row in stored] != [manifest.version]:
        yield f"its manifest is {manifest.version}, which table generations does not say"
    if generated.manifest["inputs"].get("generation") != manifest.version:
        yield f"its manifest is {manifest.version}, and its instructions were made from another"


def _templates(artefact: Artefact) -> set[str]:
    return set(pq.read_table(artefact.path("prompt_templates.parquet"))["prompt_version"].to_pylist())
