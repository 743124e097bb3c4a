"""Checks of lineage: it is complete, it was verified, and what is stored is what was written."""

import dagster as dg

from assets.check_results import needs_output, not_run, verdict, warning
from resources.ledger import LedgerConnection
from teams_dagster.dataset.stored import generations_of
from teams_dagster.ledger.database import LedgerError
from teams_dagster.lineage.completeness import generation_faults
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.store.facts.accounting import LineageFacts
from teams_dagster.store.facts.dataset import ResponseFacts

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
    with ledger.open(whole=False) as opened:
        for responses in generations_of(store, "expert_responses"):
            partition = responses.manifest["partition_key"]
            faults += [f"generation {partition}: {fault}" for fault in generation_faults(store, opened, responses)]
            samples += responses.read_facts(ResponseFacts).samples
    if faults:
        finding = f"{'; '.join(faults[:SHOWN])}. Restore the folders and the ledger database from a backup, or make the"
        return verdict(False, f"{finding} generation again", faults=faults[:SHOWN])
    if not samples:
        return not_run("no generation has a sample")
    return verdict(True, f"{samples} samples lead back to their seeds")


@dg.asset_check(
    asset="sample_lineage",
    description="Every sample was replayed from the ledger: now, or earlier without a change of what it rests on.",
    metadata={
        "severity": "warning",
        "remedy": "Rows that this version cannot replay: `why_not` in the asset's metadata says why. It is an"
        " error where none was verified.",
    },
)
@needs_output
def every_sample_is_verified(store: dg.ResourceParam[ArtefactStore]) -> dg.AssetCheckResult:
    """What could not be replayed is counted, never passed."""
    facts = store.current("sample_lineage").read_facts(LineageFacts)
    unverified = facts.rows_not_verified
    finding = f"{facts.rows_verified} rows of {facts.samples} samples agree with the ledger, {unverified} unverified"
    replays = facts.model_dump(include={"replayed", "replayed_earlier", "oldest_replay"}, exclude_none=True)
    if unverified:
        return warning(False, finding, why_not=facts.not_verified, **replays)
    return verdict(facts.rows_verified > 0, finding, **replays)


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
