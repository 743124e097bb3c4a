"""A training asks the step that started it, which asks language models: keys, budgets and the ledger stay there.

Over a socket of this machine goes one batch at a time: eight bytes that say how long it is, and JSON.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from teams_dagster.rlgf.guides import Question

LENGTH_BYTES = 8
GUIDE, JUDGE = "guide", "judge"
"""What can be asked for."""


class AskingEnded(RuntimeError):
    """The step cannot ask any more; the message is its own."""


class StepConnection:
    """The training's end of the socket."""

    def __init__(self, address: Path) -> None:
        """Raises OSError where nobody listens at `address`."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(str(address))
        self.queries = 0
        """Queries that the step took to answer so far, those answered before included."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def guide(self, questions: Sequence[Question]) -> list[str]:
        """What `BlackBoxGuide` needs as its `ask`. Raises AskingEnded."""
        return self._ask(GUIDE, [[q.prompt, q.begun, q.room, q.key] for q in questions])

    def judge(self, answers: Sequence[tuple[str, str, str]]) -> list[float]:
        """Of each (prompt, answer, other answer) how far the judge prefers the answer, 0 to 1. Raises AskingEnded."""
        return self._ask(JUDGE, answers)

    def _ask(self, what: str, questions: Sequence[Any]) -> list[Any]:
        body = json.dumps({"what": what, "questions": questions}).encode()
        self._socket.sendall(len(body).to_bytes(LENGTH_BYTES, "big") + body)
        reply: dict[str, Any] = json.loads(self._read(int.from_bytes(self._read(LENGTH_BYTES), "big")))
        if "ended" in reply:
            raise AskingEnded(reply["ended"])
        self.queries += reply["queries"]
        return reply["answers"]

    def _read(self, size: int) -> bytes:
        parts, left = list[bytes](), size
        while left:
            part = self._socket.recv(min(left, 1 << 20))
            if not part:
                raise AskingEnded("the step that started this training has closed the connection")
            parts.append(part)
            left -= len(part)
        return b"".join(parts)
