"""llama.cpp's own OpenAI server, in a process of its own: a real model that can be killed and started again."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from types import TracebackType

from tests.support.commands import ROOT

STARTS_WITHIN_S = 60.0


class LlamaServer:
    """Serves the GGUF file `model` at `url` while its block lasts; after `kill`, `start` serves it there again."""

    def __init__(self, model: Path, *, slots: int = 4, tokens_a_slot: int = 2048) -> None:
        """`slots` requests are answered at once; prompt and reply of each have `tokens_a_slot` together."""
        self._model = model
        self._slots = slots
        self._tokens = slots * tokens_a_slot
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The base URL of the OpenAI protocol."""
        return f"http://127.0.0.1:{self._port}/v1"

    def start(self) -> None:
        """Start the server and wait until it answers. Raises RuntimeError with its log when it does not."""
        command = [sys.executable, "-m", "tests.support.llama_server"]
        arguments = [str(self._model), str(self._port), str(self._slots), str(self._tokens)]
        with tempfile.TemporaryFile() as log:
            self._process = subprocess.Popen([*command, *arguments], cwd=ROOT, stdout=log, stderr=log)
            until = time.monotonic() + STARTS_WITHIN_S
            while not self._healthy():
                if self._process.poll() is not None or time.monotonic() > until:
                    self.kill()
                    log.seek(0)
                    raise RuntimeError(f"llama.cpp does not serve {self._model}: {log.read()[-2000:].decode()}")
                time.sleep(0.05)

    def kill(self) -> None:
        """`kill -9`: what was under way gets no answer."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _healthy(self) -> bool:
        with contextlib.suppress(OSError):
            return urllib.request.urlopen(f"http://127.0.0.1:{self._port}/health", timeout=5).status == 200
        return False

    def __enter__(self) -> LlamaServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _serve(model: str, port: int, slots: int, tokens: int) -> None:
    """Serve until killed; ends with the process that started it."""
    import xllamacpp

    from teams_dagster.student.isolation import die_with

    die_with(os.getppid())
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_parallel = slots
    params.n_ctx = tokens
    params.cpuparams.n_threads = 1
    params.enable_reasoning = 0
    server = xllamacpp.Server(params)  # it serves while it is referred to
    while server:
        time.sleep(3600)


if __name__ == "__main__":
    _serve(sys.argv[1], *map(int, sys.argv[2:]))
