"""The batch endpoint of OpenAI and of those who speak its protocol: half the price, answers within a day.

A batch is a JSONL file of requests that is uploaded (`/files`), handed in (`/batches`) under our own id, and polled;
what came of it is again JSONL. https://developers.openai.com/api/docs/guides/batch describes it. Nothing is kept here
between calls: everything is found again by our batch id, which is in the batch's metadata and the file's name.
"""

from __future__ import annotations

import asyncio
import json
import logging
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, aclosing, contextmanager
from typing import IO, TYPE_CHECKING, Any, Protocol, TypeVar

from resources.language_models.openai_batch_replies import (
    MAX_LINE_BYTES,
    read_id,
    read_line,
    read_metadata,
    read_object,
    read_page,
    read_state,
)
from resources.language_models.openai_compatible import OpenAICompatibleModel
from teams_dagster.core.protocol import Completion, CompletionError, ErrorKind, ModelIdentity, Request
from teams_dagster.llm.batches import MAX_BYTES, MAX_REQUESTS, BatchState
from teams_dagster.llm.retries import RetryPolicy

if TYPE_CHECKING:
    import openai

METADATA_KEY = "teams_batch"
"""Where a batch's metadata holds our id of it."""

_ENDPOINT = "/v1/chat/completions"
_LARGEST_PAGE = 100
_TRIES = 3
_FIRST_PAUSE_S = 0.25
_NOT_SERVED = (404, 405)

_log = logging.getLogger(__name__)

_T = TypeVar("_T")


class _Reply(Protocol):
    """A response whose body is read."""

    @property
    def content(self) -> bytes: ...


