"""Settling an attempt: its outcome and its cost, on the ledger; the same for a single call and for a batch's line.

The outcome is told from what the provider returned and nothing else.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from teams_dagster.core.protocol import (
    Completion,
    CompletionError,
    ModelIdentity,
    Outcome,
    RateLimitHeaders,
    ReplyToken,
    Role,
    Usage,
)
from teams_dagster.ledger.budgets import Reservation
from teams_dagster.ledger.entries import AttemptFailed, SettleAttempt
from teams_dagster.ledger.records import Result, StoredAnswer, Use
from teams_dagster.ledger.writer import Ledger
from teams_dagster.llm.context import Tallies
from teams_dagster.llm.reasoning import split_reasoning
from teams_dagster.pricing.prices import PriceTable

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
"""NUL and lone surrogates: no text column and no UTF-8 file takes them."""


_TURN_ENDS = (
    *("<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|endoftext|>", "<|end|>", "<|return|>"),
    *("<|END_OF_TURN_TOKEN|>", "<end_of_turn>"),
)
"""Special tokens that end a turn, which some servers leave in its text. `</s>` is none: it is HTML, too."""

_TURN_BEGINS = re.compile(
    r"\A\s*(?:(?:<\|START_OF_TURN_TOKEN\|>)?<\|CHATBOT_TOKEN\|>|<\|im_start\|>\s*assistant\s*\n|<start_of_turn>model\s*\n"
    r"|<\|start_header_id\|>\s*assistant\s*<\|end_header_id\|>|<\|assistant\|>)\s*"
)
"""Special tokens that begin a turn of the model's, which some servers leave in its text, too."""

_FINISHED = frozenset(
    {"stop", "stop_sequence", "eos", "eos_token", "end_turn", "end", "end_of_text", "complete", "completed", "finished"}
    | {"finish", "done", "stop_token", "eos_found", "finishreason.stop"}
)
_CUT_OFF = frozenset(
    {"length", "max_tokens", "max_output_tokens", "max_length", "model_length", "model_context_window_exceeded"}
    | {"truncated", "error_limit", "incomplete"}
)
_WITHHELD = frozenset(
    {"content_filter", "safety", "refusal", "prohibited_content", "recitation", "blocklist", "spii", "error_toxic"}
    | {"content_filtered", "guardrail_intervened", "sensitive"}
)
_BROKEN_OFF = frozenset(
    {"error", "abort", "aborted", "cancelled", "canceled", "user_cancel", "failed", "timeout"}
    | {"insufficient_system_resource"}
)
"""Finish reasons of OpenAI, Anthropic, Cohere, DeepSeek, Google, Mistral, Text Generation Inference and Zhipu, in any
case of letters.

Anything else, nothing at all among it, does not say that a text is whole."""


def _without_turn_tokens(text: str) -> str:
    """`text` without the tokens that begin and end it as a turn; itself where there are none."""
    if (begins := _TURN_BEGINS.match(text)) is not None:
        text = text[begins.end() :]
    while (shorter := text.rstrip()).endswith(_TURN_ENDS):
        text = shorter[: shorter.rindex("<")]
    return text


def is_broken_off(finish_reason: str) -> bool:
    """Whether a text ended because the server failed: the same query may be answered later."""
    reason = finish_reason.lower()
    return reason in _BROKEN_OFF or reason.endswith("_error")


def why_ended(reasons: Sequence[str]) -> str:
    """Of all that a server says of why a text ended, the first that says it is not whole; otherwise the first."""
    spoilt = (r for r in reasons if r.lower() in _CUT_OFF | _WITHHELD or is_broken_off(r))
    return next(spoilt, reasons[0] if reasons else "")


def completion_of(
    text: str | None,
    finish_reason: str,
    *,
    refusal: str | None = None,
    reasoning: str | None = None,
    usage: Usage | None = None,
    tokens: tuple[ReplyToken, ...] = (),
    rate_limit_headers: RateLimitHeaders | None = None,
) -> Completion:
    """A completion with its outcome, what the model thought told from what it answered, without what ends a turn.

    `text` is None when the message holds no text (a tool call, a list of parts); `reasoning` is what the provider
    itself sets apart, to which thoughts found in `text` are added; `refusal` what it says instead of an answer.
    """
    usage = usage or Usage()
    thought, answer = ("", text) if text is None else split_reasoning(_without_turn_tokens(text))
    thoughts = "\n\n".join(part for part in ((reasoning or "").strip(), thought) if part)
    thinks = bool(thoughts or usage.reasoning_tokens)
    outcome = classify(answer, finish_reason, refusal, thinks=thinks)
    return Completion(
        answer or refusal or "",
        finish_reason,
        outcome,
        usage,
        reasoning=thoughts or None,
        tokens=tokens,
        rate_limit_headers=rate_limit_headers,
    )


