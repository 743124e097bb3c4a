"""Generations over their life: history, fresh answers, outages, other weeks, in one process on the offline rules."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from assets.dataset.dataset_checks import dataset_is_up_to_date
from assets.dataset.expert_responses import expert_responses
from assets.dataset.generated_instructions import generated_instructions
from assets.dataset.instruction_dataset import instruction_dataset
from assets.policy.trained_policy import trained_policy
from resources.language_models.offline.model import OfflineModel
from teams_dagster.core.protocol import Completion, CompletionError, ErrorKind, Purpose, Request
from teams_dagster.dataset.manifests import generated_for, read_manifest
from teams_dagster.definitions import defs
from teams_dagster.store.artefact_store import ArtefactMissing, ArtefactStore
from tests.support.checks import checked
from tests.support.failures import why
from tests.support.project import Project

WEEK, NEXT_WEEK = "2026-11-02", "2026-11-09"


def generation(project: Project, week: str = WEEK, **config: Any) -> bool:
    return project.make(generated_instructions, week=week, generated_instructions=config) and project.make(
        expert_responses, week=week
    )


@pytest.fixture
def outage(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Request], bool]], None]:
    """Make the offline model refuse the requests that a function picks, until the test ends or it is called again."""
    answer = OfflineModel.complete

    def begin(picks: Callable[[Request], bool]) -> None:
        async def complete(self: OfflineModel, request: Request) -> Completion:
            if picks(request):
                raise CompletionError(ErrorKind.REJECTED, "the model is out", http_status=404)
            return await answer(self, request)

        monkeypatch.setattr(OfflineModel, "complete", complete)

    return begin


def test_a_generation_made_again_asks_nothing(project: Project):
    assert generation(project)
    asked, version = project.calls, project.version("expert_responses", WEEK)
    assert generation(project)
    assert project.calls == asked
    assert project.version("expert_responses", WEEK) == version


@pytest.mark.slow
def test_a_generation_keeps_its_policy_until_the_latest_is_asked_for(project: Project):
    assert generation(project)
    before = project.version("generated_instructions", WEEK)
    assert project.make(trained_policy, trained_policy={"root_seed": 5})
    asked = project.calls
    assert generation(project)
    assert (project.calls, project.version("generated_instructions", WEEK)) == (asked, before)
    assert generation(project, policy="latest")
    manifest = read_manifest(project.store.current("generated_instructions", WEEK))
    assert manifest.policy_version == project.version("trained_policy")
    assert project.calls > asked


def test_a_generation_says_what_it_keeps_from_when_it_was_begun(project: Project):
    assert generation(project)
    assert project.make(generated_instructions, week=WEEK, generated_instructions={"seeds": 6})
    [made] = project.last.asset_materializations_for_node("generated_instructions")
    assert "keeps the number of seeds it was begun with" in str(made.metadata["note"].value)
    assert project.make(generated_instructions, week=WEEK)
    [made] = project.last.asset_materializations_for_node("generated_instructions")
    assert "note" not in made.metadata


@pytest.mark.slow
def test_fresh_buys_new_answers_once(project: Project, outage: Callable[..., None]):
    assert generation(project)
    first = read_manifest(project.store.current("generated_instructions", WEEK))
    assert project.make(generated_instructions, week=WEEK, generated_instructions={"fresh": True})
    fresh = read_manifest(project.store.current("generated_instructions", WEEK))
    assert fresh.fresh == 1
    assert set(dict(first.replicas).values()).isdisjoint(dict(fresh.replicas).values())
    asked = project.calls
    assert project.make(generated_instructions, week=WEEK, generated_instructions={"fresh": True})
    assert project.calls == asked, "an unfinished fresh generation is not begun yet again"
    assert project.make(expert_responses, week=WEEK)
    assert project.make(generated_instructions, week=WEEK, generated_instructions={"fresh": True})
    assert read_manifest(project.store.current("generated_instructions", WEEK)).fresh == 2


def test_what_failed_in_an_outage_is_asked_again_and_nothing_else(project: Project, outage: Callable[..., None]):
    assert project.make(generated_instructions, week=WEEK)
    outage(lambda request: request.intent.purpose is Purpose.RESPOND and len(request.intent.before.text) % 2 == 0)
    assert project.make(expert_responses, week=WEEK)
    partial = project.store.current("expert_responses", WEEK).facts
    assert 0 < partial["unanswered"] < partial["samples"]
    asked = project.calls
    outage(lambda _: False)
    assert project.make(expert_responses, week=WEEK)
    assert project.store.current("expert_responses", WEEK).facts["unanswered"] == 0
    assert project.calls <= asked + partial["unanswered"]


def test_a_step_that_got_no_answer_at_all_fails_and_goes_on_later(project: Project, outage: Callable[..., None]):
    outage(lambda _: True)
    assert not project.make(generated_instructions, week=WEEK)
    assert not project.store.exists("generated_instructions", WEEK)
    outage(lambda _: False)
    assert generation(project)


def test_answers_stay_with_the_instructions_they_belong_to(project: Project):
    assert generation(project)
    responses = project.store.current("expert_responses", WEEK)
    belongs = generated_for(project.store, responses)
    assert project.make(generated_instructions, week=WEEK, generated_instructions={"fresh": True})
    assert project.store.current("generated_instructions", WEEK) != belongs
    assert generated_for(project.store, responses) == belongs


@pytest.fixture
def two_weeks_project(two_weeks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project of its own with the answered generations of two weeks and their dataset."""
    data = Path(shutil.copytree(two_weeks, tmp_path / "data"))
    monkeypatch.setenv("TEAMS_DATA_DIR", str(data))
    return Project(data)


