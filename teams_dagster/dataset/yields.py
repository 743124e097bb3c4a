"""How many expert answers an accepted pair took: rewrites and responses, refused ones included.

With a the share of rewrites that are accepted and b that of responses, it is (1/a + 1) / b: 2 when nothing is refused.
The paper's 2.0 (TeaMs-RL: 2 x 17,878 queries) keeps everything and never reviews.
"""

from __future__ import annotations

from dataclasses import dataclass

PAPER = 2.0


@dataclass(frozen=True)
class Yield:
    """What became of the expert's answers in generations."""

    rewrites: int
    accepted_rewrites: int
    responses: int
    kept: int
    """Responses that became samples of the dataset's pool: accepted pairs."""

    @property
    def answers_per_pair(self) -> float | None:
        """Expert answers per accepted pair; None where no pair was accepted."""
        return (self.rewrites + self.responses) / self.kept if self.kept else None

    def with_rewrites_accepted_at(self, share: float) -> float | None:
        """The same for a policy whose rewrites are accepted at `share`, its responses as these are: (1/a + 1) / b."""
        if not (share and self.kept):
            return None
        return (1 / share + 1) * self.responses / self.kept
