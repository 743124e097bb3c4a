"""How many expert answers an accepted pair took: rewrites and responses, refused ones included.

With a the share of rewrites that are accepted, k the responses asked for to each instruction and b the share of
instructions with one that is kept, it is (1/a + k) / b: 2 when one is asked for and nothing is refused.
The paper's 2.0 (TeaMs-RL: 2 x 17,878 queries) keeps everything and never reviews.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from teams_dagster.core.operations import Operation
from teams_dagster.dataset.manifests import generated_for
from teams_dagster.dataset.stored import answers_asked
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.facts.dataset import GenerationFacts, ResponseFacts

PAPER = 2.0


@dataclass(frozen=True)
class Yield:
    """What became of the expert's answers in generations."""

    rewrites: int
    accepted_rewrites: int
    responses: int
    """Every one of several to an instruction."""
    kept: int
    """Instructions that became samples of the dataset's pool with a response: accepted pairs."""

    @property
    def answers_per_pair(self) -> float | None:
        """Expert answers per accepted pair; None where no pair was accepted."""
        return (self.rewrites + self.responses) / self.kept if self.kept else None

    def with_rewrites_accepted_at(self, share: float) -> float | None:
        """The same for a policy whose rewrites are accepted at `share`, its responses as these are: (1/a + k) / b."""
        if not (share and self.kept):
            return None
        return (self.accepted_rewrites / share + self.responses) / self.kept


def expert_yield(store: ArtefactStore, answered: Iterable[Artefact]) -> Yield:
    """What became of the expert's answers in the generations that `answered` are the answers of."""
    total = Yield(0, 0, 0, 0)
    for responses in answered:
        asked, answers = (
            generated_for(store, responses).read_facts(GenerationFacts).operations,
            responses.read_facts(ResponseFacts),
        )
        rewrites = {name: counts for name, counts in asked.items() if name != Operation.NONE.value}
        total = Yield(
            total.rewrites + sum(counts.chosen for counts in rewrites.values()),
            total.accepted_rewrites + sum(counts.accepted for counts in rewrites.values()),
            total.responses + answers_asked(responses) * answers.samples,
            total.kept + answers.kept,
        )
    return total
