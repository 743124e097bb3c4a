"""Which refusals for overload a run waits out, and which end it because no wait helps."""

import json

import httpx2
import pytest

from resources.language_models.openai_failures import read_failure
from teams_dagster.core.protocol import ErrorKind


def kind_of(message: str, headers: dict[str, str] | None = None) -> ErrorKind:
    content = json.dumps({"error": {"message": message, "type": "rate_limit_error", "code": "rate_limit_exceeded"}})
    return read_failure(content.encode(), 429, httpx2.Headers(headers or {})).kind


USED_UP = [
    "You have reached your weekly limit.",
    "You've hit your monthly usage limit for this model.",
    "Quota exceeded for this month",
    "Rate limit reached for model `llama-3.3-70b` on tokens per day (TPD): Limit 100000, Used 99840.",
    "Rate limit reached for requests per day (RPD): Limit 1000, Used 1000",
    "Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 free model requests per day",
    "Request limit of 50 requests/day exceeded",
    "Too many requests in the current billing period",
    "You exceeded your current quota, please check your plan and billing details.",
    "Your account is out of credits",
    "Insufficient balance, please top up",
    "You have run into the spending limit of your organization",
    "Your free tier quota exceeded",
    "Your credits are exhausted",
    "Limit of 200 requests per 24 hours reached",
    "Today's quota is gone, come back tomorrow",
    "您的账户已欠费，请充值后重试。",
    "账户余额不足",
    "当日额度已用完",
    "本月调用次数已达上限",
]

WAITED_FOR = [
    "Rate limit reached for requests",
    "Too many requests",
    "Rate limit reached for model `m` on tokens per minute (TPM): Limit 6000, Used 5990.",
    "Requests per minute limit exceeded",
    "You exceeded your current quota, please check your plan and billing details. Quota exceeded for metric:"
    " GenerateRequestsPerMinutePerProjectPerModel-FreeTier, limit: 15",
    "Engine overloaded, try again in a moment",
    "Max 3 concurrent requests. Upgrade your plan for more requests per minute.",
    "Monday's peak: the server is busy",
    "请求过于频繁，请稍后再试",
    "每分钟请求次数超限",
]


@pytest.mark.parametrize("message", USED_UP)
def test_a_limit_that_no_run_waits_for_is_a_refusal_of_the_account(message: str) -> None:
    assert kind_of(message) is ErrorKind.DENIED


@pytest.mark.parametrize("message", USED_UP)
def test_one_that_says_when_it_ends_is_judged_by_that(message: str) -> None:
    assert kind_of(message, {"retry-after": "30"}) is ErrorKind.RATE_LIMITED


@pytest.mark.parametrize("message", WAITED_FOR)
def test_a_limit_that_a_run_waits_for_is_waited_for(message: str) -> None:
    assert kind_of(message) is ErrorKind.RATE_LIMITED
