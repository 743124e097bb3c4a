"""The whole line over real HTTP: killed half way, run to its end, run again.

With SOAK_SHARED=1 (`make soak`) its ledger is on PostgreSQL and its outputs in object storage.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from teams_dagster.instructions.seeds import shipped_seeds_path
from tests.support.object_storage import URL, credentials, empty_bucket, serving
from tests.support.openai_server import OpenAIServer
from tests.support.postgres import cluster, new_database
from tests.support.secrets import planted, traces
from tests.support.served_rules import answer

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
KEYS = {role: planted(role) for role in ("EXPERT", "REVIEWER", "INSTRUCTOR", "JUDGE")}
SEEDS = 70
KILL_AFTER = 300
"""Requests after which the first run is killed: in the middle of the policy's training."""

ASSETS = {
    "seed_instructions",
    "trained_policy",
    "policy_comparison",
    "generated_instructions",
    "expert_responses",
    "pair_scores",
    "instruction_dataset",
    "base_model",
    "lora_model",
    "qlora_model",
    "evaluation_scores",
    "judged_win_rate",
    "privacy_audit",
    "paper_table",
    "query_costs",
    "sample_lineage",
    "report",
}

SMALL: dict[str, Any] = {
    "ops": {
        "trained_policy": {"config": {"iterations": 2, "episodes_per_iteration": 32}},
        "policy_comparison": {"config": {"questions_per_seed": 12, "resamples": 200}},
        "generated_instructions": {"config": {"seeds": 60}},
        "base_model": {"config": {"steps": 8}},
        "lora_model": {"config": {"epochs": 0.3}},
        "qlora_model": {"config": {"epochs": 0.3}},
        "evaluation_scores": {"config": {"benchmarks": ["held_out_choice", "gsm8k"], "benchmark_limit": 2}},
        "judged_win_rate": {"config": {"questions": 6, "max_new_tokens": 8}},
    }
}


@dataclass
class Line:
    """A data folder with the server that answered, and what the runs printed."""

    data: Path
    server: OpenAIServer
    environment: dict[str, str]
    killed_at: int
    finished_at: int
    output: str

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*arguments), env=self.environment, cwd=ROOT, capture_output=True, text=True)

    def command(self, *arguments: str) -> list[str]:
        return [
            str(Path(sys.executable).with_name("teams")),
            "demo",
            "--config",
            str(self.data / "small.json"),
            *arguments,
        ]

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(self.data / "teams.duckdb", read_only=True) as connection:
            return connection.execute(sql).fetchall()


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    data = tmp_path_factory.mktemp("data")
    rows = shipped_seeds_path().read_text(encoding="utf-8").splitlines()[:SEEDS]
    (data / "seeds.jsonl").write_text("\n".join(rows), encoding="utf-8")
    SMALL["ops"]["evaluation_scores"]["config"]["benchmark_files"] = {"gsm8k": str(_arithmetic(data))}
    (data / "small.json").write_text(json.dumps(SMALL))
    with OpenAIServer(answer) as server, _shared() as shared:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("TEAMS_", "DAGSTER"))}
        environment |= {"TEAMS_DATA_DIR": str(data), "TEAMS_SEEDS": str(data / "seeds.jsonl"), "OMP_NUM_THREADS": "1"}
        environment |= shared
        environment["TEAMS_PREFLIGHT"] = (
            "off"  # the rules behind the server are no better than 0.68 on the labelled pairs
        )
        for role, key in KEYS.items():
            environment |= {
                f"TEAMS_{role}_MODEL": f"served-{role.lower()}",
                f"TEAMS_{role}_BASE_URL": server.base_url,
                f"TEAMS_{role}_STRUCTURED": "off",
                f"TEAMS_{role}_API_KEY": key,
            }
        line = Line(data, server, environment, 0, 0, "")
        line.killed_at = _kill_half_way(line)
        finished = line.run()
        line.output, line.finished_at = finished.stdout + finished.stderr, server.count
        assert finished.returncode == 0, line.output[-4000:]
        yield line


