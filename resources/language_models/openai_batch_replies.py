"""What the OpenAI Batch API says, read: batch objects, and the lines of output and error files."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from resources.language_models.openai_compatible import MAX_BODY_BYTES
from resources.language_models.openai_failures import read_failure
from resources.language_models.openai_replies import read_completion
from teams_dagster.core.json_numbers import whole_number
from teams_dagster.core.protocol import Completion, CompletionError, ErrorKind
from teams_dagster.llm.batches import BatchState

MAX_LINE_BYTES = MAX_BODY_BYTES
"""A longer line of an output file is not read to its end."""

_ENDED = frozenset(
    {"failed", "completed", "expired", "cancelled", "canceled", "succeeded", "success", "ended", "finished", "done"}
    | {"error", "errored", "timeout", "timed_out", "rejected", "terminated"}
)
"""OpenAI's words, and those of others who speak its protocol (Together, Mistral, Groq, gateways)."""

_WINDOW_S = 86_400.0
"""Within so long a batch is to be answered; one that still runs as long after that has ended all the same."""
_ERRORS_SHOWN = 5

_LINE_ERRORS = {
    # Never executed, so not billed: the server's failure, and another batch may do better.
    "batch_expired": ErrorKind.SERVER,
    "batch_cancelled": ErrorKind.SERVER,
    "request_timeout": ErrorKind.TIMEOUT,
}

_CUSTOM_ID = re.compile(rb'"custom_id"\s*:\s*("(?:[^"\\]|\\.)*")')


def read_object(content: bytes) -> Mapping[str, Any]:
    """The JSON object in `content`. Raises CompletionError: BAD_ENCODING, NOT_JSON, or BAD_REPLY for other JSON."""
    start = content[:300].decode("utf-8", "replace")
    try:
        value = json.loads(content.decode("utf-8-sig"), parse_int=whole_number)
    except UnicodeDecodeError:
        raise CompletionError(ErrorKind.BAD_ENCODING, f"bytes that are not UTF-8: {start!r}") from None
    except (ValueError, RecursionError):
        raise CompletionError(ErrorKind.NOT_JSON, f"something that is not JSON: {start!r}") from None
    if not isinstance(value, Mapping):
        raise CompletionError(ErrorKind.BAD_REPLY, f"JSON that is no object: {start!r}")
    return value


def read_id(created: Mapping[str, Any]) -> str:
    """The id of an object. Raises CompletionError (BAD_REPLY) when it has none."""
    value = created.get("id")
    if not isinstance(value, str) or not value:
        raise CompletionError(ErrorKind.BAD_REPLY, f"an object without an id: {str(created)[:300]}")
    return value


def read_metadata(batch: Mapping[str, Any], key: str) -> Any:
    """What a batch's metadata holds under `key`; None for nothing."""
    return _part(batch, "metadata").get(key)


def read_page(page: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The objects on one page of a list. Raises CompletionError (BAD_REPLY) for anything else."""
    objects = page.get("data")
    if not isinstance(objects, list) or not all(isinstance(each, Mapping) for each in objects):
        raise CompletionError(ErrorKind.BAD_REPLY, f"something that is no list: {str(page)[:300]}")
    return objects


def read_state(batch: Mapping[str, Any]) -> BatchState:
    """How far a batch is. Raises CompletionError (BAD_REPLY) for what is no batch."""
    status = batch.get("status")
    if not isinstance(status, str):
        raise CompletionError(ErrorKind.BAD_REPLY, f"a batch without a status: {str(batch)[:300]}")
    counts = _part(batch, "request_counts")
    return BatchState(
        remote_id=read_id(batch),
        running=status.lower() not in _ENDED and not _overdue(batch),
        status=status,
        completed=_count(counts, "completed"),
        failed=_count(counts, "failed"),
        total=_count(counts, "total"),
        errors=_errors(batch.get("errors")),
    )


def _overdue(batch: Mapping[str, Any]) -> bool:
    """Whether a batch should have ended a day ago, by what it says of its beginning and its end."""
    expires, created = batch.get("expires_at"), batch.get("created_at")
    if isinstance(expires, int | float):
        return time.time() > expires + _WINDOW_S
    return isinstance(created, int | float) and time.time() > created + 2 * _WINDOW_S


def read_line(line: bytes) -> tuple[str | None, Completion | CompletionError]:
    """The request that a line of an output or error file is about, None if it names none, and what came of it."""
    try:
        if len(line) >= MAX_LINE_BYTES:
            raise CompletionError(ErrorKind.TOO_LARGE, f"a line of more than {MAX_LINE_BYTES:,} bytes")
        entry = read_object(line)
    except CompletionError as error:
        return _named(line), error
    named = entry.get("custom_id")
    request_id = named if isinstance(named, str) else None
    try:
        return request_id, _completion(entry)
    except CompletionError as error:
        return request_id, error


def _completion(entry: Mapping[str, Any]) -> Completion:
    """The completion in a line. Raises CompletionError."""
    response, error = _part(entry, "response"), _part(entry, "error")
    status = _status(response.get("status_code"))
    if status is not None:
        said = response.get("body")
        body = (said if isinstance(said, str) else json.dumps(said)).encode("utf-8", "replace")
        if status < 300:
            return read_completion(body, status)
        raise read_failure(body, status)
    if not error:
        raise CompletionError(ErrorKind.BAD_REPLY, f"neither a response nor an error: {str(entry)[:300]}")
    code = str(error.get("code"))
    kind = _LINE_ERRORS.get(code, ErrorKind.SERVER)
    raise CompletionError(kind, f"{code}: {str(error.get('message') or '')[:1_000]}")


def _status(value: Any) -> int | None:
    """The HTTP status of a line; None for anything else."""
    with suppress(TypeError, ValueError, OverflowError):
        return status if 200 <= (status := int(value)) <= 599 else None
    return None


def _named(line: bytes) -> str | None:
    """The custom id that a line names that cannot be read; None when even that cannot be told."""
    named = _CUSTOM_ID.search(line)
    try:
        return json.loads(named[1]) if named else None
    except ValueError:
        return None


def _part(whole: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The object under a name; an empty one where there is none."""
    part = whole.get(name)
    return part if isinstance(part, Mapping) else {}


def _count(counts: Mapping[str, Any], name: str) -> int:
    count = counts.get(name)
    return count if isinstance(count, int) else 0


def _errors(reported: Any) -> tuple[str, ...]:
    """The first errors of a batch: OpenAI's list object, or another server's plain list."""
    errors = reported.get("data") if isinstance(reported, Mapping) else reported
    return tuple(_sentence(error) for error in errors[:_ERRORS_SHOWN]) if isinstance(errors, list) else ()


def _sentence(error: Any) -> str:
    """`code: message (line 3)`."""
    if not isinstance(error, Mapping):
        return str(error)[:300]
    line = f" (line {error['line']})" if error.get("line") else ""
    return f"{error.get('code') or 'error'}: {str(error.get('message') or '')[:300]}{line}"
