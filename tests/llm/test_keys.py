"""When two questions are the same question, and two uses the same use."""

from __future__ import annotations

from dataclasses import replace

import pytest

from teams_dagster.core.protocol import Message, ModelIdentity, Purpose, Request, Role, Sampling
from teams_dagster.llm.keys import request_key, use_id
from tests.support.questions import question

IDENTITY = ModelIdentity("openai", "m", "https://host/v1", "")
ASKED = question("Why is the sky blue?")


@pytest.mark.parametrize(
    ("identity", "request_"),
    [
        (replace(IDENTITY, provider="offline"), ASKED),
        (replace(IDENTITY, model="n"), ASKED),
        (replace(IDENTITY, base_url="https://other/v1"), ASKED),
        (replace(IDENTITY, rules_version="2"), ASKED),
        (IDENTITY, replace(ASKED, messages=(*ASKED.messages, Message("user", "And?")))),
        (IDENTITY, replace(ASKED, messages=ASKED.messages[::-1])),
        (IDENTITY, replace(ASKED, sampling=Sampling(temperature=0.1))),
        (IDENTITY, replace(ASKED, sampling=Sampling(top_p=0.1))),
        (IDENTITY, replace(ASKED, sampling=Sampling(max_tokens=1))),
        (IDENTITY, replace(ASKED, replica=1)),
    ],
)
def test_whatever_can_change_the_answer_changes_the_key(identity: ModelIdentity, request_: Request) -> None:
    assert request_key(identity, request_) != request_key(IDENTITY, ASKED)


def test_who_asks_and_why_does_not_change_the_key() -> None:
    other = replace(
        ASKED,
        role=Role.GUIDE,
        intent=replace(ASKED.intent, purpose=Purpose.REVIEW),
        prompt_version="another template with the same words",
        sampling=Sampling(temperature=0.7),
    )
    assert request_key(IDENTITY, other) == request_key(IDENTITY, ASKED)


def test_the_key_is_stable_across_versions_of_this_software() -> None:
    assert request_key(IDENTITY, ASKED) == "fc6251cdc1a6b57368531f9eb49f1f03"


def test_a_use_is_the_same_only_in_its_run_step_and_place() -> None:
    base = ("run", "asset", None, "transition", None, "rewrite", "key")
    others = [
        ("run2", "asset", None, "transition", None, "rewrite", "key"),
        ("run", "asset", "2026-11-16", "transition", None, "rewrite", "key"),
        ("run", "asset", None, None, "transition", "rewrite", "key"),
        ("run", "asset", None, "transition2", None, "rewrite", "key"),
        ("run", "asset", None, "transition", None, "review", "key"),
        ("run", "asset", None, "transition", None, "rewrite", "key2"),
    ]
    assert len({use_id(*each) for each in [base, *others]}) == 7
    assert use_id(*base) == use_id(*base)
