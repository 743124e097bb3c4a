"""A replay stands while everything that it read is what it was; then it need not be repeated."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from teams_dagster.core.files import file_sha256
from teams_dagster.lineage.kept_replays import (
    REPLAYS,
    KeptReplay,
    Seals,
    recorded_replays,
    replaying_code,
    write_replays,
)
from teams_dagster.lineage.replay import NO_ANSWER
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.store.hash_chain import ARTEFACT, BEGINNING, ROWS, Link
from teams_dagster.store.tables import MANIFEST
from tests.support.forged import forge_json

Chain = list[tuple[Link, str]]

SEEDS = "store/assets/seeds/one"
OUTPUTS = {"store/assets/expert_responses/week/one": "hash of its manifest", SEEDS: "of the seeds"}


def sealed(*drafts: tuple[str, str, str], begins: str = BEGINNING) -> Chain:
    """A chain with a link for each (kind, name, content)."""
    made: Chain = []
    for kind, name, content in drafts:
        link = Link(kind, name, content, made[-1][1] if made else begins, sealed_at=1)
        made.append((link, link.head))
    return made


LINKS = [(ROWS, "answers", "the rows"), *((ARTEFACT, name, content) for name, content in OUTPUTS.items())]
CHAIN = sealed(*LINKS)
KEPT = KeptReplay(OUTPUTS, "code", CHAIN[-1][1], "2026-11-02T03:00:00+00:00", verified=5, not_verified={NO_ANSWER: 1})
LONGER = sealed(*LINKS, (ROWS, "answers", "later rows"))


def test_a_replay_stands_while_what_it_read_is_what_it_was():
    assert Seals(CHAIN).hold(KEPT, OUTPUTS, "code")
    assert Seals(LONGER).hold(KEPT, OUTPUTS, "code"), "what was written since changes nothing"


@pytest.mark.parametrize(
    ("kept", "outputs", "code", "chain"),
    [
        pytest.param(KEPT, OUTPUTS | {next(iter(OUTPUTS)): "another"}, "code", CHAIN, id="an output is another"),
        pytest.param(KEPT, OUTPUTS | {"store/assets/more/one": "hash"}, "code", CHAIN, id="one output more"),
        pytest.param(
            replace(KEPT, outputs={SEEDS: OUTPUTS[SEEDS]}), OUTPUTS, "code", CHAIN, id="it was of an earlier output"
        ),
        pytest.param(KEPT, OUTPUTS, "later code", CHAIN, id="the code is another"),
        pytest.param(
            KEPT, OUTPUTS, "code", sealed((ROWS, "answers", "rewritten"), *LINKS[1:]), id="a row was rewritten"
        ),
        pytest.param(KEPT, OUTPUTS, "code", CHAIN[:-1], id="the chain ends earlier: an older backup"),
        pytest.param(KEPT, OUTPUTS, "code", [], id="no chain"),
        pytest.param(replace(KEPT, head=BEGINNING), OUTPUTS, "code", CHAIN, id="nothing was sealed when it was made"),
        pytest.param(replace(KEPT, head=CHAIN[1][1]), OUTPUTS, "code", CHAIN, id="an output was sealed only later"),
        pytest.param(
            replace(KEPT, not_verified={NO_ANSWER: 1, "its language model is not here": 3}),
            OUTPUTS,
            "code",
            CHAIN,
            id="a model was not there",
        ),
    ],
)
def test_it_is_repeated_where_anything_is_another(kept: KeptReplay, outputs: dict[str, str], code: str, chain: Chain):
    assert not Seals(chain).hold(kept, outputs, code)


@pytest.fixture
def store(tmp_path: Path) -> ArtefactStore:
    """With two outputs that hold a record, of which the later one is current."""
    made = ArtefactStore(str(tmp_path))
    for number, verified in ((1, 5), (2, 7)):
        about = {"made_at": f"2026-11-0{number}T03:00:00.000000+00:00"}
        with made.writing("sample_lineage", f"{number}" * 16, about=about) as draft:
            write_replays(draft.folder, {"week": by_this_code(verified)})
            draft.finish("v1", {})
    return made


def by_this_code(verified: int) -> KeptReplay:
    """A replay by this code."""
    return replace(KEPT, verified=verified, code=replaying_code())


def manifests(store: ArtefactStore) -> list[str]:
    """The hashes of the manifests, the oldest first."""
    return [file_sha256(made.folder / MANIFEST) for made in store.all_of("sample_lineage")]


def test_the_latest_record_that_the_event_log_names_is_read(store: ArtefactStore):
    earlier, later = manifests(store)
    assert recorded_replays(store, {earlier, later}) == {"week": by_this_code(7)}
    assert recorded_replays(store, {earlier}) == {"week": by_this_code(5)}, "a run that was killed has no name"
    assert recorded_replays(store, set()) == {}


def test_a_record_that_was_rewritten_is_not_read(store: ArtefactStore):
    named = set(manifests(store)[1:])
    forge_json(store.current("sample_lineage").folder, REPLAYS, lambda record: record["week"].update(verified=9))
    assert recorded_replays(store, named) == {}


def test_a_record_whose_file_alone_was_changed_is_not_read(store: ArtefactStore):
    record = store.current("sample_lineage").folder / REPLAYS
    record.write_text(record.read_text(encoding="utf-8").replace('"verified": 7', '"verified": 8'), encoding="utf-8")
    assert recorded_replays(store, set(manifests(store)[1:])) == {}
    record.unlink()
    assert recorded_replays(store, set(manifests(store)[1:])) == {}, "and one that was removed is none"


def test_a_record_that_was_put_beside_an_output_without_one_is_not_read(store: ArtefactStore):
    folder = store.current("sample_lineage").folder
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    del manifest["files"][REPLAYS]
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    assert recorded_replays(store, {file_sha256(folder / MANIFEST)}) == {}


def test_what_another_version_of_this_code_recorded_is_passed_over_whatever_it_holds(store: ArtefactStore):
    folder = store.current("sample_lineage").folder
    forge_json(folder, REPLAYS, lambda record: record["week"].update(code="another", since="0.2"))
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    manifest["files"][REPLAYS] = file_sha256(folder / REPLAYS)
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    assert recorded_replays(store, {file_sha256(folder / MANIFEST)}) == {}
