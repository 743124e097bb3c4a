"""Any OpenAI-compatible endpoint, through the `openai` client on its aiohttp transport.

The client is used for the connection alone: bodies are read here, because third-party servers differ in what they
leave out, because nothing may be lost in silence, and because no answer may be larger than memory.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Generator, Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from resources.language_models.openai_constraints import constraint_parameters
from resources.language_models.openai_dialect import NEW_LIMIT, OLD_LIMIT, Dialect
from resources.language_models.openai_failures import OMITTABLE, read_failure
from resources.language_models.openai_replies import read_completion
from resources.proxies import bypasses_proxies
from teams_dagster.core.protocol import Completion, CompletionError, ErrorKind, ModelIdentity, Request
from teams_dagster.core.replies import Way
from teams_dagster.role_settings import is_loopback

if TYPE_CHECKING:
    import httpx2
    import openai

OPENAI_URL = "https://api.openai.com/v1"
"""Where requests go when no base URL is configured."""

MAX_BODY_BYTES = 32 * 1024**2
"""A longer answer is not read to its end: a hundred times what the largest models write."""

_MAX_ERROR_BYTES = 64 * 1024
"""How much of a 3xx, 4xx or 5xx response is read."""

_SHORTEST_SECRET = 16
"""A shorter key ("EMPTY", "ollama") is no secret but a word, which answers and the JSON around them may hold."""

_SHORTEST_HIDDEN = 4
"""A shorter key is left in error messages too: hiding it would make them unreadable."""

_MAX_CONNECTIONS = 4096

_IDLE_S = 1.5
"""A connection that was idle for longer is not used again: servers close theirs after 2 s (gunicorn) or 5 s (uvicorn,
Node, llama.cpp), and a query that meets its end may have been heard, or not."""

_UNSENT = "closing transport"
"""What the transport says of a connection that was closed before the first byte of a request was written to it."""

_API_VERSION = "api-version"
"""The one parameter that a base URL may hold: Azure's deployments want it on every request."""

_NO_PROXY: dict[str, None] = {"all://": None, "http://": None, "https://": None}
"""A server on this machine is asked directly, whatever HTTP_PROXY says: a proxy would see its key in clear text."""

_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
"""Kept: `json.dumps` makes a new one for each call."""

