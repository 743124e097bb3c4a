"""Any OpenAI-compatible endpoint, through the `openai` client on its aiohttp transport.

The client is used for the connection alone: bodies are read here, because third-party servers differ in what they
leave out, and because nothing may be lost in silence.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from teams_dagster.completions.outcomes import classify
from teams_dagster.completions.protocol import (
    Completion,
    CompletionError,
    ErrorKind,
    ModelIdentity,
    Request,
    Usage,
)

if TYPE_CHECKING:
    import openai

OPENAI_URL = "https://api.openai.com/v1"
"""Where requests go when no base URL is configured."""

_NO_KEY = "none"
"""Sent to servers that want no key: the client insists on one, and would take OPENAI_API_KEY otherwise."""

_RETRYABLE_REJECTIONS = {408: ErrorKind.TIMEOUT, 409: ErrorKind.SERVER, 425: ErrorKind.SERVER}


class OpenAICompatibleModel:
    """One model behind one base URL. Implements `LanguageModel`; the client's own retries are off."""

    def __init__(
        self,
        model: str,
        *,
        base_url: str = OPENAI_URL,
        api_key: str | None = None,
        timeout_s: float = 120.0,
        connect_timeout_s: float = 10.0,
    ) -> None:
        """`timeout_s` bounds a whole attempt. Raises ValueError for a base URL that carries a secret."""
        address = urlsplit(base_url)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ValueError("the base URL must look like https://host/v1")
        if address.username or address.password or address.query:
            raise ValueError(
                f"the base URL of {address.hostname} carries credentials or parameters, and base URLs are written "
                "to the ledger: put the key into the role's _API_KEY"
            )
        self._identity = ModelIdentity("openai", model, base_url.rstrip("/"))
        self._limit = "max_completion_tokens" if address.hostname == "api.openai.com" else "max_tokens"
        self._api_key = api_key
        self._timeout_s = timeout_s
        self._connect_timeout_s = min(connect_timeout_s, timeout_s)
        self._client: openai.AsyncOpenAI | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def __repr__(self) -> str:
        return f"OpenAICompatibleModel({self._identity.model!r}, base_url={self._identity.base_url!r})"

    @property
    def identity(self) -> ModelIdentity:
        """Provider `openai`, the model's name and the base URL."""
        return self._identity

    async def complete(self, request: Request) -> Completion:
        """One HTTP request. Raises CompletionError."""
        import aiohttp
        import httpx2
        import openai

        client = self._connected()
        try:
            async with asyncio.timeout(self._timeout_s):
                # `chat.completions.create` walks the types of its parameters: half a millisecond a call.
                reply = await client.post("/chat/completions", cast_to=httpx2.Response, body=self._parameters(request))
            return read_completion(reply.content, reply.status_code)
        except openai.APIStatusError as error:
            failure = _status_error(error.status_code, error.response.headers, error.body, error.message)
        except (openai.OpenAIError, httpx2.HTTPError, aiohttp.ClientError, OSError) as error:
            failure = _transport_error(error, self._timeout_s)
        except CompletionError as error:
            failure = error
        raise self._without_key(failure) from None

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None and self._loop is asyncio.get_running_loop():
            await client.close()

    def _connected(self) -> openai.AsyncOpenAI:
        """The client of the running event loop: connections cannot move to another."""
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            import httpx2
            import openai

            timeout = httpx2.Timeout(self._timeout_s, connect=self._connect_timeout_s)
            # A redirect would send the question a second time, under one ledger row, and the key elsewhere.
            transport = openai.DefaultAioHttpClient(timeout=timeout, follow_redirects=False)
            self._client = openai.AsyncOpenAI(
                api_key=self._api_key or _NO_KEY,
                base_url=self._identity.base_url,
                max_retries=0,
                timeout=timeout,
                http_client=transport,
            )
            self._loop = loop
        return self._client

    def _parameters(self, request: Request) -> dict[str, Any]:
        sampling = request.sampling
        return {
            "model": self._identity.model,
            "messages": [{"role": m.role, "content": m.content} for m in request.messages],
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            self._limit: sampling.max_tokens,
            "seed": request.replica,
        }

    def _without_key(self, error: CompletionError) -> CompletionError:
        """`error`, should the server have repeated the key in its message."""
        if not self._api_key or self._api_key not in error.detail:
            return error
        return CompletionError(
            error.kind,
            error.detail.replace(self._api_key, "***"),
            http_status=error.http_status,
            reached_server=error.reached_server,
            retry_after=error.retry_after,
        )


