"""One run of one tool in a new process, and what it and the server counted."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.llm.server import Behaviour, Counters
from benchmarks.llm.server_process import ServerProcess

GIVE_UP_AFTER_S = 15.0
"""A tool that sends nothing for so long has stopped working: no tool waits longer before it tries again."""

_POLL_S = 0.01

_ERROR = re.compile(r"^(?:\w+\.)*(\w+(?:Error|Exception))\b", re.MULTILINE)
"""The names of exceptions in a log."""


@dataclass(frozen=True)
class Tool:
    """Something that is measured."""

    name: str
    label: str
    python: Path
    rival: bool

    @property
    def module(self) -> str:
        """Its script."""
        return f"benchmarks.llm.tools.{self.name}"


@dataclass(frozen=True)
class Work:
    """What a tool is told to do."""

    calls: int
    parallel: int
    behaviour: Behaviour = field(default_factory=Behaviour)
    resumable: bool = False


@dataclass(frozen=True)
class Figures:
    """What the tool's process measured and said; None where it did not end by itself."""

    seconds: float
    cpu_s: float
    max_rss_mb: float
    startup_s: float
    kept: int
    tokens: int | None
    lost: int


@dataclass(frozen=True)
class Measurement:
    """One run, or a run that was killed with the one that went on."""

    scenario: str
    tool: str
    repeat: int
    calls: int
    parallel: int
    figures: Figures | None
    server: Counters
    trouble: str | None = None
    """Why there are no figures."""
    latency_s: float = Behaviour().latency_s
    """Of the server."""


@dataclass(frozen=True)
class Bench:
    """Where tools run."""

    root: Path
    server: ServerProcess
    questions: Path
    scratch: Path
    variables: Mapping[str, str]

    def state(self, tool: Tool, scenario: str) -> Path:
        """A tool's folder for a scenario."""
        return self.scratch / f"{scenario}-{tool.name}"

    def run(self, scenario: str, tool: Tool, work: Work, repeat: int, *, again: bool = False) -> Measurement:
        """Run `tool` from nothing, or over what its last run of the scenario left."""
        self._begin(scenario, tool, work, fresh=not again)
        figures, trouble = self._finish(self._spawn(scenario, tool, work, again=again))
        return self._measured(scenario, tool, work, repeat, figures, trouble)

    def run_killed(self, scenario: str, tool: Tool, work: Work, repeat: int) -> Measurement:
        """Kill `tool` with all its processes when half of the calls have arrived, then run it again."""
        self._begin(scenario, tool, work, fresh=True)
        running = self._spawn(scenario, tool, work, again=False)
        while self.server.counters().requests < work.calls / 2:
            if running.poll() is not None:
                return self._measured(scenario, tool, work, repeat, None, "ended before it could be killed")
            time.sleep(_POLL_S)
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        figures, trouble = self._finish(self._spawn(scenario, tool, work, again=True))
        return self._measured(scenario, tool, work, repeat, figures, trouble)

    def _measured(
        self, scenario: str, tool: Tool, work: Work, repeat: int, figures: Figures | None, trouble: str | None
    ) -> Measurement:
        counted, latency_s = self.server.counters(), work.behaviour.latency_s
        return Measurement(scenario, tool.name, repeat, work.calls, work.parallel, figures, counted, trouble, latency_s)

    def _begin(self, scenario: str, tool: Tool, work: Work, *, fresh: bool) -> None:
        if fresh:
            shutil.rmtree(self.state(tool, scenario), ignore_errors=True)
        self.server.reset(work.behaviour)

    def _spawn(self, scenario: str, tool: Tool, work: Work, *, again: bool) -> subprocess.Popen[bytes]:
        options = {
            "--base-url": self.server.base_url,
            "--questions": self.questions,
            "--calls": work.calls,
            "--parallel": work.parallel,
            "--state": self.state(tool, scenario),
            "--spawned-at": time.time(),
        }
        command = [str(tool.python), "-m", tool.module]
        command += [str(part) for option in options.items() for part in option]
        command += ["--again"] * again + ["--resumable"] * work.resumable
        with self._output.open("wb") as output, self._log.open("wb") as log:
            return subprocess.Popen(
                command, cwd=self.root, env=self.variables, stdout=output, stderr=log, start_new_session=True
            )

    def _finish(self, running: subprocess.Popen[bytes]) -> tuple[Figures | None, str | None]:
        """Wait for a tool; what it measured, or what went wrong."""
        if not self._ends(running):
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
            return None, "hung"
        lines = self._output.read_text(encoding="utf-8", errors="replace").splitlines()
        if running.returncode != 0 or not lines:
            log = self._log.read_text(encoding="utf-8", errors="replace")
            errors = _ERROR.findall(log)
            shutil.copy(self._log, self.scratch / f"failed-{running.pid}.log")
            return None, f"failed: {errors[-1] if errors else f'exit code {running.returncode}'}"
        return Figures(**json.loads(lines[-1])), None

    def _ends(self, running: subprocess.Popen[bytes]) -> bool:
        """Whether a tool ends by itself; not, when the server hears nothing of it for too long."""
        requests, heard_at = -1, time.monotonic()
        while True:
            try:
                running.wait(timeout=1.0)
                return True
            except subprocess.TimeoutExpired:
                counted = self.server.counters().requests
            if counted != requests:
                requests, heard_at = counted, time.monotonic()
            elif time.monotonic() - heard_at > GIVE_UP_AFTER_S:
                return False

    @property
    def _output(self) -> Path:
        return self.scratch / "stdout"

    @property
    def _log(self) -> Path:
        return self.scratch / "stderr"
