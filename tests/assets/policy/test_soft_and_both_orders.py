"""A policy trained on probabilities in both orders, and its generation: counted, forecast, shown and verified."""

from __future__ import annotations

import asyncio
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from assets.accounting.sample_lineage import sample_lineage
from assets.dataset.expert_responses import expert_responses
from assets.dataset.generated_instructions import generated_instructions
from assets.policy.config import ComparisonSettings, PolicyConfig
from assets.policy.trained_policy import trained_policy
from assets.uniform_arm.assets import uniform_instructions
from teams_dagster.core.hashing import content_hash
from teams_dagster.core.protocol import Role
from teams_dagster.dataset.uniform import generation_beside, uniform_questions
from teams_dagster.lineage.replay_generation import replay_generation
from teams_dagster.lineage.trace import trace
from teams_dagster.lineage.tree import lineage_lines
from teams_dagster.policy.query_forecast import training_questions
from teams_dagster.store.facts.policy import PolicyFacts
from teams_dagster.store.integrity import Verification
from tests.support.openai_server import Body, OpenAIServer, Reply
from tests.support.parquet import change
from tests.support.project import Project
from tests.support.served_rules import answer

WEEK = "2026-11-02"
OPTIONS = {"both_orders": True, "soft": True}


def how_likely(body: Body) -> Reply:
    """The rules' verdict, with a probability that belongs to the two texts in their order."""
    if body["structured_outputs"]["choice"] == ["Yes", "No"]:
        return Reply("Yes", logprobs=({"token": "Yes", "logprob": -0.1, "top_logprobs": []},))
    said = answer(body)
    sure = 0.55 + 0.4 * int(content_hash(body["messages"][-1]["content"])[:6], 16) / 16**6
    shares = {"Not": sure, "Equal": 1 - sure} if said == "Not Equal" else {"Not": 1 - sure, "Equal": sure}
    top = [{"token": token, "logprob": math.log(share)} for token, share in shares.items()]
    first = {**top[said != "Not Equal"], "top_logprobs": top}
    rest = {"token": said.removeprefix(str(first["token"])), "logprob": 0.0, "top_logprobs": []}
    return Reply(said, logprobs=(first, rest))


def configured(patch: pytest.MonkeyPatch, folder: Path, server: OpenAIServer) -> None:
    settings = {
        "REVIEWER_MODEL": "m",
        "REVIEWER_BASE_URL": server.base_url,
        "REVIEWER_STRUCTURED": "choice",
        "INSTRUCTOR_PROVIDER": "offline",
        "EXPERT_PROVIDER": "offline",
        "DATA_DIR": str(folder),
        "PREFLIGHT": "off",
    }
    for name, value in settings.items():
        patch.setenv(f"TEAMS_{name}", value)


@pytest.fixture(scope="module")
def once(seeded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Project, OpenAIServer]]:
    """A generation by a policy that was trained with both options, made once, and its reviewer."""
    folder = Path(shutil.copytree(seeded, tmp_path_factory.mktemp("data"), dirs_exist_ok=True))
    with pytest.MonkeyPatch.context() as patch, OpenAIServer(how_likely) as server:
        configured(patch, folder, server)
        project = Project(folder)
        assert project.make(trained_policy, trained_policy=OPTIONS)
        assert project.make(generated_instructions, expert_responses, week=WEEK)
        project.ledger.refresh(project.instance)
        yield project, server


@pytest.fixture
def made(once: tuple[Project, OpenAIServer], monkeypatch: pytest.MonkeyPatch) -> Project:
    project, server = once
    configured(monkeypatch, Path(project.store.root), server)
    return project


def rows(project: Project, asset: str = "generated_instructions", week: str | None = WEEK) -> list[dict[str, Any]]:
    return pq.read_table(project.store.current(asset, week).path("transitions.parquet")).to_pylist()


def replayed(project: Project) -> Verification:
    found, store = Verification(), project.store
    generated, responses = store.current("generated_instructions", WEEK), store.current("expert_responses", WEEK)
    with project.ledger.open() as ledger:
        asyncio.run(replay_generation(store, ledger, generated, responses, found, progress=lambda _: None))
    return found


@pytest.mark.slow
def test_every_reviewed_transition_has_its_probability_and_two_reviews(made: Project) -> None:
    reviewed = [row for row in rows(made) if row["verdict"]]
    assert len(reviewed) > 20
    assert all(0 < row["verdict_probability"] < 1 for row in reviewed)
    assert all(row["queries"] == 3 and row["review_request_id"] != row["turned_review_request_id"] for row in reviewed)
    assert all(row["verdict_probability"] is None for row in rows(made) if not row["verdict"])


@pytest.mark.slow
def test_rewards_are_soft_and_acceptance_is_the_verdict(made: Project) -> None:
    reviewed = [row for row in rows(made) if row["verdict"]]
    assert {row["reward_preset"] for row in reviewed} == {"graded_soft"}
    assert all(row["accepted"] is (row["verdict"] == "not_equal") for row in reviewed)
    assert any(row["reward"] > -0.3 for row in reviewed if not row["accepted"]), "a refused edit is paid by its P"


def test_position_bias_is_among_the_facts_and_counts_each_pair_once(made: Project) -> None:
    facts = made.store.current("trained_policy").read_facts(PolicyFacts)
    read = {
        row["review_request_id"]: row for row in rows(made, "trained_policy", None) if row["orders_agree"] is not None
    }
    assert facts.pairs_in_both_orders == len(read)
    assert facts.orders_disagree == pytest.approx(sum(not row["orders_agree"] for row in read.values()) / len(read))
    mean = sum(row["order_difference"] for row in read.values()) / len(read)
    assert facts.order_difference == pytest.approx(mean)
    assert facts.verdicts_without_probability == 0


