"""Holding a model to the replies that a query allows: what is sent then, and what its reply says."""

from __future__ import annotations

from dataclasses import replace

from teams_dagster.core.protocol import Completion, Message, ModelIdentity, Outcome, Purpose, Request
from teams_dagster.core.replies import AllowedReplies, Choice, Way, is_json, read_reply
from teams_dagster.llm.reply_probabilities import reply_probabilities

JSON_TOKENS = 48
"""What the braces, names and white space of a JSON reply take beside the reply itself."""


def as_sent(request: Request, identity: ModelIdentity) -> Request:
    """`request` as the model that `identity` names is asked.

    One that is not held to its replies is sent as it is. Where replies are JSON, the last message says so: a model that
    is told another form and forced into this one answers worse. A probe tells nothing: it finds out whether it is held.
    """
    way, allowed = identity.structured, request.allowed
    if way is None or allowed is None or (way is Way.LOGPROBS and not isinstance(allowed, Choice)):
        return replace(request, structured=None) if request.structured else request
    if not is_json(way, allowed) or request.intent.purpose is Purpose.PROBE:
        return replace(request, structured=way)
    *before, last = request.messages
    told = Message(last.role, f"{last.content}\n\nReply with JSON alone: {allowed.example}")
    sampling = replace(request.sampling, max_tokens=request.sampling.max_tokens + JSON_TOKENS)
    return replace(request, structured=way, messages=(*before, told), sampling=sampling)


def judged_by(structured: Way | None, allowed: AllowedReplies | None, completion: Completion) -> Completion:
    """`completion` as the ledger keeps it: malformed where the model was held to its replies and gave another.

    Its probabilities are read from the tokens where they came back.
    """
    if structured is None or allowed is None or completion.outcome is not Outcome.USABLE:
        return completion
    plain = read_reply(structured, allowed, completion.text)
    if plain is None:
        return replace(completion, outcome=Outcome.MALFORMED)
    if not completion.tokens or not isinstance(allowed, Choice):
        return completion
    return replace(completion, probabilities=reply_probabilities(completion.text, completion.tokens, plain, allowed))


def as_asked_for(request: Request, completion: Completion) -> Completion:
    """`completion` in the form that the prompt states, whatever form the model was held to.

    A reply to a query that was held, and that is not one of those allowed, says nothing: its text is empty.
    """
    if request.structured is None or request.allowed is None:
        return completion
    return replace(completion, text=read_reply(request.structured, request.allowed, completion.text) or "")
