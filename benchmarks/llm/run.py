"""`python -m benchmarks.llm.run`: measure everything and write RESULTS.md.

The rivals' virtual environments are made under benchmarks/.venvs, scratch files under benchmarks/.runs; git ignores
both.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.llm import environments, machine
from benchmarks.llm.big_ledger import WHOLE_VIEWS
from benchmarks.llm.measurement import Bench, Measurement, Tool, Work
from benchmarks.llm.report import Circumstances, page
from benchmarks.llm.scenarios import FLOOR, OURS, Sizes, count, everything
from benchmarks.llm.server import Behaviour, answer_text
from benchmarks.llm.server_process import ServerProcess
from benchmarks.llm.tools.harness import Question
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import Operation
from teams_dagster.core.protocol import Role
from teams_dagster.instructions.requests import rewrite_query

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent
VENVS = ROOT / "benchmarks" / ".venvs"
SCRATCH = ROOT / "benchmarks" / ".runs"

LIBRARIES = ("aiohttp", "httpx", "httpx2", "openai", "litellm", "pydantic", "sqlalchemy", "duckdb", "pyarrow")
RIVALS = {"curator": "Curator", "data_designer": "DataDesigner", "distilabel": "distilabel"}
PACKAGES = {
    OURS: "teams-dagster",
    "curator_tool": "bespokelabs-curator",
    "data_designer_tool": "data-designer",
    "distilabel_tool": "distilabel",
}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--scale", type=float, default=1.0, help="below 1: fewer calls, to see whether all works")
    parser.add_argument("--only", nargs="*", metavar="TOOL", help="these tools alone (a trial)")
    parser.add_argument("--calls-in-ledger", type=int, default=1_000_000, help="of the large ledger; 0 leaves it out")
    parser.add_argument("--output", type=Path, default=FOLDER / "RESULTS.md")
    arguments = parser.parse_args()
    began = time.monotonic()
    tools = [tool for tool in _tools() if not arguments.only or tool.name in arguments.only]
    described = machine.describe(ROOT)
    sizes = Sizes(arguments.scale)
    shutil.rmtree(SCRATCH, ignore_errors=True)
    SCRATCH.mkdir(parents=True)
    questions = _questions(sizes.most())
    measurements: list[Measurement] = []
    raw = arguments.output.with_suffix(".jsonl")
    with ServerProcess(ROOT) as server, raw.open("w", encoding="utf-8") as kept:
        file = _write(questions, SCRATCH / "questions.jsonl")
        bench = Bench(ROOT, server, file, SCRATCH, environments.variables(VENVS))
        ceiling = _ceiling(bench, sizes)
        total = count(tools, arguments.repeats)
        for measurement in everything(bench, tools, sizes, arguments.repeats):
            measurements.append(measurement)
            kept.write(json.dumps(asdict(measurement)) + "\n")
            kept.flush()
            _say(f"{len(measurements)}/{total} after {time.monotonic() - began:.0f} s: {_line(measurement)}")
    big_ledger = _big_ledger(arguments.calls_in_ledger) if arguments.calls_in_ledger else None
    circumstances = Circumstances(
        date=datetime.now(UTC).date().isoformat(),
        minutes=(time.monotonic() - began) / 60,
        machine=described,
        versions={tool.name: _versions(tool) for tool in tools},
        repeats=arguments.repeats,
        sizes=sizes,
        scale=arguments.scale,
        answer_bytes=len(json.dumps(answer_text(questions[0].user))),
        question_bytes=len((questions[0].system + questions[0].user).encode()),
        ceiling=ceiling,
    )
    arguments.output.write_text(page(measurements, tools, circumstances, big_ledger), encoding="utf-8")
    for folder in (found for found in SCRATCH.iterdir() if found.is_dir()):
        shutil.rmtree(folder)
    _say(f"wrote {arguments.output} and {raw} after {time.monotonic() - began:.0f} s")


def _tools() -> list[Tool]:
    own = Path(sys.executable)
    rivals = [
        Tool(f"{name}_tool", label, environments.prepare(name, VENVS), rival=True) for name, label in RIVALS.items()
    ]
    return [Tool(OURS, "teams-dagster", own, rival=False), *rivals, Tool(FLOOR, "bare aiohttp", own, rival=False)]


def _questions(number: int) -> list[Question]:
    """The words of real rewrite questions, about as long as people's instructions are."""
    made = []
    for index in range(number):
        instruction = f"Case {index}: describe the causes of the delay, and propose two remedies with their costs."
        request = rewrite_query(Role.EXPERT, Operation.DEEPENING, Instruction(instruction))
        system, user = (message.content for message in request.messages)
        made.append(Question(instruction, system, user))
    return made


def _write(questions: Sequence[Question], file: Path) -> Path:
    file.write_text("".join(json.dumps(asdict(question)) + "\n" for question in questions), encoding="utf-8")
    return file


def _ceiling(bench: Bench, sizes: Sizes) -> Mapping[str, float]:
    """What the server can do: asked by the leanest client, without latency."""
    tool = Tool(FLOOR, "bare aiohttp", Path(sys.executable), rival=False)
    work = Work(sizes.throughput(OURS, 200), 200, Behaviour(latency_s=0.0))
    done = bench.run("ceiling", tool, work, 0)
    if done.figures is None:
        raise RuntimeError(f"the bare client cannot ask the server: {done.trouble}")
    return {
        "calls_per_s": work.calls / done.figures.seconds,
        "server_cpu_ms": 1_000 * done.server.cpu_s / done.server.requests,
    }


def _big_ledger(calls: int) -> Mapping[str, float]:
    folder = SCRATCH / "big-ledger"
    command = [sys.executable, "-m", "benchmarks.llm.big_ledger"]
    _say(f"building a ledger of {calls:,} calls")
    subprocess.run([*command, "build", folder, "--calls", str(calls)], cwd=ROOT, check=True)
    _say("reading it")
    figures: dict[str, float] = {}
    for step in (["measure", folder], *(["view", folder, "--view", view] for view in WHOLE_VIEWS)):
        done = subprocess.run([*command, *step], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
        figures |= json.loads(done.stdout)
    return figures


def _versions(tool: Tool) -> dict[str, str]:
    own = PACKAGES.get(tool.name)
    return environments.versions(tool.python, (*([own] if own else []), *LIBRARIES))


def _line(measurement: Measurement) -> str:
    figures = measurement.figures
    said = measurement.trouble if figures is None else f"{figures.seconds:.2f} s, {figures.kept} rows"
    at = f"{measurement.calls} calls, {measurement.parallel} parallel"
    return f"{measurement.scenario}, {measurement.tool}, {at}: {said}, {measurement.server.requests} received"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
