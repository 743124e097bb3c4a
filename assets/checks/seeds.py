"""Checks of the seeds."""

import dagster as dg

from assets.check_results import needs_output, verdict, warning
from teams_dagster.instructions.seed_splits import EmptySplitError, dataset_sides
from teams_dagster.instructions.stored_seeds import read_clusters
from teams_dagster.policy.stored import policy_seeds
from teams_dagster.store.artefact_store import ArtefactStore

MOST_REFUSED = 0.5
"""Above this share of refused rows, the file is probably not what somebody meant to use."""


@dg.asset_check(
    asset="seed_instructions",
    blocking=True,
    description="Every split of the seeds has seeds in it.",
    metadata={"severity": "error", "remedy": "Add seeds that differ from those there are."},
)
@needs_output
def seeds_fill_every_split(store: dg.ResourceParam[ArtefactStore]) -> dg.AssetCheckResult:
    """Too few seeds would leave the policy or the student nothing to be tested on."""
    artefact = store.current("seed_instructions")
    try:
        sides = dataset_sides(read_clusters(artefact)).values()
        train, held_out = policy_seeds(artefact)
    except EmptySplitError as error:
        return verdict(False, str(error))
    return verdict(
        True,
        f"{len(train)} seeds train the policy and {len(held_out)} compare it",
        dataset={side: list(sides).count(side) for side in ("train", "validation", "held_out")},
    )


@dg.asset_check(
    asset="seed_instructions",
    description=f"At most {MOST_REFUSED:.0%} of the rows of the seed file are refused.",
    metadata={
        "severity": "warning",
        "remedy": "Read table `refused_seeds`: wrong columns or a wrong encoding are the usual causes.",
    },
)
@needs_output
def few_rows_are_refused(store: dg.ResourceParam[ArtefactStore]) -> dg.AssetCheckResult:
    """A file with the wrong columns or encoding shows itself here."""
    facts = store.current("seed_instructions").facts
    share = facts["refused"] / (facts["refused"] + facts["seeds"])
    return warning(
        share <= MOST_REFUSED,
        f"{facts['refused']} rows of {facts['source']} were refused ({share:.0%}); the asset's metadata says why",
        share=share,
    )
