"""The page of claims: each can be reproduced by something that exists, and says what would refute it."""

from __future__ import annotations

import re
from importlib.util import find_spec

import pytest

from teams_dagster.automation import JOBS
from teams_dagster.cli import COMMANDS
from teams_dagster.definitions import defs
from teams_dagster.policy.baselines import baseline_names
from teams_dagster.policy.comparison.plan import KNOWN_ABLATIONS
from teams_dagster.policy.comparison.scores import METRICS
from tests.support.commands import ROOT

PAGE = (ROOT / "docs" / "claims.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.startswith(("| ---", "| Claim"))
]


def test_there_are_claims_of_the_policy_the_account_the_evaluation_and_the_machine() -> None:
    assert len(ROWS) >= 15


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:50])
def test_a_claim_says_how_to_reproduce_and_how_to_refute_it(row: list[str]) -> None:
    claim, _, reproduce, refuted = row
    assert claim
    assert refuted
    assert re.search(r"`make [a-z-]+`|`\.venv/bin/|job `\w+`|the report's", reproduce), reproduce


def named(pattern: str) -> list[str]:
    """What of the page `pattern` matches: something, or the page or the pattern changed."""
    found = re.findall(pattern, PAGE)
    assert found, pattern
    return found


def test_every_benchmark_and_file_that_is_named_exists() -> None:
    for module in named(r"-m (benchmarks[\w.]+)"):
        assert find_spec(module), module
    for path in named(r"((?:benchmarks|tests|teams_dagster)/[\w./]+)"):
        assert (ROOT / path).exists(), path


def test_every_job_check_target_and_command_that_is_named_exists() -> None:
    assert set(named(r"job `(\w+)`")) <= {job.name for job in JOBS}
    checks = {key.name for key in defs.resolve_asset_graph().asset_check_keys}
    assert {*named(r"check `(\w+)`"), *named(r"`(every_\w+)`")} <= checks
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert set(named(r"`make ([a-z-]+)`")) <= set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert set(named(r"`\.venv/bin/teams ([a-z-]+)")) <= set(COMMANDS)


def test_every_figure_that_would_refute_a_claim_can_be_looked_up() -> None:
    policies = {*baseline_names(), *KNOWN_ABLATIONS}
    for metric, policy in named(r"`(\w+)_minus_(\w+)`"):
        assert metric in METRICS, metric
        assert policy in policies, policy
