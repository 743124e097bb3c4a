"""How processes beside a step's own ask its models. Knows no Dagster, so that such a process is small."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from resources.language_models.engines import step_engine
from resources.language_models.opening import open_model
from resources.language_models.probing import Held
from teams_dagster.core.protocol import Role
from teams_dagster.instructions.prompts import use_prompts
from teams_dagster.ledger.budgets import Budgets
from teams_dagster.ledger.writer import Ledger
from teams_dagster.llm.context import CallContext
from teams_dagster.llm.engine import Engine
from teams_dagster.llm.workers import Say, Worker
from teams_dagster.settings import Settings

Work = TypeVar("Work")
Item = TypeVar("Item")
Result = TypeVar("Result")

Asking = AbstractAsyncContextManager[Engine]

OpenWithEngine = Callable[[Work, Asking], AbstractAsyncContextManager[Worker[Item, Result]]]
"""Opens a worker that asks by the engine that the other opens: a function of a module."""


def _ignore(line: str) -> None: ...


@dataclass(frozen=True)
class ProcessAsking:
    """Everything that an engine in another process needs, as values."""

    settings: Settings = field(repr=False)
    """Keys and the ledger's password among them: they go from process to process, and nowhere else."""
    held: Mapping[Role, Held]
    """How the model of each role that is asked is held to its replies."""
    context: CallContext
    budgets: Budgets
    processes: int = 1
    """How many share the limits of a model."""

    @asynccontextmanager
    async def engine(self, say: Callable[[str], None] = _ignore) -> AsyncIterator[Engine]:
        """An engine with connections of its own, to the ledger too: what it asks is claimed and reserved there."""
        settings = self.settings
        use_prompts(settings.prompts)
        models = {role: open_model(settings.role(role), settings, held) for role, held in self.held.items()}
        try:
            with Ledger(settings.ledger_url) as ledger:
                engine = step_engine(
                    ledger, settings, models, self.context, self.budgets, processes=self.processes, say=say
                )
                try:
                    yield engine
                finally:
                    await engine.close()
        finally:
            for model in models.values():
                await model.close()


def open_elsewhere(
    job: tuple[OpenWithEngine[Work, Item, Result], Work, ProcessAsking], say: Say
) -> AbstractAsyncContextManager[Worker[Item, Result]]:
    """A worker in the process that calls it, for `workers.WorkerPool`."""
    opened, work, asking = job
    return opened(work, asking.engine(say))