class OpenAIBatches:
    """The batch endpoint behind one model's base URL. Implements `BatchEndpoint`.

    Everything is tried three times, as far as a failure may pass; what creates something is looked for in between.
    """

    def __init__(self, model: OpenAICompatibleModel, *, transfer_timeout_s: float = 1_800.0) -> None:
        """`transfer_timeout_s` bounds an upload. The connections are `model`'s, and close with it."""
        self._model = model
        self._transfer_timeout_s = transfer_timeout_s

    def __repr__(self) -> str:
        return f"OpenAIBatches({self._model!r})"

    @property
    def identity(self) -> ModelIdentity:
        """The model's."""
        return self._model.identity

    def size(self, request_id: str, request: Request) -> int:
        """Bytes of the request's line."""
        return len(self._line(request_id, request))

    def learn(self, refused: Mapping[str, tuple[Request, CompletionError]]) -> Mapping[str, CompletionError]:
        """As `LanguageModel.complete` learns from one refusal; all of the requests were written alike."""
        bodies = {key: self._model.parameters(request) for key, (request, _) in refused.items()}
        return {key: self._model.learn(error, bodies[key]) for key, (_, error) in refused.items()}

    async def submit(self, batch_id: str, requests: Mapping[str, Request]) -> str:
        """Upload `requests` and create the batch; the provider's id. Raises CompletionError, ValueError.

        Before each further try the batch is looked for, and the file of the last one deleted: should its batch yet
        come to be, it finds no file and fails unpaid.
        """
        if not 0 < len(requests) <= MAX_REQUESTS:
            raise ValueError(f"a batch holds 1 to {MAX_REQUESTS:,} requests, not {len(requests):,}")
        # Without a name in any folder, and gone with the process: requests are nobody else's to read.
        with tempfile.TemporaryFile() as file:
            size = await asyncio.to_thread(self._write, file, requests)
            if size > MAX_BYTES:
                raise ValueError(f"a batch holds up to {MAX_BYTES:,} bytes, not {size:,}")
            tries = 0

            async def once() -> str:
                nonlocal tries
                tries += 1
                return await self._hand_in(batch_id, file, again=tries > 1)

            remote_id = await _retried(once)
        _log.info("batch %s: %d requests, %d bytes, are %s", batch_id, len(requests), size, remote_id)
        return remote_id

    async def find(self, batch_id: str) -> str | None:
        """The id of the batch whose metadata holds `batch_id`, among all the provider lists. Raises CompletionError."""
        listed = self._client.batches.with_raw_response.list
        async with aclosing(self._pages(lambda after: listed(limit=_LARGEST_PAGE, after=after))) as batches:
            async for batch in batches:
                if read_metadata(batch, METADATA_KEY) == batch_id:
                    return read_id(batch)
        return None

    async def abandon(self, batch_id: str) -> str | None:
        """Delete what was uploaded for a batch that `find` did not find; its id if it is found after all.

        Should it come to be later still, it finds no file and fails unpaid. Raises CompletionError.
        """
        await self._delete_uploads(batch_id)
        return await self.find(batch_id)

    async def state(self, remote_id: str) -> BatchState:
        """How far the batch is. Raises CompletionError, REJECTED for a batch that the endpoint does not know."""
        return read_state(await self._batch(remote_id))

    async def results(self, remote_id: str) -> AsyncGenerator[tuple[str, Completion | CompletionError]]:
        """The results in the output file, then those in the error file, as they are downloaded.

        A line that cannot be read is an error of the request it names; one that names none is logged. Raises
        CompletionError, REJECTED for a batch or a file that the endpoint does not have (any more).
        """
        batch = await self._batch(remote_id)
        state = read_state(batch)
        if state.running:
            raise ValueError(f"batch {remote_id} is {state.status}: its results come when it has ended")
        if state.completed and not batch.get("output_file_id"):
            detail = f"batch {remote_id} has {state.completed} answers, but no output file"
            raise CompletionError(ErrorKind.REJECTED, detail)
        answers = nameless = 0
        for file_id in filter(None, (batch.get("output_file_id"), batch.get("error_file_id"))):
            async with aclosing(self._lines(file_id)) as lines:
                async for line in lines:
                    request_id, result = read_line(self._model.hide(line))
                    if isinstance(result, CompletionError):
                        result = self._model.without_key(result)
                    if request_id is None:
                        nameless += 1
                        _log.warning("batch %s: a line of %s names no request: %s", remote_id, file_id, result)
                        continue
                    answers += isinstance(result, Completion)
                    yield request_id, result
        if nameless or answers < state.completed:
            said = "batch %s: %d answers read of the %d it reports; %d lines name no request"
            _log.warning(said, remote_id, answers, state.completed, nameless)

    async def close(self) -> None:
        """Close the connections."""
        await self._model.close()

    # -- handing in ---------------------------------------------------------------------------------------------------

    def _line(self, request_id: str, request: Request) -> bytes:
        """Escaped to ASCII: no other reader can take a character of a text for the end of the line."""
        body = self._model.parameters(request)
        line = {"custom_id": request_id, "method": "POST", "url": _ENDPOINT, "body": body}
        return json.dumps(line, separators=(",", ":")).encode() + b"\n"

    def _write(self, file: IO[bytes], requests: Mapping[str, Request]) -> int:
        """Write the input file; its size."""
        return sum(file.write(self._line(request_id, request)) for request_id, request in requests.items())

    async def _hand_in(self, batch_id: str, file: IO[bytes], *, again: bool) -> str:
        """One try to upload the file and create the batch; the batch's id. Raises CompletionError."""
        if again and (remote_id := await self.find(batch_id)) is not None:
            return remote_id
        if again and (remote_id := await self.abandon(batch_id)) is not None:
            return remote_id
        if not again:
            await self._delete_uploads(batch_id)
        file.seek(0)
        return await self._create(batch_id, await self._upload(batch_id, file))

    async def _upload(self, batch_id: str, file: IO[bytes]) -> str:
        """The file's id."""
        upload = self._client.files.with_raw_response.create
        named = (_file_name(batch_id), file, "application/jsonl")
        limit_s = self._transfer_timeout_s
        return read_id(await self._json(lambda: upload(file=named, purpose="batch", timeout=limit_s), limit_s))

    async def _create(self, batch_id: str, file_id: str) -> str:
        """The batch's id."""
        create = self._client.batches.with_raw_response.create
        metadata = {METADATA_KEY: batch_id}
        return read_id(
            await self._json(
                lambda: create(input_file_id=file_id, endpoint=_ENDPOINT, completion_window="24h", metadata=metadata)
            )
        )

    async def _delete_uploads(self, batch_id: str) -> None:
        """Delete the files uploaded for this batch; a server that lists no files has none that could be found."""
        files = self._client.files.with_raw_response
        name = _file_name(batch_id)
        try:
            async with aclosing(self._pages(lambda after: files.list(purpose="batch", after=after))) as listed:
                found = [read_id(file) async for file in listed if file.get("filename") == name]
            for file_id in found:
                await self._json(lambda file_id=file_id: files.delete(file_id))
        except CompletionError as error:
            if error.http_status not in _NOT_SERVED:
                raise

    # -- what came back -----------------------------------------------------------------------------------------------

    async def _batch(self, remote_id: str) -> Mapping[str, Any]:
        retrieve = self._client.batches.with_raw_response.retrieve
        with _unknown_is_rejected():
            return await _retried(lambda: self._json(lambda: retrieve(remote_id)))

    async def _lines(self, file_id: str) -> AsyncGenerator[bytes]:
        """The lines of a file, without their ends; of one that is too long the beginning, MAX_LINE_BYTES or more."""
        content = self._client.files.with_streaming_response.content
        async with AsyncExitStack() as stack:
            with _unknown_is_rejected():
                response = await _retried(lambda: self._call(lambda: stack.enter_async_context(content(file_id))))
            line = bytearray()
            with self._model.failures():
                # Not `iter_lines`: it ends lines at characters that JSON texts may hold.
                async for chunk in response.iter_bytes():
                    *ends, rest = chunk.split(b"\n")
                    for end in ends:
                        line += end
                        if line.strip():
                            yield bytes(line)
                        line.clear()
                    line += rest
                    del line[MAX_LINE_BYTES:]
            if line.strip():
                yield bytes(line)

    # -- calls --------------------------------------------------------------------------------------------------------

    @property
    def _client(self) -> openai.AsyncOpenAI:
        return self._model.client()

    async def _call(self, call: Callable[[], Awaitable[_T]], limit_s: float | None = None) -> _T:
        """One HTTP request. Raises CompletionError."""
        limit_s = limit_s or self._model.timeout_s
        with self._model.failures():
            try:
                async with asyncio.timeout(limit_s):
                    return await call()
            except TimeoutError:
                raise CompletionError(ErrorKind.TIMEOUT, f"no complete answer within {limit_s:g} s") from None

    async def _json(self, call: Callable[[], Awaitable[_Reply]], limit_s: float | None = None) -> Mapping[str, Any]:
        """The JSON object that one HTTP request brings. Raises CompletionError."""
        reply = await self._call(call, limit_s)
        return read_object(self._model.hide(reply.content))

    async def _pages(
        self, fetch: Callable[[str | openai.Omit], Awaitable[_Reply]]
    ) -> AsyncGenerator[Mapping[str, Any]]:
        """The objects of a list, page by page; `fetch` takes the id after which a page starts."""
        from openai import omit

        after: str | openai.Omit = omit
        while True:
            page = await _retried(lambda after=after: self._json(lambda: fetch(after)))
            objects = read_page(page)
            for each in objects:
                yield each
            # A server that knows no pages sends the same one again.
            if not objects or not page.get("has_more", True) or after == read_id(objects[-1]):
                return
            after = read_id(objects[-1])


def _file_name(batch_id: str) -> str:
    return f"teams-{batch_id}.jsonl"


@contextmanager
def _unknown_is_rejected() -> Iterator[None]:
    """A 404 to an id means that the endpoint does not know this one thing, not that it answers nothing."""
    try:
        yield
    except CompletionError as error:
        if error.http_status != 404:
            raise
        raise CompletionError(ErrorKind.REJECTED, error.detail, http_status=404) from None


async def _retried(call: Callable[[], Awaitable[_T]]) -> _T:
    """Call what may be called again up to three times, while a failure may pass."""
    patience = RetryPolicy(_TRIES, _FIRST_PAUSE_S)
    for _ in range(_TRIES - 1):
        try:
            return await call()
        except CompletionError as error:
            pause_s = patience.pause_s(error)
            if pause_s is None:
                raise
        await asyncio.sleep(pause_s)
    return await call()
