"""How a process of its own asks the embedded rules. Knows no Dagster, so that such a process is small."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from resources.language_models.offline.model import OfflineModel
from teams_dagster.core.protocol import Role
from teams_dagster.instructions.prompts import use_prompts
from teams_dagster.ledger.budgets import Budgets
from teams_dagster.ledger.writer import Ledger
from teams_dagster.llm.context import CallContext
from teams_dagster.llm.engine import Engine
from teams_dagster.pricing.prices import load_prices


@dataclass(frozen=True)
class EmbeddedAsking:
    """Everything that an engine for roles served by the embedded rules needs, as values."""

    models: Mapping[Role, str]
    """The name of each role's rules."""
    ledger_url: str = field(repr=False)
    """May hold a password."""
    context: CallContext
    budgets: Budgets
    prices: Path | None
    max_in_flight: int
    own_prompts: Path | None
    """Folder of the project's own prompts, whose versions transitions carry."""

    @asynccontextmanager
    async def engine(self) -> AsyncIterator[Engine]:
        """An engine with a connection of its own to the ledger: what it asks is claimed and reserved there."""
        use_prompts(self.own_prompts)
        models = {role: OfflineModel(name) for role, name in self.models.items()}
        with Ledger(self.ledger_url) as ledger:
            engine = Engine(
                models,
                ledger,
                self.context,
                load_prices(self.prices),
                max_in_flight=self.max_in_flight,
                budgets=self.budgets,
            )
            try:
                yield engine
            finally:
                await engine.close()
