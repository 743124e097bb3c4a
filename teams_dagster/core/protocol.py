"""What a query to a language model is, what comes back, and how it can fail.

A request carries both its rendered messages and its intent, so a rule-based model can serve it as well as a chat
model. The method depends on these values; `resources.language_models` implements the protocol.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Protocol

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import Rewriting
from teams_dagster.core.replies import AllowedReplies, Way, replies_json


class Role(StrEnum):
    """Who is asked. Each role can be another model."""

    EXPERT = "expert"
    REVIEWER = "reviewer"
    INSTRUCTOR = "instructor"
    GUIDE = "guide"
    JUDGE = "judge"


class Purpose(StrEnum):
    """What a query is for."""

    REWRITE = "rewrite"
    REVIEW = "review"
    RESPOND = "respond"
    GUIDE = "guide"
    JUDGE = "judge"
    RATE = "rate"
    """What the judge says of one instruction with its answer."""
    PROBE = "probe"
    """Finding out what an endpoint honours."""


class Outcome(StrEnum):
    """What a billed completion turned out to be."""

    USABLE = "usable"
    EMPTY = "empty"
    REFUSAL = "refusal"
    TRUNCATED = "truncated"
    REASONING_ONLY = "reasoning_only"
    """All of it was thinking: the limit on its tokens left no room for an answer."""
    UNFINISHED = "unfinished"
    """No finish reason came, or one that does not say that the text is whole."""
    MALFORMED = "malformed"


class ErrorKind(StrEnum):
    """Why an attempt brought no completion."""

    UNREACHABLE = "unreachable"
    """The request certainly never reached a server."""
    CONNECTION = "connection"
    """The connection broke after the request was on its way."""
    TIMEOUT = "timeout"
    RATE_LIMITED = "rate_limited"
    SERVER = "server"
    """The server answered 5xx."""
    UNSUPPORTED = "unsupported"
    """The server does not take a parameter of the request: it will refuse every one that has it."""
    REJECTED = "rejected"
    """The server will not answer this request (400, 413, 422, ...). Asking again cannot help."""
    DENIED = "denied"
    """The server answers nothing to this key, model or URL (401, 403, 404, a redirect, an exhausted quota)."""
    UNLOADABLE = "unloadable"
    """The weights of a local model cannot be loaded, or are not those that its configuration asks for."""
    BAD_REPLY = "bad_reply"
    """The server answered 2xx with JSON that is not a chat completion."""
    NOT_JSON = "not_json"
    """The server answered 2xx with something else than JSON: an HTML page, say."""
    BAD_ENCODING = "bad_encoding"
    """The server answered 2xx with bytes that are not UTF-8, or that cannot be unpacked."""
    INCOMPLETE = "incomplete"
    """The server answered 2xx and says that it broke its answer off."""
    TOO_LARGE = "too_large"
    """The answer was longer than any answer may be."""
    TOO_LONG = "too_long"
    """Prompt and reply do not fit into the model's context; not sent where that was known."""

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later."""
        return self not in _NEVER_AGAIN

    @property
    def perhaps_billed(self) -> bool:
        """Whether the provider may charge for the attempt although it brought nothing."""
        return self in _PERHAPS_BILLED


_NEVER_AGAIN = frozenset(
    {
        ErrorKind.UNSUPPORTED,
        ErrorKind.REJECTED,
        ErrorKind.DENIED,
        ErrorKind.UNLOADABLE,
        ErrorKind.TOO_LARGE,
        ErrorKind.TOO_LONG,
    }
)

_PERHAPS_BILLED = frozenset(
    {
        ErrorKind.CONNECTION,
        ErrorKind.TIMEOUT,
        ErrorKind.BAD_REPLY,
        ErrorKind.NOT_JSON,
        ErrorKind.BAD_ENCODING,
        ErrorKind.INCOMPLETE,
        ErrorKind.TOO_LARGE,
    }
)


@dataclass(frozen=True)
class Message:
    """One chat message."""

    role: str
    content: str


def fold_system(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """`messages` for a model without a system role: what the system says stands at the head of what the user says."""
    if len(messages) < 2 or messages[0].role != "system":
        return messages
    system, first, *others = messages
    return (Message(first.role, f"{system.content}\n\n{first.content}"), *others)


@dataclass(frozen=True)
class Sampling:
    """Decoding parameters, part of a query's identity."""

    temperature: float = 0.7
    top_p: float = 0.95
    max_tokens: int = 2048


