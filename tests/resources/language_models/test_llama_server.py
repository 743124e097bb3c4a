"""llama.cpp's own server: what is said where it cannot serve. With real weights it is met in `tests/llm`."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from resources.language_models.llama_server import LlamaServer, ServerNotStarted


def test_a_port_that_somebody_listens_on_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServerNotStarted, match=f"port {port} of 127.0.0.1 is taken"):
            LlamaServer(tmp_path / "model.gguf", port=port).start()


def test_a_file_that_is_no_model_is_named_with_what_the_server_says(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"no model")
    with pytest.raises(ServerNotStarted, match=r"does not serve .*broken\.gguf"):
        LlamaServer(broken).start()
