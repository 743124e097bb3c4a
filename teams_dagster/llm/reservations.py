"""The most that a call can cost, before it is sent."""

from __future__ import annotations

from teams_dagster.core.protocol import ModelIdentity, Request
from teams_dagster.ledger.budgets import Limit, Reservation
from teams_dagster.pricing.prices import PriceTable

MESSAGE_OVERHEAD = 32
"""Tokens that a chat template adds around one message, at most."""


class PriceUnknown(Exception):
    """Dollars are bounded, and a model has no known price."""

    def __init__(self, identity: ModelIdentity) -> None:
        super().__init__(
            f"a budget bounds dollars, and the price of {identity} is not known: state it in the file that TEAMS_PRICES"
            " names, or bound queries or tokens instead (TEAMS_BUDGET_QUERIES, TEAMS_BUDGET_TOKENS)"
        )


def prompt_bound(request: Request) -> int:
    """No tokenizer makes more tokens of a prompt: one for each byte of UTF-8, and what surrounds the messages."""
    return sum(len(message.content.encode()) + MESSAGE_OVERHEAD for message in request.messages)


def reserve(
    request: Request, identity: ModelIdentity, prices: PriceTable, limits: tuple[Limit, ...], *, batch: bool = False
) -> Reservation:
    """What to reserve for one attempt. Raises PriceUnknown where dollars are bounded and cannot be counted."""
    prompt, completion = prompt_bound(request), request.sampling.max_tokens
    nano_usd = prices.bound(identity, prompt, completion, batch=batch)
    if nano_usd is None and any(limit.budget.nano_usd is not None for limit in limits):
        raise PriceUnknown(identity)
    return Reservation(limits, prompt + completion, nano_usd)
