"""What is replayed and what stands from earlier, over a small ledger, with replays that only say that they ran."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from teams_dagster.ledger.database import sqlite_url
from teams_dagster.ledger.writer import Ledger
from teams_dagster.lineage import replays
from teams_dagster.lineage.kept_replays import KeptReplay, sealed_manifests
from teams_dagster.lineage.replay import NO_ANSWER
from teams_dagster.lineage.replays import Replay, replay_all
from teams_dagster.store.artefact_store import Artefact, ArtefactStore
from teams_dagster.store.hash_chain import seal
from teams_dagster.store.integrity import Difference, Verification
from tests.support.entries import ask
from tests.support.forged import forge_answers, forge_chain

WEEK, NEXT_WEEK = "2026-11-02", "2026-11-09"

ABSENT = "probabilities of a policy whose language model is not here"


@dataclass
class Line:
    """A store, its ledger, and what the last materialisation recorded."""

    store: ArtefactStore
    url: str
    record: dict[str, KeptReplay] = field(default_factory=dict)
    reason: str | None = None
    """Why a row cannot be replayed."""
    faulty: bool = False
    """Replays find a difference."""

    def answers(self, week: str, number: int = 1) -> Artefact:
        """The answers to a generation, made for the `number`th time."""
        about = {"made_at": f"2026-11-0{number}T03:00:00.000000+00:00"}
        with self.store.writing("expert_responses", f"{number}" * 16, week, about=about) as draft:
            draft.finish(f"v{number}", {"rows": number})
        return self.store.current("expert_responses", week)

    def replay(self, *generations: Artefact, sealing: bool = True) -> list[str]:
        """Those that were replayed now."""
        ran: list[str] = []

        def of(generation: Artefact) -> Replay:
            name = generation.manifest["partition_key"]

            async def run(ledger: Ledger, into: Verification, progress: object) -> None:
                ran.append(name)
                into.verified += 5
                if self.reason:
                    into.skip(self.reason)
                if self.faulty:
                    into.differ(Difference("samples", "one", "text", "a", "b"))

            return Replay(name, [generation], run)

        with Ledger(self.url) as ledger:
            if sealing:
                seal(ledger.engine, sealed_manifests(self.store, generations).items())
            made = replay_all(self.store, ledger, [of(one) for one in generations], self.record, progress=print)
        assert made.now == len(ran)
        assert made.found.verified == 5 * len(generations), "what stands counts like what is replayed"
        self.record = dict(made.kept)
        return ran


@pytest.fixture
def line(tmp_path: Path) -> Line:
    url = sqlite_url(tmp_path / "ledger.sqlite")
    with Ledger(url) as ledger:
        ask(ledger, "a", "b")
    return Line(ArtefactStore(str(tmp_path)), url)


def test_a_generation_is_replayed_once(line: Line):
    first = line.answers(WEEK)
    assert line.replay(first) == [WEEK]
    second = line.answers(NEXT_WEEK)
    with Ledger(line.url) as ledger:
        ask(ledger, "c")
    assert line.replay(first, second) == [NEXT_WEEK]
    assert line.replay(first, second) == []
    assert sorted(line.record) == [WEEK, NEXT_WEEK]
    line.record = {}
    assert line.replay(first, second) == [WEEK, NEXT_WEEK], "without a record all are"


def test_an_output_that_was_made_again_is_replayed_again(line: Line):
    assert line.replay(line.answers(WEEK)) == [WEEK]
    assert line.replay(line.answers(WEEK, 2)) == [WEEK]


def test_an_output_changed_before_it_was_sealed_is_replayed_again(line: Line):
    made = line.answers(WEEK)
    assert line.replay(made, sealing=False) == [WEEK]
    assert line.replay(made) == [WEEK], "nothing sealed what it read"
    assert line.replay(made) == []


def test_later_rules_replay_everything(line: Line, monkeypatch: pytest.MonkeyPatch):
    made = line.answers(WEEK)
    assert line.replay(made) == [WEEK]
    monkeypatch.setattr(replays, "replaying_code", lambda: "later")
    assert line.replay(made) == [WEEK]
    assert line.replay(made) == []


def test_answers_rewritten_with_their_hashes_and_the_chain_are_replayed_again(line: Line):
    made = line.answers(WEEK)
    assert line.replay(made) == [WEEK]
    forge_answers(line.url)
    forge_chain(line.url)
    assert line.replay(made) == [WEEK]


def test_what_lies_in_the_machine_is_tried_again_and_what_lies_in_the_rows_is_not(line: Line):
    made = line.answers(WEEK)
    line.reason = ABSENT
    assert line.replay(made) == [WEEK]
    line.reason = NO_ANSWER
    assert line.replay(made) == [WEEK]
    assert line.replay(made) == []
    assert line.record[WEEK].not_verified == {NO_ANSWER: 1}


def test_a_replay_that_found_a_difference_is_not_recorded(line: Line):
    made = line.answers(WEEK)
    line.faulty = True
    assert line.replay(made) == [WEEK]
    assert line.record == {}
