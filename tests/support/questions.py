"""Questions as the method asks them, and many of them asked of a server at once."""

from __future__ import annotations

import asyncio
from typing import Any

from resources.language_models.openai_compatible import OpenAICompatibleModel
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import Operation
from teams_dagster.core.protocol import Intent, Message, Purpose, Request, Role
from teams_dagster.ledger.writer import Ledger
from teams_dagster.llm.context import CallContext
from teams_dagster.llm.engine import Engine
from teams_dagster.pricing.prices import load_prices
from tests.support.openai_server import OpenAIServer


def question(text: str = "Say something.", *, role: Role = Role.EXPERT, **changes: Any) -> Request:
    """A question for an answer to `text`."""
    messages = (Message("system", "Be brief."), Message("user", text))
    return Request(role, Intent(Purpose.RESPOND, Instruction(text)), messages, "prompt-1", **changes)


def rewrite(text: str, operation: Operation, *, role: Role = Role.INSTRUCTOR, **changes: Any) -> Request:
    """A question for a rewrite of `text`."""
    intent = Intent(Purpose.REWRITE, Instruction(text), operation=operation)
    messages = (Message("user", f"{operation.value}: {text}"),)
    return Request(role, intent, messages, f"prompt-{operation.value}", **changes)


def ask_all(server: OpenAIServer, ledger: Ledger, texts: list[str], **options: Any) -> list[Any]:
    """Answers or exceptions, in order; `options` are the engine's."""

    async def asking() -> list[Any]:
        model = OpenAICompatibleModel("m", base_url=server.base_url)
        engine = Engine(
            {Role.EXPERT: model}, ledger, CallContext("run-1", "asset"), load_prices(), first_wait_s=0.01, **options
        )
        try:
            return await asyncio.gather(*[engine.ask(question(text)) for text in texts], return_exceptions=True)
        finally:
            await engine.close()
            await model.close()

    return asyncio.run(asking())