def classify(text: str | None, finish_reason: str, refusal: str | None = None, *, thinks: bool = False) -> Outcome:
    """The outcome of a completion whose answer is `text`; `thinks` says whether the model thought before it.

    A refusal is one only where the provider says so; refusals in words are the elimination rules' business.
    """
    reason = finish_reason.lower()
    if refusal is not None or reason in _WITHHELD:
        return Outcome.REFUSAL
    if thinks and text is not None and not text.strip():
        return Outcome.REASONING_ONLY
    if reason in _CUT_OFF:
        return Outcome.TRUNCATED
    if text is None or _UNSTORABLE.search(text):
        return Outcome.MALFORMED
    if reason not in _FINISHED:
        return Outcome.UNFINISHED
    return Outcome.USABLE if text.strip() else Outcome.EMPTY


def with_possible_usage(completion: Completion, reservation: Reservation) -> Completion:
    """`completion`, with no count of tokens that is far beyond what its query may take: None, and marked.

    What may be is what was reserved, and `_BEYOND_THE_LIMIT` more.
    """
    usage, most = completion.usage, reservation.tokens + _BEYOND_THE_LIMIT
    if (usage.prompt_tokens or 0) > most:
        usage = replace(usage, prompt_tokens=None, cached_tokens=None, cache_write_tokens=None, impossible=True)
    if (usage.completion_tokens or 0) > most:
        usage = replace(usage, completion_tokens=None, reasoning_tokens=None, impossible=True)
    return completion if usage is completion.usage else replace(completion, usage=usage)


def storable(text: str) -> str:
    """`text` with what no database takes replaced by U+FFFD."""
    return _UNSTORABLE.sub("\ufffd", text)


def storable_completion(completion: Completion) -> Completion:
    """`completion` as a database takes it; a text that had to be changed for it is malformed."""
    text, finish_reason = storable(completion.text), storable(completion.finish_reason)
    reasoning = None if completion.reasoning is None else storable(completion.reasoning)
    outcome = completion.outcome if text == completion.text else Outcome.MALFORMED
    return replace(completion, text=text, finish_reason=finish_reason, outcome=outcome, reasoning=reasoning)


_BEYOND_THE_LIMIT = 2**18
"""Tokens that a call may take beyond its prompt's bytes and the limit on its reply: some servers count thoughts apart,
or put a prompt of their own before ours. No model writes, and no server adds, more than this."""

DETAIL_LIMIT = 2_000
"""Characters of a failure's detail that are kept."""


@dataclass(frozen=True, slots=True)
class OpenAttempt:
    """An attempt whose intent is on the ledger, and whose result is not."""

    request_id: str
    identity: ModelIdentity
    use: Use
    reservation: Reservation
    batch_id: str | None = None
    """The batch that it is part of, if it is: then it costs a batch's price, and the batch holds the claim."""


class Settlement:
    """Writes the results of a step's attempts to its ledger, and counts what they cost."""

    def __init__(self, ledger: Ledger, prices: PriceTable, tallies: Tallies) -> None:
        """Costs are added to `tallies`."""
        self._ledger, self._prices, self._tallies = ledger, prices, tallies

    async def answered(self, attempt: OpenAttempt, completion: Completion, latency_ms: float) -> StoredAnswer:
        """The answer that everybody uses, once it is durable: `completion`, or an earlier one if there is one.

        A text that no database holds is paid all the same: it is stored as far as it can be, as malformed. Raises
        LedgerError.
        """
        completion = storable_completion(completion)
        result = self._result(attempt, latency_ms, completion=completion)
        self._tallies.cost_nano_usd += result.cost_nano_usd or 0
        self._tallies.unpriced += result.cost_nano_usd is None
        self._tallies.impossible_usage += completion.usage.impossible
        return await self._ledger.write(SettleAttempt(result, attempt.use, attempt.reservation, attempt.batch_id))

    async def failed(self, attempt: OpenAttempt, error: CompletionError, latency_ms: float) -> None:
        """Put a failure on the ledger. The claim stays, for another attempt. Raises LedgerError."""
        result = self._result(attempt, latency_ms, error=error.for_role(Role(attempt.use.place.role)))
        await self._ledger.write(AttemptFailed(result, attempt.reservation))

    def _result(
        self,
        attempt: OpenAttempt,
        latency_ms: float,
        *,
        completion: Completion | None = None,
        error: CompletionError | None = None,
    ) -> Result:
        usage = Usage() if completion is None else completion.usage
        return Result(
            request_id=attempt.request_id,
            completion=completion,
            error_kind=None if error is None else error.kind,
            error_detail=None if error is None else storable(error.detail)[:DETAIL_LIMIT],
            http_status=None if error is None else error.http_status,
            cost_nano_usd=self._prices.cost(attempt.identity, usage, batch=attempt.batch_id is not None),
            price_version=self._prices.version,
            latency_ms=latency_ms,
            finished_at=time.time_ns() // 1_000,
        )
