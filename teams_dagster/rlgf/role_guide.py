"""The guide's role as a black box: a language model behind the engine goes on with texts.

Its queries are like any others: limited, retried, counted on the ledger and reused from it, so that a training that
goes on pays for nothing twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Protocol

from teams_dagster.core.hashing import content_hash
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import Answer, Intent, LLMClient, Message, Outcome, Purpose, Request, Role, Sampling
from teams_dagster.rlgf.guides import Question

ASKED = """\
Go on with the text below where it ends. Reply with what follows alone: neither repeat the text nor comment on it.

{text}"""
"""What the guide is told."""
READABLE = (Outcome.USABLE, Outcome.TRUNCATED)
"""A text that was cut short may be gone on with as well."""
TEMPERATURE, TOP_P = 1.0, 0.92


class Runner(Protocol):
    """Runs coroutines on the event loop that the client lives on, such as `asyncio.Runner`."""

    def run(self, coro: Coroutine[None, None, list[str]]) -> list[str]: ...


@dataclass(frozen=True)
class RoleGuide:
    """Asks the role GUIDE; what `BlackBoxGuide` needs as its `ask`."""

    client: LLMClient
    runner: Runner

    def __call__(self, questions: Sequence[Question]) -> list[str]:
        """What follows each beginning; nothing where the guide refused. Raises QueryFailed where it did not answer."""
        return self.runner.run(self._texts(questions))

    async def _texts(self, questions: Sequence[Question]) -> list[str]:
        return [said(answer) for answer in await continued(self.client, questions)]


async def continued(client: LLMClient, questions: Sequence[Question]) -> list[Answer]:
    """The role's answers, in the order of `questions`. Raises QueryFailed where it did not answer."""
    return await asyncio.gather(*(client.ask(continuation_query(question)) for question in questions))


def said(answer: Answer) -> str:
    """What follows; nothing where the guide refused."""
    return answer.completion.text if answer.completion.outcome in READABLE else ""


def continuation_query(question: Question) -> Request:
    """The query of one question; the same question with another key is another replica."""
    text = ASKED.format(text=question.prompt + question.begun)
    return Request(
        role=Role.GUIDE,
        intent=Intent(Purpose.RESPOND, before=Instruction(text)),
        messages=(Message("user", text),),
        prompt_version=content_hash(ASKED),
        sampling=Sampling(TEMPERATURE, TOP_P, question.room),
        replica=int(content_hash(question.key)[:7], 16),
    )
