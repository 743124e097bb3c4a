"""An in-memory client with simple rules, for tests of the environment and the policy.

A rewrite appends ten words that occur nowhere else; the verdict is a function of the text before and the operation.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cache

from teams_dagster.core.hashing import content_hash
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import GenericRewrite, Operation, Returns, Rewriting
from teams_dagster.core.protocol import (
    Answer,
    Completion,
    ErrorKind,
    ModelIdentity,
    Outcome,
    Purpose,
    QueryFailed,
    Request,
    Role,
    Usage,
)
from teams_dagster.core.rng import uniform
from teams_dagster.environment.reward import RewardConfig
from teams_dagster.environment.transition import Environment
from teams_dagster.instructions.novelty import Pool

NotEqual = Callable[[Instruction, Rewriting], bool]
Reply = Callable[[Instruction, Rewriting], str]
Reviewer = Callable[[Instruction, Instruction], tuple[str, float | None]]
"""From the two texts as they are shown to the verdict and P(Not Equal)."""


@cache
def fresh_words(before: Instruction, operation: Rewriting, salt: str = "") -> str:
    """Ten words that belong to (before, operation)."""
    return " ".join(f"w{content_hash(before.text, before.input, operation.value, salt, n)[:6]}" for n in range(10))


def appended(before: Instruction, operation: Rewriting) -> str:
    """The reply of an honest rewriter: the text with ten more words, in the operation's reply format."""
    text = f"{before.text} {fresh_words(before, operation)}"
    if operation.returns is Returns.INSTRUCTION:
        return text
    return f"Instruction: {text}\nInput: {before.input or 'None'}"


class ToyWorld:
    """An `LLMClient`. Counts what it is asked; can fail on purpose, and answer late in a scrambled order."""

    def __init__(
        self,
        not_equal: NotEqual = lambda before, operation: True,
        reply: Reply = appended,
        *,
        verdict: str | None = None,
        outcome: Outcome = Outcome.USABLE,
        fails: Callable[[Request], bool] = lambda request: False,
        delay: float = 0.0,
        guide: Callable[[Request], str] = lambda request: "deepening",
        reviewer: Reviewer | None = None,
        usage: Callable[[Request], Usage] = lambda request: Usage(),
    ) -> None:
        self.not_equal, self.reply, self.verdict, self.outcome = not_equal, reply, verdict, outcome
        self.fails, self.delay, self.guide, self.reviewer = fails, delay, guide, reviewer
        self.usage = usage
        self.asked: Counter[Purpose] = Counter()
        self.requests: list[Request] = []
        self.in_flight = self.most_in_flight = 0
        self._operation: dict[tuple[Instruction, Instruction], Rewriting] = {}

    def identity(self, role: Role) -> ModelIdentity:
        return ModelIdentity("toy", f"toy-{role.value}")

    async def ask(self, request: Request, *, transition_id: str | None = None, sample_id: str | None = None) -> Answer:
        intent = request.intent
        self.asked[intent.purpose] += 1
        self.requests.append(request)
        key = content_hash(intent.purpose.value, [m.content for m in request.messages], request.replica)
        if self.delay:
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            await asyncio.sleep(self.delay * uniform(key, "delay", sum(self.asked.values())))
            self.in_flight -= 1
        if self.fails(request):
            raise QueryFailed(ErrorKind.SERVER, "toy failure", attempts=3)
        if intent.purpose is Purpose.REWRITE:
            assert intent.operation is not None
            text = self.reply(intent.before, intent.operation)
            completion = Completion(text, "stop", self.outcome)
        elif intent.purpose is Purpose.GUIDE:
            completion = Completion(self.guide(request), "stop", Outcome.USABLE)
        elif self.reviewer is not None:
            assert intent.after is not None
            said, share = self.reviewer(intent.before, intent.after)
            shares = None if share is None else {"Equal": 1 - share, "Not Equal": share}
            completion = Completion(said, "stop", Outcome.USABLE, probabilities=shares)
        else:
            assert intent.after is not None
            operation = self._operation_between(intent.before, intent.after)
            said = self.verdict or ("Not Equal" if self.not_equal(intent.before, operation) else "Equal")
            completion = Completion(said, "stop", Outcome.USABLE)
        completion = replace(completion, usage=self.usage(request))
        return Answer(completion, request_id=f"id-{key}", request_key=key, reused=False)

    def _operation_between(self, before: Instruction, after: Instruction) -> Rewriting:
        """The operation whose fresh words `after` holds: found from the texts, so it works after a resume too."""
        for operation in (*Operation, *GenericRewrite):
            if fresh_words(before, operation) in after.text:
                return operation
        return Operation.NONE


def environment(world: ToyWorld, reward: RewardConfig | None = None, role: Role = Role.INSTRUCTOR) -> Environment:
    """`world` with an empty pool."""
    return Environment(world, Pool([]), reward or RewardConfig(), role)


TOPICS = {
    "river": Operation.ADD_CONSTRAINTS,
    "engine": Operation.DEEPENING,
    "violin": Operation.CONCRETIZING,
}
"""In the topical world, a text about the topic takes this operation and no other."""


def topical(before: Instruction, operation: Rewriting) -> bool:
    """Which operation pays depends on the text."""
    return any(topic in before.text and operation is pays for topic, pays in TOPICS.items())


def topical_seeds(count: int, tag: str = "seed") -> dict[str, Instruction]:
    """`count` seeds about the topics, in turn."""
    topics = list(TOPICS)
    return {
        f"{tag}-{number:04d}": Instruction(f"Describe the {topics[number % len(topics)]} in place {tag} {number}")
        for number in range(count)
    }
