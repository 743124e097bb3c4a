"""What a replay asks is answered from the ledger, as much as is asked at once with one look."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from teams_dagster.core.protocol import Answer, QueryFailed
from teams_dagster.ledger.database import sqlite_url
from teams_dagster.ledger.writer import Ledger
from teams_dagster.lineage.replay import LedgerAsker
from tests.support.entries import IDENTITY, begin, settle
from tests.support.questions import question

TEXTS = [f"text {number}" for number in range(20)]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Every text has been answered with itself."""
    with Ledger(sqlite_url(tmp_path / "ledger.sqlite")) as opened:

        async def answer(text: str) -> None:
            begun = begin(text)
            await opened.write(begun)
            await opened.write(settle(begun, text))

        async def answer_all() -> None:
            await asyncio.gather(*map(answer, TEXTS))

        asyncio.run(answer_all())
        yield opened


def asked_at_once(ledger: Ledger, texts: list[str]) -> list[Answer | BaseException]:
    asker = LedgerAsker(ledger, [("expert", IDENTITY)])

    async def ask() -> list[Answer | BaseException]:
        return await asyncio.gather(*(asker.ask(question(text)) for text in texts), return_exceptions=True)

    return asyncio.run(ask())


def test_what_is_asked_at_once_is_looked_up_once(ledger: Ledger) -> None:
    looks = list[str]()

    def looked(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        looks.append(statement)

    event.listen(ledger.engine, "before_cursor_execute", looked)
    answers = asked_at_once(ledger, [*TEXTS, TEXTS[0]])
    assert [each.completion.text for each in answers if isinstance(each, Answer)] == [*TEXTS, TEXTS[0]]
    assert sum("answers" in statement for statement in looks) == 1


def test_one_without_an_answer_fails_alone(ledger: Ledger) -> None:
    there, lost = asked_at_once(ledger, [TEXTS[0], "never asked"])
    assert isinstance(there, Answer)
    assert isinstance(lost, QueryFailed)


def test_a_ledger_that_cannot_be_read_fails_whoever_asked(ledger: Ledger) -> None:
    with ledger.engine.begin() as connection:
        connection.execute(sa.text("drop table answers"))
    assert all(isinstance(each, OperationalError) for each in asked_at_once(ledger, TEXTS[:2]))
