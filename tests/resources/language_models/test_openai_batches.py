"""The OpenAI batch endpoint, against a real HTTP server of its files and batches."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import socket
import tempfile
import time
import traceback
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import IO, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.language_models import openai_batch_replies, openai_batches
from resources.language_models.openai_batches import OpenAIBatches
from resources.language_models.openai_compatible import OpenAICompatibleModel
from teams_dagster.core.protocol import Completion, CompletionError, ErrorKind, Outcome, Request, Usage
from teams_dagster.llm.batches import BatchEndpoint, BatchState, split
from tests.support.openai_batches import BatchFault, OpenAIBatchServer
from tests.support.openai_server import Fault, Reply
from tests.support.questions import question

KEY = "sk-secret-0123456789"

T = TypeVar("T")
Results = dict[str, Completion | CompletionError]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OpenAIBatchServer]:
    with OpenAIBatchServer(folder=tmp_path / "server") as running:
        yield running


def run(server: OpenAIBatchServer | str, do: Callable[[OpenAIBatches], Awaitable[T]], *, timeout_s: float = 20.0) -> T:
    """What `do` brings, of an endpoint that knows nothing of earlier ones."""
    base_url = server if isinstance(server, str) else server.base_url

    async def once() -> T:
        model = OpenAICompatibleModel("some-model", base_url=base_url, api_key=KEY, timeout_s=timeout_s)
        endpoint = OpenAIBatches(model, transfer_timeout_s=timeout_s)
        try:
            return await do(endpoint)
        finally:
            await endpoint.close()

    return asyncio.run(once())


def questions(count: int) -> dict[str, Request]:
    return {f"request-{number}": question(f"Say {number}.") for number in range(count)}


def submit(
    server: OpenAIBatchServer | str, requests: dict[str, Request], batch_id: str = "ours", **options: float
) -> str:
    return run(server, lambda endpoint: endpoint.submit(batch_id, requests), **options)


def state(server: OpenAIBatchServer, remote_id: str) -> BatchState:
    return run(server, lambda endpoint: endpoint.state(remote_id))


def results(server: OpenAIBatchServer, remote_id: str, **options: float) -> Results:
    async def read(endpoint: OpenAIBatches) -> Results:
        return {request_id: result async for request_id, result in endpoint.results(remote_id)}

    return run(server, read, **options)


def finished(server: OpenAIBatchServer, requests: dict[str, Request]) -> Results:
    """The results of a batch that is submitted and ends."""
    remote_id = submit(server, requests)
    server.finish()
    assert not state(server, remote_id).running
    return results(server, remote_id)


def kinds(found: Results) -> dict[str, ErrorKind]:
    return {request_id: result.kind for request_id, result in found.items() if isinstance(result, CompletionError)}


def texts(found: Results) -> dict[str, str]:
    return {request_id: result.text for request_id, result in found.items() if isinstance(result, Completion)}


# -- handing in -------------------------------------------------------------------------------------------------------


def test_a_batch_asks_what_the_direct_connection_asks(server: OpenAIBatchServer) -> None:
    requests = questions(3)
    remote_id = submit(server, requests)
    assert state(server, remote_id).status == "in_progress"
    batched = list(server.received)

    async def ask(endpoint: OpenAIBatches) -> None:
        for request in requests.values():
            await endpoint._model.complete(request)

    run(server, ask)
    assert server.received[len(batched) :] == batched
    assert server.custom_ids == dict.fromkeys(requests, 1)


def test_a_batch_carries_our_id_and_is_uploaded_for_batches(server: OpenAIBatchServer) -> None:
    remote_id = submit(server, questions(1), "batch-7")
    batch = server.batches[remote_id]
    assert batch.metadata == {"teams_batch": "batch-7"}
    assert batch.endpoint == "/v1/chat/completions"
    file = server.files[batch.input_file_id]
    assert (file["purpose"], file["filename"]) == ("batch", "teams-batch-7.jsonl")
    assert {headers["Authorization"] for headers in server.headers} == {f"Bearer {KEY}"}


def test_the_identity_is_that_of_the_direct_connection(server: OpenAIBatchServer) -> None:
    async def identities(endpoint: OpenAIBatches) -> bool:
        typed: BatchEndpoint = endpoint
        return typed.identity == endpoint._model.identity

    assert run(server, identities)


@pytest.mark.parametrize("count", [0, 4])
def test_a_batch_of_no_or_too_many_requests_is_not_sent(
    server: OpenAIBatchServer, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(openai_batches, "MAX_REQUESTS", 3)
    with pytest.raises(ValueError, match="1 to 3 requests"):
        submit(server, questions(count))
    assert not server.calls


def test_a_batch_of_too_many_bytes_is_not_sent(server: OpenAIBatchServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_batches, "MAX_BYTES", 500)
    with pytest.raises(ValueError, match="500 bytes"):
        submit(server, questions(3))
    assert not server.calls


def test_the_size_of_a_request_is_the_size_of_its_line(server: OpenAIBatchServer) -> None:
    requests = questions(3) | {"odd": question("ä\u2028\n\x00 \U0001f600")}
    remote_id = submit(server, requests)
    uploaded = server.files[server.batches[remote_id].input_file_id]["bytes"]

    async def sizes(endpoint: OpenAIBatches) -> int:
        return sum(endpoint.size(request_id, request) for request_id, request in requests.items())

    assert run(server, sizes) == uploaded
    assert state(server, remote_id).total == len(requests)


@given(
    lengths=st.lists(st.integers(0, 60), max_size=20),
    max_requests=st.integers(1, 6),
    room=st.integers(0, 300),
)
def test_requests_are_split_into_batches_within_both_limits(lengths: list[int], max_requests: int, room: int) -> None:
    model = OpenAICompatibleModel("some-model", base_url="http://127.0.0.1:1/v1")
    endpoint = OpenAIBatches(model)
    requests = [(f"request-{number}", question("x" * length)) for number, length in enumerate(lengths)]
    largest = max((endpoint.size(*each) for each in requests), default=0)
    max_bytes = largest + room
    batches = list(split(endpoint, requests, max_requests=max_requests, max_bytes=max_bytes))
    assert [each for batch in batches for each in batch.items()] == requests
    sizes = [sum(endpoint.size(*each) for each in batch.items()) for batch in batches]
    assert all(0 < len(batch) <= max_requests for batch in batches)
    assert all(size <= max_bytes for size in sizes)
    for batch, size, following in zip(batches, sizes, batches[1:], strict=False):
        first = next(iter(following.items()))
        assert len(batch) == max_requests or size + endpoint.size(*first) > max_bytes


def test_a_request_too_large_for_any_batch_is_named() -> None:
    endpoint = OpenAIBatches(OpenAICompatibleModel("some-model", base_url="http://127.0.0.1:1/v1"))
    with pytest.raises(ValueError, match=r"request-1 takes .* a batch may hold 1,000"):
        list(split(endpoint, [("request-1", question("x" * 2_000))], max_bytes=1_000))


def test_the_file_on_the_way_has_no_name_and_nobody_else_may_read_it(
    server: OpenAIBatchServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    seen: list[tuple[list[Path], int]] = []
    upload = OpenAIBatches._upload

    async def look(self: OpenAIBatches, batch_id: str, file: IO[bytes]) -> str:
        seen.append((list(scratch.iterdir()), os.fstat(file.fileno()).st_mode & 0o777))
        return await upload(self, batch_id, file)

    monkeypatch.setattr(OpenAIBatches, "_upload", look)
    submit(server, questions(2))
    assert seen == [([], 0o600)]
    assert list(scratch.iterdir()) == []


@pytest.mark.slow
def test_uploading_and_reading_stay_within_bounded_memory(server: OpenAIBatchServer) -> None:
    text = "word " * 2_000
    requests = {f"request-{number}": question(text) for number in range(2_000)}
    server.respond = lambda body: text
    tracemalloc.start()
    try:
        remote_id = submit(server, requests)
        uploaded, peak = (
            server.files[server.batches[remote_id].input_file_id]["bytes"],
            tracemalloc.get_traced_memory()[1],
        )
        assert uploaded > 20_000_000
        assert peak < 6_000_000
    finally:
        tracemalloc.stop()
    server.finish()
    state(server, remote_id)

    async def read(endpoint: OpenAIBatches) -> int:
        tracemalloc.start()
        try:
            return sum([1 async for _ in endpoint.results(remote_id)])
        finally:
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()

    peaks: list[int] = []
    assert run(server, read) == len(requests)
    assert peaks[0] < 6_000_000


# -- interruptions ----------------------------------------------------------------------------------------------------


def test_a_batch_is_found_again_by_our_id_on_any_page(server: OpenAIBatchServer) -> None:
    server.largest_page = 2
    remote_ids = {f"ours-{number}": submit(server, questions(1), f"ours-{number}") for number in range(5)}
    assert {ours: run(server, lambda endpoint, ours=ours: endpoint.find(ours)) for ours in remote_ids} == remote_ids
    assert run(server, lambda endpoint: endpoint.find("ours-9")) is None


def test_a_list_without_any_batch_has_none(server: OpenAIBatchServer) -> None:
    assert run(server, lambda endpoint: endpoint.find("ours")) is None


def test_a_server_that_knows_no_pages_is_listed_once_to_its_end(server: OpenAIBatchServer) -> None:
    page = json.dumps({"object": "list", "data": [{"id": "batch_0"}, {"id": "batch_1", "metadata": "none"}]})
    server.batch_faults += [BatchFault("GET", "/batches", Fault(status=200, body=page)) for _ in range(5)]
    assert run(server, lambda endpoint: endpoint.find("ours")) is None
    assert server.calls["GET /batches"] == 2


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500),
        Fault(disconnect=True),
        Fault(status=200, body="<html>created</html>", content_type="text/html"),
        Fault(hang_s=5.0),
    ],
)
def test_a_batch_whose_creation_went_unanswered_is_found_and_not_created_twice(
    server: OpenAIBatchServer, fault: Fault
) -> None:
    server.batch_faults.append(BatchFault("POST", "/batches", fault, after=True))
    remote_id = submit(server, questions(2), timeout_s=1.0 if fault.hang_s else 20.0)
    assert list(server.batches) == [remote_id]
    assert server.calls["POST /batches"] == 1


@pytest.mark.parametrize(
    "fault",
    [Fault(status=500), Fault(disconnect=True), Fault(status=429, headers={"Retry-After": "0.3"})],
)
@pytest.mark.parametrize("path", ["/files", "/batches"])
def test_handing_in_is_tried_again_while_a_failure_may_pass(server: OpenAIBatchServer, fault: Fault, path: str) -> None:
    server.batch_faults += [BatchFault("POST", path, fault)] * 2
    started = time.monotonic()
    remote_id = submit(server, questions(2))
    assert list(server.batches) == [remote_id]
    assert list(server.files) == [server.batches[remote_id].input_file_id]
    assert server.calls[f"POST {path}"] == 3
    assert fault.headers == {} or time.monotonic() - started >= 0.6


@pytest.mark.parametrize(
    ("fault", "kind", "tries"),
    [
        (Fault(status=500), ErrorKind.SERVER, 3),
        (Fault(disconnect=True), ErrorKind.CONNECTION, 3),
        (Fault(status=429, headers={"Retry-After": "0.01"}), ErrorKind.RATE_LIMITED, 3),
        (Fault(status=400), ErrorKind.REJECTED, 1),
        (Fault(status=403), ErrorKind.DENIED, 1),
    ],
)
def test_a_batch_that_cannot_be_created_is_given_up_and_abandoned_without_a_file(
    server: OpenAIBatchServer, fault: Fault, kind: ErrorKind, tries: int
) -> None:
    server.batch_faults += [BatchFault("POST", "/batches", fault)] * tries
    with pytest.raises(CompletionError) as failure:
        submit(server, questions(2))
    assert failure.value.kind is kind
    assert server.calls["POST /batches"] == tries
    assert run(server, lambda endpoint: endpoint.abandon("ours")) is None
    assert server.files == {}
    submit(server, questions(2))
    assert len(server.batches) == 1


def test_an_abandoned_batch_that_came_to_be_after_all_is_found(server: OpenAIBatchServer) -> None:
    remote_id = submit(server, questions(2))
    assert run(server, lambda endpoint: endpoint.abandon("ours")) == remote_id
    assert state(server, remote_id).errors == ("empty_file: The file is empty.",)
    assert not server.executed


def test_a_file_that_an_interrupted_submission_left_is_deleted_by_the_next(server: OpenAIBatchServer) -> None:
    orphan = run(server, lambda endpoint: endpoint._upload("ours", io.BytesIO(b"{}\n")))
    submit(server, questions(1), "another")
    assert orphan in server.files
    remote_id = submit(server, questions(2))
    assert orphan not in server.files
    assert server.batches[remote_id].input_file_id in server.files


def test_a_server_that_lists_no_files_takes_batches_all_the_same(server: OpenAIBatchServer) -> None:
    server.batch_faults.append(BatchFault("GET", "/files", Fault(status=404)))
    assert submit(server, questions(1)) in server.batches


def test_a_restarted_server_knows_its_batches(tmp_path: Path) -> None:
    with OpenAIBatchServer(folder=tmp_path) as first:
        remote_id = submit(first, questions(3))
        assert state(first, remote_id).running
    with OpenAIBatchServer(folder=tmp_path, port=int(first.base_url.split(":")[2].split("/")[0])) as second:
        assert second.base_url == first.base_url
        assert run(second, lambda endpoint: endpoint.find("ours")) == remote_id
        second.finish()
        assert state(second, remote_id).completed == 3
        assert len(results(second, remote_id)) == 3
        assert second.custom_ids == second.executed == dict.fromkeys(questions(3), 1)


# -- how far it is ----------------------------------------------------------------------------------------------------


def test_the_state_is_what_the_provider_says(server: OpenAIBatchServer) -> None:
    server.line_faults["request-2"] = Fault(status=400)
    remote_id = submit(server, questions(3))
    assert state(server, remote_id) == BatchState(remote_id, True, "in_progress", 0, 0, 3)
    server.finish()
    assert state(server, remote_id) == BatchState(remote_id, False, "completed", 2, 1, 3)


def test_a_batch_ends_by_itself_after_so_many_polls(tmp_path: Path) -> None:
    with OpenAIBatchServer(folder=tmp_path, ends_after_polls=3) as server:
        remote_id = submit(server, questions(1))
        assert [state(server, remote_id).status for _ in range(3)] == ["in_progress", "in_progress", "completed"]


def test_a_batch_that_fails_its_validation_says_why(server: OpenAIBatchServer) -> None:
    remote_id = submit(server, questions(2))
    wrong = [
        {"code": "token_limit_exceeded", "message": "Enqueued token limit reached.", "line": None},
        *({"code": "mismatched_model", "message": "Another model.", "line": line} for line in range(1, 20)),
    ]
    server.refuse(*wrong)
    found = state(server, remote_id)
    assert (found.running, found.status, found.total) == (False, "failed", 0)
    assert found.errors[:2] == (
        "token_limit_exceeded: Enqueued token limit reached.",
        "mismatched_model: Another model. (line 1)",
    )
    assert len(found.errors) == 5
    assert results(server, remote_id) == {}


def test_a_batch_whose_input_is_gone_fails_and_nothing_is_executed(server: OpenAIBatchServer) -> None:
    remote_id = submit(server, questions(2))
    run(server, lambda endpoint: endpoint._delete_uploads("ours"))
    assert state(server, remote_id).errors == ("empty_file: The file is empty.",)
    assert not server.executed


def test_a_batch_that_the_endpoint_does_not_know_is_rejected_and_the_endpoint_is_not_given_up(
    server: OpenAIBatchServer,
) -> None:
    with pytest.raises(CompletionError) as failure:
        state(server, "batch_99")
    assert (failure.value.kind, failure.value.http_status) == (ErrorKind.REJECTED, 404)
    assert server.calls["GET /batches/ID"] == 1


# -- what came back ---------------------------------------------------------------------------------------------------


def test_results_are_told_by_their_ids_in_any_order(server: OpenAIBatchServer) -> None:
    server.respond = lambda body: f"I say: {body['messages'][-1]['content']}"
    found = finished(server, questions(20))
    assert list(found) != sorted(found)
    assert texts(found) == {f"request-{number}": f"I say: Say {number}." for number in range(20)}
    assert server.executed == dict.fromkeys(questions(20), 1)


def test_a_result_is_read_as_the_direct_connection_reads_it(server: OpenAIBatchServer) -> None:
    replies = iter(
        [
            Reply("Hello.", prompt_tokens=12, cached_tokens=8, completion_tokens=3),
            Reply("Once upon", finish_reason="length"),
            Reply(None, refusal="I will not."),
        ]
    )
    server.respond = lambda body: next(replies)
    found = finished(server, questions(3))
    assert found["request-0"] == Completion("Hello.", "stop", Outcome.USABLE, Usage(12, 8, 3))
    outcomes = {request_id: result.outcome for request_id, result in found.items() if isinstance(result, Completion)}
    assert outcomes["request-1"] is Outcome.TRUNCATED
    assert outcomes["request-2"] is Outcome.REFUSAL


@pytest.mark.parametrize("text", ["a\u2028b\u2029c\x85d\x0be\x1cf", "two\nlines\r\nmore", '"custom_id": "request-9"'])
def test_no_character_of_an_answer_ends_its_line(server: OpenAIBatchServer, text: str) -> None:
    server.respond = lambda body: text
    assert texts(finished(server, questions(2))) == {"request-0": text, "request-1": text}


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(status=400, body='{"error": {"message": "too long"}}'), ErrorKind.REJECTED),
        (Fault(status=404, body='{"error": {"code": "model_not_found"}}'), ErrorKind.DENIED),
        (Fault(status=429, body='{"error": {"message": "slower"}}'), ErrorKind.RATE_LIMITED),
        (Fault(status=429, body='{"error": {"code": "insufficient_quota"}}'), ErrorKind.DENIED),
        (Fault(status=500), ErrorKind.SERVER),
    ],
)
def test_a_request_that_failed_has_the_kind_it_would_have_had_alone(
    server: OpenAIBatchServer, fault: Fault, kind: ErrorKind
) -> None:
    server.line_faults["request-1"] = fault
    found = finished(server, questions(3))
    assert kinds(found) == {"request-1": kind}
    assert set(texts(found)) == {"request-0", "request-2"}
    failed = found["request-1"]
    assert isinstance(failed, CompletionError)
    assert failed.http_status == fault.status


def test_a_batch_of_which_every_request_failed_has_its_errors(server: OpenAIBatchServer) -> None:
    server.line_faults |= dict.fromkeys(questions(3), Fault(status=400))
    assert kinds(finished(server, questions(3))) == dict.fromkeys(questions(3), ErrorKind.REJECTED)


@pytest.mark.parametrize("named", [True, False])
def test_requests_that_expired_may_be_asked_again_and_are_not_billed(server: OpenAIBatchServer, named: bool) -> None:
    server.names_unexecuted = named
    remote_id = submit(server, questions(5))
    server.expire(executed=2)
    assert state(server, remote_id) == BatchState(remote_id, False, "expired", 2, 3, 5)
    found = results(server, remote_id)
    assert set(texts(found)) == {"request-0", "request-1"} == set(server.executed)
    assert len(kinds(found)) == (3 if named else 0)
    for result in found.values():
        if isinstance(result, CompletionError):
            assert "batch_expired" in result.detail
            assert result.kind.retryable
            assert not result.kind.perhaps_billed


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b'{"custom_id": "request-1", "response": {"status_code": 200, "bo', ErrorKind.NOT_JSON),
        (b'{"id": "x", "custom_id": "request-1", "response": "\xff\xfe"}', ErrorKind.BAD_ENCODING),
        (b'{"custom_id": "request-1", "response": null, "error": null}', ErrorKind.BAD_REPLY),
        (b'{"custom_id": "request-1", "response": {"status_code": 200, "body": null}}', ErrorKind.BAD_REPLY),
        (b'{"custom_id": "request-1", "response": {"status_code": 200, "body": {"choices": []}}}', ErrorKind.BAD_REPLY),
        (b'{"custom_id": "request-1", "response": null, "error": {"code": "request_timeout"}}', ErrorKind.TIMEOUT),
    ],
)
def test_a_line_that_cannot_be_read_fails_the_request_it_names(
    server: OpenAIBatchServer, line: bytes, kind: ErrorKind
) -> None:
    server.spoil = lambda custom_id, sound: line if custom_id == "request-1" else sound
    found = finished(server, questions(3))
    assert kinds(found) == {"request-1": kind}
    assert len(found) == 3


@pytest.mark.parametrize("line", [b"<html>", b'{"custom_id": null}', b'["request-1"]', b'{"custom_id": "\\uZZ"'])
def test_a_line_that_names_no_request_is_logged_and_counted(
    server: OpenAIBatchServer, caplog: pytest.LogCaptureFixture, line: bytes
) -> None:
    server.spoil = lambda custom_id, sound: line if custom_id == "request-1" else sound
    with caplog.at_level(logging.WARNING, openai_batches.__name__):
        found = finished(server, questions(3))
    assert set(found) == {"request-0", "request-2"}
    assert "names no request" in caplog.text
    assert "2 answers read of the 3 it reports; 1 lines name no request" in caplog.text


def test_answers_that_are_missing_from_the_output_are_logged(
    server: OpenAIBatchServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.spoil = lambda custom_id, sound: b"" if custom_id == "request-1" else sound
    assert set(finished(server, questions(3))) == {"request-0", "request-2"}
    assert "2 answers read of the 3 it reports" in caplog.text


def test_a_line_of_no_end_is_not_kept_in_memory(server: OpenAIBatchServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (openai_batches, openai_batch_replies):
        monkeypatch.setattr(module, "MAX_LINE_BYTES", 100_000)
    server.respond = lambda body: "x" * (20_000_000 if "Say 1." in json.dumps(body) else 50_000)
    remote_id = submit(server, questions(3))
    server.finish()
    state(server, remote_id)
    tracemalloc.start()
    try:
        found = results(server, remote_id)
        assert tracemalloc.get_traced_memory()[1] < 6_000_000
    finally:
        tracemalloc.stop()
    assert kinds(found) == {"request-1": ErrorKind.TOO_LARGE}
    assert {len(text) for text in texts(found).values()} == {50_000}


def test_results_of_a_batch_that_runs_are_not_read(server: OpenAIBatchServer) -> None:
    remote_id = submit(server, questions(1))
    with pytest.raises(ValueError, match="is in_progress"):
        results(server, remote_id)


def test_answers_without_an_output_file_are_not_taken_for_none(server: OpenAIBatchServer) -> None:
    remote_id = submit(server, questions(2))
    server.finish()
    state(server, remote_id)
    server.batches[remote_id].output_file_id = None
    with pytest.raises(CompletionError, match="2 answers, but no output file") as failure:
        results(server, remote_id)
    assert failure.value.kind is ErrorKind.REJECTED


def test_a_download_that_breaks_half_way_fails_after_what_came_and_can_be_read_again(
    server: OpenAIBatchServer,
) -> None:
    server.respond = lambda body: "word " * 10_000
    remote_id = submit(server, questions(20))
    server.finish()
    state(server, remote_id)
    output = str(server.batches[remote_id].output_file_id)
    server.cut_after[output] = 500_000
    came: list[str] = []

    async def read(endpoint: OpenAIBatches) -> None:
        async for request_id, _ in endpoint.results(remote_id):
            came.append(request_id)

    with pytest.raises(CompletionError) as failure:
        run(server, read)
    assert failure.value.kind is ErrorKind.CONNECTION
    assert 5 <= len(came) < 20
    assert set(texts(results(server, remote_id))) == set(questions(20))


def test_reading_may_stop_early(server: OpenAIBatchServer) -> None:
    server.respond = lambda body: "word " * 10_000
    remote_id = submit(server, questions(20))
    server.finish()
    state(server, remote_id)

    async def first(endpoint: OpenAIBatches) -> str:
        async with aclosing(endpoint.results(remote_id)) as found:
            async for request_id, _ in found:
                await endpoint.state(remote_id)
                return request_id
        raise AssertionError

    assert run(server, first) in questions(20)


# -- failures ---------------------------------------------------------------------------------------------------------


def test_reading_is_tried_again_while_a_failure_may_pass(server: OpenAIBatchServer) -> None:
    remote_id = submit(server, questions(2))
    server.finish()
    for path in ("/batches/", "/files/"):
        busy = Fault(status=503, headers={"Retry-After": "0.01"})
        server.batch_faults += [BatchFault("GET", path, busy), BatchFault("GET", path, Fault(disconnect=True))]
    assert state(server, remote_id).status == "completed"
    assert len(results(server, remote_id)) == 2
    assert not server.batch_faults


def test_reading_is_given_up_after_three_attempts(server: OpenAIBatchServer) -> None:
    server.batch_faults += [BatchFault("GET", "/batches", Fault(status=500)) for _ in range(5)]
    with pytest.raises(CompletionError) as failure:
        run(server, lambda endpoint: endpoint.find("ours"))
    assert (failure.value.kind, server.calls["GET /batches"]) == (ErrorKind.SERVER, 3)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(status=401), ErrorKind.DENIED),
        (Fault(status=301, headers={"Location": "https://elsewhere/"}), ErrorKind.DENIED),
        (Fault(status=200, body="<html>", content_type="text/html"), ErrorKind.NOT_JSON),
        (Fault(status=200, body='["batch"]'), ErrorKind.BAD_REPLY),
        (Fault(status=200, body='{"id": "batch_0"}'), ErrorKind.BAD_REPLY),
    ],
)
def test_each_way_to_fail_has_its_kind(server: OpenAIBatchServer, fault: Fault, kind: ErrorKind) -> None:
    server.batch_faults += [BatchFault("GET", "/batches/", fault) for _ in range(3)]
    with pytest.raises(CompletionError) as failure:
        state(server, "batch_0")
    assert failure.value.kind is kind


def test_a_server_that_does_not_answer_is_given_up(server: OpenAIBatchServer) -> None:
    server.batch_faults += [BatchFault("POST", "/files", Fault(hang_s=5.0))] * 3
    with pytest.raises(CompletionError, match=r"timeout: no complete answer within 0.5 s"):
        submit(server, questions(1), timeout_s=0.5)


def test_a_wrong_key_is_known_before_anything_is_uploaded(server: OpenAIBatchServer) -> None:
    server.batch_faults.append(BatchFault("GET", "/files", Fault(status=401)))
    with pytest.raises(CompletionError) as failure:
        submit(server, questions(1))
    assert failure.value.kind is ErrorKind.DENIED
    assert server.calls == {"GET /files": 1}


def test_a_refused_connection_never_reached_the_server() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(CompletionError) as failure:
            submit(f"http://127.0.0.1:{unused.getsockname()[1]}/v1", questions(1))
    assert failure.value.kind is ErrorKind.UNREACHABLE


def test_the_key_is_never_shown(server: OpenAIBatchServer, caplog: pytest.LogCaptureFixture) -> None:
    echo = json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}", "code": "invalid_api_key"}})
    server.line_faults["request-0"] = Fault(status=401, body=echo)
    server.respond = lambda body: f"Your key is {KEY}"
    server.spoil = lambda custom_id, sound: f"broken {KEY}".encode() if custom_id == "request-2" else sound
    with caplog.at_level(logging.DEBUG, openai_batches.__name__):
        found = finished(server, questions(3))
        remote_id = submit(server, questions(1), "other")
        server.refuse({"code": "invalid_api_key", "message": f"Wrong: {KEY}"})
        refused = state(server, remote_id)
        server.batch_faults.append(BatchFault("GET", "/files", Fault(status=401, body=echo)))
        with pytest.raises(CompletionError) as failure:
            submit(server, questions(1))
    assert len(found) == 2
    assert "names no request" in caplog.text
    shown = [repr(found), str(refused), "".join(traceback.format_exception(failure.value)), caplog.text]
    assert KEY not in "\n".join(shown)
