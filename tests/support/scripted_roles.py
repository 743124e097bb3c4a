"""Reviewers and judges that answer by a script, behind a real HTTP server; the other roles are the embedded rules."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from teams_dagster.core.protocol import Message
from teams_dagster.dataset.quality.rating import rate_prompt, rate_query
from teams_dagster.evaluation.judging import judge_prompt, judge_query
from teams_dagster.instructions.prompts import prompt
from teams_dagster.instructions.requests import review_query
from teams_dagster.preflight.labelled_pairs import judge_pairs, rating_pairs, review_pairs
from tests.support import served_rules
from tests.support.openai_server import Body, OpenAIServer, Reply

Script = Callable[[str], str]
"""What is said to a user message."""

WORDS = {"equal": "Equal", "not_equal": "Not Equal", "first": "A", "second": "B", "tie": "tie"}
_OTHER = {"first": "second", "second": "first", "tie": "tie"}


def answering(
    *, review: Script | None = None, judge: Script | None = None, rate: Script | None = None
) -> Callable[[dict[str, Any]], str]:
    """A server's answers: verdicts and ratings by script, the rest, and what has none, by the embedded rules."""
    scripts = {
        _opening(prompt("review").source): review,
        _opening(judge_prompt().source): judge,
        _opening(rate_prompt().source): rate,
    }

    def answer(body: dict[str, Any]) -> str:
        system, user = body["messages"][0]["content"], body["messages"][-1]["content"]
        if _opening(system) == _opening(prompt("guide").source):
            return "deepening"
        script = scripts.get(_opening(system))
        return served_rules.answer(body) if script is None else script(user)

    return answer


def honest_rules() -> Callable[[Body], Reply]:
    """The embedded rules, which are told the labels of the preflight's pairs, with honest token counts (words)."""
    scripted = answering(review=perfect_reviewer(by_the_rules), judge=perfect_judge())

    def answer(body: Body) -> Reply:
        text = scripted(body)
        return Reply(text, prompt_tokens=len(str(body["messages"]).split()), completion_tokens=len(text.split()))

    return answer


def not_equal(_: str) -> str:
    """Says so of everything."""
    return "Not Equal"


def by_the_rules(user: str) -> str:
    """Says what the embedded rules say."""
    return served_rules.answer({"messages": [{"content": "-"}, {"content": user}]})


def perfect_reviewer(unlabelled: Script = not_equal) -> Script:
    """Says the label of every labelled pair in both orders, and to everything else what `unlabelled` says."""
    said: dict[str, str] = {}
    for pair in review_pairs():
        said[_user(review_query(pair.before, pair.after).messages)] = WORDS[pair.label]
        said[_user(review_query(pair.after, pair.before).messages)] = WORDS[pair.label]
    return lambda user: said[user] if user in said else unlabelled(user)


def perfect_judge() -> Script:
    """Says the label of every labelled pair in both orders."""
    said: dict[str, str] = {}
    for pair in judge_pairs():
        said[_user(judge_query(pair.asked, pair.first, pair.second).messages)] = WORDS[pair.label]
        said[_user(judge_query(pair.asked, pair.second, pair.first).messages)] = WORDS[_OTHER[pair.label]]
    return lambda user: said[user]


def perfect_rater(unlabelled: Script = lambda _: "good") -> Script:
    """Says the label of every labelled pair, and of every other what `unlabelled` says."""
    said = {
        _user(rate_query(pair.asked, pair.answer).messages): pair.label.replace("_", " ") for pair in rating_pairs()
    }
    return lambda user: said[user] if user in said else unlabelled(user)


def judge_at(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, says: Script) -> None:
    """Let a model at the server judge, in these words; the other roles stay the embedded rules."""
    server.respond = lambda body: says(body["messages"][-1]["content"])
    for name, value in {
        "JUDGE_MODEL": "m",
        "JUDGE_BASE_URL": server.base_url,
        "JUDGE_STRUCTURED": "off",
        **{f"{role}_PROVIDER": "offline" for role in ("EXPERT", "REVIEWER", "INSTRUCTOR")},
    }.items():
        monkeypatch.setenv(f"TEAMS_{name}", value)


def coin(user: str) -> str:
    """Says one or the other, whatever is right."""
    return "Equal" if hashlib.sha256(user.encode()).digest()[0] % 2 else "Not Equal"


def by_position(user: str) -> str:
    """Says Equal where the first text is the greater one: the other way round, once they have changed places."""
    first, second = user.split("</first>")
    return "Equal" if first.removeprefix("<first>") > second.split("<second>")[1] else "Not Equal"


def _opening(text: str) -> str:
    return text[:60]


def _user(messages: tuple[Message, ...]) -> str:
    return messages[-1].content
