"""The embedded offline model behind an in-memory client: no ledger, every answer remembered."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files

from resources.language_models.offline.model import OfflineModel
from teams_dagster.core.hashing import content_hash
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import Rewriting
from teams_dagster.core.protocol import Answer, ModelIdentity, Request, Role


class OfflineWorld:
    """An `LLMClient` over the offline model. `names` says which operation is performed for the one that is asked."""

    def __init__(self, names: Callable[[Rewriting], Rewriting] = lambda operation: operation) -> None:
        self.model, self.names = OfflineModel(), names
        self.answers: dict[Request, Answer] = {}

    def identity(self, role: Role) -> ModelIdentity:
        return self.model.identity

    async def ask(self, request: Request, *, transition_id: str | None = None, sample_id: str | None = None) -> Answer:
        if request not in self.answers:
            intent = request.intent
            if intent.operation is not None:
                intent = replace(intent, operation=self.names(intent.operation))
            completion = await self.model.complete(replace(request, intent=intent))
            key = content_hash(intent.purpose.value, [m.content for m in request.messages], request.replica)
            self.answers[request] = Answer(completion, f"id-{key}", key, reused=False)
        return self.answers[request]


def shipped_seeds() -> dict[str, Instruction]:
    """The seeds that the product ships, by the id of their text."""
    lines = (files("teams_dagster.instructions") / "data" / "seeds.jsonl").read_text(encoding="utf-8").splitlines()
    seeds = [Instruction(row["instruction"], row.get("input", "")) for row in map(json.loads, lines)]
    return {seed.instruction_id: seed for seed in seeds}
