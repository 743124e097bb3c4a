"""What each measuring process says about itself, and how it is started."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter

Made = TypeVar("Made")

ROOT = Path(__file__).parents[2]
"""The project's folder."""


@dataclass(frozen=True)
class Cost:
    """What a piece of work took."""

    seconds: float
    cpu_s: float
    """Of this process, all its threads, and of the processes that it started and that have ended."""
    peak_mb: float
    """Resident memory at its highest, less that before."""
    load: float
    """Of the machine afterwards."""


def cost_of(work: Callable[[], object]) -> Cost:
    """Do `work` and weigh it."""
    _forget_peak()
    before_kb, cpu, began = _status_kb("VmRSS"), _cpu_s(), time.perf_counter()
    work()
    seconds, cpu_s = time.perf_counter() - began, _cpu_s() - cpu
    return Cost(seconds, cpu_s, (_peak_kb() - before_kb) / 1024, load())


def in_new_process(
    made: type[Made],
    module: str,
    *,
    package: str = "benchmarks.policy",
    environment: Mapping[str, str] | None = None,
    **options: object,
) -> Made:
    """What a `module` of `package` prints as the last line of stdout: JSON that says a `made`.

    An option's value may be a list; `environment` is added to that of this process. Raises
    subprocess.CalledProcessError; what went wrong is on stderr.
    """
    command = [sys.executable, "-m", f"{package}.{module}"]
    for name, value in options.items():
        values = value if isinstance(value, (list, tuple)) else [value]
        command += [f"--{name.replace('_', '-')}", *map(str, values)]
    added = os.environ | dict(environment or {})
    done = subprocess.run(command, cwd=ROOT, env=added, check=True, stdout=subprocess.PIPE, text=True)
    return TypeAdapter(made).validate_json(done.stdout.splitlines()[-1])


def load() -> float:
    """How many processes ran or wanted to in the last minute, on the whole machine."""
    return os.getloadavg()[0]


def _cpu_s() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _forget_peak() -> None:
    """Let the kernel count the peak of resident memory afresh (man 5 proc, clear_refs)."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return  # then the peak is the process's: at least what it should be


def _peak_kb() -> int:
    return _status_kb("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _status_kb(name: str) -> int:
    """A field of /proc/self/status; 0 where there is none."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 0)
