"""Endpoints as people meet them: each makes its own of a text that a model wrote, or refuses in its own way."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.support.openai_server import Body, Fault, Reply
from tests.support.small_context import OPENAI, with_context

Endpoint = Callable[[Body, str], Reply | Fault]
"""What it sends back to a request body, of the text that the model behind it wrote."""

THOUGHT = "Let me see what is wanted here. I would first look at the parts."


def wrapped(before: str, after: str = "", finish_reason: str = "stop") -> Endpoint:
    """The text with something around it."""
    return lambda body, said: Reply(f"{before}{said}{after}", finish_reason)


def halved(finish_reason: str) -> Endpoint:
    """Half of the text."""
    return lambda body, said: Reply(said[: len(said) // 2], finish_reason)


def message(**fields: Any) -> Endpoint:
    """A message of these fields; `...` stands for the text."""

    def sent(value: Any, said: str) -> Any:
        if value is ...:
            return said
        if isinstance(value, list):
            return [sent(each, said) for each in value]
        return {name: sent(each, said) for name, each in value.items()} if isinstance(value, dict) else value

    def respond(body: Body, said: str) -> Fault:
        choice = {"index": 0, "message": {"role": "assistant", **sent(fields, said)}, "finish_reason": "stop"}
        return Fault(200, json.dumps({"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 5}}))

    return respond


def raw(content: str | bytes, status: int = 200, content_type: str = "application/json", **headers: str) -> Endpoint:
    """The same bytes, whatever is asked."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda body, said: Fault(status, content, content_type, named)


