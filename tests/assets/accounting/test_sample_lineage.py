"""Lineage is verified, not trusted: what is stored must come out of the ledger again."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from assets.accounting.lineage_checks import every_sample_is_verified
from assets.accounting.sample_lineage import sample_lineage
from assets.dataset.expert_responses import expert_responses
from assets.dataset.generated_instructions import generated_instructions
from teams_dagster.instructions import elimination
from teams_dagster.lineage.kept_replays import REPLAYS
from teams_dagster.policy.checkpoint import Checkpoint, FeaturesChanged
from teams_dagster.policy.encoder import EmbeddingUnavailable
from teams_dagster.store.facts.accounting import LineageFacts
from tests.support.checks import checked
from tests.support.failures import why
from tests.support.forged import forge_json
from tests.support.parquet import change
from tests.support.project import Project
from tests.support.stores import NEXT_WEEK, WEEK


@pytest.mark.slow
def test_every_row_of_a_generation_comes_out_of_the_ledger_again(answered: Project):
    assert answered.make(sample_lineage)
    facts = answered.store.current("sample_lineage").facts
    transitions = answered.store.current("generated_instructions", WEEK).facts["transitions"]
    assert facts["rows_verified"] == transitions + facts["samples"]
    assert facts["not_verified"] == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asset", "table", "column", "changed"),
    [
        ("generated_instructions", "transitions", "reward", lambda value: value + 1e-3),
        ("generated_instructions", "transitions", "probability", lambda value: value / 2),
        (
            "generated_instructions",
            "transitions",
            "verdict",
            lambda value: "equal" if value != "equal" else "not_equal",
        ),
        ("generated_instructions", "transitions", "accepted", lambda value: not value),
        ("generated_instructions", "transitions", "rewrite_request_id", lambda value: value[::-1]),
        ("expert_responses", "samples", "response", lambda value: value + "!"),
        ("expert_responses", "samples", "instruction", lambda value: value + "!"),
    ],
)
def test_a_changed_field_is_found(
    answered: Project, asset: str, table: str, column: str, changed: Callable[[Any], Any]
):
    path = answered.store.current(asset, WEEK).path(f"{table}.parquet")
    if not any(pq.read_table(path)[column].to_pylist()):
        pytest.fail(f"no value of {column} to change")
    change(path, column, changed)
    assert not answered.make(sample_lineage)
    assert not answered.store.exists("sample_lineage")


@pytest.mark.slow
def test_a_generation_is_replayed_with_the_prompts_it_was_made_with(
    answered: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    own = tmp_path / "prompts"
    own.mkdir()
    (own / "_rules.md").write_text("Rules of the house: be brief.", encoding="utf-8")
    monkeypatch.setenv("TEAMS_PROMPTS", str(own))
    assert answered.make(sample_lineage)
    facts = answered.store.current("sample_lineage").facts
    transitions = answered.store.current("generated_instructions", WEEK).facts["transitions"]
    assert facts["rows_verified"] == transitions + facts["samples"]


@pytest.mark.slow
@pytest.mark.parametrize("cause", [FeaturesChanged("other features"), EmbeddingUnavailable("no such model")])
def test_without_the_policy_all_but_its_probabilities_is_verified(
    answered: Project, monkeypatch: pytest.MonkeyPatch, cause: Exception
):
    def absent(*_: Any) -> None:
        raise cause

    monkeypatch.setattr(Checkpoint, "actor", absent)
    assert answered.make(sample_lineage)
    facts = answered.store.current("sample_lineage").facts
    transitions = answered.store.current("generated_instructions", WEEK).facts["transitions"]
    assert facts["rows_verified"] == transitions + facts["samples"]
    assert list(facts["not_verified"].values()) == [transitions], "counted, never passed"
    path = answered.store.current("expert_responses", WEEK).path("samples.parquet")
    change(path, "response", lambda value: value + "!")
    assert not answered.make(sample_lineage, sample_lineage={"force": True})


def test_what_the_rules_of_an_earlier_version_refused_is_counted_and_no_tampering(
    project: Project, monkeypatch: pytest.MonkeyPatch
):
    def some(text: str) -> bool:
        return len(text) % 3 == 0

    with monkeypatch.context() as earlier:
        earlier.setattr(elimination, "orders_a_verdict", lambda instruction: some(instruction.text))
        earlier.setattr(elimination, "_returns", lambda rewritten, before: len(rewritten.text) % 3 == 1)
        assert project.make(generated_instructions, week=WEEK)
    with monkeypatch.context() as earlier:
        earlier.setattr(elimination, "is_meaningless", some)
        earlier.setattr(elimination, "_says_it_all", lambda response: False)
        assert project.make(expert_responses, week=WEEK)
    assert project.make(sample_lineage)
    facts = project.store.current("sample_lineage").facts
    assert sum("earlier version of this code" in reason for reason in facts["not_verified"]) == 2


def test_a_generation_whose_words_were_told_apart_otherwise_is_counted_and_no_tampering(
    answered: Project, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("teams_dagster.instructions.novelty.segmentation_version", lambda texts: ("another",))
    assert answered.make(sample_lineage)
    facts = answered.store.current("sample_lineage").facts
    transitions = answered.store.current("generated_instructions", WEEK).facts["transitions"]
    assert list(facts["not_verified"].values()) == [transitions + facts["samples"]]


@pytest.mark.slow
def test_a_week_replays_what_was_not_replayed_yet_under_the_same_conditions(answered: Project):
    assert replays_made(answered) == (1, 0)
    before = answered.store.current("sample_lineage").read_facts(LineageFacts)
    assert answered.make(generated_instructions, expert_responses, week=NEXT_WEEK)
    assert replays_made(answered) == (1, 1)
    facts = answered.store.current("sample_lineage").read_facts(LineageFacts)
    transitions = answered.store.current("generated_instructions", NEXT_WEEK).facts["transitions"]
    samples = facts.samples - before.samples
    assert facts.rows_verified == before.rows_verified + transitions + samples, "earlier rows count on"
    assert facts.oldest_replay == before.oldest_replay
    found = checked(every_sample_is_verified, store=answered.store)
    shown = {name: found.metadata[name].value for name in ("replayed", "replayed_earlier", "oldest_replay")}
    assert shown == {"replayed": 1, "replayed_earlier": 1, "oldest_replay": before.oldest_replay}
    assert replays_made(answered, force=True) == (2, 0)
    forge_record(answered)
    assert replays_made(answered) == (0, 2), "the record before it, which the event log names, is the one that counts"
    assert answered.store.current("sample_lineage").read_facts(LineageFacts).rows_verified == facts.rows_verified
    answered.ledger.refresh(answered.instance)
    samples = answered.store.current("expert_responses", WEEK).path("samples.parquet")
    for tamper, named in (
        (partial(change, samples, "response", lambda value: value + "!"), "samples.parquet"),
        (partial(change_an_answer, answered), "answers row 1"),
        (partial(forge_record, answered), "assets/sample_lineage/"),
    ):
        before_it = samples.read_bytes()
        tamper()
        assert not answered.make(sample_lineage)
        assert named in why(answered), "what stands is compared with its hashes each time"
        samples.write_bytes(before_it)
        change_an_answer(answered, "rtrim(text, '!')")


def replays_made(project: Project, **config: bool) -> tuple[int, int]:
    """Materialise it: how many generations were replayed now, and how many stood from earlier."""
    made = len(project.store.all_of("sample_lineage"))
    assert project.make(sample_lineage, sample_lineage=config)
    assert len(project.store.all_of("sample_lineage")) == made + 1, "not reused"
    facts = project.store.current("sample_lineage").read_facts(LineageFacts)
    return facts.replayed or 0, facts.replayed_earlier or 0


def change_an_answer(project: Project, text: str = "text || '!'") -> None:
    with closing(sqlite3.connect(project.store.root / "ledger.sqlite")) as ledger, ledger:
        ledger.execute(f"update answers set text = {text} where seq = 1")


def forge_record(project: Project) -> None:
    def more_verified(record: dict[str, Any]) -> None:
        record[WEEK]["verified"] += 1

    forge_json(project.store.current("sample_lineage").folder, REPLAYS, more_verified)
