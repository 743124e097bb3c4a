"""The version of the embedded rules: it names what they answer, not how their source reads."""

import asyncio
import hashlib
import json
from collections.abc import Iterator
from importlib.resources import files

import pytest

from resources.language_models.offline import version
from resources.language_models.offline.model import OfflineModel
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import TEXT_OPERATIONS, Operation
from teams_dagster.core.protocol import Intent, Purpose, Request, Role
from teams_dagster.dataset.quality.rating import rate_query
from teams_dagster.instructions.requests import guide_query

RELEASED_REPLIES = "10edd6ae44251ce0"
"""Hash of what the released rules answer to `requests`."""

RELEASED_RATINGS = "1bed315893e1e994"
"""Hash of how they rate their own answers."""

RULES = OfflineModel()


def reply(request: Request) -> str:
    return asyncio.run(RULES.complete(request)).text


def expert(purpose: Purpose, before: Instruction, operation: Operation | None = None, *, replica: int) -> str:
    return reply(Request(Role.EXPERT, Intent(purpose, before, None, operation), (), "", replica=replica))


def replies() -> Iterator[str]:
    """Replies of every purpose about every shipped seed, in two replicas where they can differ."""
    lines = (files("teams_dagster.instructions") / "data" / "seeds.jsonl").read_text(encoding="utf-8").splitlines()
    for row in map(json.loads, lines):
        seed = Instruction(row["instruction"], row.get("input") or "")
        for operation in TEXT_OPERATIONS:
            for replica in range(2):
                after = expert(Purpose.REWRITE, seed, operation, replica=replica)
                yield after
                intent = Intent(Purpose.REVIEW, seed, Instruction(after, seed.input), operation)
                yield reply(Request(Role.REVIEWER, intent, (), ""))
            yield reply(guide_query(seed, [(operation, True)], 6, may_rest=False))
        answers = (expert(Purpose.RESPOND, seed, replica=0), expert(Purpose.RESPOND, seed, replica=1))
        yield from answers
        yield reply(Request(Role.JUDGE, Intent(Purpose.JUDGE, seed, answers=answers), (), ""))


def test_the_released_rules_answer_what_they_always_answered() -> None:
    digest = hashlib.sha256("\0".join(replies()).encode()).hexdigest()[:16]
    assert digest == RELEASED_REPLIES, "the rules answer differently: they need another RELEASED_VERSION"


def test_the_released_rules_rate_what_they_always_rated() -> None:
    lines = (files("teams_dagster.instructions") / "data" / "seeds.jsonl").read_text(encoding="utf-8").splitlines()
    seeds = [Instruction(row["instruction"], row.get("input") or "") for row in map(json.loads, lines)]
    said = [reply(rate_query(seed, expert(Purpose.RESPOND, seed, replica=0))) for seed in seeds]
    digest = hashlib.sha256("\0".join(said).encode()).hexdigest()[:16]
    assert digest == RELEASED_RATINGS, "the rules rate differently: they need another RELEASED_VERSION"


def test_the_sources_that_ship_are_the_released_ones() -> None:
    assert version.sources_digest() == version.RELEASED_SOURCES, (
        "a source of the rules was edited. Where every reply is unchanged, set RELEASED_SOURCES to this digest;"
        " where one changed, set RELEASED_VERSION and RELEASED_REPLIES too"
    )


def test_edited_rules_have_a_version_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(version, "RELEASED_SOURCES", "what shipped before the edit")
    assert version.rules_version.__wrapped__() == version.sources_digest() != version.RELEASED_VERSION
