"""Who works at a step that asks: the step's own process, or TEAMS_WORKERS beside it."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from resources.language_models.elsewhere import (
    Item,
    OpenWithEngine,
    ProcessAsking,
    Result,
    Work,
    open_elsewhere,
)
from resources.language_models.roles import LanguageModels
from teams_dagster.core.protocol import Role
from teams_dagster.llm.child_process import cores
from teams_dagster.llm.context import CallContext
from teams_dagster.llm.workers import Worker, WorkerPool
from teams_dagster.pricing.forecast import QueryForecast
from teams_dagster.settings import Settings

EMBEDDED = 4
"""Processes that ask the embedded rules side by side, at most: each takes a processor, and some 550 MB if it trains."""

QUERIES_EACH = 20_000
"""Queries of the embedded rules for which a process is worth starting."""


@asynccontextmanager
async def working(
    models: LanguageModels,
    opened: OpenWithEngine[Work, Item, Result],
    work: Work,
    context: CallContext,
    *roles: Role,
    expected: Sequence[QueryForecast],
    width: int,
    log: Callable[[str], None],
    batches: bool = True,
) -> AsyncIterator[Worker[Item, Result]]:
    """Whoever works at `work`, which asks `roles`, at no more than `width` items at once.

    Otherwise as `LanguageModels.asking`, which it goes by: `batches` lets roles whose transport is `batch` go there.
    """
    count = _processes(models.settings(), roles, log, batches=batches)
    if count == 1:
        asking = models.asking(context, *roles, expected=expected, log=log, batches=batches)
        async with opened(work, asking) as worker:
            yield worker
        return
    async with models.asking_elsewhere(context, *roles, expected=expected, log=log, processes=count) as asking:
        job = (opened, work, asking)
        async with WorkerPool(open_elsewhere, job, count, -(-width // count), log) as pool:
            yield pool


def sharing(
    models: LanguageModels,
    context: CallContext,
    *roles: Role,
    expected: Sequence[QueryForecast],
    log: Callable[[str], None],
) -> ProcessAsking | None:
    """How TEAMS_WORKERS processes ask `roles` in turn with the step's own; None where that one asks alone.

    Where TEAMS_WORKERS is not set, as many as are worth it for what is `expected`, if all are the embedded rules. While
    they ask, the step's own must not: they have all of what may be under way. Nothing goes in batches.
    """
    settings = models.settings()
    count = _processes(settings, roles, log, batches=False)
    if settings.workers is None and _bound_by_processor(settings, roles):
        count = max(1, min(cores(), EMBEDDED, sum(kind.likely for kind in expected) // QUERIES_EACH))
    return None if count == 1 else models.sharing(context, *roles, processes=count)


def _bound_by_processor(settings: Settings, roles: Sequence[Role]) -> bool:
    """Whether nothing but this machine's processors keeps `roles` from replying sooner."""
    served = [settings.role(role) for role in roles]
    return all(role.provider == "offline" and not role.rpm and not role.tpm for role in served)


def _processes(settings: Settings, roles: Sequence[Role], log: Callable[[str], None], *, batches: bool) -> int:
    count, why = processes_for(settings, roles, batches=batches)
    if why is not None:
        log(why)
    return count


def processes_for(settings: Settings, roles: Sequence[Role], *, batches: bool = True) -> tuple[int, str | None]:
    """How many processes ask `roles`, some of them perhaps in `batches`, and why it is one where more are wanted."""
    wanted = settings.workers or 1
    if wanted == 1:
        return 1, None
    for role in roles:
        served = settings.role(role)
        if batches and served.transport == "batch":
            return 1, f"one process asks, and not {wanted} (TEAMS_WORKERS): batches of the {role.value} are one queue"
        if served.provider == "transformers":
            return 1, (
                f"one process asks, and not {wanted} (TEAMS_WORKERS): each would load the weights of the {role.value}"
            )
    return wanted, None
