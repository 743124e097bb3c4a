"""The version of the embedded rules: it names what they answer, not how their source reads."""

import asyncio
import hashlib
from collections.abc import AsyncIterator

import pytest

from resources.language_models.offline import version
from resources.language_models.offline.model import OfflineModel
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import TEXT_OPERATIONS, Operation
from teams_dagster.core.protocol import Intent, Purpose, Request, Role
from teams_dagster.dataset.quality.rating import rate_query
from teams_dagster.instructions.requests import guide_query
from tests.support.offline_world import shipped_seeds

RELEASED_REPLIES = "10edd6ae44251ce0"
"""Hash of what the released rules answer to `requests`."""

RELEASED_RATINGS = "1bed315893e1e994"
"""Hash of how they rate their own answers."""

RULES = OfflineModel()


async def reply(request: Request) -> str:
    return (await RULES.complete(request)).text


async def expert(purpose: Purpose, before: Instruction, operation: Operation | None = None, *, replica: int) -> str:
    return await reply(Request(Role.EXPERT, Intent(purpose, before, None, operation), (), "", replica=replica))


async def replies(seed: Instruction) -> AsyncIterator[str]:
    """Replies of every purpose about a seed, in two replicas where they can differ."""
    for operation in TEXT_OPERATIONS:
        for replica in range(2):
            after = await expert(Purpose.REWRITE, seed, operation, replica=replica)
            yield after
            intent = Intent(Purpose.REVIEW, seed, Instruction(after, seed.input), operation)
            yield await reply(Request(Role.REVIEWER, intent, (), ""))
        yield await reply(guide_query(seed, [(operation, True)], 6, may_rest=False))
    answers = (await expert(Purpose.RESPOND, seed, replica=0), await expert(Purpose.RESPOND, seed, replica=1))
    for answer in answers:
        yield answer
    yield await reply(Request(Role.JUDGE, Intent(Purpose.JUDGE, seed, answers=answers), (), ""))


def digest_of(said: list[str]) -> str:
    return hashlib.sha256("\0".join(said).encode()).hexdigest()[:16]


def test_the_released_rules_answer_what_they_always_answered() -> None:
    async def every() -> list[str]:
        return [said for seed in shipped_seeds().values() async for said in replies(seed)]

    digest = digest_of(asyncio.run(every()))
    assert digest == RELEASED_REPLIES, "the rules answer differently: they need another RELEASED_VERSION"


def test_the_released_rules_rate_what_they_always_rated() -> None:
    async def every() -> list[str]:
        answers = {seed: await expert(Purpose.RESPOND, seed, replica=0) for seed in shipped_seeds().values()}
        return [await reply(rate_query(seed, answer)) for seed, answer in answers.items()]

    digest = digest_of(asyncio.run(every()))
    assert digest == RELEASED_RATINGS, "the rules rate differently: they need another RELEASED_VERSION"


def test_the_sources_that_ship_are_the_released_ones() -> None:
    assert version.sources_digest() == version.RELEASED_SOURCES, (
        "a source of the rules was edited. Where every reply is unchanged, set RELEASED_SOURCES to this digest;"
        " where one changed, set RELEASED_VERSION and RELEASED_REPLIES too"
    )


def test_edited_rules_have_a_version_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(version, "RELEASED_SOURCES", "what shipped before the edit")
    assert version.rules_version.__wrapped__() == version.sources_digest() != version.RELEASED_VERSION