def test_accepted_edits_are_at_most_a_third_of_the_queries(made: Project) -> None:
    assert made.store.current("trained_policy").read_facts(PolicyFacts).accepted_per_query <= 1 / 3


def test_the_lineage_replays_both_options_from_the_ledger(made: Project) -> None:
    found = replayed(made)
    assert (found.differing, found.not_verified) == (0, {})
    assert found.verified > len(rows(made))


@pytest.mark.parametrize("column", ["verdict_probability", "reward", "turned_review_request_id", "orders_agree"])
def test_the_replay_finds_what_was_tampered_with(made: Project, column: str) -> None:
    path = made.store.current("generated_instructions", WEEK).path("transitions.parquet")
    whole = path.read_bytes()
    other = {"turned_review_request_id": lambda v: v[::-1], "orders_agree": lambda v: not v}
    try:
        change(path, column, other.get(column, lambda value: value + 1e-3))
        found = replayed(made)
    finally:
        path.write_bytes(whole)
    assert [difference.column for difference in found.differences] == [column]


def test_the_hash_of_a_row_finds_a_probability_that_was_changed(made: Project) -> None:
    path = made.store.current("generated_instructions", WEEK).path("transitions.parquet")
    whole = path.read_bytes()
    try:
        change(path, "verdict_probability", lambda value: value / 2)
        assert not made.make(sample_lineage)
    finally:
        path.write_bytes(whole)


def test_probabilities_and_both_reviews_are_in_the_read_model_and_the_trace(made: Project) -> None:
    with duckdb.connect(str(made.ledger.read_model), read_only=True) as model:
        [(sample, likely)] = model.execute(
            "select sample_id, verdict_probability from sample_lineage where hop = 1 order by sample_id limit 1"
        ).fetchall()
        found = trace(model, sample)
    assert found.chain[0].verdict_probability == likely
    assert [query.purpose for query in found.chain[0].queries] == ["rewrite", "review", "review"]
    assert any(f"P(Not Equal) {likely:.3f}"[:20] in line for line in lineage_lines(found))


def test_making_it_all_again_sends_nothing(made: Project) -> None:
    asked = made.calls
    assert made.make(trained_policy, trained_policy=OPTIONS)
    assert made.make(generated_instructions, expert_responses, week=WEEK, generated_instructions={"force": True})
    assert made.calls == asked


def test_a_forecast_has_two_reviews_for_each_rewrite_at_most(made: Project) -> None:
    from teams_dagster.policy.checkpoint import policy_seeds

    seeds, _ = policy_seeds(made.store.current("seed_instructions"))
    both, one = (
        PolicyConfig(iterations=2, both_orders=True, soft=True).training(),
        PolicyConfig(iterations=2).training(),
    )
    expected = {kind.role: kind for kind in training_questions(made.store, seeds, both, None)}
    assert expected[Role.REVIEWER].most == 2 * expected[Role.INSTRUCTOR].most == 2 * 2 * 32 * 6
    hard = {kind.role: kind for kind in training_questions(made.store, seeds, one, None)}
    assert expected[Role.REVIEWER].likely == 2 * hard[Role.REVIEWER].likely


def test_the_uniform_arm_is_reviewed_alike_and_asks_as_many_within_its_forecast(made: Project) -> None:
    beside = generation_beside(made.store, WEEK)
    most = {kind.role: kind.most for kind in uniform_questions(made.store, beside, None)}
    assert made.make(uniform_instructions, week=WEEK)
    table = rows(made, "uniform_instructions")
    assert beside.questions - 2 <= sum(row["queries"] for row in table) <= beside.questions
    assert {row["reward_preset"] for row in table} == {"graded_soft"}
    assert 2 * sum(row["review_request_id"] is not None for row in table) <= most[Role.REVIEWER]


def test_a_training_and_a_comparison_have_room_for_whole_episodes_in_both_orders() -> None:
    both, one = PolicyConfig(both_orders=True).training(), PolicyConfig().training()
    assert (both.most_queries_an_episode, one.most_queries_an_episode) == (18, 12)
    assert both.iterations * both.episodes_per_iteration * 18 <= 10_000
    plans = [ComparisonSettings().plan(training, {}) for training in (one, both)]
    assert [plan.config.questions_per_seed for plan in plans] == [24, 36]
    with pytest.raises(ValueError, match="questions_per_seed 12 is less than the 18"):
        ComparisonSettings(questions_per_seed=12).plan(both, {})


def test_a_soft_reward_by_a_reviewer_without_probabilities_is_refused_before_anything_is_asked(
    untrained: Project,
) -> None:
    project = untrained
    assert not project.make(trained_policy, trained_policy={"soft": True})
    (failure,) = project.last.get_step_failure_events()
    error = failure.step_failure_data.error
    assert error is not None
    assert "`soft: true` of trained_policy needs P(Not Equal), and reviewer offline" in (error.cause or error).message
    assert project.calls == 0


def test_an_endpoint_that_holds_replies_but_tells_no_probabilities_is_refused_too(
    untrained: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with OpenAIServer(lambda body: "Yes") as server:
        configured(monkeypatch, untrained.store.root, server)
        assert not untrained.make(trained_policy, trained_policy={"soft": True})
        assert server.count == 1, "only how it is held was found out"
