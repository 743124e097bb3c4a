"""The language model of these studies: the embedded rules, each query answered once and kept in memory."""

from __future__ import annotations

from dataclasses import replace

from resources.language_models.offline.model import OfflineModel
from teams_dagster.core.hashing import content_hash
from teams_dagster.core.protocol import Answer, Completion, ModelIdentity, Request, Role, Usage
from teams_dagster.llm.constraints import as_sent


class Remembering:
    """An `LLMClient` over the embedded rules."""

    def __init__(self) -> None:
        self._rules = OfflineModel()
        self._answers: dict[Request, Answer] = {}

    def identity(self, role: Role) -> ModelIdentity:
        """Of the rules, whatever the role."""
        return self._rules.identity

    async def ask(self, request: Request, *, transition_id: str | None = None, sample_id: str | None = None) -> Answer:
        """The answer, asked for the first time or remembered."""
        if request not in self._answers:
            completion = await self._rules.complete(as_sent(request, self._rules.identity))
            completion = replace(completion, usage=self.usage(request, completion))
            key = content_hash(request.intent.purpose.value, [m.content for m in request.messages], request.replica)
            self._answers[request] = Answer(completion, key, key, reused=False)
        return self._answers[request]

    def usage(self, request: Request, completion: Completion) -> Usage:
        """The tokens that an answer took."""
        return completion.usage
