"""Checks of the generations. Each names the generation at fault."""

from collections.abc import Iterator

import dagster as dg
import pyarrow.parquet as pq

from assets.check_results import needs_output, verdict
from resources.ledger import LedgerConnection
from teams_dagster.dataset.manifests import generated_for
from teams_dagster.dataset.stored import generations_of
from teams_dagster.ledger.costs import answered_requests
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
