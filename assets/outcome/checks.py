"""Check that the arms of an outcome study can be compared."""

import dagster as dg

from assets.check_results import needs_output, warning
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.store.facts.evaluation import OutcomeFacts


@dg.asset_check(
    asset="outcome_scores",
    description="No arm asked more than it was allowed, every student made as many updates, and no arm had to repeat"
    " its pairs to fill its students' rows.",
    metadata={
        "severity": "warning",
        "remedy": "An arm with fewer pairs than rows repeats them, which is a part of what its queries cost it: raise"
        " `queries`, or lower `rows`, to compare what pairs are like alone.",
    },
)
@needs_output
def outcome_arms_are_alike(store: dg.ResourceParam[ArtefactStore]) -> dg.AssetCheckResult:
    """A difference between students may come from their arms' pairs alone."""
    facts = store.current("outcome_scores").read_facts(OutcomeFacts)
    said = [
        f"{name} asked {arm.asked:,} queries of {arm.allowed:,}"
        for name, arm in facts.arms.items()
        if arm.asked > arm.allowed
    ]
    if len({updates for arm in facts.arms.values() for updates in arm.updates}) > 1:
        said.append("students made different numbers of updates")
    said += [
        f"{name} has {arm.pairs} pairs for {facts.rows} rows, and repeats them"
        for name, arm in facts.arms.items()
        if arm.pairs < facts.rows
    ]
    return warning(
        not said, "; ".join(said) or f"{len(facts.arms)} arms asked and trained alike, {facts.rows} rows a student"
    )