@pytest.mark.slow
def test_the_dataset_holds_every_week_and_says_when_one_changed(two_weeks_project: Project):
    project = two_weeks_project
    assert project.store.current("instruction_dataset").facts["generations"] == [WEEK, NEXT_WEEK]
    assert checked(dataset_is_up_to_date, project.store).passed
    assert generation(project, seeds=60, fresh=True)
    result = checked(dataset_is_up_to_date, project.store)
    assert not result.passed
    assert WEEK in (result.description or "")


@pytest.mark.slow
def test_a_dataset_has_the_generation_that_another_run_finished_while_it_waited_for_its_turn(
    two_weeks_project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    project = two_weeks_project
    place, elsewhere = project.store.current("expert_responses", NEXT_WEEK).folder.parent, tmp_path / "elsewhere"
    place.rename(elsewhere)
    turn = ArtefactStore.turn

    @contextmanager
    def waited_for(store: ArtefactStore, asset_key: str, *arguments: Any, **how: Any) -> Iterator[None]:
        with turn(store, asset_key, *arguments, **how):
            if asset_key == "instruction_dataset":
                elsewhere.rename(place)
            yield

    monkeypatch.setattr(ArtefactStore, "turn", waited_for)
    assert project.make(instruction_dataset)
    assert project.store.current("instruction_dataset").facts["generations"] == [WEEK, NEXT_WEEK]


@pytest.mark.slow
def test_the_same_answers_give_the_same_dataset_byte_for_byte(
    seeded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folders = []
    for name in ("one", "two"):
        monkeypatch.setenv("TEAMS_DATA_DIR", str(tmp_path / name))
        monkeypatch.setenv("TEAMS_MAX_IN_FLIGHT", "64" if name == "one" else "3")
        project = Project(Path(shutil.copytree(seeded, tmp_path / name)))
        assert project.make(trained_policy)
        assert generation(project, seeds=60)
        assert project.make(instruction_dataset)
        folders.append(project.store.current("instruction_dataset").folder / "files")
    one, two = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders)
    assert one == two


def test_before_anything_is_made_a_check_says_that_it_did_not_run(tmp_path: Path):
    store = ArtefactStore(data_dir=str(tmp_path))
    result = checked(dataset_is_up_to_date, store)
    assert not result.passed
    assert (result.description or "").startswith("not run")
    with pytest.raises(ArtefactMissing, match="materialise it first"):
        store.current("instruction_dataset")


RETRY = {"only_failed": True}


def retry_failed(project: Project, week: str = WEEK) -> bool:
    return project.make(generated_instructions, week=week, generated_instructions=RETRY) and project.make(
        expert_responses, week=week, expert_responses=RETRY
    )


def test_a_retry_does_not_finish_what_was_killed_early(project: Project, monkeypatch: pytest.MonkeyPatch):
    assert not retry_failed(project), "never begun"
    assert "was never finished" in why(project)

    def killed(*_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr("assets.dataset.generated_instructions.play_generation", killed)
        assert not project.make(generated_instructions, week=WEEK)
    asked = project.calls
    assert not retry_failed(project)
    assert "was never finished" in why(project)
    assert "regenerate" in why(project)
    assert project.calls == asked


@pytest.mark.slow
def test_a_retry_does_not_buy_answers_that_were_never_asked_for(project: Project):
    assert project.make(generated_instructions, week=WEEK)
    asked = project.calls
    assert not retry_failed(project)
    assert "answers of generation 2026-11-02 were never finished" in why(project)
    assert project.calls == asked
    assert generation(project)
    version = project.version("expert_responses", WEEK)
    assert project.make(generated_instructions, week=WEEK, generated_instructions={"fresh": True})
    asked = project.calls
    assert not retry_failed(project), "the answers of the week are another generation's"
    assert project.calls == asked
    assert project.version("expert_responses", WEEK) == version


@pytest.mark.slow
def test_a_retry_asks_what_failed_and_answers_what_that_brought(project: Project, outage: Callable[..., None]):
    texts = iter(range(1_000))
    outage(lambda request: request.intent.purpose is Purpose.REWRITE and next(texts) % 5 == 0)
    assert generation(project)
    partial = project.store.current("generated_instructions", WEEK).facts
    assert partial["unanswered"] > 0
    outage(lambda _: False)
    assert retry_failed(project)
    whole = project.store.current("generated_instructions", WEEK)
    assert whole.facts["unanswered"] == 0
    responses = project.store.current("expert_responses", WEEK)
    assert responses.facts["samples"] == whole.facts["accepted"]
    assert generated_for(project.store, responses) == whole
    asked, version = project.calls, project.version("expert_responses", WEEK)
    assert retry_failed(project), "nothing failed: nothing is asked"
    assert (project.calls, project.version("expert_responses", WEEK)) == (asked, version)


def test_a_retry_begins_nothing_again(project: Project):
    assert generation(project)
    assert not project.make(generated_instructions, week=WEEK, generated_instructions={**RETRY, "fresh": True})
    assert "leave out `fresh`" in why(project)


def test_what_a_step_asked_in_vain_can_be_read_in_the_read_model(project: Project, outage: Callable[..., None]):
    import duckdb

    project.publishes = True
    outage(lambda _: True)
    assert not project.make(generated_instructions, week=WEEK)
    assert "the model is out" in why(project)
    with duckdb.connect(str(project.ledger.read_model), read_only=True) as model:
        failed = "select count(*) from llm_calls where error_detail = 'the model is out'"
        assert model.execute(failed).fetchall()[0][0] > 0


def seeds_of(project: Project, week: str) -> set[str]:
    return set(dict(read_manifest(project.store.current("generated_instructions", week)).replicas))


def test_each_week_of_a_rotation_takes_its_share_in_any_order_and_shares_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TEAMS_SEED_ROTATION_WEEKS", "20")
    for week in (NEXT_WEEK, WEEK):  # a backfill runs them in its own order
        assert project.make(generated_instructions, week=week, generated_instructions={"seeds": 240})
    assert seeds_of(project, WEEK)
    assert seeds_of(project, NEXT_WEEK)
    assert seeds_of(project, WEEK).isdisjoint(seeds_of(project, NEXT_WEEK))
    before = project.version("generated_instructions", WEEK), project.calls
    monkeypatch.setenv("TEAMS_SEED_ROTATION_WEEKS", "3")
    assert project.make(generated_instructions, week=WEEK, generated_instructions={"seeds": 240})
    assert (project.version("generated_instructions", WEEK), project.calls) == before, "its manifest rules"


@pytest.mark.slow
def test_materialising_what_is_unsynced_after_a_retraining_sends_no_query_of_a_generation(project: Project):
    paid = (generated_instructions, expert_responses)
    assert generation(project)
    assert generation(project, NEXT_WEEK)
    assert project.make(instruction_dataset)
    assert project.make(trained_policy, trained_policy={"root_seed": 5})
    asked, dataset = project.calls, project.version("instruction_dataset")
    unsynced = {(asset.key, week) for asset in paid for week in (WEEK, NEXT_WEEK) if is_unsynced(project, asset, week)}
    assert unsynced == {(generated_instructions.key, WEEK), (generated_instructions.key, NEXT_WEEK)}
    for week in (WEEK, NEXT_WEEK):
        assert generation(project, week)
    assert project.make(instruction_dataset)
    assert (project.calls, project.version("instruction_dataset")) == (asked, dataset)
    assert not any(is_unsynced(project, asset, week) for asset in paid for week in (WEEK, NEXT_WEEK))


def is_unsynced(project: Project, asset: dg.AssetsDefinition, week: str) -> bool:
    """Whether the UI would materialise this partition by "materialise all unsynced"."""
    loading = LoadingContextForTest(project.instance)
    resolver = CachingStaleStatusResolver(project.instance, defs.resolve_asset_graph(), loading)
    return resolver.get_status(asset.key, week) is StaleStatus.STALE