@dataclass(frozen=True)
class Intent:
    """What the query means, for models that do not read prompts."""

    purpose: Purpose
    before: Instruction
    """The instruction that is rewritten, reviewed against, answered (the judge sees it with two answers), or to be
    rewritten as the guide says."""
    after: Instruction | None = None
    """The rewritten instruction under review; None otherwise."""
    operation: Rewriting | None = None
    """The operation to perform, or that no operation is named; None for an answer."""
    answers: tuple[str, str] | None = None
    """The two answers to be compared, in the order in which they are shown; None otherwise."""
    answer: str | None = None
    """The answer to be rated; None otherwise."""


@dataclass(frozen=True)
class Request:
    """One query."""

    role: Role
    intent: Intent
    messages: tuple[Message, ...]
    prompt_version: str
    """Content hash of the template that rendered `messages`."""
    sampling: Sampling = field(default_factory=Sampling)
    replica: int = 0
    """Asking the same query again on purpose means the next replica; sent as `seed` where the endpoint takes one."""
    allowed: AllowedReplies | None = None
    """The replies that the messages ask for; None for any text."""
    structured: Way | None = None
    """How the model is held to them; None: it is only told."""

    @property
    def held(self) -> tuple[str, str] | None:
        """How the model is held, and to what (JSON), as keys and ledger have it; None where it is not."""
        if self.structured is None or self.allowed is None:
            return None
        return self.structured.value, replies_json(self.allowed)


@dataclass(frozen=True)
class Usage:
    """Tokens as the provider reported them; None where it said nothing. Never guessed."""

    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    """The part of the prompt that the provider had in its cache."""
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    """The part of the completion that nobody sees."""
    cache_write_tokens: int | None = None
    """The part of the prompt that the provider put into its cache, where it charges for that."""
    impossible: bool = field(default=False, compare=False)
    """Whether a count was reported that no call can have, and is None for it. Of the moment; never stored."""


@dataclass(frozen=True)
class RateLimitHeaders:
    """What a provider's headers say is left of its rate limits, and in how many seconds they are full again."""

    requests: int | None = None
    requests_reset_s: float | None = None
    tokens: int | None = None
    tokens_reset_s: float | None = None


@dataclass(frozen=True)
class ReplyToken:
    """One token of a reply and what could have stood in its place."""

    text: str
    top: Mapping[str, float]
    """Log-probabilities of the likeliest tokens at this place, its own among them."""


@dataclass(frozen=True)
class Completion:
    """What a model answered."""

    text: str
    finish_reason: str
    outcome: Outcome
    usage: Usage = field(default_factory=Usage)
    reasoning: str | None = None
    """What the model thought before it answered: no part of `text`. None where it gave none."""
    probabilities: Mapping[str, float] | None = field(default=None, hash=False)
    """How likely each allowed reply was, where log-probabilities came back."""
    tokens: tuple[ReplyToken, ...] = field(default=(), compare=False, repr=False)
    """The reply's tokens with their log-probabilities, where they were asked for and came back; never stored."""
    rate_limit_headers: RateLimitHeaders | None = field(default=None, compare=False)
    """Of the moment; never stored."""


