"""Manifests of generations: written when one begins, followed ever after."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from teams_dagster.core.protocol import ModelIdentity, Role
from teams_dagster.dataset.failures import NothingAnswered, NothingToRetry, Silence, refuse_silence
from teams_dagster.dataset.generation import GenerationChanged, GenerationManifest
from teams_dagster.dataset.manifests import (
    MANIFEST,
    GenerationSettings,
    begin_generation,
    check_as_begun,
    prompt_versions,
    refuse_unfinished,
)
from teams_dagster.dataset.pair_settings import PairSettings
from teams_dagster.store.artefact_store import Artefact, ArtefactStore

WEEK = "2026-11-02"
RULES = ModelIdentity("offline", "rules")
SETTINGS = GenerationSettings(
    seeds=1, root_seed=0, latest_policy=False, fresh=False, foreign_policy=False, only_failed=False
)
BEGUN = GenerationManifest(
    partition_key=WEEK,
    policy_version="p1",
    seeds_version="s1",
    replicas=(("seed", 0),),
    prompt_versions=tuple(sorted(prompt_versions().items())),
    models=(("expert", RULES), ("reviewer", RULES)),
    root_seed=0,
)


@pytest.fixture
def store(tmp_path: Path) -> ArtefactStore:
    return ArtefactStore(data_dir=str(tmp_path))


def not_configured() -> Mapping[Role, ModelIdentity]:
    raise AssertionError("no model is configured")


def begin(store: ArtefactStore, settings: GenerationSettings) -> GenerationManifest:
    return begin_generation(store, WEEK, settings, not_configured, log=lambda _: None)


def write_manifest(store: ArtefactStore) -> None:
    place = store.place("generated_instructions", WEEK)
    place.mkdir(parents=True)
    (place / MANIFEST).write_text(BEGUN.to_json(), encoding="utf-8")


def test_a_generation_that_was_begun_goes_on_without_its_models_being_configured(store: ArtefactStore) -> None:
    write_manifest(store)
    assert begin(store, replace(SETTINGS, seeds=500, root_seed=7)) == BEGUN


def test_what_failed_is_not_asked_again_in_a_generation_that_was_never_begun(store: ArtefactStore) -> None:
    with pytest.raises(NothingToRetry, match=f"generation {WEEK} was never finished"):
        begin(store, replace(SETTINGS, only_failed=True))


@pytest.mark.parametrize("anew", [{"fresh": True}, {"latest_policy": True}])
def test_what_failed_is_not_asked_again_in_a_generation_that_is_to_begin_anew(
    store: ArtefactStore, anew: dict[str, bool]
) -> None:
    write_manifest(store)
    with pytest.raises(NothingToRetry, match="`only_failed` begins no generation"):
        begin(store, replace(SETTINGS, only_failed=True, **anew))


def test_a_generation_is_not_finished_by_another_model() -> None:
    with pytest.raises(GenerationChanged, match="model of reviewer"):
        check_as_begun(BEGUN, {Role.EXPERT: RULES, Role.REVIEWER: ModelIdentity("openai", "m")})


def test_a_generation_is_finished_by_the_models_it_was_begun_with() -> None:
    check_as_begun(BEGUN, {Role.EXPERT: RULES, Role.REVIEWER: RULES})


def test_a_step_whose_role_never_answered_is_refused_with_the_cause_and_the_setting_to_check() -> None:
    silent = Silence(Role.REVIEWER, 8, "rejected: HTTP 400: I do not like this request.")
    told = (
        r"none of 8 queries of reviewer got an answer: rejected: HTTP 400: I do not like this request\. .*REVIEWER_OMIT"
    )
    with pytest.raises(NothingAnswered, match=told):
        refuse_silence(silent)


def test_a_step_whose_role_answered_or_failed_once_or_twice_goes_on() -> None:
    refuse_silence(None)
    refuse_silence(Silence(Role.REVIEWER, 2, "rejected: no"))


def test_a_retry_does_not_finish_what_a_budget_ended(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"facts": {"out_of_budget": True}}), encoding="utf-8")
    with pytest.raises(NothingToRetry, match=f"a budget ended generation {WEEK} before its target.*job dataset"):
        refuse_unfinished(replace(SETTINGS, only_failed=True), BEGUN, Artefact(tmp_path))
    refuse_unfinished(SETTINGS, BEGUN, Artefact(tmp_path))


def test_what_a_pair_has_to_be_to_count_goes_into_the_manifest_and_no_generation_begins_again_for_it(
    store: ArtefactStore,
) -> None:
    write_manifest(store)
    counted = PairSettings(answers=2, scored_by="judge", min_score=0.5, judge="openai/m")
    going_on = begin(store, replace(SETTINGS, target_samples=30, episodes_per_seed=8, counted=counted))
    assert going_on.same_but_for_target(BEGUN)
    assert going_on.version != BEGUN.version
    assert begin(store, SETTINGS).counted == counted, "as it was begun, where a run says nothing of a target"


def test_a_manifest_of_before_a_threshold_could_count_keeps_its_version() -> None:
    assert "counted" not in BEGUN.to_json()
    assert GenerationManifest.from_json(BEGUN.to_json()) == BEGUN
