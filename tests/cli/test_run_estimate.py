"""What a run would ask, found out without asking."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from assets.dataset.expert_responses import expert_responses
from assets.dataset.generated_instructions import generated_instructions
from assets.policy.policy_comparison import policy_comparison
from assets.policy.trained_policy import trained_policy
from resources.language_models.offline.model import OfflineModel
from teams_dagster.automation.generation_steps import PlannedRun
from teams_dagster.automation.run_estimate import RunEstimate, Walk, estimate_run
from teams_dagster.core.protocol import Completion, CompletionError, ErrorKind, Purpose, Request
from teams_dagster.dataset.generation import GenerationChanged, PolicyFromOtherModels
from teams_dagster.environment.transition import ProbabilitiesMissing
from teams_dagster.ledger.costs import costs_by
from teams_dagster.policy.reader.reading import BaseNotGiven
from teams_dagster.pricing.paid_assets import PAID
from teams_dagster.settings import load_settings
from teams_dagster.store.artefact_store import ArtefactMissing
from tests.support.project import SMALL, Project
from tests.support.stores import made_once, trained_store

WEEK = "2026-11-02"
CONFIGS = {name: step["config"] for name, step in SMALL.items()}
EVERYTHING = ("seed_instructions", *PAID)


def questions(wanted: Iterable[str] = EVERYTHING, week: str = WEEK, **configs: dict) -> dict[str, tuple[int, int, int]]:
    """Least, likely and most questions of each asset that is not reused."""
    merged = {name: {**CONFIGS.get(name, {}), **configs.get(name, {})} for name in EVERYTHING}
    found = estimate_run(load_settings(), week, merged, tuple(wanted))
    return {
        key: (each.queries.least, each.queries.likely, each.queries.most)
        for key, each, reused in found.steps
        if not reused
    }


@pytest.fixture
def generated(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project of its own with a trained policy and a generation of `WEEK` without answers."""

    def make(project: Project) -> None:
        assert project.make(generated_instructions, week=WEEK)

    store = made_once(tmp_path_factory, "unanswered", make, trained_store(tmp_path_factory))
    shutil.copytree(store, tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("TEAMS_DATA_DIR", str(tmp_path))
    return Project(tmp_path)


@pytest.fixture
def outage(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Request], bool]], None]:
    """Make the offline model refuse the requests that a function picks."""
    answer = OfflineModel.complete

    def begin(picks: Callable[[Request], bool]) -> None:
        async def complete(self: OfflineModel, request: Request) -> Completion:
            if picks(request):
                raise CompletionError(ErrorKind.REJECTED, "not this one")
            return await answer(self, request)

        monkeypatch.setattr(OfflineModel, "complete", complete)

    return begin


def test_before_anything_exists_every_paid_asset_has_an_estimate_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TEAMS_DATA_DIR", str(tmp_path / "data"))
    found = questions()
    assert tuple(found) == PAID
    assert found.pop("pair_scores") == (0, 0, 0), "nobody scores unless asked to"
    assert all(0 < least < likely < most for least, likely, most in found.values())
    assert found["trained_policy"][2] == 32 * 6 * 2
    assert found["generated_instructions"][2] == 12 * 6 * 2
    assert found["expert_responses"][2] == 12 * 6
    assert found["judged_win_rate"][2] == 2 * 2 * 40
    assert not (tmp_path / "data").exists()


@pytest.mark.slow
def test_what_a_run_asks_lies_in_its_range_and_then_nothing_is_left(project: Project):
    before = questions()
    assert before.pop("pair_scores") == (0, 0, 0)
    assert set(before) == {"policy_comparison", "generated_instructions", "expert_responses", "judged_win_rate"}
    assert project.make(policy_comparison, policy_comparison=CONFIGS["policy_comparison"])
    assert project.make(generated_instructions, week=WEEK)
    assert project.make(expert_responses, week=WEEK)
    with project.ledger.open() as ledger:
        asked = {cost.group["asset_key"]: cost.asked for cost in costs_by(ledger, ["asset_key"])}
    for key in ("policy_comparison", "generated_instructions", "expert_responses"):
        least, _, most = before[key]
        assert least <= asked[key] <= most
    assert questions(PAID[:4]) == {}
    assert set(questions(PAID[:4], week="2026-11-09")) == {"generated_instructions", "expert_responses"}


def test_the_same_estimate_is_the_first_thing_that_a_step_says(project: Project, capfd: pytest.CaptureFixture[str]):
    expected = _estimate("generated_instructions")
    capfd.readouterr()
    assert project.make(generated_instructions, week=WEEK)
    said = [line.split(" - generated_instructions - ")[-1] for line in capfd.readouterr().err.splitlines()]
    lines = [line for line in said if line.startswith(("estimate:", "12 of 12 seeds"))]
    assert lines[0] == expected
    assert lines[-1].startswith("12 of 12 seeds, ")
    assert " instructions accepted, " in lines[-1]


def test_iterations_that_an_interrupted_training_finished_are_not_counted_again(
    project: Project, monkeypatch: pytest.MonkeyPatch
):
    longer = {"root_seed": 1, "iterations": 2}
    assert questions(trained_policy=longer)["trained_policy"][2] == 2 * 32 * 6 * 2

    def killed(*_: object) -> None:
        raise RuntimeError("killed")

    monkeypatch.setattr("assets.policy.trained_policy.merge_parts", killed)
    assert not project.make(trained_policy, trained_policy=longer)
    assert questions(trained_policy=longer)["trained_policy"] == (0, 0, 0)


