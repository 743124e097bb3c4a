"""A reviewer that likes one place by a known amount: the control of a measurement of position bias."""

from __future__ import annotations

from dataclasses import replace

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import Completion, LanguageModel, ModelIdentity, Request
from teams_dagster.instructions.requests import VERDICTS
from teams_dagster.instructions.review import EVEN, read_review


class Leaning:
    """A `LanguageModel` that says Not Equal more often where the longer text stands first.

    With P of the reviewer behind it, its own is (1 - lean) P + lean where the longer text stands first, (1 - lean) P
    where the shorter one does, and half way between where both are as long. So the mean of the two orders is at one
    half or above exactly where P is.
    """

    def __init__(self, reviewer: LanguageModel, lean: float) -> None:
        """`lean`, in [0, 1], is P(Not Equal) with the longer text first less that with the shorter one first."""
        self._reviewer = reviewer
        self._lean = lean

    @property
    def identity(self) -> ModelIdentity:
        """Provider `leaning`, and the model behind it with the lean."""
        return ModelIdentity("leaning", str(self._reviewer.identity), rules_version=f"lean {self._lean:g}")

    async def complete(self, request: Request) -> Completion:
        """The verdict. One without a probability is passed on as it is."""
        said = await self._reviewer.complete(request)
        intent = request.intent
        likely = read_review(said.text, said.probabilities).probability
        if intent.after is None or likely is None:
            return said
        first, second = _length(intent.before), _length(intent.after)
        share = (1 - self._lean) * likely + self._lean * (0.5 + 0.5 * ((first > second) - (first < second)))
        equal, not_equal = VERDICTS.replies
        probabilities = {equal: 1 - share, not_equal: share}
        return replace(said, text=not_equal if share >= EVEN else equal, probabilities=probabilities)

    async def close(self) -> None:
        """Close the reviewer behind it."""
        await self._reviewer.close()


def _length(instruction: Instruction) -> int:
    return len(instruction.text) + len(instruction.input)