_NO_KEY = "none"
"""Sent to servers that want no key: the client insists on one, and would take OPENAI_API_KEY otherwise."""


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
        omit: Collection[str] = (),
        max_tokens: int | None = None,
        extra: Mapping[str, Any] | None = None,
        allow_http: bool = False,
        structured: Way | None = None,
        logprobs: bool = False,
    ) -> None:
        """`timeout_s` bounds a whole attempt; `omit` names parameters (of OMITTABLE) that are not sent.

        `max_tokens`, where given, bounds every answer in place of what its request says; `extra` is added to each
        request. Both are part of the identity: they decide answers. A base URL may end in `?api-version=...` (Azure).
        `structured` is how the model is held to the replies that a request allows; `logprobs` asks how likely each of
        a few was.

        Raises ValueError for a base URL that carries a secret, or that leaves this machine over plain http (unless
        `allow_http`), and for a parameter that cannot be left out.
        """
        address = urlsplit(base_url)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ValueError("the base URL must look like https://host/v1")
        parameters = dict(parse_qsl(address.query, keep_blank_values=True))
        if address.username or address.password or parameters.keys() - {_API_VERSION}:
            raise ValueError(
                f"the base URL of {address.hostname} carries credentials or parameters, and base URLs are written "
                "to the ledger: put the key into the role's _API_KEY"
            )
        if address.scheme == "http" and not allow_http and not is_loopback(base_url):
            raise ValueError(
                f"the base URL would send queries and the key to {address.hostname} over plain http, readable on the "
                "way: use https, or allow http explicitly"
            )
        if unknown := sorted(set(omit) - set(OMITTABLE)):
            raise ValueError(f"{', '.join(unknown)} cannot be left out of a request, only {', '.join(OMITTABLE)}")
        self.timeout_s = timeout_s
        self._identity = ModelIdentity(
            "openai", model, base_url.rstrip("/"), _added(max_tokens, extra or {}), structured
        )
        self._logprobs = logprobs
        self._base_url = urlunsplit(address._replace(query="")).rstrip("/")
        self._query = parameters
        self._max_tokens = max_tokens
        self._extra = dict(extra or {})
        self.dialect = Dialect(base_url)
        """How this endpoint wants its requests written."""
        self._omit = frozenset(omit)
        self._api_key = api_key
        self._connect_timeout_s = min(connect_timeout_s, timeout_s)
        self._opened: _Connections | None = None

    def __repr__(self) -> str:
        return f"OpenAICompatibleModel({self._identity.model!r}, base_url={self._identity.base_url!r})"

    @property
    def identity(self) -> ModelIdentity:
        """Provider `openai`, the model's name and the base URL."""
        return self._identity

    async def complete(self, request: Request) -> Completion:
        """One HTTP request. Raises CompletionError."""
        connections, body = self._connections(), self.parameters(request)
        if (too_long := self.dialect.too_long(body, self._max_tokens or request.sampling.max_tokens)) is not None:
            raise too_long
        with self.failures(), self._adapting(body):
            async with asyncio.timeout(self.timeout_s):
                response = await connections.http.send(connections.question(body), stream=True)
                content, whole = await _read(response, MAX_BODY_BYTES)
            if not whole:
                detail = f"the answer is longer than {MAX_BODY_BYTES:,} bytes"
                raise CompletionError(ErrorKind.TOO_LARGE, detail, http_status=response.status_code)
            return read_completion(self.hide(content), response.status_code, response.headers)

    async def close(self) -> None:
        """Close the connections."""
        opened, self._opened = self._opened, None
        if opened is not None and opened.loop is asyncio.get_running_loop():
            await opened.client.close()

    def client(self) -> openai.AsyncOpenAI:
        """The client of the running event loop: connections cannot move to another.

        A 3xx, 4xx or 5xx response to anything that it is asked is raised as CompletionError.
        """
        return self._connections().client

    def _connections(self) -> _Connections:
        loop = asyncio.get_running_loop()
        if self._opened is None or self._opened.loop is not loop:
            self._opened = self._open(loop)
        return self._opened

    def _open(self, loop: asyncio.AbstractEventLoop) -> _Connections:
        import httpx2
        import openai

        timeout = httpx2.Timeout(self.timeout_s, connect=self._connect_timeout_s)
        http = openai.DefaultAioHttpClient(
            timeout=timeout,
            limits=httpx2.Limits(max_connections=_MAX_CONNECTIONS, keepalive_expiry=_IDLE_S),
            # A redirect would send the query a second time, under one ledger row, and the key elsewhere.
            follow_redirects=False,
            mounts=_NO_PROXY if bypasses_proxies(self._identity.base_url) else None,
            event_hooks={"response": [self._refuse_failures]},
        )
        client = openai.AsyncOpenAI(
            api_key=self._api_key or _NO_KEY,
            base_url=self._base_url,
            default_query=self._query,
            default_headers={"api-key": self._api_key} if self._query and self._api_key else None,
            max_retries=0,
            timeout=timeout,
            http_client=http,
        )
        headers = http.headers.copy()
        for name, value in {**client.default_headers, **client.auth_headers}.items():
            if isinstance(value, str):  # otherwise it is not to be sent
                headers[name] = value
        url = httpx2.URL(f"{self._base_url}/chat/completions", params=self._query or None)
        return _Connections(loop, client, http, url, headers)

    def parameters(self, request: Request) -> dict[str, Any]:
        """The body of the request."""
        sampling = request.sampling
        body: dict[str, Any] = {
            "model": self._identity.model,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": request.replica,
            **self.dialect.written(request.messages, self._max_tokens or sampling.max_tokens),
        }
        for name in self._omit:
            del body[name]
        return body | self._extra | constraint_parameters(request, with_logprobs=self._logprobs)

    @contextmanager
    def _adapting(self, body: Mapping[str, Any]) -> Generator[None]:
        """A refusal of `body` that tells how this endpoint wants its requests is learnt from."""
        try:
            yield
        except CompletionError as error:
            raise self.learn(error, body) from None

    def learn(self, error: CompletionError, body: Mapping[str, Any]) -> CompletionError:
        """A refusal of `body` as it is, or as one after which requests are written otherwise.

        What settings add to every request is not ours to change: a limit among it is refused each time.
        """
        fixed = self._extra.keys() & {OLD_LIMIT, NEW_LIMIT}
        return error if fixed else self.dialect.adapted(error, body)

    @contextmanager
    def failures(self) -> Generator[None]:
        """What goes wrong in an exchange, as CompletionError, without the key."""
        import aiohttp
        import httpx2
        import openai

        try:
            yield
        except CompletionError as error:
            failure = error
        except (openai.OpenAIError, httpx2.HTTPError, aiohttp.ClientError, OSError) as error:
            failure = _transport_error(error, self.timeout_s)
        else:
            return
        raise self.without_key(failure) from None

    def without_key(self, error: CompletionError) -> CompletionError:
        """`error`, should the server have repeated the key in its message."""
        detail = error.detail
        for spelled in self._spellings(_SHORTEST_HIDDEN):
            detail = detail.replace(spelled, "***")
        if detail == error.detail:
            return error
        return CompletionError(
            error.kind,
            detail,
            http_status=error.http_status,
            retry_after=error.retry_after,
            rate_limit_headers=error.rate_limit_headers,
            adapted=error.adapted,
        )

    def hide(self, content: bytes) -> bytes:
        """`content` without the key, if that is a secret: what a server echoes is stored and shown."""
        for spelled in self._spellings(_SHORTEST_SECRET):
            content = content.replace(spelled.encode(), b"***")
        return content

    def _spellings(self, shortest: int) -> tuple[str, ...]:
        """How a key of at least `shortest` characters may be written: some servers write / as \\/ in JSON."""
        key = self._api_key or ""
        return (key, key.replace("/", "\\/")) if len(key) >= shortest else ()

    async def _refuse_failures(self, response: httpx2.Response) -> None:
        """Raise CompletionError for a response that is no success, before the client reads all of it."""
        if response.status_code < 300:
            return
        import aiohttp
        import httpx2

        content = b""
        with suppress(httpx2.HTTPError, aiohttp.ClientError, OSError):  # the status says enough
            content, _ = await _read(response, _MAX_ERROR_BYTES)
        raise read_failure(self.hide(content), response.status_code, response.headers, self._omit, self._extra)