def test_both_orders_are_estimated_in_what_is_trained_and_in_what_it_will_steer(project: Project):
    for on, queries_an_edit in ((False, 2), (True, 3)):
        found = questions(
            trained_policy={"root_seed": 1, "both_orders": on},
            policy_comparison={"questions_per_seed": 36},
            generated_instructions={"policy": "latest"},
        )
        assert found["trained_policy"][2] == 32 * 6 * queries_an_edit
        assert found["generated_instructions"][2] == 12 * 6 * queries_an_edit


def test_what_a_soft_reward_would_be_refused_for_is_said_before(project: Project):
    with pytest.raises(ProbabilitiesMissing, match="`soft: true` of trained_policy needs P"):
        questions(trained_policy={"root_seed": 1, "soft": True})


def test_a_policy_that_would_read_with_a_student_that_is_not_there_is_refused_before(project: Project):
    reading = {"reader": {"language_model": {}}, "algorithm": {"ppo": {}}}
    with pytest.raises(BaseNotGiven, match="materialise `base_model` first, by itself"):
        questions(trained_policy=reading)
    questions(["policy_comparison"], trained_policy=reading)


def test_a_policy_that_is_to_be_trained_leaves_a_generation_that_was_begun_as_it_is(generated: Project):
    retrained, latest = {"root_seed": 1}, {"policy": "latest"}
    found = questions(PAID[:4], trained_policy=retrained)
    assert set(found) == {"trained_policy", "policy_comparison", "expert_responses"}
    assert "generated_instructions" in questions(generated_instructions=latest, trained_policy=retrained)
    assert "generated_instructions" not in questions(generated_instructions=latest)
    assert "generated_instructions" in questions(generated_instructions={"fresh": True})


def test_only_the_wanted_assets_are_estimated_upon_what_is_stored(project: Project):
    assert set(questions(["generated_instructions"])) == {"generated_instructions"}
    assert project.make(generated_instructions, week=WEEK)
    accepted = project.store.current("generated_instructions", WEEK).facts["accepted"]
    assert questions(["expert_responses"]) == {"expert_responses": (accepted, accepted, accepted)}


def test_an_output_with_failed_questions_asks_those_alone(
    generated: Project, outage: Callable[[Callable[[Request], bool]], None]
):
    texts = iter(range(1_000))
    outage(lambda request: request.intent.purpose is Purpose.RESPOND and next(texts) < 2)
    assert generated.make(expert_responses, week=WEEK)
    facts = generated.store.current("expert_responses", WEEK).facts
    assert facts["unanswered"] == 2
    assert facts["outcomes"]["respond"]["causes"] == {"failed: rejected": 2}
    assert questions()["expert_responses"] == (2, 2, 2)
    metadata = generated.last.asset_materializations_for_node("expert_responses")[0].metadata
    assert str(metadata["outcomes"].value).endswith(f"| respond | {facts['samples']} | {facts['samples'] - 2} | 2 |")


def test_a_forced_run_asks_nothing_that_is_not_answered(generated: Project):
    assert questions(generated_instructions={"force": True})["generated_instructions"] == (0, 0, 0)


def test_what_would_stop_the_run_stops_the_estimate(generated: Project, monkeypatch: pytest.MonkeyPatch):
    for role in ("EXPERT", "REVIEWER", "INSTRUCTOR"):
        monkeypatch.setenv(f"TEAMS_{role}_MODEL", "served")
        monkeypatch.setenv(f"TEAMS_{role}_BASE_URL", "http://127.0.0.1:9/v1")
    with pytest.raises(PolicyFromOtherModels, match="foreign_policy"):
        questions(["generated_instructions"], week="2026-11-09")
    made = generated.store.current("generated_instructions", WEEK)
    (made.folder / "manifest.json").unlink()
    with pytest.raises(GenerationChanged, match="restore them to finish it"):
        questions(["generated_instructions"])


@pytest.mark.parametrize("gone", ["seed_instructions", "trained_policy"])
def test_an_output_that_is_gone_and_that_the_run_makes_anew_stops_no_estimate(generated: Project, gone: str):
    before = questions()
    shutil.rmtree(generated.store.root / "assets" / gone)
    after = questions()
    assert before.keys() <= after.keys()
    assert "generated_instructions" not in after, "it is there"
    with pytest.raises(
        ArtefactMissing, match=f"{gone} .*`teams restore BACKUP` puts it back.*materialise {gone} again"
    ):
        questions(["generated_instructions"])


def _estimate(asset_key: str) -> str:
    found: RunEstimate = estimate_run(load_settings(), WEEK, CONFIGS, EVERYTHING)
    return next(str(each) for key, each, _ in found.steps if key == asset_key)


def test_a_walk_writes_nothing(generated: Project):
    before = {path: path.stat().st_mtime_ns for path in generated.store.root.rglob("*")}
    Walk(PlannedRun(generated.store, generated.models, "2026-11-09", CONFIGS, EVERYTHING)).steps()
    assert {path: path.stat().st_mtime_ns for path in generated.store.root.rglob("*")} == before
