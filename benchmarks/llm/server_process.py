"""Starting, steering and reading the benchmark's server."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

from benchmarks.llm.server import Behaviour, Counters


class ServerProcess:
    """The server in a process of its own; start and end it with `with`."""

    def __init__(self, root: Path) -> None:
        """`root` is the project's folder."""
        self._root = root
        self._process: subprocess.Popen[str] | None = None
        self._address = ""

    @property
    def base_url(self) -> str:
        """What clients are given."""
        return f"{self._address}/v1"

    def __enter__(self) -> ServerProcess:
        command = [sys.executable, "-m", "benchmarks.llm.server"]
        self._process = subprocess.Popen(command, cwd=self._root, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self._address = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait()

    def reset(self, behaviour: Behaviour) -> None:
        """Behave like this from now on, and count from zero."""
        body = json.dumps(asdict(behaviour)).encode()
        request = urllib.request.Request(f"{self._address}/reset", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as response:
            response.read()

    def counters(self) -> Counters:
        """What was counted so far."""
        with urllib.request.urlopen(f"{self._address}/stats", timeout=10) as response:
            return Counters(**json.load(response))
