"""The language model of these studies: models in this process, each query answered once and kept in memory."""

from __future__ import annotations

from dataclasses import replace

from resources.language_models.offline.model import OfflineModel
from teams_dagster.core.hashing import content_hash
from teams_dagster.core.protocol import Answer, Completion, LanguageModel, ModelIdentity, Request, Role, Usage
from teams_dagster.llm.constraints import as_sent


class Remembering:
    """An `LLMClient`: the embedded rules, and another reviewer where one is given."""

    def __init__(self, reviewer: LanguageModel | None = None) -> None:
        self._rules = OfflineModel()
        self._reviewer = reviewer or self._rules
        self._answers: dict[Request, Answer] = {}

    def identity(self, role: Role) -> ModelIdentity:
        """Of the role's model."""
        return self._model(role).identity

    async def ask(self, request: Request, *, transition_id: str | None = None, sample_id: str | None = None) -> Answer:
        """The answer, asked for the first time or remembered."""
        if request not in self._answers:
            model = self._model(request.role)
            completion = await model.complete(as_sent(request, model.identity))
            completion = replace(completion, usage=self.usage(request, completion))
            key = content_hash(request.intent.purpose.value, [m.content for m in request.messages], request.replica)
            self._answers[request] = Answer(completion, key, key, reused=False)
        return self._answers[request]

    def usage(self, request: Request, completion: Completion) -> Usage:
        """The tokens that an answer took."""
        return completion.usage

    def _model(self, role: Role) -> LanguageModel:
        return self._reviewer if role is Role.REVIEWER else self._rules
