"""Checks of lineage: it is complete, it was verified, and what is stored is what was written."""

from collections.abc import Iterator

import dagster as dg
import pyarrow.parquet as pq

from assets.checks.verdicts import needs_output, not_run, verdict, warning
from resources.ledger import LedgerConnection
from teams_dagster.dataset.generation import GenerationManifest
from teams_dagster.dataset.manifests import generated_for, read_manifest
from teams_dagster.dataset.quality.chains import StoredGeneration, chain_faults
from teams_dagster.dataset.stored import generations_of
from teams_dagster.ledger.costs import answered_requests
from teams_dagster.ledger.database import LedgerError
from teams_dagster.ledger.writer import Ledger
from teams_dagster.store.artefact_store import Artefact, ArtefactMissing, ArtefactStore
from teams_dagster.store.comparing import SourcesMoved
from teams_dagster.store.facts.dataset import ResponseFacts
from teams_dagster.store.publishing import NotNow
from teams_dagster.store.read_model import UP_TO_DATE

SHOWN = 10


@dg.asset_check(
    asset="sample_lineage",
    description="Every sample's chain reaches a stored seed through answered requests, by a stored policy and stored"
    " prompts, of a stored generation.",
    metadata={
        "severity": "error",
        "remedy": "Restore what the finding names from a backup, or make the generation again.",
    },
)
@needs_output
def every_chain_is_complete(store: dg.ResourceParam[ArtefactStore], ledger: LedgerConnection) -> dg.AssetCheckResult:
    """Complete, whether it can be replayed by this version of the code or not."""
    faults, samples = [], 0
    with ledger.open() as opened:
        for responses in generations_of(store, "expert_responses"):
            partition = responses.manifest["partition_key"]
            faults += [f"generation {partition}: {fault}" for fault in _faults(store, opened, responses)]
            samples += responses.read_facts(ResponseFacts).samples
    if faults:
        finding = f"{'; '.join(faults[:SHOWN])}. Restore the folders and the ledger database from a backup, or make the"
        return verdict(False, f"{finding} generation again", faults=faults[:SHOWN])
    if not samples:
        return not_run("no generation has a sample")
    return verdict(True, f"{samples} samples lead back to their seeds")


@dg.asset_check(
    asset="sample_lineage",
    description="Every sample was replayed from the ledger.",
    metadata={
        "severity": "warning",
        "remedy": "Rows that this version cannot replay: `why_not` in the asset's metadata says why. It is an"
        " error where none was verified.",
    },
)
@needs_output
def every_sample_is_verified(store: dg.ResourceParam[ArtefactStore]) -> dg.AssetCheckResult:
    """What could not be replayed is counted, never passed."""
    facts = store.current("sample_lineage").facts
    unverified = sum(facts["not_verified"].values())
    finding = (
        f"{facts['rows_verified']} rows of {facts['samples']} samples agree with the ledger, {unverified} unverified"
    )
    if unverified:
        return warning(False, finding, why_not=facts["not_verified"])
    return verdict(facts["rows_verified"] > 0, finding)


@dg.asset_check(
    asset="sample_lineage",
    description="Every row of the ledger and every file of the artefacts is as it was written: by its hash, by the"
    " chain that seals them, and by the chain's heads in Dagster's event log.",
    metadata={
        "severity": "error",
        "remedy": "Restore what the finding names from a backup. It is a warning for what is gone or not sealed yet.",
    },
)
def stored_fields_are_unchanged(
    context: dg.AssetCheckExecutionContext, ledger: LedgerConnection
) -> dg.AssetCheckResult:
    """Who rewrites the data and the event log together is not found."""
    try:
        found = ledger.verify(context.instance)
    except LedgerError as error:
        return verdict(False, f"{error}. Restore the ledger database from a backup")
    compared = f"{found.verified:,} rows and files are as they were written"
    if found.differing:
        first = "; ".join(str(difference) for difference in found.differences[:SHOWN])
        return verdict(False, f"{found.differing} fields differ: {first}. Restore them from a backup; {compared}")
    if not found.verified:
        return not_run("nothing is stored yet")
    if found.not_verified:
        said = ", ".join(f"{count} {reason}" for reason, count in found.not_verified.items())
        return warning(False, f"{compared}; not compared: {said}", not_compared=found.not_verified)
    return verdict(True, compared)


@dg.asset_check(
    asset="query_costs",
    description="teams.duckdb holds what it would hold if it were made anew from its sources.",
    metadata={"severity": "error", "remedy": "Delete `teams.duckdb`: it is made anew."},
)
def read_model_tells_what_is_stored(
    context: dg.AssetCheckExecutionContext, ledger: LedgerConnection
) -> dg.AssetCheckResult:
    """People read it and can write to it: a row that somebody added, changed or took away is counted."""
    report = ledger.refresh(context.instance)
    if not report.published and report.reason != UP_TO_DATE:
        return not_run(report.reason)
    try:
        differing = ledger.compare_read_model()
    except (SourcesMoved, NotNow) as reason:
        return not_run(str(reason))
    said = "; ".join(
        f"{found.name}: {found.added} rows that should not be there, {found.lacking} that are missing"
        for found in differing
    )
    if said:
        return verdict(False, f"{said}. Delete {ledger.read_model}: it is made anew")
    return verdict(True, "every table is what its sources give")


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
