"""How the pairs of a generation are made and scored, and which are kept: what counts towards its target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

NOBODY, JUDGE = "nobody", "judge"
"""Who scores; the third is `programs`."""


class NobodyScores(ValueError):
    """Scores are to decide, by a threshold or among several answers, where nobody is asked for any."""


@dataclass(frozen=True)
class PairSettings:
    """What a pair has to be, to count."""

    answers: int = 1
    """Answers asked for to each instruction; of several the best by score counts."""
    reasoning_words: int | None = None
    """The most words of thought before an answer; None: thoughts are not kept, and no answer is refused for them."""
    scored_by: str = NOBODY
    """Who scores; `nobody` also where no score decides anything."""
    min_score: float = 0.0
    """Pairs that score less do not count; 0: all do."""
    judge: str | None = None
    """The model that rates and the version of its prompt; None where nobody is asked."""

    @property
    def decides(self) -> bool:
        """Whether scores decide which pairs count, or which answer is taken."""
        return self.scored_by != NOBODY

    @property
    def asks_judge(self) -> bool:
        """Whether the judge is asked on the way to the target."""
        return self.scored_by == JUDGE

    def rated_by(self, judge: str) -> PairSettings:
        """The same with who rates; where nobody is asked, nobody."""
        return replace(self, judge=judge) if self.asks_judge else self

    @classmethod
    def from_values(cls, values: Mapping[str, Any] | None) -> PairSettings:
        """Read plain values, such as those in a manifest; None where one has none."""
        return cls(**values) if values else cls()


ONE_ANSWER = PairSettings()
"""One answer to each instruction, whatever it would score."""


def pair_settings(*, answers: int, reasoning_words: int | None, scored_by: str, min_score: float) -> PairSettings:
    """What counts in a run of this configuration.

    Raises NobodyScores for a threshold, or several answers, without scores.
    """
    if answers > 1 and scored_by == NOBODY:
        raise NobodyScores(
            f"answers is {answers}, and nobody scores the pairs of this run (`scored_by: nobody`), so that none of"
            " several answers could be taken: set `scored_by: judge`, or `programs`, of pair_scores, or leave out"
            " answers of expert_responses"
        )
    if min_score and scored_by == NOBODY:
        raise NobodyScores(
            f"min_score is {min_score:g}, and nobody scores the pairs of this run (`scored_by: nobody`): set"
            " `scored_by: judge`, or `programs`, of pair_scores, or leave out min_score of instruction_dataset"
        )
    needed = bool(min_score) or answers > 1
    return PairSettings(answers, reasoning_words, scored_by if needed else NOBODY, min_score)