@dataclass(frozen=True)
class _Connections:
    """The connections of one event loop: the client, the HTTP client under it, and what its queries share.

    The client makes each request anew, headers and all: more than half of a call's processor time.
    """

    loop: asyncio.AbstractEventLoop
    client: openai.AsyncOpenAI
    http: httpx2.AsyncClient
    url: httpx2.URL
    headers: httpx2.Headers

    def question(self, body: Mapping[str, Any]) -> httpx2.Request:
        """The request that the client would make of `body`."""
        import httpx2

        content = httpx2.ByteStream(_JSON.encode(body).encode())
        request = httpx2.Request("POST", self.url, stream=content)  # nothing is worked out that is the same each time
        request.headers = self.headers
        request.read()
        return request


def _added(max_tokens: int | None, extra: Mapping[str, Any]) -> str:
    """What settings add to each request, as part of a model's identity; empty for nothing."""
    added = ({} if max_tokens is None else {"max_tokens": max_tokens}) | ({"extra": extra} if extra else {})
    return json.dumps(added, sort_keys=True, ensure_ascii=False) if added else ""


async def _read(response: httpx2.Response, limit: int) -> tuple[bytes, bool]:
    """A body unpacked, or its first bytes, and whether that is all of it. No more than it is ever in memory."""
    parts, size = [], 0
    try:
        async with aclosing(response.aiter_bytes()) as chunks:
            async for chunk in chunks:
                size += len(chunk)
                if size > limit:
                    parts.append(chunk[: len(chunk) - (size - limit)])
                    return b"".join(parts), False
                parts.append(chunk)
    finally:
        await response.aclose()
    return parts[0] if len(parts) == 1 else b"".join(parts), True


def _transport_error(error: Exception, timeout_s: float) -> CompletionError:
    """The failure behind an exchange that brought no response.

    The client calls every broken connection a timeout; the transport's own exception tells them apart.
    """
    import aiohttp
    import httpx2

    causes = list(_chain(error))
    said = str(causes[-1]) or type(causes[-1]).__name__
    if any(isinstance(cause, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError) for cause in causes):
        return CompletionError(ErrorKind.UNREACHABLE, f"cannot connect: {said}")
    if any(isinstance(cause, aiohttp.ClientConnectionResetError) and _UNSENT in str(cause) for cause in causes):
        return CompletionError(ErrorKind.UNREACHABLE, f"not sent, the server had closed the connection: {said}")
    if any(isinstance(cause, httpx2.DecodingError | aiohttp.ClientResponseError) for cause in causes):
        return CompletionError(ErrorKind.BAD_ENCODING, f"the response cannot be read: {said}")
    if any(isinstance(cause, aiohttp.ServerTimeoutError | TimeoutError) for cause in causes):
        return CompletionError(ErrorKind.TIMEOUT, f"no complete answer within {timeout_s:g} s")
    return CompletionError(ErrorKind.CONNECTION, f"the connection broke: {said}")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """`error` and what caused it, outermost first."""
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__
