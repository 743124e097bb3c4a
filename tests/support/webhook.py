"""Servers that take alerts: HTTP for webhooks, SMTP for mail, both on loopback and both real enough to refuse."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Collection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Webhook:
    """Takes JSON by POST; `refuse` answers so many of the next ones with 503, `refuse_with` those that hold a text."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.refuse = 0
        self.refuse_with: str | None = None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                refused = outer.refuse > 0 or (outer.refuse_with is not None and outer.refuse_with in body.decode())
                status = 503 if refused else 200
                if refused:
                    outer.refuse = max(outer.refuse - 1, 0)
                else:
                    outer.received.append(json.loads(body))
                self.send_response(status)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the name of http.server)
                """Nothing: a test's output is its own."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/hook/s3cret-path"

    def __enter__(self) -> Webhook:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class MailBox:
    """An SMTP server that keeps what it is sent, and refuses some addresses."""

    def __init__(self, refused: Collection[str] = ()) -> None:
        self.received: list[str] = []
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self._say("220 ready")
                while line := self.rfile.readline().decode().strip():
                    verb = line[:4].upper()
                    if verb == "DATA":
                        self._say("354 go on")
                        outer.received.append(self._message())
                    if verb == "RCPT" and line.partition("<")[2].partition(">")[0] in refused:
                        self._say("550 no such mailbox")
                        continue
                    self._say("221 bye" if verb == "QUIT" else "250 ok")
                    if verb == "QUIT":
                        return

            def _message(self) -> str:
                lines: list[str] = []
                while (line := self.rfile.readline().decode()) != ".\r\n":
                    lines.append(line)
                return "".join(lines)

            def _say(self, text: str) -> None:
                self.wfile.write(f"{text}\r\n".encode())

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> MailBox:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
