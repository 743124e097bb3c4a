"""Which model serves which role, and the engine that asks them on the ledger."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import dagster as dg

from resources.ledger import LedgerConnection
from teams_dagster.completions.engine import CallContext, Engine
from teams_dagster.completions.protocol import LanguageModel, ModelIdentity, Role
from teams_dagster.ledger.prices import load_prices
from teams_dagster.settings import RoleSettings, Settings, load_settings

_log = logging.getLogger(__name__)


class LanguageModels(dg.ConfigurableResource):
    """The models that the environment names, opened only when a step asks them.

    Its configuration is the project's root alone: keys stay in the environment and never reach Dagster's storage.
    """

    root: str
    ledger: dg.ResourceDependency[LedgerConnection]

    def settings(self) -> Settings:
        """The environment's settings, read anew: a long-lived process sees what was changed."""
        return load_settings(Path(self.root))

    def identities(self, *roles: Role) -> dict[Role, ModelIdentity]:
        """Which model serves each role. Raises SettingsError for a role that needs configuring."""
        settings = self.settings()
        return {role: open_model(settings.role(role)).identity for role in roles}

    def versions(self, *roles: Role) -> dict[str, str]:
        """What an asset's output depends on, of the models that it asks: by role, the model that answers."""
        return {f"model of {role.value}": str(identity) for role, identity in self.identities(*roles).items()}

    def publish(self) -> None:
        """Bring the read model up to date."""
        self.ledger.refresh()

    @asynccontextmanager
    async def asking(self, context: CallContext, *roles: Role) -> AsyncIterator[Engine]:
        """An engine for `roles`. When the block fails, the read model is refreshed: what was paid is shown."""
        settings = self.settings()
        models: dict[Role, LanguageModel] = {role: open_model(settings.role(role)) for role in roles}
        try:
            with self.ledger.open() as ledger:
                engine = Engine(
                    models, ledger, context, load_prices(settings.prices), max_in_flight=settings.max_in_flight
                )
                try:
                    yield engine
                finally:
                    await engine.close()
        except BaseException:
            self._publish_after_failure()
            raise
        finally:
            for model in models.values():
                await model.close()

    def _publish_after_failure(self) -> None:
        """Refresh the read model without hiding the failure that is on its way."""
        try:
            self.publish()
        except Exception:
            _log.exception("the read model could not be refreshed; the next step does it")


def open_model(role: RoleSettings) -> LanguageModel:
    """The connection that `role` names. Nothing is sent, and no weights are loaded, before the first question."""
    if role.provider == "offline":
        from resources.language_models.offline.model import OfflineModel

        return OfflineModel(model=role.model)
    if role.provider == "transformers":
        from resources.language_models.local_transformers import LocalTransformersModel

        return LocalTransformersModel(role.model)
    from resources.language_models.openai_compatible import OpenAICompatibleModel

    key = role.api_key.get_secret_value() if role.api_key else None
    return OpenAICompatibleModel(role.model, base_url=role.base_url, api_key=key)
