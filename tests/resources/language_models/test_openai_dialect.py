"""What an endpoint's refusals teach about how it wants its requests, against a real HTTP server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import pytest

from resources.language_models.openai_compatible import OpenAICompatibleModel
from resources.language_models.openai_dialect import (
    FOLDED,
    LIMIT_PARAMETER,
    SYSTEM_ROLE,
    Dialect,
    has_no_system_role,
)
from teams_dagster.core.protocol import Completion, CompletionError, ErrorKind, Message
from tests.support.openai_server import Fault, OpenAIServer
from tests.support.questions import question


def refusal(message: str, status: int = 400) -> Fault:
    return Fault(status, json.dumps({"error": {"message": message}}))


def ask_until_answered(
    server: OpenAIServer,
    record: Callable[[str, str], object] = lambda trait, value: None,
    known: Mapping[str, str] = MappingProxyType({}),
) -> Completion:
    async def asking() -> Completion:
        model = OpenAICompatibleModel("m", base_url=server.base_url)
        model.dialect.keep(known, record, lambda trait, limit: record(trait, str(limit)))
        try:
            while True:
                try:
                    return await model.complete(question())
                except CompletionError as error:
                    if not error.adapted:
                        raise
        finally:
            await model.close()

    return asyncio.run(asking())


@pytest.mark.parametrize(
    "body",
    [
        {
            "detail": [
                {"type": "extra_forbidden", "loc": ["body", "max_tokens"], "msg": "Extra inputs are not permitted"}
            ]
        },
        {"error": {"message": "Unsupported parameter", "param": "max_tokens"}},
    ],
)
def test_a_parameter_that_is_refused_in_a_field_of_its_own_is_learnt_from(
    openai_server: OpenAIServer, body: dict[str, Any]
) -> None:
    openai_server.faults.append(Fault(422, json.dumps(body)))
    ask_until_answered(openai_server)
    assert "max_completion_tokens" in openai_server.received[-1]


@pytest.mark.parametrize(
    "message",
    [
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        "Unrecognized request argument supplied: max_tokens",
        "max_tokens is deprecated, please use max_completion_tokens",
        "The parameter max_tokens is no longer available.",
        "Please use 'max_completion_tokens' instead of 'max_tokens'.",
        "Invalid parameter: max_tokens. Did you mean max_completion_tokens?",
        "`max_tokens` is not a valid parameter for this model",
        "[{'type': 'extra_forbidden', 'loc': ('body', 'max_tokens'), 'msg': 'Extra inputs are not permitted'}]",
    ],
)
def test_an_endpoint_that_refuses_max_tokens_is_given_max_completion_tokens(
    openai_server: OpenAIServer, message: str
) -> None:
    openai_server.faults.append(refusal(message))
    learnt: list[tuple[str, str]] = []
    ask_until_answered(openai_server, lambda trait, value: learnt.append((trait, value)))
    refused, answered = openai_server.received
    assert "max_tokens" not in answered
    assert answered["max_completion_tokens"] == refused["max_tokens"]
    assert learnt == [(LIMIT_PARAMETER, "max_completion_tokens")]


@pytest.mark.parametrize(
    "fault",
    [
        refusal("System role not supported"),
        refusal("Conversation roles must alternate user/assistant/user/assistant/..."),
        refusal("Error in template: Only user and assistant roles are supported!", 500),
        refusal("Developer instruction is not enabled for models/gemma-3-27b-it"),
        refusal("Unsupported value: 'messages[0].role' does not support 'system' with this model."),
        refusal('messages: Unexpected role "system". The Messages API accepts a top-level `system` parameter.'),
        refusal("loc: messages, 0, role; msg: Input should be 'user' or 'assistant'; input: system", 422),
        refusal("Invalid value: 'system'. Supported values are: 'user' and 'assistant'."),
        refusal("messages[0].role must be one of [user, assistant], got system"),
        refusal("messages[0].role must be one of user, assistant"),
        refusal("System prompts aren't supported by this model."),
        refusal("Jinja Exception: Conversations must start with a user prompt", 500),
        refusal("The first message must be from user"),
        refusal("Error: invalid message role 'system' (allowed: user, assistant)"),
        refusal("messages[0].role: Input should be 'user' or 'assistant'", 422),
        refusal("Role 'system' cannot be used here"),
        refusal("Only user, assistant and tool roles are supported, got system."),
        refusal("This model does not support system messages. Request: [{'role': 'system', 'content': 'Be brief.'}]"),
        refusal("'system' is not one of ['user', 'assistant'] - 'messages.0.role'"),
        refusal("a system message can't be used with this model"),
    ],
)
def test_without_a_system_role_the_user_says_what_the_system_said(openai_server: OpenAIServer, fault: Fault) -> None:
    openai_server.faults.append(fault)
    learnt: list[tuple[str, str]] = []
    ask_until_answered(openai_server, lambda trait, value: learnt.append((trait, value)))
    assert openai_server.received[1]["messages"] == [{"role": "user", "content": "Be brief.\n\nSay something."}]
    assert learnt == [(SYSTEM_ROLE, FOLDED)]


@pytest.mark.parametrize(
    "said",
    [
        "messages[0].role must be user",
        "messages.0.role must be 'user'",
        "Invalid value for messages[0].role: it should be user",
        'messages: first message must use the "user" role',
        "first message must use the user role",
        "The first message's role must be 'user'",
        "First message role should be user",
        "Expected the first message to be of role user, got system",
        "Expected first role to be user",
        "the first turn must come from the user",
        "The conversation has to begin with a user message.",
        "A conversation must start with a user message. Try again with a conversation that starts with a user message.",
        "A conversation must alternate between user and assistant roles.",
        'messages: roles must alternate between "user" and "assistant", but found multiple "user" roles in a row',
        "Please ensure that multiturn requests alternate between user and model",
        "Messages must alternate between user and assistant.",
        "roles should alternate user/assistant",
        "Please use a valid role: user, model.",
        "Role must be 'user' or 'model'.",
        "Valid roles are user and assistant",
        "Content with system role is not supported.",
        "role 'system' is not supported on this model",
        "message role not supported yet: system",
        "Unsupported role: system",
        "Unknown message role: 'system'",
        "system role not supported",
        "System role is not supported by this template, and only user and assistant are.",
        "System messages are not supported",
        "system prompt is not allowed for this model",
        "developer and system roles are not supported",
        'role only allows "user" / "assistant", not "system"',
        "Input tag 'system' found using 'role' does not match any of the expected tags: 'user', 'assistant'",
        "the role of message with odd index in the messages must be user or function",
        "Roles other than user and assistant are not supported",
        "Only user and model roles are supported",
        "This model only accepts messages with role user or assistant",
        "Got unexpected role system",
        "Raised exception: System role is unsupported",
        "Jinja: raise_exception('System role not supported')",
        "messages[0].role: unknown variant `system`, expected `user` or `assistant`",
        "messages[0].role 'system' is not in ['user', 'assistant']",
        "\u4e0d\u652f\u6301 system \u89d2\u8272",
    ],
)
def test_the_system_role_is_refused_in_many_words(said: str) -> None:
    assert has_no_system_role(f"HTTP 400: {said}")


@pytest.mark.parametrize(
    "said",
    [
        "Expected last role User or Tool (or Assistant with prefix True) for serving but got assistant",
        "The last message must be from the user.",
        "The last message must have role 'user'",
        "Please ensure that multiturn requests end with a user role or a function response.",
        "messages[1].content must be a string",
        "messages[0].role must be one of 'system', 'user', 'assistant'",
        "messages[0].role must be system or user",
        "After the optional system message, conversation roles must alternate user and assistant",
        "the first message must be of the system or the user role",
        "unknown variant `tool`, expected one of `system`, `user`, `assistant`",
        "The role of the API key must be user or admin: this key's is viewer",
        "messages must not be empty",
        "the user field must be a string",
        "user must not be empty",
        "Your system role is not authorized to use this model",
        "A user message must not be empty",
        "messages: at least one message is required, with the role of user",
    ],
)
def test_what_is_said_of_other_turns_is_none_of_the_system_role(said: str) -> None:
    assert not has_no_system_role(f"HTTP 400: {said}")


def test_what_was_learnt_before_is_not_found_out_again(openai_server: OpenAIServer) -> None:
    ask_until_answered(openai_server, known={LIMIT_PARAMETER: "max_completion_tokens", SYSTEM_ROLE: FOLDED})
    (asked,) = openai_server.received
    assert "max_completion_tokens" in asked
    assert [message["role"] for message in asked["messages"]] == ["user"]


@pytest.mark.parametrize(
    "message",
    [
        "`max_tokens` must be less than or equal to 1024, a greater value is not supported.",
        "max_tokens must be an integer",
        "The value of max_tokens must be between 1 and 512",
        "Invalid max_tokens value, the valid range of max_tokens is [1, 512]",
        "The system is overloaded.",
        "The system prompt must not be longer than 500 characters.",
        "System error: the operation is not supported.",
        "The model `system-3` does not exist.",
        "max_tokens must be >= 16",
        "Your request was rejected as a result of our safety system. Your prompt may contain text that is not allowed"
        " by our safety system.",
        "Content blocked: prompt not allowed by system policy",
        "Moderation system flagged user message as invalid",
        "Internal system error: invalid user",
        "The operating system user is not allowed",
        "Our system only supports JSON in user messages",
        "The system message must be a string, a list is not supported",
        "The system prompt contains characters that are not allowed",
        "messages[0].role must be one of 'user', 'assistant' or 'system'",
        "seed is not supported. Request: {'messages': [{'role': 'system', 'content': 'Be brief.'}, {'role': 'user',"
        " 'content': 'Say something.'}], 'max_tokens': 2048}",
        "temperature must be 1 for this model; body={'messages': [{'role': 'system', 'content': 'Be br",
    ],
)
def test_any_other_refusal_teaches_nothing(openai_server: OpenAIServer, message: str) -> None:
    openai_server.faults.append(refusal(message))
    with pytest.raises(CompletionError):
        ask_until_answered(openai_server)
    assert openai_server.count == 1


@pytest.mark.parametrize(
    "asked",
    [
        "Explain what a context length of 128 tokens means",
        "Say why a system role is not supported\nby some templates, and what max_tokens is not supported means",
        "Tell {what} 'n_ctx': 128 and \"n_ctx\" 128 are",
    ],
)
@pytest.mark.parametrize("written", [str, repr, json.dumps, lambda text: repr(text)[:40]])
def test_what_a_refusal_repeats_of_the_request_teaches_nothing(asked: str, written: Callable[[str], str]) -> None:
    messages = (Message("system", "Be brief."), Message("user", asked))
    dialect = Dialect("http://127.0.0.1:1/v1")
    body = dialect.written(messages, 512)
    said = f"HTTP 400: something odd happened. messages=[{{'role': 'user', 'content': {written(asked)}}}]"
    refused = CompletionError(ErrorKind.REJECTED, said, http_status=400)
    assert dialect.adapted(refused, body) is refused
    assert dialect.written(messages, 512) == body


def received_by(server: OpenAIServer, **options: Any) -> dict[str, Any]:
    async def once() -> None:
        model = OpenAICompatibleModel("m", base_url=server.base_url, **options)
        await model.complete(question())
        await model.close()

    asyncio.run(once())
    return server.received[-1]


def test_further_parameters_and_a_limit_of_ones_own_are_sent(openai_server: OpenAIServer) -> None:
    sent = received_by(openai_server, max_tokens=900, extra={"top_k": 40, "chat_template_kwargs": {"think": False}})
    assert (sent["max_tokens"], sent["top_k"], sent["chat_template_kwargs"]) == (900, 40, {"think": False})


def test_they_are_part_of_the_models_identity_and_an_endpoint_without_any_keeps_its_own() -> None:
    plain = OpenAICompatibleModel("m").identity
    assert plain.rules_version == ""
    assert OpenAICompatibleModel("m", max_tokens=900).identity != plain
    assert (
        OpenAICompatibleModel("m", extra={"a": 1, "b": 2}).identity
        == OpenAICompatibleModel("m", extra={"b": 2, "a": 1}).identity
    )