@dataclass(frozen=True)
class ModelIdentity:
    """Which model answers: part of every request's content key and of the ledger's rows."""

    provider: str
    """`offline`, `openai`, `transformers` or `embedding`."""
    model: str
    base_url: str = ""
    rules_version: str = ""
    """What else decides its answers: a hash of the offline model's rules, a digest of local weights, what settings
     add to each request (a limit of its own, further parameters); empty where nothing does."""
    structured: Way | None = None
    """How it is held to the replies that a query allows; None: it is only told."""

    @property
    def place(self) -> ModelIdentity:
        """The same model, however it is held to its replies: what its batches belong to."""
        return replace(self, structured=None)

    @property
    def server(self) -> ModelIdentity:
        """The same model, whatever settings add to its requests: what bounds the calls to it belongs to."""
        return replace(self, structured=None, rules_version="")

    def __str__(self) -> str:
        """In one line: provider/model, where it is served, the version of its rules, how it is held to its replies."""
        parts = (f"{self.provider}/{self.model}", self.base_url, self.rules_version, self.structured)
        return " ".join(part for part in parts if part)


def identity_of(values: Mapping[str, Any]) -> ModelIdentity:
    """The identity whose fields were written as plain values, `structured` perhaps not among them."""
    held = values.get("structured")
    known: dict[str, Any] = {**values, "structured": None if held is None else Way(held)}
    return ModelIdentity(**known)


ROLE_VARIABLES = "TEAMS_<ROLE>_"
"""How the variables of whichever role asks begin, in advice given by a connection that does not know the role."""


class CompletionError(Exception):
    """An attempt that brought no completion."""

    def __init__(
        self,
        kind: ErrorKind,
        detail: str,
        *,
        http_status: int | None = None,
        retry_after: float | None = None,
        rate_limit_headers: RateLimitHeaders | None = None,
        adapted: bool = False,
    ) -> None:
        """`retry_after` is how many seconds the server wants to be left alone.

        `adapted` says that the connection learnt from the refusal, and writes the request otherwise from now on.
        """
        super().__init__(f"{kind.value}: {detail}")
        self.kind = kind
        self.detail = detail
        self.http_status = http_status
        self.retry_after = retry_after
        self.rate_limit_headers = rate_limit_headers
        self.adapted = adapted

    def for_role(self, role: Role) -> CompletionError:
        """The same, with the role's own variables named where the detail advises on `TEAMS_<ROLE>_...`."""
        if ROLE_VARIABLES not in self.detail:
            return self
        return CompletionError(
            self.kind,
            self.detail.replace(ROLE_VARIABLES, f"TEAMS_{role.name}_"),
            http_status=self.http_status,
            retry_after=self.retry_after,
            rate_limit_headers=self.rate_limit_headers,
            adapted=self.adapted,
        )


class LanguageModel(Protocol):
    """A connection that answers requests. One call is one attempt: no retries inside."""

    @property
    def identity(self) -> ModelIdentity: ...

    async def complete(self, request: Request) -> Completion:
        """Answer `request`. Raises CompletionError when the attempt brought nothing."""
        ...

    async def close(self) -> None:
        """Release connections."""
        ...


@dataclass(frozen=True)
class Answer:
    """A durable answer: its completion is on the ledger before anyone sees this value."""

    completion: Completion
    request_id: str
    """The attempt that was paid for, whoever asked it first."""
    request_key: str
    reused: bool


class QueryFailed(Exception):
    """A query that got no answer after every attempt it was allowed."""

    def __init__(self, kind: ErrorKind, detail: str, attempts: int) -> None:
        super().__init__(f"no answer after {attempts} attempt(s): {kind.value}: {detail}")
        self.kind = kind
        self.detail = detail
        self.attempts = attempts


class LLMClient(Protocol):
    """What the method needs of the engine: ask, and get a durable answer."""

    async def ask(self, request: Request, *, transition_id: str | None = None, sample_id: str | None = None) -> Answer:
        """The answer to `request`, reused where the ledger has it. Raises QueryFailed."""
        ...

    def identity(self, role: Role) -> ModelIdentity:
        """Which model serves `role`."""
        ...
