"""The chain grows with what is stored, and each link stands for all before it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from teams_dagster.ledger.database import sqlite_url
from teams_dagster.ledger.writer import Ledger
from teams_dagster.store.hash_chain import BEGINNING, read_links, seal
from tests.support.entries import ask, ask_in_vain, intend


@pytest.fixture
def ledger(tmp_path: Path):
    with Ledger(sqlite_url(tmp_path / "ledger.sqlite")) as ledger:
        yield ledger


def links(ledger: Ledger):
    with ledger.engine.connect() as connection:
        return read_links(connection)


def test_nothing_stored_is_no_link(ledger: Ledger):
    sealed = seal(ledger.engine, [])
    assert (sealed.head, sealed.added) == (BEGINNING, 0)


def test_each_sealing_takes_what_is_new_and_names_the_head_before_it(ledger: Ledger):
    ask(ledger, "a", "b")
    first = seal(ledger.engine, [("store/assets/x/1", "sha")])
    assert seal(ledger.engine, [("store/assets/x/1", "sha")]).added == 0
    ask(ledger, "c")
    ask_in_vain(ledger, "d")
    intend(ledger, "e")
    second = seal(ledger.engine, [("store/assets/x/1", "sha"), ("store/assets/x/2", "sha")])
    found = links(ledger)
    assert [link.head for link, _ in found] == [head for _, head in found]
    assert [link.previous for link, _ in found] == [BEGINNING, *(head for _, head in found[:-1])]
    assert found[first.added - 1][1] == first.head
    assert found[-1][1] == second.head
    of_attempts = [link for link, _ in found if link.name == "attempts"]
    assert [(link.first_seq, link.last_seq, link.rows) for link in of_attempts] == [(1, 2, 2), (3, 5, 3)]
    assert [link.name for link, _ in found if link.kind == "artefact"] == ["store/assets/x/1", "store/assets/x/2"]


def test_two_that_seal_at_once_make_one_chain(ledger: Ledger):
    ask(ledger, *"abcdef")
    barrier = threading.Barrier(4, timeout=60)

    def work(name: str) -> None:
        barrier.wait()
        seal(ledger.engine, [(name, "sha")])

    threads = [threading.Thread(target=work, args=(f"store/{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = links(ledger)
    assert [link.previous for link, _ in found] == [BEGINNING, *(head for _, head in found[:-1])]
    assert sorted(link.name for link, _ in found if link.kind == "artefact") == [f"store/{n}" for n in range(4)]
    assert [link.rows for link, _ in found if link.name == "attempts"] == [6]
