"""Checks of the generations, each alone and the latest against those before. Each names the generation at fault."""

from collections.abc import Iterator, Sequence

import dagster as dg
import pyarrow.parquet as pq

from assets.check_results import needs_output, not_applicable, verdict, warning
from assets.materialize import DATASET_FIRST
from resources.ledger import LedgerConnection
from teams_dagster.dataset.manifests import generated_for, read_manifest
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
from teams_dagster.ledger.costs import answered_requests, costs_of
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.facts.dataset import GenerationFacts, ResponseFacts
from teams_dagster.store.transition_row import EDIT_ANSWERS

LEAST_ACCEPTED = 0.05
"""Below this share of accepted rewrites, a generation buys mostly nothing."""

LEAST_KEPT = 0.5
"""Below this share of kept answers, the expert or its instructions are broken."""

AT_ONCE = 10_000


@dg.asset_check(
    asset="generated_instructions",
    blocking=True,
    op_tags=DATASET_FIRST,
    description=f"At least {LEAST_ACCEPTED:.0%} of the transitions are accepted.",
    metadata={"severity": "error", "remedy": "Look at a few answers on the ledger before buying more."},
)
@needs_output
def rewrites_are_accepted(store: dg.ResourceParam[ArtefactStore]) -> dg.AssetCheckResult:
    """Next to nothing accepted means a broken expert, reviewer or policy: stop before answers are bought."""
    generations = generations_of(store, "generated_instructions")
    facts = {g.manifest["partition_key"]: g.read_facts(GenerationFacts) for g in generations}
    poor = {week: f for week, f in facts.items() if f.accepted < LEAST_ACCEPTED * max(1, f.transitions)}
    if poor:
        return verdict(
            False,
            f"generations {', '.join(poor)}: fewer than {LEAST_ACCEPTED:.0%} of the transitions were accepted; the"
            " asset's metadata says why not. Look at a few answers on the ledger before asking for more",
            causes=[each.not_accepted for each in poor.values()],
        )
    return verdict(True, f"{len(facts)} generations, {sum(each.accepted for each in facts.values())} accepted")


@dg.asset_check(
    asset="generated_instructions",
    description="Every query of a transition is answered on the ledger.",
    metadata={"severity": "error", "remedy": "Restore the ledger database from a backup."},
)
@needs_output
def transitions_are_on_the_ledger(
    store: dg.ResourceParam[ArtefactStore], ledger: LedgerConnection
) -> dg.AssetCheckResult:
    """A transition that names a request the ledger does not know cannot be audited."""
    missing: list[str] = []
    with ledger.open(whole=False) as opened:
        for generation in generations_of(store, "generated_instructions"):
            for ids in _request_ids(generation):
                missing += ids - answered_requests(opened, ids)
    return verdict(not missing, f"{len(missing)} requests of transitions are not on the ledger", examples=missing[:5])


def _request_ids(generation: Artefact) -> Iterator[set[str]]:
    for batch in pq.ParquetFile(generation.path("transitions.parquet")).iter_batches(AT_ONCE, columns=EDIT_ANSWERS):
        yield {value for column in batch.columns for value in column.to_pylist() if value}


@dg.asset_check(
    asset="expert_responses",
    blocking=True,
    op_tags=DATASET_FIRST,
    description="Every accepted instruction has its sample.",
    metadata={"severity": "error", "remedy": "Materialise the generation's `expert_responses` again."},
)
@needs_output
def every_instruction_has_a_sample(store: dg.ResourceParam[ArtefactStore]) -> dg.AssetCheckResult:
    """Asked = kept + each named cause."""
    wrong = []
    for responses in generations_of(store, "expert_responses"):
        partition, facts = responses.manifest["partition_key"], responses.read_facts(ResponseFacts)
        accepted = generated_for(store, responses).read_facts(GenerationFacts).accepted
        if accepted != facts.samples or facts.samples != facts.kept + sum(facts.refused.values()):
            wrong.append(f"{partition}: {accepted} accepted, {facts.samples} samples, {facts.kept} kept")
    return verdict(not wrong, "; ".join(wrong) or "samples add up in every generation")


@dg.asset_check(
    asset="expert_responses",
    blocking=True,
    op_tags=DATASET_FIRST,
    description=f"At least {LEAST_KEPT:.0%} of the answers are kept.",
    metadata={"severity": "error", "remedy": "A wrong template or an overcautious model: read `samples.reason`."},
)
@needs_output
def answers_are_kept(store: dg.ResourceParam[ArtefactStore]) -> dg.AssetCheckResult:
    """A wrong template or an overcautious model shows itself as refusals."""
    generations = generations_of(store, "expert_responses")
    facts = {g.manifest["partition_key"]: g.read_facts(ResponseFacts) for g in generations}
    poor = {week: f for week, f in facts.items() if f.kept < LEAST_KEPT * max(1, f.samples)}
    return verdict(
        not poor,
        f"generations {', '.join(poor)}: fewer than {LEAST_KEPT:.0%} of the answers were kept"
        if poor
        else f"{sum(each.kept for each in facts.values())} answers kept",
        refused=[each.refused for each in (poor or facts).values()],
    )


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
