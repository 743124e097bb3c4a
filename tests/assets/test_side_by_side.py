"""TEAMS_WORKERS: processes that divide a step bring what one brings, pay for nothing twice and not beyond."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from assets.dataset.expert_responses import expert_responses
from assets.dataset.generated_instructions import generated_instructions
from assets.dataset.pair_scores import pair_scores
from assets.policy.policy_comparison import policy_comparison
from assets.policy.trained_policy import trained_policy
from assets.seeds import seed_instructions
from assets.uniform_arm.assets import uniform_instructions
from resources.language_models.roles import LanguageModels
from resources.language_models.run_budgets import RunBudget
from resources.language_models.side_by_side import processes_for
from teams_dagster.core.protocol import Role
from teams_dagster.environment.recording import content_of
from teams_dagster.instructions.seeds import shipped_seeds_path
from teams_dagster.ledger.costs import costs_by
from teams_dagster.settings import load_settings
from tests.support import served_rules
from tests.support.openai_server import Body, Fault, OpenAIServer, Reply
from tests.support.processes import children
from tests.support.project import Project

pytestmark = pytest.mark.slow

WEEK = "2026-11-02"


COMPARED = {"training_seeds": 3, "baselines": [], "ablations": [], "questions_per_seed": 12, "resamples": 200}


@pytest.fixture
def served(openai_server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> OpenAIServer:
    """A server that answers by the embedded rules, which every role is asked at."""
    return serving(openai_server, monkeypatch)


def serving(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> OpenAIServer:
    server.respond = served_rules.answer
    for name, value in {
        "MODEL": "m",
        "BASE_URL": server.base_url,
        "PREFLIGHT": "off",
    }.items():
        monkeypatch.setenv(f"TEAMS_{name}", value)
    for role in ("EXPERT", "REVIEWER", "INSTRUCTOR", "GUIDE", "JUDGE"):
        monkeypatch.setenv(f"TEAMS_{role}_STRUCTURED", "off")
    return server


def begun(data: Path, monkeypatch: pytest.MonkeyPatch, workers: int) -> Project:
    monkeypatch.setenv("TEAMS_DATA_DIR", str(data))
    monkeypatch.setenv("TEAMS_WORKERS", str(workers))
    project = Project(data)
    assert project.make(seed_instructions)
    return project


def play(project: Project, **config: Any) -> bool:
    steered = {"policy": "uniform", "seeds": 24, **config}
    made = (generated_instructions, expert_responses, pair_scores)
    judged = {"scored_by": "judge"}
    return project.make(*made, week=WEEK, generated_instructions=steered, pair_scores=judged)


def versions(project: Project) -> list[str]:
    return [project.version(name, WEEK) for name in ("generated_instructions", "expert_responses", "pair_scores")]


def sent(project: Project) -> int:
    with project.ledger.open() as ledger:
        return sum(row.calls for row in costs_by(ledger, ["asset_key"]))


@pytest.mark.parametrize("target", [None, 20])
def test_three_processes_bring_the_same_bytes_as_one_and_each_request_is_on_the_ledger(
    target: int | None, served: OpenAIServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {} if target is None else {"target_samples": target}
    alone = begun(tmp_path / "alone", monkeypatch, 1)
    assert play(alone, **config)
    asked = served.count
    divided = begun(tmp_path / "divided", monkeypatch, 3)
    assert play(divided, **config)
    assert versions(divided) == versions(alone)
    assert served.count - asked == sent(divided)
    asked = served.count
    assert play(divided, force=True, **config)
    assert served.count == asked


def test_the_uniform_arm_is_divided_too(served: OpenAIServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beside: set[int] = set()

    def noting(body: Body) -> Reply | Fault | str:
        beside.update(children("teams_dagster.llm.workers"))
        return served_rules.answer(body)

    def uniform(workers: int) -> tuple[str, int]:
        project = begun(tmp_path / str(workers), monkeypatch, workers)
        config = {"policy": "round_robin", "seeds": 24}
        assert project.make(generated_instructions, week=WEEK, generated_instructions=config)
        served.respond, before = noting, served.count
        assert project.make(uniform_instructions, week=WEEK)
        served.respond = served_rules.answer
        assert 0 < served.count - before == sent_for(project, "uniform_instructions")
        return project.version("uniform_instructions", WEEK), served.count - before

    alone = uniform(1)
    assert not beside
    assert uniform(3)[0] == alone[0]
    assert beside


def test_a_process_that_is_killed_loses_no_answer_and_the_others_go_on(
    served: OpenAIServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = begun(tmp_path / "alone", monkeypatch, 1)
    assert play(alone)
    paid = served.count
    killed: list[int] = []
    served.respond = killing_the_second(killed)
    divided = begun(tmp_path / "divided", monkeypatch, 2)
    assert play(divided)
    assert killed
    assert versions(divided) == versions(alone)
    in_flight = 64 // 2
    assert served.count - paid <= paid + in_flight


def test_a_budget_is_used_up_to_the_last_query_and_not_beyond(
    served: OpenAIServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    divided = begun(tmp_path, monkeypatch, 3)
    unbounded, divided.models = (
        divided.models,
        LanguageModels(root=divided.models.root, ledger=divided.ledger, budget=RunBudget(queries=150)),
    )
    assert not play(divided)
    assert served.count == sent(divided) == 150
    divided.models = unbounded
    assert play(divided)
    assert served.count == sent(divided)


def test_what_makes_a_step_impossible_is_found_out_by_one_process(
    served: OpenAIServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.respond = lambda body: Fault(401, '{"error": {"message": "wrong key"}}')
    divided = begun(tmp_path, monkeypatch, 3)
    assert not play(divided)
    assert served.count <= 25
    assert "TEAMS_API_KEY" in failure_of(divided)


def test_processes_share_what_may_be_under_way_at_once(
    served: OpenAIServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAMS_MAX_IN_FLIGHT", "6")
    served.latency_s = 0.005
    assert play(begun(tmp_path, monkeypatch, 3))
    assert served.most_in_flight <= 6


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with few seeds, and a policy trained on them."""
    data = tmp_path_factory.mktemp("policy")
    seeds = data / "few.jsonl"
    seeds.write_text("\n".join(shipped_seeds_path().read_text(encoding="utf-8").splitlines()[:30]), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patched:
        for name, value in {"DATA_DIR": data, "SEEDS": seeds, "PREFLIGHT": "off"}.items():
            patched.setenv(f"TEAMS_{name}", str(value))
        assert Project(data).make(seed_instructions, trained_policy)
    return data


@pytest.fixture(scope="module")
def comparing() -> Iterator[OpenAIServer]:
    """The server of every comparison here: its address is a part of what a transition is called by."""
    with OpenAIServer() as server:
        yield server


@pytest.fixture(scope="module")
def compared_alone(policy: Path, comparing: OpenAIServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one process finds in a comparison."""
    data = tmp_path_factory.mktemp("alone") / "data"
    with pytest.MonkeyPatch.context() as patched:
        serving(comparing, patched)
        alone = copied(policy, data, patched, 1)
        assert compare(alone)
        return {**comparison_of(alone), "asked": comparing.count}


def copied(store: Path, data: Path, monkeypatch: pytest.MonkeyPatch, workers: int) -> Project:
    monkeypatch.setenv("TEAMS_DATA_DIR", str(data))
    monkeypatch.setenv("TEAMS_WORKERS", str(workers))
    return Project(Path(shutil.copytree(store, data)))


def compare(project: Project) -> bool:
    return project.make(policy_comparison, policy_comparison=COMPARED)


def comparison_of(project: Project) -> dict[str, Any]:
    made = project.store.current("policy_comparison")
    tables = {name: content_of(made.path(f"{name}.parquet")) for name in ("transitions", "instructions")}
    return {**tables, "version": made.data_version}


def sent_for(project: Project, asset_key: str) -> int:
    with project.ledger.open() as ledger:
        return sum(row.calls for row in costs_by(ledger, ["asset_key"]) if row.group["asset_key"] == asset_key)


def test_three_processes_compare_as_one_does_within_the_same_limits(
    compared_alone: dict[str, Any],
    policy: Path,
    comparing: OpenAIServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    served = serving(comparing, monkeypatch)
    served.most_in_flight, before = 0, served.count
    monkeypatch.setenv("TEAMS_MAX_IN_FLIGHT", "12")
    beside: set[str] = set()

    def noting(body: Body) -> Reply | Fault | str:
        beside.update(kind for kind in ("processes", "workers") if children(f"teams_dagster.llm.{kind}"))
        return served_rules.answer(body)

    served.respond = noting
    divided = copied(policy, tmp_path / "data", monkeypatch, 3)
    assert compare(divided)
    assert {**comparison_of(divided), "asked": served.count - before} == compared_alone
    assert beside == {"processes", "workers"}
    assert served.count - before == sent_for(divided, "policy_comparison")
    assert served.most_in_flight <= 12


def test_a_player_of_a_comparison_that_is_killed_loses_no_answer(
    compared_alone: dict[str, Any],
    policy: Path,
    comparing: OpenAIServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    served = serving(comparing, monkeypatch)
    killed: list[int] = []
    before = served.count
    served.respond = killing_the_second(killed)
    divided = copied(policy, tmp_path / "data", monkeypatch, 2)
    assert compare(divided)
    assert killed
    in_flight = 64 // 2
    assert served.count - before <= compared_alone["asked"] + in_flight
    assert {**comparison_of(divided), "asked": compared_alone["asked"]} == compared_alone


def test_a_comparison_uses_its_budget_up_to_the_last_query_and_not_beyond(
    policy: Path, comparing: OpenAIServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = serving(comparing, monkeypatch).count
    divided = copied(policy, tmp_path / "data", monkeypatch, 3)
    bounded = RunBudget(queries=150)
    divided.models = LanguageModels(root=divided.models.root, ledger=divided.ledger, budget=bounded)
    assert not compare(divided)
    assert "the budget of the run" in failure_of(divided)
    assert comparing.count - before == sent_for(divided, "policy_comparison") == 150


def test_weights_are_not_loaded_in_each_process_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"WORKERS": "3", "EXPERT_PROVIDER": "transformers", "EXPERT_MODEL": "gpt2"}.items():
        monkeypatch.setenv(f"TEAMS_{name}", value)
    count, why = processes_for(load_settings(), [Role.EXPERT])
    assert (count, why) == (1, "one process asks, and not 3 (TEAMS_WORKERS): each would load the weights of the expert")


def failure_of(project: Project) -> str:
    failed = [event for event in project.last.all_events if event.is_step_failure]
    error = failed[0].step_failure_data.error
    return error.to_string() if error else ""


def killing_the_second(killed: list[int]) -> Callable[[Body], Reply | Fault | str]:
    """Answers by the rules, and kills the second of this process's workers 40 requests after it was started."""

    since = 0

    def respond(body: Body) -> Reply | Fault | str:
        nonlocal since
        if not killed and len(workers := children("teams_dagster.llm.workers")) == 2:
            since += 1
            if since == 40:
                killed.append(max(workers))
                os.kill(killed[0], signal.SIGKILL)
        return served_rules.answer(body)

    return respond
