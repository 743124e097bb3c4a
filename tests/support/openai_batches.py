"""A real HTTP server that speaks the OpenAI files and batches protocol too, and goes wrong on demand.

Batches are kept on disk: a server started again on the same folder (and port) knows them. Their requests are answered
by the same `respond` as direct ones, when the test lets them end.
"""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from aiohttp import BodyPartReader, web

from tests.support.openai_server import Body, Fault, OpenAIServer, Reply, echo

ENDED = ("completed", "failed", "expired", "cancelled")

_NOT_EXECUTED = {
    "expired": ("batch_expired", "This request could not be executed before the completion window expired."),
    "cancelled": ("batch_cancelled", "The batch was cancelled before this request executed."),
}


@dataclass
class Batch:
    """A batch as the server keeps it."""

    id: str
    number: int
    input_file_id: str
    endpoint: str
    metadata: dict[str, str]
    created_at: float
    status: str = "validating"
    polls: int = 0
    ends_as: str | None = None
    """What the test, or the client by cancelling, decided; reached at the next poll."""
    executes: int | None = None
    """How many requests are executed before it ends; None: all."""
    total: int = 0
    completed: int = 0
    failed: int = 0
    errors: list[dict[str, Any]] = field(default_factory=list)
    output_file_id: str | None = None
    error_file_id: str | None = None
    executed: list[str] = field(default_factory=list)
    """Custom ids of the requests that were executed (and billed)."""

    def body(self) -> Body:
        """The batch object."""
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": self.endpoint,
            "errors": {"object": "list", "data": self.errors} if self.errors else None,
            "input_file_id": self.input_file_id,
            "completion_window": "24h",
            "status": self.status,
            "output_file_id": self.output_file_id,
            "error_file_id": self.error_file_id,
            "created_at": int(self.created_at),
            "metadata": self.metadata,
            "request_counts": {"total": self.total, "completed": self.completed, "failed": self.failed},
        }


@dataclass(frozen=True)
class BatchFault:
    """What happens to one request of the files and batches protocol."""

    method: str
    path: str
    """How the request's path begins."""
    fault: Fault
    after: bool = False
    """Do what was asked first: only the reply is lost."""