@contextmanager
def _shared() -> Iterator[dict[str, str]]:
    """Where the line's ledger and outputs are, where they are not in the data folder."""
    if not os.environ.get("SOAK_SHARED"):
        yield {}
        return
    with cluster() as postgres, serving() as storage:
        empty_bucket(storage)
        yield {"TEAMS_LEDGER_URL": new_database(postgres), "TEAMS_ARTEFACTS_URL": URL, **credentials(storage)}


def _arithmetic(data: Path) -> Path:
    """A few questions of GSM8K's shape."""
    rows = [{"question": f"{i} eggs and one more?", "answer": f"{i}+1\n#### {i + 1}"} for i in range(7)]
    (data / "arithmetic.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return data / "arithmetic.jsonl"


def _kill_half_way(line: Line) -> int:
    process = subprocess.Popen(
        line.command(), env=line.environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 240
    while line.server.count < KILL_AFTER:
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline, f"only {line.server.count} requests in four minutes"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return line.server.count


def test_a_killed_run_is_finished_by_the_same_command(line: Line):
    made = set(re.findall(r"^(\w+) +[\d.]+ +(?:made|reused)$", line.output, flags=re.MULTILINE))
    assert made == ASSETS


def test_no_answered_question_was_asked_again(line: Line):
    asked = Counter(json.dumps([b["model"], b["messages"], b.get("seed")]) for b in line.server.received)
    again = sum(count - 1 for count in asked.values())
    [(unresolved,)] = line.query("select count(*) from llm_calls where status = 'unresolved'")
    assert again <= unresolved <= 64


def test_the_ledger_counts_what_the_server_counted(line: Line):
    [(ok, failed, unresolved)] = line.query(
        "select count(*) filter (status = 'ok'), count(*) filter (status = 'failed'),"
        " count(*) filter (status = 'unresolved') from llm_calls"
    )
    assert failed == 0
    assert ok <= line.finished_at <= ok + unresolved


def test_the_ledger_counts_the_tokens_that_the_server_reported(line: Line):
    [(calls, prompt, completion)] = line.query(
        "select count(*), sum(prompt_tokens), sum(completion_tokens) from llm_calls where status = 'ok'"
    )
    assert (prompt, completion) == (10 * calls, 5 * calls)


def test_a_cost_that_is_not_known_is_null(line: Line):
    assert line.query("select count(*) from llm_calls where cost_nano_usd is not null") == [(0,)]


def test_every_sample_leads_back_to_a_seed_through_answered_calls(line: Line):
    assert line.query(
        "select count(*) from samples where sample_id not in (select sample_id from sample_lineage where hop = 1)"
    ) == [(0,)]
    assert line.query(
        "select count(*) from sample_lineage l left join llm_calls c on c.request_id = l.rewrite_request_id"
        " where c.status is distinct from 'ok'"
    ) == [(0,)]
    assert line.query("select count(*) > 50 from samples") == [(True,)]


def test_a_generation_joins_its_policy_and_the_seeds_of_both(line: Line):
    assert line.query(
        "select count(*), bool_and(p.seeds_version = g.seeds_version)"
        " from generations g join policies p using (policy_version)"
    ) == [(1, True)]


def test_every_model_and_every_score_is_there(line: Line):
    assert line.query("select kind from models order by kind") == [("base",), ("lora",), ("qlora",)]
    scored = line.query("select distinct model from evaluation_scores where metric = 'heldout_loss' order by model")
    assert {("base",), ("lora",), ("qlora",)} <= set(scored)
    assert line.query("select count(*) from policy_scores where policy = 'uniform'") != [(0,)]


def test_every_adapter_has_its_win_rate_by_a_judge_on_the_ledger(line: Line):
    assert line.query("select model, against from win_rates order by all") == [("lora", "base"), ("qlora", "base")]
    unbacked = (
        "select count(*) from judgements j left join llm_calls c on c.request_id = j.judge_request_id"
        " where c.role is distinct from 'judge'"
    )
    assert line.query(unbacked) == [(0,)]


def test_every_model_is_scored_on_the_benchmarks_named(line: Line):
    scored = line.query(
        "select model, task, n from evaluation_scores where metric in ('acc', 'exact_match,strict-match') order by all"
    )
    assert scored == [
        (model, task, 2) for model in ("base", "lora", "qlora") for task in ("gsm8k", "teams_held_out_choice")
    ]


def test_the_same_command_again_asks_nothing_and_makes_nothing(line: Line):
    again = line.run()
    assert again.returncode == 0, again.stdout[-4000:]
    assert line.server.count == line.finished_at
    assert set(re.findall(r"^(\w+) +[\d.]+ +reused$", again.stdout, flags=re.MULTILINE)) == ASSETS


def test_no_key_is_in_any_file(line: Line):
    (line.data / "terminal.txt").write_text(line.output)
    assert {headers["Authorization"] for headers in line.server.headers} == {f"Bearer {key}" for key in KEYS.values()}
    assert traces(line.data, KEYS.values()) == []


ARM = """
import json, sys, dagster as dg
from teams_dagster.definitions import defs
with dg.DagsterInstance.ephemeral() as instance:
    run = defs.resolve_job_def("uniform_arm").execute_in_process(partition_key=sys.argv[1], instance=instance)
    print(json.dumps({e.check_name: e.passed for e in run.get_asset_check_evaluations()}))
"""


@dataclass
class ArmRun:
    """The job `uniform_arm` beside the line, and what the line counted before."""

    before: list[tuple[Any, ...]]
    checks: dict[str, bool]


MAIN_LINE = (
    "select count(*), (select count(*) from evaluation_scores where model in ('base', 'lora', 'qlora')"
    " and not ends_with(task, '_uniform_arm')) from samples join transitions using (transition_id)"
    " where policy = 'trained'"
)


@pytest.fixture(scope="module")
def arm(line: Line) -> ArmRun:
    """Made last: the tests above tell of a line without it."""
    before = line.query(MAIN_LINE)
    [(week,)] = line.query("select partition_key from generations")
    command = [sys.executable, "-c", ARM, week]
    ran = subprocess.run(command, env=line.environment, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-4000:]
    return ArmRun(before, json.loads(ran.stdout.splitlines()[-1]))


def test_the_arm_asks_as_much_and_shares_no_sample(arm: ArmRun):
    assert arm.checks["arms_ask_the_same"]
    assert arm.checks["arms_are_apart"]


def test_the_arm_has_an_adapter_and_scores_of_its_own(line: Line, arm: ArmRun):
    [(adapters, datasets)] = line.query(
        "select count(*), count(distinct dataset_version) from models where kind like 'lora%'"
    )
    assert (adapters, datasets) == (2, 2)
    tasks = line.query(
        "select task from evaluation_scores where metric = 'heldout_loss_vs_lora' and model = 'lora_uniform'"
        " and ci_low <= value and value <= ci_high order by task"
    )
    assert tasks == [("heldout_loss",), ("heldout_loss_uniform_arm",)]


def test_the_arm_changes_no_count_of_the_line(line: Line, arm: ArmRun):
    assert line.query(MAIN_LINE) == arm.before


def test_the_table_beside_the_paper_has_both_arms(line: Line, arm: ArmRun):
    values = line.query("select quantity, whose, value from paper_table")
    told = {(quantity, whose): value for quantity, whose, value in values}
    assert told["pairs", "teams_rl_7b"] == 17_878
    assert 0 < told["pairs", "lora_uniform"] != told["pairs", "lora"]
    of_lora = "dataset_version in (select dataset_version from models where kind = 'lora')"
    [(trained_on,)] = line.query(f"select count(*) from dataset_samples where split = 'train' and {of_lora}")
    assert told["pairs", "lora"] == trained_on
    assert told["expert_queries", "lora"] + told["review_queries", "lora"] == told["queries", "lora"]
    difference = told["heldout_loss", "lora_uniform"] - told["heldout_loss", "lora"]
    assert told["heldout_loss", "lora_uniform_minus_lora"] == pytest.approx(difference, abs=1e-6)
