"""From the edits asked for to the samples kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from teams_dagster.dataset.generation_facts import FAILED, failures_of
from teams_dagster.dataset.manifests import generated_for
from teams_dagster.report.content import Stage, funnel_stages
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.facts.dataset import GenerationFacts, ResponseFacts


def yield_funnel(store: ArtefactStore, answered: Sequence[Artefact], dropped: Mapping[str, int]) -> tuple[Stage, ...]:
    """The stages of these `expert_responses` together; `dropped` are the samples not in the dataset, by reason."""
    generated = [generated_for(store, responses) for responses in answered]
    return funnel_stages(
        sum(artefact.read_facts(GenerationFacts).transitions for artefact in generated),
        _added([_causes(artefact) for artefact in generated]),
        _added([responses.read_facts(ResponseFacts).refused for responses in answered]),
        dropped,
    )


def _causes(generated: Artefact) -> dict[str, int]:
    """Why transitions were not accepted; failed ones by what failed."""
    causes = dict(generated.read_facts(GenerationFacts).not_accepted)
    return causes | failures_of(generated) if causes.pop(FAILED, 0) else causes


def _added(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for group in counts:
        for name, count in group.items():
            total[name] = total.get(name, 0) + count
    return total
