"""The real client against a hub that refuses."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from teams_dagster.student.merging import CannotPush, push_folder
from tests.support.secrets import planted

TOKEN = planted("HUB")


class Hub(ThreadingHTTPServer):
    """Refuses whoever writes, and keeps what it heard: paths, and by whose leave."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Refusing)
        self.heard: list[tuple[str, str]] = []


class _Refusing(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Hub)
        self.server.heard.append((self.path, self.headers["Authorization"]))
        self.rfile.read(int(self.headers["Content-Length"]))
        said = b'{"error": "You may not write here"}'
        self.send_response(403)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name of http.server)
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with Hub() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield server
        server.shutdown()


def test_what_the_hub_says_is_told_without_the_token(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(CannotPush, match=r"did not take .* as somebody/model") as refused:
        push_folder(tmp_path, "somebody/model")
    assert "403" in str(refused.value)
    assert TOKEN not in str(refused.value)
    assert hub.heard == [("/api/repos/create", f"Bearer {TOKEN}")]


def test_a_hub_that_cannot_be_reached_is_named_by_its_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with pytest.raises(CannotPush, match="Connection refused"):
        push_folder(tmp_path, "somebody/model")


def test_a_name_that_is_none_is_refused(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(CannotPush, match="did not take"):
        push_folder(tmp_path, "not a/name at/all")


def test_without_a_token_nobody_is_asked(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(CannotPush, match="HF_TOKEN is not set"):
        push_folder(tmp_path, "somebody/model")
    assert hub.heard == []
