"""llama.cpp's own OpenAI server (package xllamacpp), in a process of its own that dies with the one that started it."""

from __future__ import annotations

import contextlib
import importlib
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

STARTS_WITHIN_S = 60.0


class ServerNotStarted(RuntimeError):
    """llama.cpp's server does not answer; the message says why."""


class LlamaServer:
    """Serves the GGUF file `model` at `url` while its block lasts; after `kill`, `start` serves it there again."""

    def __init__(
        self, model: Path, *, port: int | None = None, slots: int = 4, tokens_a_slot: int = 2048, threads: int = 1
    ) -> None:
        """Nothing is started yet.

        Args:
            model: The GGUF file.
            port: Of 127.0.0.1; None: any that is free. The address is part of a query's key: with the same one, what
                is answered is not asked again.
            slots: Requests that are answered at once.
            tokens_a_slot: Prompt and reply of each, together.
            threads: That compute.
        """
        self._model = model
        self._slots = slots
        self._tokens = slots * tokens_a_slot
        self._threads = threads
        self._port = port or _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The base URL of the OpenAI protocol."""
        return f"http://127.0.0.1:{self._port}/v1"

    def start(self) -> None:
        """Start the server and wait until it answers. Raises ServerNotStarted: the port is taken, or with its log."""
        if _taken(self._port):
            raise ServerNotStarted(f"port {self._port} of 127.0.0.1 is taken: end what listens there, and begin again")
        command = [sys.executable, "-m", "resources.language_models.llama_server"]
        arguments = [str(self._model), *map(str, (self._port, self._slots, self._tokens, self._threads))]
        with tempfile.TemporaryFile() as log:
            self._process = subprocess.Popen([*command, *arguments], stdout=log, stderr=log)
            until = time.monotonic() + STARTS_WITHIN_S
            while not self._healthy():
                if self._process.poll() is not None or time.monotonic() > until:
                    self.kill()
                    log.seek(0)
                    raise ServerNotStarted(f"llama.cpp does not serve {self._model}: {log.read()[-2000:].decode()}")
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


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _serve(model: str, port: int, slots: int, tokens: int, threads: int) -> None:
    """Serve until killed; ends with the process that started it."""
    from teams_dagster.student.isolation import die_with

    die_with(os.getppid())
    xllamacpp: Any = importlib.import_module("xllamacpp")  # it tells a type checker nothing
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_parallel = slots
    params.n_ctx = tokens
    params.cpuparams.n_threads = threads
    params.enable_reasoning = 0
    server = xllamacpp.Server(params)  # it serves while it is referred to
    while server:
        time.sleep(3600)


if __name__ == "__main__":
    _serve(sys.argv[1], *map(int, sys.argv[2:]))
