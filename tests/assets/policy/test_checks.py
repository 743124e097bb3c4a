"""A check of what a policy was made from."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from assets.policy.checks import policy_reads_the_current_student
from teams_dagster.definitions import defs
from teams_dagster.store.artefact_store import ArtefactStore
from teams_dagster.store.facts.models import BaseFacts
from tests.support.checks import checked


@pytest.fixture
def store(tmp_path: Path) -> ArtefactStore:
    return ArtefactStore(data_dir=str(tmp_path))


def written(store: ArtefactStore, key: str, version: str, **inputs: str) -> None:
    facts = BaseFacts(student="somebody", embedded=False, vocabulary=9)
    with store.writing(key, version, about={"inputs": inputs, "made_at": "2026-11-30T00:00:00"}) as draft:
        draft.finish(version, facts)


def test_another_student_than_the_policy_reads_with_is_found(store: ArtefactStore) -> None:
    written(store, "base_model", "one")
    written(store, "trained_policy", "policy", base_model="one")
    assert checked(policy_reads_the_current_student, store).passed
    written(store, "base_model", "two")
    found = checked(policy_reads_the_current_student, store)
    assert not found.passed
    assert "reads with base_model one, and it is two now" in str(found.description)


def test_a_policy_without_a_student_has_nothing_to_compare(store: ArtefactStore) -> None:
    written(store, "trained_policy", "policy", seed_instructions="seeds")
    assert checked(policy_reads_the_current_student, store).passed


def test_the_graph_shows_what_the_check_reads() -> None:
    [key] = policy_reads_the_current_student.check_keys
    node = defs.resolve_asset_graph().get(key)
    assert dg.AssetKey("base_model") in node.parent_entity_keys
