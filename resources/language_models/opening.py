"""Connections to the models that roles name, and what they go on from: their batches, and what was learnt of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from resources.language_models.probing import NOT_HELD, Held
from teams_dagster.core.protocol import CompletionError, LanguageModel, Request
from teams_dagster.instructions.requests import reply_limit
from teams_dagster.ledger.batches import open_batches
from teams_dagster.ledger.database import read_address
from teams_dagster.ledger.traits import record_limit, record_trait, traits_of
from teams_dagster.ledger.writer import Ledger
from teams_dagster.llm.batches import BatchEndpoint
from teams_dagster.llm.batching import Batching, BatchPace
from teams_dagster.llm.context import CallContext, Tallies
from teams_dagster.pricing.forecast import QueryForecast
from teams_dagster.pricing.prices import PriceTable
from teams_dagster.role_settings import RoleSettings
from teams_dagster.settings import Settings

_log = logging.getLogger(__name__)


def open_model(role: RoleSettings, settings: Settings, held: Held = NOT_HELD) -> LanguageModel:
    """The connection that `role` names, its model held to its replies as `held` says.

    Nothing is sent, and no weights are loaded, before the first query.
    """
    if role.provider == "offline":
        from resources.language_models.offline.model import OfflineModel

        return OfflineModel(model=role.model)
    if role.provider == "transformers":
        from resources.language_models.local_transformers import LocalTransformersModel

        return LocalTransformersModel(role.model, max_tokens=role.max_tokens, structured=held.structured)
    if role.provider == "embedding":
        from resources.language_models.embedding.reviewer import EmbeddingReviewer

        return EmbeddingReviewer(role.model)
    from resources.language_models.openai_compatible import OpenAICompatibleModel

    key = role.api_key.get_secret_value() if role.api_key else None
    return OpenAICompatibleModel(
        role.model,
        base_url=role.base_url,
        api_key=key,
        timeout_s=role.timeout_s,
        omit=role.omit,
        max_tokens=role.max_tokens,
        extra=role.extra,
        allow_http=settings.allow_http,
        structured=held.structured,
        logprobs=held.logprobs,
    )


def reply_limit_of(role: RoleSettings) -> Callable[[Request], int]:
    """How many tokens a reply of `role` may take: what is configured, or what each query can need."""
    configured = role.max_tokens
    return reply_limit if configured is None else lambda _: configured


def as_configured(expected: Sequence[QueryForecast], settings: Settings) -> list[QueryForecast]:
    """Forecasts with the limits on replies that roles' settings state."""
    return [replace(kind, max_tokens=settings.role(kind.role).max_tokens or kind.max_tokens) for kind in expected]


def written_folders(settings: Settings) -> dict[str, Path]:
    """By setting, the folders that a step which asks writes to on this machine."""
    address = read_address(settings.ledger_url)
    folders = {"TEAMS_DATA_DIR": settings.data_dir}
    if address.get_backend_name() == "sqlite" and address.database:
        folders["TEAMS_LEDGER_URL"] = Path(address.database).parent
    return folders


def go_on_from_traits(ledger: Ledger, models: Collection[LanguageModel]) -> None:
    """Let each endpoint's connection know what was found out about it before, and write down what it finds out."""
    from resources.language_models.openai_compatible import OpenAICompatibleModel

    for model in models:
        if isinstance(model, OpenAICompatibleModel):
            identity = model.identity
            model.dialect.keep(
                traits_of(ledger.engine, identity),
                partial(record_trait, ledger.engine, identity),
                partial(record_limit, ledger.engine, identity),
            )


def open_as_known(role: RoleSettings, settings: Settings, ledger: Ledger, held: Held) -> LanguageModel:
    """`open_model`, going on from what the ledger knows of its endpoint."""
    model = open_model(role, settings, held)
    go_on_from_traits(ledger, [model])
    return model


async def collect_batches(
    ledger: Ledger, models: Sequence[LanguageModel], context: CallContext, prices: PriceTable
) -> None:
    """Put what has ended of the batches of models that are asked directly now on the ledger."""
    waiting = open_batches(ledger)
    for model in models:
        if any(batch.is_of(model.identity) for batch in waiting):
            batching = Batching(batches_of(model), ledger, context, prices, Tallies(), lambda: False, BatchPace())
            try:
                await batching.adopt()
            except CompletionError as error:
                _log.warning("the batches of %s cannot be collected now: %s", model.identity, error)
            finally:
                await batching.close()


def batches_of(model: LanguageModel) -> BatchEndpoint:
    """The batch endpoint of a model that has one."""
    from resources.language_models.openai_batches import OpenAIBatches
    from resources.language_models.openai_compatible import OpenAICompatibleModel

    assert isinstance(model, OpenAICompatibleModel), "settings allow the batch transport for this provider alone"
    return OpenAIBatches(model)
