"""The page of claims: each can be reproduced by something that exists, and says what would refute it."""

from __future__ import annotations

import re
from importlib.util import find_spec

import pytest

from assets.columns import POLICY_SCORES
from teams_dagster.automation import JOBS
from teams_dagster.definitions import defs
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


def test_every_benchmark_that_is_named_exists() -> None:
    for module in re.findall(r"-m (benchmarks[\w.]+)", PAGE):
        assert find_spec(module), module
    for path in re.findall(r"((?:benchmarks|tests|teams_dagster)/[\w./]+)", PAGE):
        assert (ROOT / path).exists(), path


def test_every_job_and_check_that_is_named_exists() -> None:
    jobs = set(re.findall(r"job `(\w+)`", PAGE))
    assert jobs <= {job.name for job in JOBS}
    checks = {key.name for key in defs.resolve_asset_graph().asset_check_keys}
    assert set(re.findall(r"`(every_\w+)`", PAGE)) <= checks


def test_the_columns_that_hold_the_figures_exist() -> None:
    assert "mean" in POLICY_SCORES
    assert "ci_low" in POLICY_SCORES
