"""A policy whose reward counts dollars: trained, compared and replayed over a server that reports tokens."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from assets.accounting.sample_lineage import sample_lineage
from assets.dataset.expert_responses import expert_responses
from assets.dataset.generated_instructions import generated_instructions
from assets.dataset.instruction_dataset import instruction_dataset
from assets.policy.policy_comparison import policy_comparison
from assets.policy.trained_policy import trained_policy
from teams_dagster.environment.reward import RewardPreset
from teams_dagster.policy.checkpoint import load_policy
from teams_dagster.policy.comparison.stored import read_policy_scores
from teams_dagster.store.facts.accounting import LineageFacts
from tests.support.openai_server import Body, OpenAIServer, Reply
from tests.support.project import Project
from tests.support.served_rules import answer

WEEK = "2026-01-05"
PRICES = """
[[price]]
provider = "openai"
model = "strong"
input = 2500
output = 10000

[[price]]
provider = "openai"
model = "cheap"
input = 150
output = 600
"""
DOLLARS = {"reward": "dollars", "iterations": 1, "episodes_per_iteration": 32}


def counted(body: Body) -> Reply:
    """What the rules say, with a token for each four characters."""
    said = answer(body)
    asked = sum(len(message["content"]) for message in body["messages"])
    return Reply(said, prompt_tokens=asked // 4, completion_tokens=max(1, len(said) // 4))


@dataclass
class Made:
    """A project that was materialised once."""

    project: Project
    metadata: dict[str, dict]


@pytest.fixture(scope="module")
def made(few_seeds: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    data = Path(shutil.copytree(few_seeds, tmp_path_factory.mktemp("dollars"), dirs_exist_ok=True))
    (data / "prices.toml").write_text(PRICES, encoding="utf-8")
    with OpenAIServer(counted) as server, pytest.MonkeyPatch.context() as patched:
        patched.setenv("TEAMS_DATA_DIR", str(data))
        patched.setenv("TEAMS_PREFLIGHT", "off")
        patched.setenv("TEAMS_PRICES", str(data / "prices.toml"))
        for role, model in (("EXPERT", "strong"), ("REVIEWER", "cheap"), ("INSTRUCTOR", "cheap"), ("JUDGE", "cheap")):
            for name, value in (("MODEL", model), ("BASE_URL", server.base_url), ("STRUCTURED", "off")):
                patched.setenv(f"TEAMS_{role}_{name}", value)
        project = Project(data)
        line = (trained_policy, generated_instructions, expert_responses, instruction_dataset)
        assert project.make(
            *line, sample_lineage, week=WEEK, trained_policy=DOLLARS, generated_instructions={"seeds": 40}
        )
        metadata = {
            event.asset_key.to_user_string(): {k: v.value for k, v in event.materialization.metadata.items()}
            for event in project.last.get_asset_materialization_events()
            if event.asset_key
        }
        compared = {"ablations": ["trained_by_graded"], "baselines": ["round_robin", "lazy_one_edit"]}
        assert project.make(policy_comparison, policy_comparison=compared)
        yield Made(project, metadata)


@pytest.mark.slow
def test_the_policy_keeps_the_prices_that_it_was_trained_by(made: Made) -> None:
    config = load_policy(made.project.store.current("trained_policy")).config
    assert config.reward.preset is RewardPreset.DOLLARS
    assert config.reward.dollars is not None
    prices = config.reward.dollars.prices
    assert (int(prices.rewrite.input), int(prices.review.output)) == (2_500, 600)


@pytest.mark.slow
def test_rewards_in_dollars_are_replayed_from_the_tokens_on_the_ledger(made: Made) -> None:
    facts = made.project.store.current("sample_lineage").read_facts(LineageFacts)
    assert facts.rows_verified > 0
    assert facts.rows_not_verified == 0


@pytest.mark.slow
def test_dollars_per_kept_pair_plot_by_operation_and_by_step(made: Made) -> None:
    found = made.metadata["expert_responses"]
    assert found["dollars_per_kept_pair"] > 0
    assert found["dollars_per_kept_pair_step_0"] > 0
    assert any(name.startswith("dollars_per_kept_pair_") and "step" not in name for name in found)
    assert made.metadata["generated_instructions"]["dollars_per_accepted_edit"] > 0


@pytest.mark.slow
def test_every_policy_is_compared_in_dollars_of_a_generation(made: Made) -> None:
    scores = {(s.policy, s.metric): s.mean for s in read_policy_scores(made.project.store.current("policy_comparison"))}
    for policy in ("trained", "trained_by_graded", "uniform", "round_robin", "lazy_one_edit"):
        assert 0 < scores[policy, "dollars_per_distinct_accepted"] < 0.1
        assert scores[policy, "novelty_per_dollar"] > 1
    minus = scores["trained", "dollars_per_distinct_accepted_minus_trained_by_graded"]
    found = [scores[policy, "dollars_per_distinct_accepted"] for policy in ("trained", "trained_by_graded")]
    assert minus == pytest.approx(found[0] - found[1])
