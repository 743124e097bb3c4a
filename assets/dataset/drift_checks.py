"""Checks of the latest generation against the earlier ones: what changed by more than chance, and by enough."""

from collections.abc import Sequence

import dagster as dg

from assets.check_results import needs_output, not_applicable, warning
from resources.ledger import LedgerConnection
from teams_dagster.dataset.manifests import read_manifest
from teams_dagster.dataset.quality.drift import (
    ANSWERS,
    EDITS,
    Measure,
    TooFewSeeds,
    Totals,
    answer_totals,
    changed_inputs,
    drifts,
    edit_totals,
)
from teams_dagster.dataset.stored import answered_generations, answers_asked, answers_file, generations_of
from teams_dagster.ledger.costs import costs_of
from teams_dagster.store.artefact_store import Artefact, ArtefactStore

ONE_GENERATION = "there is one generation: nothing to compare it with"


@dg.asset_check(
    asset="generated_instructions",
    description="The latest generation's operations, lengths, rewards and acceptance are those of the earlier ones.",
    metadata={"severity": "warning", "remedy": "See what changed between the generations; the finding names it."},
)
@needs_output
def edits_do_not_drift(store: dg.ResourceParam[ArtefactStore]) -> dg.AssetCheckResult:
    """A model that a provider changed behind its name shows itself here first."""
    generations = generations_of(store, "generated_instructions")
    if len(generations) == 1:
        return not_applicable(ONE_GENERATION)
    totals = [edit_totals(g.path("transitions.parquet"), g.path("instructions.parquet")) for g in generations]
    return _compare(generations, totals, EDITS, [_made_with(generated) for generated in generations])


@dg.asset_check(
    asset="expert_responses",
    description="The latest generation's answers are as long, as often kept and as dear as those of the earlier ones.",
    metadata={
        "severity": "warning",
        "remedy": "See what changed between the generations, and plan the next budget anew.",
    },
)
@needs_output
def answers_do_not_drift(store: dg.ResourceParam[ArtefactStore], ledger: LedgerConnection) -> dg.AssetCheckResult:
    """What a kept sample takes decides what the next generation will cost."""
    generations = list(answered_generations(store))
    if len(generations) == 1:
        return not_applicable(ONE_GENERATION)
    with ledger.open() as opened:
        totals = [
            answer_totals(
                responses.path("samples.parquet"),
                answers_file(responses),
                generated.path("transitions.parquet"),
                lambda ids: costs_of(opened, ids),
            )
            for _, generated, responses in generations
        ]
    made_with = [
        _made_with(generated) | {"answers to each instruction": str(answers_asked(responses))}
        for _, generated, responses in generations
    ]
    return _compare([generated for _, generated, _ in generations], totals, ANSWERS, made_with)


def _compare(
    generated: list[Artefact], totals: list[Totals], measures: Sequence[Measure], made_with: list[dict[str, str]]
) -> dg.AssetCheckResult:
    """Compare the last of the generations with the pooled others; `made_with` is what each was made with."""
    partition = generated[-1].manifest["partition_key"]
    try:
        found = drifts(totals[-1], totals[:-1], measures, partition)
    except TooFewSeeds as reason:
        return not_applicable(str(reason))
    drifted = [drift for drift in found if drift.drifted]
    measured = {drift.name: str(drift) for drift in found}
    if not drifted:
        return warning(
            True, f"generation {partition} is like the {len(totals) - 1} before it in {len(found)} measures", **measured
        )
    causes = changed_inputs(made_with[-1], made_with[-2])
    why = (
        f"Since the one before it changed: {', '.join(causes)}"
        if causes
        else "It was made with the same policy, seeds, prompts and models: look whether a provider changed its model"
    )
    return warning(False, f"generation {partition} drifted: {'; '.join(map(str, drifted))}. {why}", **measured)


def _made_with(generated: Artefact) -> dict[str, str]:
    """What a generation was made with, by a name that people understand."""
    manifest = read_manifest(generated)
    prompts = {f"prompt {name}": version for name, version in manifest.prompt_versions}
    models = {f"model of {role}": str(identity) for role, identity in manifest.models}
    return {"policy": manifest.policy_version, "seeds": manifest.seeds_version, **prompts, **models}