def streamed(*, finish_reason: str | None = "stop", comment: str = "") -> Endpoint:
    """The text in two pieces, as a server sends it that streams unasked."""

    def respond(body: Body, said: str) -> Fault:
        pieces = [{"role": "assistant", "content": said[: len(said) // 2]}, {"content": said[len(said) // 2 :]}]
        choices: list[Any] = [{"index": 0, "delta": piece, "finish_reason": None} for piece in pieces]
        choices.append({"index": 0, "delta": {}, "finish_reason": finish_reason})
        events: list[Any] = [{"choices": [choice]} for choice in choices]
        events.append({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 5}})
        lines = [comment, *(f"data: {json.dumps(event)}" for event in events), "data: [DONE]", ""]
        return Fault(200, "\n\n".join(lines), "text/event-stream")

    return respond


def marked(**fields: Any) -> Endpoint:
    """Half of the text, with these fields beside a finish reason of `stop`."""

    def respond(body: Body, said: str) -> Fault:
        message = {"role": "assistant", "content": said[: len(said) // 2]}
        choice = {"index": 0, "message": message, "finish_reason": "stop", **fields}
        return Fault(200, json.dumps({"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 5}}))

    return respond


def broken_stream(error: Any) -> Endpoint:
    """Half of the text, and then an event that tells of an error."""

    def respond(body: Body, said: str) -> Fault:
        piece = {"choices": [{"index": 0, "delta": {"content": said[: len(said) // 2]}}]}
        return Fault(200, f"data: {json.dumps(piece)}\n\ndata: {json.dumps(error)}\n\n", "text/event-stream")

    return respond


def choices(*texts: str) -> Endpoint:
    """Several answers where one was asked for; `...` stands for the text, and the last one has index 0."""

    def respond(body: Body, said: str) -> Fault:
        found = [
            {"index": index, "message": {"content": said if text == "..." else text}, "finish_reason": "stop"}
            for index, text in zip(range(len(texts) - 1, -1, -1), texts, strict=True)
        ]
        return Fault(200, json.dumps({"choices": found, "usage": {"prompt_tokens": 9, "completion_tokens": 5}}))

    return respond


def sent_as(content_type: str, before: bytes = b"", **headers: str) -> Endpoint:
    """A plain completion under another name, or with something before it."""

    def respond(body: Body, said: str) -> Fault:
        plain = message(content=...)(body, said)
        assert isinstance(plain, Fault)
        content = plain.body if isinstance(plain.body, bytes) else plain.body.encode()
        return Fault(200, before + content, content_type, {n.replace("_", "-"): value for n, value in headers.items()})

    return respond


def refusal(status: int, text: str, **more: Any) -> Endpoint:
    """An error as OpenAI words one."""
    headers = {"retry_after": more.pop("retry_after")} if "retry_after" in more else {}
    return raw(json.dumps({"error": {"message": text, **more}}), status, **headers)


def where(refused: Callable[[Body], bool], refuse: Endpoint, answer: Endpoint) -> Endpoint:
    """`refuse` for the bodies that are `refused`, `answer` for the others."""
    return lambda body, said: (refuse if refused(body) else answer)(body, said)


def with_system(body: Body) -> bool:
    """Whether a body has a system message."""
    return any(each["role"] == "system" for each in body["messages"])


def within(context: int) -> Endpoint:
    """Answers what fits into a context of so many tokens."""

    def respond(body: Body, said: str) -> Reply | Fault:
        found = with_context(context, OPENAI, lambda _: Reply(said))(body)
        return Reply(found) if isinstance(found, str) else found

    return respond


whole = wrapped("")
no_system = refusal(400, "System role not supported", type="BadRequestError")
no_max_tokens = refusal(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
asks_max_tokens: Callable[[Body], bool] = lambda body: "max_tokens" in body  # noqa: E731 - a table of them follows

THINKING: dict[str, Endpoint] = {
    "think": wrapped(f"<think>\n{THOUGHT}\n</think>\n\n"),
    "a closing tag alone": wrapped(f"{THOUGHT}\n</think>\n\n"),
    "THINK": wrapped(f"[THINK]{THOUGHT}[/THINK]"),
    "scratchpad and answer": wrapped(f"<scratchpad>\n{THOUGHT}\n</scratchpad>\n<answer>\n", "\n</answer>"),
    "a line, then a thought": wrapped(f"Okay!\n<thinking>\n{THOUGHT}\n</thinking>\n\n"),
    "talk, then a thought": wrapped(f"Sure! <reasoning>{THOUGHT}</reasoning>\n\n"),
    "folded away": wrapped(
        f'<details type="reasoning" done="true">\n<summary>Thought</summary>\n{THOUGHT}\n</details>\n'
    ),
    "escaped": wrapped(f"&lt;think&gt;{THOUGHT}&lt;/think&gt;"),
    "analysis": wrapped(f"<analysis>\n{THOUGHT}\n</analysis>\n\n"),
    "Cohere's marks": wrapped(f"<|START_THINKING|>{THOUGHT}<|END_THINKING|><|START_TEXT|>", "<|END_TEXT|>"),
    "channels": wrapped(f"<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant<|channel|>final<|message|>"),
    "bare channels": wrapped(f"analysis{THOUGHT}assistantfinal"),
    "set apart": message(content=..., reasoning_content=THOUGHT),
    "thinking parts": message(content=[{"type": "thinking", "thinking": THOUGHT}, {"type": "text", "text": ...}]),
}
"""All of the text arrives, with a thought beside it."""

WHOLE: dict[str, Endpoint] = {
    "plain": whole,
    "text parts": message(content=[{"type": "text", "text": ...}]),
    "output_text parts": message(content=[{"type": "output_text", "text": ...}]),
    "string parts": message(content=[...]),
    "one part": message(content={"type": "text", "text": ...}),
    "empty tool calls": message(content=..., tool_calls=[], refusal=""),
    "a stream": streamed(),
    "a stream with comments": streamed(comment=": OPENROUTER PROCESSING"),
    "two choices, the second first": choices("Another answer to what was asked, that nobody asked for.", "..."),
    "as text": sent_as("text/plain"),
    "as a page": sent_as("text/html"),
    "after a byte order mark": sent_as("application/json", b"\xef\xbb\xbf"),
    "after lines that keep it alive": sent_as("application/json", b"\n" * 500),
    "no system role": where(with_system, no_system, whole),
    "no max_tokens": where(asks_max_tokens, no_max_tokens, whole),
    "neither": where(with_system, no_system, where(asks_max_tokens, no_max_tokens, whole)),
}
"""All of it arrives, for who asks as the endpoint wants it."""

SPOILT: dict[str, Endpoint] = {
    **{f"half, {reason}": halved(reason) for reason in ("length", "max_tokens", "model_length", "safety", "other")},
    **{f"half, {reason or 'no reason'}": halved(reason) for reason in ("content_filter", "error", "tool_calls", "")},
    "half, a native reason": marked(native_finish_reason="MAX_TOKENS"),
    "half, marked as truncated": marked(truncated=True),
    "a stream that ended early": streamed(finish_reason=None),
    "half a thought": lambda body, said: Reply(f"<think>\n{THOUGHT}", "length"),
    "a thought that ends by itself": lambda body, said: Reply(f"<think>\n{THOUGHT}"),
    "thought apart, no text": message(content="", reasoning_content=...),
    "null": message(content=None, reasoning_content=...),
    "no content": message(reasoning=...),
    "empty": lambda body, said: Reply(" \n"),
    "declined": lambda body, said: Reply(None, refusal="I cannot help with that."),
    "tool call": message(content=None, tool_calls=[{"id": "1", "type": "function"}]),
    "cut, with no system role": where(with_system, no_system, halved("length")),
    "an image": message(content=[{"type": "image_url", "image_url": {"url": "data:,"}}]),
}
"""Nothing of it can be used, though it is paid."""

REFUSED: dict[str, Endpoint] = {
    "legacy": raw('{"choices": [{"index": 0, "text": "fine", "finish_reason": "stop"}]}'),
    "a stream of something else": raw('data: {"type": "ping"}\n\n', 200, "text/event-stream"),
    "a stream of an error": raw('data: {"error": {"message": "Incorrect API key provided", "code": 401}}\n\n'),
    "a stream that ends in an error": broken_stream({"error": {"message": "upstream went away", "code": 502}}),
    "a stream that ends in words": broken_stream({"error": "upstream went away"}),
    "200, a kind of error": raw('{"type": "error", "error": {"type": "authentication_error", "message": "no"}}'),
    "200, a code at the top": raw('{"statusCode": 401, "message": "no"}'),
    "200, a list": raw('[{"error": {"code": 401, "message": "no", "status": "UNAUTHENTICATED"}}]'),
    "200, a detail": raw('{"detail": "Not authenticated"}'),
    "hours in words": refusal(429, "Requests per day: 200. Please try again in 7h12m0s."),
    "packed otherwise than it says": sent_as("application/json", content_encoding="gzip"),
    "204": raw(b"", 204),
    "202": raw('{"request_id": "x", "status": "queued"}', 202),
    "deltas": raw('{"choices": [{"index": 0, "delta": {"content": "fine"}, "finish_reason": "stop"}]}'),
    "no choices": raw('{"choices": []}'),
    "an empty object": raw("{}"),
    "a list": raw("[1, 2]"),
    "no body": raw(b""),
    "Latin-1": raw(b'{"choices": [{"message": {"content": "caf\xe9"}, "finish_reason": "stop"}]}'),
    "a page": raw("<!DOCTYPE html><html>log in</html>", 200, "text/html"),
    "200, a code of 429": raw('{"error": {"message": "the limit of the day is reached", "code": 429}}'),
    "200, a wrong key": raw('{"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}}'),
    "200, words": raw('{"error": "model not found"}'),
    "any 400": refusal(400, "I do not like this request"),
    "seed is not taken": refusal(422, "[{'type': 'extra_forbidden', 'loc': ('body', 'seed')}] not permitted"),
    "temperature is not taken": refusal(
        400, "Unsupported value: 'temperature' does not take 0.7.", param="temperature"
    ),
    "a wrong key": lambda body, said: Fault(401, '{"error": {"message": "wrong key: Bearer sk-planted-secret-123"}}'),
    "no credit": refusal(402, "Insufficient credits"),
    "a country": refusal(403, "Your country is not supported"),
    "no such model": raw('{"error": "no such model here", "status": 404}', 404),
    "no such model, with a 400": refusal(400, "model 'm' not found"),
    "no such path": raw('{"detail": "Not Found"}', 404),
    "retired": refusal(410, "This model has been retired"),
    "quota": refusal(429, "You exceeded your current quota.", type="insufficient_quota"),
    "a day": refusal(429, "the free requests of the day are used up", retry_after="86400"),
    "a day without a header": refusal(429, "the free requests of the day are used up; they come back at midnight"),
    "two hours": refusal(503, "down for maintenance", retry_after="7200"),
    "elsewhere": raw(b"", 307, location="https://example.org/v1"),
    "a tiny context": refusal(
        400, "This model's maximum context length is 40 tokens. However, you requested 2304 tokens."
    ),
}
"""It is never answered."""

ENDPOINTS = {**THINKING, **WHOLE, **SPOILT, **REFUSED}