class OpenAIBatchServer(OpenAIServer):
    """Serves chat completions, files and batches on a loopback port from its own thread."""

    def __init__(
        self,
        respond: Callable[[Body], Reply | Fault | str] = echo,
        *,
        folder: Path | None = None,
        port: int = 0,
        ends_after_polls: int | None = None,
        ends_after_s: float | None = None,
    ) -> None:
        """A batch ends when the test calls `finish`, `expire` or `refuse`; or by itself after that many polls or
        seconds.
        """
        super().__init__(respond, port=port)
        self._own_folder = None if folder else tempfile.TemporaryDirectory(prefix="openai-batches-")
        self.folder = folder or Path(self._own_folder.name if self._own_folder else "")
        (self.folder / "files").mkdir(parents=True, exist_ok=True)
        (self.folder / "batches").mkdir(exist_ok=True)
        self.ends_after_polls = ends_after_polls
        self.ends_after_s = ends_after_s
        self.batch_faults: deque[BatchFault] = deque()
        """Each request takes the first that fits it, if any."""
        self.line_faults: dict[str, Fault] = {}
        """By custom id: the HTTP response a request gets instead of an answer."""
        self.spoil: Callable[[str, bytes], bytes] = lambda custom_id, line: line
        """Changes a line (custom id, bytes) of the output and error files."""
        self.cut_after: dict[str, int] = {}
        """By file id: after how many bytes its next download breaks off."""
        self.names_unexecuted = True
        """Whether requests that were never executed are in the error file."""
        self.largest_page = 100
        self.calls: Counter[str] = Counter()
        """Requests received by method and kind of path: `POST /files`, `GET /batches/ID`, ..."""
        self.custom_ids: Counter[str] = Counter()
        """How often each was handed in with a batch that passed validation; their bodies are in `received`."""
        self.batches: dict[str, Batch] = {}
        self._load()

    def __enter__(self) -> Self:
        super().__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        super().__exit__(*exception)
        if self._own_folder is not None:
            self._own_folder.cleanup()

    @property
    def executed(self) -> Counter[str]:
        """How often each custom id was executed, and billed."""
        return Counter(custom_id for batch in self.batches.values() for custom_id in batch.executed)

    @property
    def files(self) -> dict[str, Body]:
        """The file objects, by id, oldest first."""
        found = [json.loads(path.read_bytes()) for path in (self.folder / "files").glob("*.json")]
        return {file["id"]: file for file in sorted(found, key=lambda file: file["number"])}

    def finish(self) -> None:
        """Let every batch that runs end as completed at its next poll."""
        self._end("completed", None)

    def expire(self, *, executed: int) -> None:
        """Let every batch that runs expire at its next poll, with only the first requests executed."""
        self._end("expired", executed)

    def refuse(self, *errors: dict[str, Any]) -> None:
        """Let every batch that is not validated yet fail its validation."""
        for batch in self.batches.values():
            if batch.status == "validating":
                batch.errors = list(errors)

    def _end(self, status: str, executes: int | None) -> None:
        for batch in self.batches.values():
            if batch.status not in ENDED:
                batch.ends_as, batch.executes = status, executes

    # -- the protocol -------------------------------------------------------------------------------------------------

    def _routes(self) -> list[web.RouteDef]:
        served = [
            ("POST", "/files", self._upload),
            ("GET", "/files", self._list_files),
            ("GET", "/files/{id}/content", self._content),
            ("DELETE", "/files/{id}", self._delete),
            ("POST", "/batches", self._create),
            ("GET", "/batches", self._list_batches),
            ("GET", "/batches/{id}", self._retrieve),
            ("POST", "/batches/{id}/cancel", self._cancel),
        ]
        routes = [web.route(method, f"/v1{path}", self._faulty(method, path, do)) for method, path, do in served]
        return [*super()._routes(), *routes]

    def _faulty(self, method: str, path: str, do: Callable[[web.Request], Any]) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.StreamResponse:
            self.calls[f"{method} {path.replace('{id}', 'ID')}"] += 1
            self.headers.append(dict(request.headers))
            for planned in self.batch_faults:
                if planned.method == method and request.path.removeprefix("/v1").startswith(planned.path):
                    self.batch_faults.remove(planned)
                    if planned.after:
                        await do(request)
                    return await self._fail(request, planned.fault)
            return await do(request)

        return handle

    async def _upload(self, request: web.Request) -> web.Response:
        number = len(list((self.folder / "files").iterdir()))
        file: Body = {"id": f"file-{number}", "number": number, "object": "file", "created_at": int(time.time())}
        async for part in await request.multipart():
            assert isinstance(part, BodyPartReader)
            if part.name == "file":
                file["filename"] = part.filename
                with self._data(file["id"]).open("wb") as stored:
                    while chunk := await part.read_chunk(64 * 1024):
                        stored.write(chunk)
            else:
                file[str(part.name)] = await part.text()
        if file.get("purpose") != "batch" or "filename" not in file:
            return _error(400, "a file and the purpose `batch` are wanted")
        return web.json_response(self._store(file))

    def _data(self, file_id: str) -> Path:
        return self.folder / "files" / f"{file_id}.data"

    def _store(self, file: Body) -> Body:
        file |= {"bytes": self._data(file["id"]).stat().st_size, "status": "processed"}
        (self.folder / "files" / f"{file['id']}.json").write_text(json.dumps(file))
        return file

    async def _list_files(self, request: web.Request) -> web.Response:
        purpose = request.query.get("purpose")
        return self._page(request, [f for f in self.files.values() if purpose in (None, f["purpose"])], 10_000)

    async def _content(self, request: web.Request) -> web.StreamResponse:
        file_id = request.match_info["id"]
        if file_id not in self.files:
            return _error(404, f"No such File object: {file_id}")
        if file_id in self.cut_after:
            return await self._break_off(request, self._data(file_id).read_bytes(), self.cut_after.pop(file_id))
        return web.FileResponse(self._data(file_id), headers={"Content-Type": "application/octet-stream"})

    async def _break_off(self, request: web.Request, content: bytes, after: int) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(content))})
        await response.prepare(request)
        await response.write(content[:after])
        assert request.transport is not None
        request.transport.close()
        return response

    async def _delete(self, request: web.Request) -> web.Response:
        file_id = request.match_info["id"]
        if file_id not in self.files:
            return _error(404, f"No such File object: {file_id}")
        (self.folder / "files" / f"{file_id}.json").unlink()
        self._data(file_id).write_bytes(b"")
        return web.json_response({"id": file_id, "object": "file", "deleted": True})

    async def _create(self, request: web.Request) -> web.Response:
        asked = await request.json()
        if asked.get("completion_window") != "24h" or asked["input_file_id"] not in self.files:
            return _error(400, "Invalid input_file_id or completion_window")
        number = len(self.batches)
        batch = Batch(
            f"batch_{number}",
            number,
            asked["input_file_id"],
            asked["endpoint"],
            asked.get("metadata") or {},
            time.time(),
        )
        self.batches[batch.id] = batch
        self._save(batch)
        return web.json_response(batch.body())

    async def _list_batches(self, request: web.Request) -> web.Response:
        return self._page(request, [batch.body() for batch in reversed(self.batches.values())], 20)

    def _page(self, request: web.Request, objects: list[Body], default: int) -> web.Response:
        """The page of `objects` that the query asks for."""
        after = request.query.get("after")
        start = next((i + 1 for i, each in enumerate(objects) if each["id"] == after), 0)
        limit = min(int(request.query.get("limit", default)), self.largest_page)
        page = objects[start : start + limit]
        ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {}
        return web.json_response({"object": "list", "data": page, "has_more": len(objects) > start + limit} | ends)

    async def _retrieve(self, request: web.Request) -> web.Response:
        batch = self.batches.get(request.match_info["id"])
        if batch is None:
            return _error(404, f"No batch found with id '{request.match_info['id']}'.")
        await self._advance(batch)
        return web.json_response(batch.body())

    async def _cancel(self, request: web.Request) -> web.Response:
        batch = self.batches.get(request.match_info["id"])
        if batch is None:
            return _error(404, f"No batch found with id '{request.match_info['id']}'.")
        if batch.status in (*ENDED, "cancelling"):
            return _error(409, f"Cannot cancel a batch with status '{batch.status}'.")
        if batch.status == "validating":
            self._validate(batch)
        batch.status, batch.ends_as = "cancelling", "cancelled"
        batch.executes = batch.executes or 0
        self._save(batch)
        return web.json_response(batch.body())

    # -- what becomes of a batch --------------------------------------------------------------------------------------

    async def _advance(self, batch: Batch) -> None:
        """One poll further: from validating to in progress, and on to its end when that is due."""
        if batch.status in ENDED:
            return
        batch.polls += 1
        if batch.status == "validating":
            self._validate(batch)
        if batch.status != "failed" and (end := self._due(batch)):
            await asyncio.to_thread(self._execute, batch, end)
        self._save(batch)

    def _due(self, batch: Batch) -> str | None:
        if batch.ends_as is not None:
            return batch.ends_as
        polled = self.ends_after_polls is not None and batch.polls >= self.ends_after_polls
        waited = self.ends_after_s is not None and time.time() - batch.created_at >= self.ends_after_s
        return "completed" if polled or waited else None

    def _validate(self, batch: Batch) -> None:
        errors = batch.errors or list(self._faults_of(batch))
        if errors:
            batch.status, batch.errors = "failed", errors
            return
        batch.status = "in_progress"
        self._count(batch)

    def _faults_of(self, batch: Batch) -> Iterator[dict[str, Any]]:
        """What is wrong with the input file, in the words of the protocol."""
        seen: set[str] = set()
        models: set[str] = set()
        number = 0
        for number, line in enumerate(self._data(batch.input_file_id).open("rb"), start=1):
            code = ""
            try:
                asked = json.loads(line)
                models.add(asked["body"]["model"])
                if asked["method"] != "POST" or asked["url"] != batch.endpoint:
                    code = "mismatched_url"
                elif asked["custom_id"] in seen:
                    code = "duplicate_custom_id"
                elif len(models) > 1:
                    code = "mismatched_model"
                seen.add(asked["custom_id"])
            except (ValueError, LookupError):
                code = "invalid_json_line"
            if code:
                yield {"code": code, "line": number, "message": f"Line {number} is wrong: {code}.", "param": None}
        if not number:
            yield {"code": "empty_file", "line": None, "message": "The file is empty.", "param": None}
        if number > 50_000:
            yield {"code": "too_many_tasks", "line": None, "message": f"{number} requests.", "param": None}

    def _requests(self, batch: Batch) -> Iterator[tuple[str, Body]]:
        for line in self._data(batch.input_file_id).open("rb"):
            asked = json.loads(line)
            yield asked["custom_id"], asked["body"]

    def _count(self, batch: Batch) -> None:
        for custom_id, body in self._requests(batch):
            self.custom_ids[custom_id] += 1
            self.received.append(body)
            batch.total += 1

    def _execute(self, batch: Batch, status: str) -> None:
        """Answer what is to be answered, and write the files."""
        output: list[bytes] = []
        errors: list[bytes] = []
        for number, (custom_id, body) in enumerate(self._requests(batch)):
            executed = batch.executes is None or number < batch.executes
            said = self.line_faults.get(custom_id) or (self.respond(body) if executed else None)
            fault = said if isinstance(said, Fault) else None
            if executed and said is not None and not isinstance(said, Fault):
                reply = Reply(said) if isinstance(said, str) else said
                response = {"status_code": 200, "request_id": f"req_{number}", "body": reply.body(body["model"])}
                output.append(self._line(number, custom_id, response, None))
                batch.executed.append(custom_id)
            elif executed and fault is not None:
                response = {"status_code": fault.status, "request_id": f"req_{number}", "body": json.loads(fault.body)}
                errors.append(self._line(number, custom_id, response, None))
            elif self.names_unexecuted:
                code, message = _NOT_EXECUTED[status]
                errors.append(self._line(number, custom_id, None, {"code": code, "message": message}))
        batch.completed, batch.failed = len(output), batch.total - len(output)
        batch.output_file_id = self._result_file(batch, "output", output)
        batch.error_file_id = self._result_file(batch, "error", errors)
        batch.status = status

    def _line(self, number: int, custom_id: str, response: Body | None, error: Body | None) -> bytes:
        line = {"id": f"batch_req_{number}", "custom_id": custom_id, "response": response, "error": error}
        # A lone surrogate is escaped, as JSON can: no UTF-8 file holds it.
        return self.spoil(custom_id, json.dumps(line, ensure_ascii=False).encode(errors="backslashreplace"))

    def _result_file(self, batch: Batch, kind: str, lines: list[bytes]) -> str | None:
        """Written in an order of its own, as no order is promised; no file where there is no line."""
        if not lines:
            return None
        random.Random(batch.number).shuffle(lines)
        file_id = f"file-{kind}-{batch.id}"
        self._data(file_id).write_bytes(b"\n".join(lines) + b"\n")
        name = f"{batch.id}_{kind}.jsonl"
        number = len(list((self.folder / "files").iterdir()))
        self._store(
            {"id": file_id, "number": number, "object": "file", "created_at": int(time.time()), "filename": name}
            | {"purpose": "batch_output"}
        )
        return file_id

    # -- state on disk ------------------------------------------------------------------------------------------------

    def _save(self, batch: Batch) -> None:
        (self.folder / "batches" / f"{batch.id}.json").write_text(json.dumps(asdict(batch)))

    def _load(self) -> None:
        stored: Iterable[Path] = (self.folder / "batches").glob("*.json")
        for batch in sorted((Batch(**json.loads(path.read_bytes())) for path in stored), key=lambda b: b.number):
            self.batches[batch.id] = batch
            if batch.status not in ("validating", "failed"):
                batch.total = 0
                self._count(batch)


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message, "type": "invalid_request_error"}}, status=status)
