"""The tutorial is typed, command by command, against a server that answers in fifty milliseconds."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from datasets import load_dataset

from teams_dagster.cli import main
from teams_dagster.ledger.costs import total_cost
from teams_dagster.ledger.writer import Ledger
from teams_dagster.settings import load_settings
from tests.support.commands import ROOT, blocks_in
from tests.support.openai_server import OpenAIServer
from tests.support.scripted_roles import honest_rules
from tests.support.seed_files import questions_without_input
from tests.support.token_prices import PRICES

PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
COMMANDS = [
    shlex.split(line)[1:]
    for block in blocks_in(PAGE, "tutorial.md")
    if block.language == "sh"
    for line in block.text.splitlines()
    if line.startswith("teams ")
]
PREVIEW = 75


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder in which nothing was made, with somebody's seeds and prices."""
    for name in ("workspace.yaml", "dagster.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "teams_dagster").mkdir()
    questions_without_input(tmp_path / "seeds.jsonl")
    (tmp_path / "prices.toml").write_text(PRICES, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TEAMS_PREFLIGHT")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer(honest_rules(), latency_s=0.05) as server:
        yield server


def typed(command: list[str], server: OpenAIServer) -> Result:
    answers = f"{server.base_url}\nmy-model\n\n" if command[0] == "init" else None
    result = CliRunner().invoke(main, command, input=answers)
    assert result.exit_code == 0, f"teams {' '.join(command)}\n{result.output}\n{result.exception}"
    return result


def likely_queries(shown: str) -> int:
    """What an estimate says is likely in all."""
    (figure,) = re.findall(r"^all +([\d,]+)", shown, re.MULTILINE)
    return int(figure.replace(",", ""))


@pytest.mark.slow
def test_what_is_typed_on_monday_ends_in_a_hundred_pairs_and_their_bill(root: Path, server: OpenAIServer) -> None:
    shown: dict[str, str] = {}
    sent: dict[str, int] = {}
    for command in COMMANDS:
        before = server.count
        shown[command[0]] = typed(command, server).output
        sent[command[0]] = server.count - before
        if command[0] == "init":
            (lines,) = [block.text for block in blocks_in(PAGE, "tutorial.md") if block.language == "dotenv"]
            with (root / ".env").open("a", encoding="utf-8") as file:
                file.write(lines)
    assert "5 seeds" in shown["preview"]
    assert "100 samples: " in shown["dataset"]
    assert sent["preview"] <= PREVIEW
    assert sent["preview"] + sent["dataset"] <= PREVIEW + 1.3 * likely_queries(shown["dataset"])
    opened = load_dataset("monday")
    assert sum(split.num_rows for split in opened.values()) == 100
    assert pq.read_metadata(root / "monday" / "lineage.parquet").num_rows == 100
    with Ledger(load_settings(root).ledger_url) as ledger:
        total = total_cost(ledger)
    assert total.calls == server.count, "every query that the server received is on the bill"
    assert total.unpriced == 0
    assert (
        f"total: {total.asked:,} queries, {total.calls:,} attempts, ${total.cost_nano_usd / 1e9:,.4f}" in shown["costs"]
    )
