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
from teams_dagster.llm.context import CallContext
from teams_dagster.llm.workers import Worker, WorkerPool
from teams_dagster.pricing.forecast import QueryForecast
from teams_dagster.settings import Settings


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
    models: LanguageModels, context: CallContext, *roles: Role, log: Callable[[str], None]
) -> ProcessAsking | None:
    """How TEAMS_WORKERS processes ask `roles` in turn with the step's own; None where that one asks alone.

    While they ask, the step's own must not: they have all of what may be under way. Nothing goes in batches.
    """
    count = _processes(models.settings(), roles, log, batches=False)
    return None if count == 1 else models.sharing(context, *roles, processes=count)


def _processes(settings: Settings, roles: Sequence[Role], log: Callable[[str], None], *, batches: bool) -> int:
    count, why = processes_for(settings, roles, batches=batches)
    if why is not None:
        log(why)
    return count


def processes_for(settings: Settings, roles: Sequence[Role], *, batches: bool = True) -> tuple[int, str | None]:
    """How many processes ask `roles`, some of them perhaps in `batches`, and why it is one where more are wanted."""
    wanted = settings.workers
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