def read_completion(content: bytes, http_status: int) -> Completion:
    """The completion in a 2xx response body. Raises CompletionError (bad reply) when it holds none."""
    try:
        body = json.loads(content)
        choice = body["choices"][0]
        message = choice["message"]
        calls_tool = bool(message.get("tool_calls"))
        text = None if calls_tool else _text(message.get("content"))
        finish_reason = str(choice.get("finish_reason") or "")
        refusal = message.get("refusal")
        usage = _usage(body.get("usage"))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        start = content[:300].decode("utf-8", "replace")
        detail = f"the server answered {http_status} with something that is no chat completion: {start!r}"
        raise CompletionError(ErrorKind.BAD_REPLY, detail, http_status=http_status) from error
    outcome = classify(text, finish_reason, refusal)
    return Completion(text or refusal or "", finish_reason, outcome, usage)


def _text(content: Any) -> str | None:
    """The text of a message's content: a string, nothing, or a list of parts. None where parts hold no text."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    parts = [part["text"] for part in content if part.get("type") == "text"]
    return "".join(parts) if parts else None


def _usage(reported: Any) -> Usage:
    if not isinstance(reported, Mapping):
        return Usage()
    details = reported.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, Mapping) else None
    return Usage(_count(reported.get("prompt_tokens")), _count(cached), _count(reported.get("completion_tokens")))


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _status_error(status: int, headers: Mapping[str, str], body: Any, message: str) -> CompletionError:
    """The failure that a 3xx, 4xx or 5xx response stands for."""
    if 300 <= status < 400:
        detail = f"HTTP {status}: the server redirects to {headers.get('location', '?')}; correct the base URL"
        return CompletionError(ErrorKind.REJECTED, detail, http_status=status)
    code = body.get("code") if isinstance(body, Mapping) else None
    if status >= 500:
        kind = ErrorKind.SERVER
    elif status == 429 and code != "insufficient_quota":
        kind = ErrorKind.RATE_LIMITED
    else:
        kind = _RETRYABLE_REJECTIONS.get(status, ErrorKind.REJECTED)
    said = body if isinstance(body, str) else message
    return CompletionError(
        kind, f"HTTP {status}: {said[:1_000]}", http_status=status, retry_after=_retry_after(headers)
    )


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from `Retry-After` (seconds or a date) or `retry-after-ms`."""
    try:
        if milliseconds := headers.get("retry-after-ms"):
            return max(0.0, float(milliseconds) / 1_000)
        value = headers.get("retry-after")
        if not value:
            return None
        if value.strip().replace(".", "", 1).isdigit():
            return float(value)
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _transport_error(error: Exception, timeout_s: float) -> CompletionError:
    """The failure behind an exchange that brought no response.

    The client calls every broken connection a timeout; the transport's own exception tells them apart.
    """
    import aiohttp
    import httpx2

    causes = list(_chain(error))
    said = str(causes[-1]) or type(causes[-1]).__name__
    if any(isinstance(cause, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError) for cause in causes):
        return CompletionError(ErrorKind.CONNECTION, f"cannot connect: {said}", reached_server=False)
    if any(isinstance(cause, httpx2.DecodingError | aiohttp.ClientResponseError) for cause in causes):
        return CompletionError(ErrorKind.BAD_REPLY, f"the response cannot be read: {said}")
    if any(isinstance(cause, aiohttp.ServerTimeoutError | TimeoutError) for cause in causes):
        return CompletionError(ErrorKind.TIMEOUT, f"no complete answer within {timeout_s:g} s")
    return CompletionError(ErrorKind.CONNECTION, f"the connection broke: {said}")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """`error` and what caused it, outermost first."""
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__
