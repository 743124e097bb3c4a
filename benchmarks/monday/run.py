"""The tutorial's commands, from `.env` to 100 kept pairs, on a server that takes 50 ms an answer.

`python -m benchmarks.monday.run [SEEDS ...]` does it for the seeds that ship and for each file named, each in a new
project's folder, and writes RESULTS.md. The server is the embedded rules, which are told the labels of the preflight's
pairs; it answers from this process, the commands are processes of their own. The peer of each duration is what the
same queries would take one after another on that server.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq

from benchmarks.llm import machine
from benchmarks.policy.process import ROOT
from tests.support.openai_server import OpenAIServer
from tests.support.scripted_roles import honest_rules
from tests.support.token_prices import PRICES

LATENCY_S = 0.05
COMMANDS = ("preflight --quick", "preview --seeds 5", "dataset --samples 100", "export --to monday --lineage")


@dataclass(frozen=True)
class Command:
    """One command as it went."""

    wall_s: float
    cpu_s: float
    """Of its processes."""
    queries: int
    shown: str


@dataclass(frozen=True)
class Monday:
    """All commands on one file of seeds."""

    seeds: str
    commands: Mapping[str, Command]
    rows: int

    @property
    def likely(self) -> int:
        """Queries that the estimate of `teams dataset` says are likely."""
        (figure,) = re.findall(r"^all +([\d,]+)", self.commands["dataset --samples 100"].shown, re.MULTILINE)
        return int(figure.replace(",", ""))


def monday(seeds: Path | None) -> Monday:
    """Type the commands in a new folder; `seeds` None takes those that ship."""
    with TemporaryDirectory() as folder, OpenAIServer(honest_rules(), latency_s=LATENCY_S) as server:
        root = _project(Path(folder), server, seeds)
        done = {command: _typed(command, root, server) for command in COMMANDS}
        rows = pq.read_metadata(root / "monday" / "lineage.parquet").num_rows
    return Monday("shipped" if seeds is None else seeds.name, done, rows)


def _project(root: Path, server: OpenAIServer, seeds: Path | None) -> Path:
    for name in ("workspace.yaml", "dagster.yaml"):
        shutil.copy(ROOT / name, root / name)
    (root / "teams_dagster").mkdir()
    (root / "prices.toml").write_text(PRICES, encoding="utf-8")
    lines = {
        "TEAMS_MODEL": "my-model",
        "TEAMS_BASE_URL": server.base_url,
        "TEAMS_PRICES": "prices.toml",
        **({} if seeds is None else {"TEAMS_SEEDS": str(seeds.resolve())}),
    }
    (root / ".env").write_text("".join(f"{name}={value}\n" for name, value in lines.items()), encoding="utf-8")
    return root


def _typed(command: str, root: Path, server: OpenAIServer) -> Command:
    before, used, began = server.count, _cpu_s(), time.monotonic()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TEAMS_")}
    done = subprocess.run(
        [Path(sys.executable).parent / "teams", *command.split()],
        cwd=root,
        env=environment | {"DAGSTER_HOME": str(root / "home"), "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"teams {command} ended with {done.returncode}:\n{done.stdout}")
    return Command(time.monotonic() - began, _cpu_s() - used, server.count - before, done.stdout)


def _cpu_s() -> float:
    """Processor time of the processes that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def page(done: Sequence[Monday], described: Mapping[str, str], date: str) -> str:
    """The Markdown page."""
    told = "\n".join(f"- {name}: {value}" for name, value in described.items())
    head = (
        "# A dataset on Monday\n\nWritten by `python -m benchmarks.monday.run`: the tutorial's commands on a server"
        f" that takes {LATENCY_S * 1000:.0f} ms an answer; {date}.\n\n{told}"
    )
    rows = [
        "| seeds | rows | preflight | preview | dataset | all, s | processor, s | over one query after another |"
        " queries of preview and dataset | allowed |",
        "| --- |" + " ---: |" * 9,
        *(_row(one) for one in done),
    ]
    return f"{head}\n\n" + "\n".join(rows) + "\n\nAllowed: 75 and 1.3 times what the estimate says is likely.\n"


def _row(one: Monday) -> str:
    first, second, third = (one.commands[command] for command in COMMANDS[:3])
    wall_s = first.wall_s + second.wall_s + third.wall_s
    sent = second.queries + third.queries
    cells = [
        one.seeds,
        str(one.rows),
        *(f"{command.wall_s:.0f} s, {command.queries}" for command in (first, second, third)),
        f"{wall_s:.0f}",
        f"{first.cpu_s + second.cpu_s + third.cpu_s:.0f}",
        f"{wall_s / ((first.queries + sent) * LATENCY_S):.2f}",
        f"{sent:,}",
        f"{75 + 1.3 * one.likely:,.0f}",
    ]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", type=Path, nargs="*", help="files of seeds beside those that ship")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "RESULTS.md")
    asked = parser.parse_args()
    described = machine.describe(ROOT)
    done: list[Monday] = []
    for seeds in (None, *asked.seeds):
        done.append(monday(seeds))
        asked.output.write_text(page(done, described, f"{datetime.now(UTC):%Y-%m-%d}"), encoding="utf-8")
        print(_row(done[-1]), flush=True)


if __name__ == "__main__":
    main()
