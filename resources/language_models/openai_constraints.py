"""What an OpenAI-compatible endpoint is sent so that it is held to the replies that a request allows."""

from __future__ import annotations

import json
from typing import Any

from teams_dagster.core.protocol import Request
from teams_dagster.core.replies import AllowedReplies, Choice, Parts, Way, json_schema

TOP_LOGPROBS = 20
"""The most that OpenAI and vLLM list for one token."""

TOP_LOGPROBS_OF_LLAMA_CPP = 200
"""It lists what its grammar forbids too, before it: the other replies are seldom among the first twenty."""

_NAME = "reply"


def constraint_parameters(request: Request, *, with_logprobs: bool) -> dict[str, Any]:
    """Body fields that hold the model to `request.allowed`; empty where it is not held.

    `with_logprobs` asks for the log-probabilities of a reply that is one of a few.
    """
    way, allowed = request.structured, request.allowed
    if way is None or allowed is None:
        return {}
    if not (with_logprobs and isinstance(allowed, Choice)):
        return _held(way, allowed)
    most = TOP_LOGPROBS_OF_LLAMA_CPP if way is Way.GRAMMAR else TOP_LOGPROBS
    return _held(way, allowed) | {"logprobs": True, "top_logprobs": most}


def _held(way: Way, allowed: AllowedReplies) -> dict[str, Any]:
    match way:
        case Way.JSON_SCHEMA:
            schema = {"name": _NAME, "strict": True, "schema": json_schema(allowed)}
            return {"response_format": {"type": "json_schema", "json_schema": schema}}
        case Way.CHOICE:
            if isinstance(allowed, Choice):
                return {"structured_outputs": {"choice": list(allowed.replies)}}
            return {"structured_outputs": {"json": json_schema(allowed)}}
        case Way.GRAMMAR:
            return {"grammar": grammar(allowed)}
        case Way.LOGPROBS:
            raise ValueError("an endpoint cannot be held by log-probabilities: they are for local weights")


def grammar(allowed: AllowedReplies) -> str:
    """llama.cpp's grammar (GBNF) of the plain form: one of the replies, or a text under each label.

    A text may have several lines; the last label's text ends the reply.
    """
    if isinstance(allowed, Choice):
        return f"root ::= {' | '.join(json.dumps(reply) for reply in allowed.replies)}"
    return _parts_grammar(allowed)


def _parts_grammar(parts: Parts) -> str:
    labelled = ' "\\n" '.join(f"{json.dumps(f'{label}: ')} text" for label in parts.labels)
    return f'root ::= {labelled}\ntext ::= [^\\n] ([^\\n] | "\\n")*'
