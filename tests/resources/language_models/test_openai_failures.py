"""A limit that no run waits for is told from one that is over in a minute."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from resources.language_models.openai_failures import read_failure
from teams_dagster.core.protocol import ErrorKind, Role
from teams_dagster.llm.circuit import EndpointBroken


def kind_of(message: str, headers: dict[str, str] | None = None, **more: Any) -> ErrorKind:
    body = json.dumps({"error": {"message": message, **more}}).encode()
    return read_failure(body, 429, httpx2.Headers(headers or {})).kind


@pytest.mark.parametrize(
    "message",
    [
        "You have reached your weekly limit.",
        "quota exceeded for this month",
        "Monthly usage limit reached. Upgrade your plan.",
        "You exceeded your current quota, please check your plan and billing details.",
        "Rate limit reached for model `llama` on tokens per day (TPD): Limit 100000, Used 99900.",
        "Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 requests per day.",
        "Your hourly limit is reached.",
        "You have used 50 of 50 requests in 24 hours.",
        "Limit of 1000 requests/day reached.",
        "You are out of credits.",
        "No credits left on this account.",
        "The budget limit is exceeded: budget limit of the team.",
        "Your limit for the billing cycle is reached.",
        "Insufficient balance, please top up.",
        "You have run into the spending limit of your organization.",
        "Your credits are exhausted.",
        "您的账户已欠费，请充值后重试。",
        "本月调用次数已达上限",
        "已超出每日配额",
        "本月额度已用完",
    ],
)
def test_a_limit_of_a_day_a_week_or_a_month_is_used_up(message: str) -> None:
    assert kind_of(message) is ErrorKind.DENIED


def test_the_pause_that_google_asks_for_is_not_that_of_a_day() -> None:
    violated = {"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}
    details = [violated, {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "38s"}]
    assert kind_of("You exceeded your current quota.", details=details) is ErrorKind.DENIED


def test_a_week_does_not_end_with_the_pause_that_a_gateway_adds() -> None:
    assert kind_of("You have reached your weekly limit.", {"Retry-After": "60"}) is ErrorKind.DENIED


@pytest.mark.parametrize(
    "message",
    [
        "Too many requests.",
        "Rate limit reached: 60 requests per minute.",
        "Rate limit reached on tokens per minute (TPM): Limit 6000. Upgrade to the next tier today.",
        "Your plan, billed monthly, allows 60 requests per minute.",
        "Rate limit reached on requests per day (RPD): Limit 200. Please try again in 7m12s.",
        "Quota exceeded for quota metric 'Generate Content API requests per minute'.",
        "Slow down, please: upgrade your plan for more.",
        "Rate limit exceeded: limit_rpm.",
    ],
)
def test_a_limit_that_is_over_soon_is_waited_for(message: str) -> None:
    assert kind_of(message) is ErrorKind.RATE_LIMITED


@pytest.mark.parametrize(
    "body",
    [
        {
            "detail": [
                {"type": "extra_forbidden", "loc": ["body", "max_tokens"], "msg": "Extra inputs are not permitted"}
            ]
        },
        {"error": {"message": "Unsupported parameter", "param": "max_tokens", "code": "unsupported_parameter"}},
    ],
)
def test_the_parameter_that_an_error_names_in_a_field_of_its_own_is_told(body: dict[str, Any]) -> None:
    failure = read_failure(json.dumps(body).encode(), 422)
    assert failure.detail.endswith(" (max_tokens)")


def test_a_parameter_that_the_message_names_is_not_told_twice() -> None:
    body = {"error": {"message": "Unsupported parameter: 'max_tokens'", "param": "max_tokens"}}
    assert read_failure(json.dumps(body).encode(), 400).detail.endswith("Unsupported parameter: 'max_tokens'")


@pytest.mark.parametrize(
    "message",
    [
        "Input is too long for requested model.",
        "Please reduce the length of the messages or completion.",
        "invalid params, context window exceeds limit",
        "the input length exceeds the context length",
        "Prompt exceeds max length",
        "too many tokens",
        "This model supports at most 2000 completion tokens",
    ],
)
def test_a_refusal_for_length_that_names_no_size_says_which_settings_help(message: str) -> None:
    failure = read_failure(json.dumps({"error": {"message": message}}).encode(), 400)
    assert "_MODEL" in failure.detail
    assert "_MAX_TOKENS" in failure.detail


@pytest.mark.parametrize(
    "error",
    [
        {
            "code": "content_filter",
            "message": "The response was filtered due to the prompt triggering the content management policy.",
            "innererror": {"code": "ResponsibleAIPolicyViolation"},
        },
        {"code": "content_policy_violation", "message": "Your request was rejected by our safety system."},
        {"code": "data_inspection_failed", "message": "Input data may contain inappropriate content."},
        {"type": "invalid_request_error", "message": "Content Exists Risk"},
        {"message": "The prompt was flagged by our moderation and cannot be answered."},
    ],
)
def test_a_text_that_a_filter_refuses_is_a_matter_of_the_seeds_and_the_model(error: dict[str, Any]) -> None:
    failure = read_failure(json.dumps({"error": error}).encode(), 400).for_role(Role.EXPERT)
    assert failure.kind is ErrorKind.REJECTED
    said = str(EndpointBroken("openai/tiny https://models.example/v1", Role.EXPERT, 10, failure))
    assert "TEAMS_EXPERT_MODEL" in said
    assert "TEAMS_SEEDS" in said
    assert "_OMIT" not in said


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize(
    "message",
    [
        "model 'tiny' not found",
        'model "org/tiny:free" not found, try pulling it first',
        "The model `tiny` does not exist or you do not have access to it.",
        "The requested model 'tiny' does not exist",
        "Model Not Exist",
        "Model not found",
        "Invalid model: tiny",
        "Invalid model. Please select a different model to continue.",
        "Invalid model name passed in model=tiny",
        "Invalid model 'tiny'. Permitted models can be found in the documentation.",
        "Unknown model: tiny",
        "unknown model tiny",
        "No such model: tiny",
        "Unsupported model tiny",
        "org/tiny is not a valid model ID",
        "tiny is not a known model",
        "The provided model identifier is invalid.",
        "Model ID 'tiny' is invalid",
        "Not found the model tiny or Permission denied",
        "Could not find model tiny",
        "The model `tiny` has been decommissioned and is no longer supported.",
        "The model 'tiny' has been deprecated.",
        "Unable to access non-serverless model org/tiny. Please create a dedicated endpoint.",
        "The requested model 'tiny' is not supported by any provider you have enabled.",
        "Model tiny is not available",
        "model with name tiny was not found",
        "There is no model named tiny",
        "\u6a21\u578b\u4e0d\u5b58\u5728\uff0c\u8bf7\u68c0\u67e5\u6a21\u578b\u4ee3\u7801",
    ],
)
def test_a_model_that_is_not_there_is_one_whatever_the_status_says(message: str, status: int) -> None:
    for body in ({"error": {"message": message, "code": status}}, {"error": message}, {"detail": message}):
        failure = read_failure(json.dumps(body).encode(), status)
        assert (failure.kind, failure.http_status) == (ErrorKind.DENIED, status)
        said = str(EndpointBroken("openai/tiny https://models.example/v1", Role.EXPERT, 3, failure))
        assert "Check TEAMS_EXPERT_MODEL" in said
        assert "_OMIT" not in said


@pytest.mark.parametrize(
    "message",
    [
        "Unsupported value: 'temperature' does not support 0.7 with this model. Only the default is supported.",
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        "The model does not support system messages.",
        "This model's maximum context length is 2048 tokens, and the prompt takes 3000.",
        "seed is not available for this model: unknown parameter",
        "Unknown parameter for model tiny: seed",
        "Invalid model parameters: top_k",
        "invalid model output format",
        "This model is not available for batches.",
        "Model tiny: seed is not supported",
        "this model, not found of long prompts, takes 100 tokens",
        "The tool models does not exist in the schema",
    ],
)
def test_what_a_model_does_not_take_is_another_matter(message: str) -> None:
    failure = read_failure(json.dumps({"error": {"message": message}}).encode(), 400)
    assert failure.kind in (ErrorKind.REJECTED, ErrorKind.UNSUPPORTED)


@pytest.mark.parametrize("form", ["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M UTC", "%Y-%m-%d %H:%M:%S+00:00"])
def test_the_moment_at_which_a_limit_ends_is_read_from_words(form: str) -> None:
    moment = datetime.now(UTC) + timedelta(hours=30)
    body = json.dumps({"error": {"message": f"The limit resets at {moment.strftime(form)}."}}).encode()
    assert read_failure(body, 429).retry_after == pytest.approx(30 * 3_600, abs=90)
