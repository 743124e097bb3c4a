"""The toy language model of this benchmark: every edit adds ten fresh words, most reviews find it new.

It is a function of the question alone, so that every run meets the same answers. `answer` reads a chat completions
body, for the server; `InstantModel` answers at once in process.
"""

from __future__ import annotations

import hashlib
import json
import re
from importlib.resources import files
from typing import Any

from teams_dagster.core.instruction import Instruction
from teams_dagster.core.operations import Returns
from teams_dagster.core.protocol import Answer, Completion, ModelIdentity, Outcome, Purpose, Request, Role

WORDS_ADDED = 10

ONE_EQUAL_IN = 8
"""Of so many edits, the reviewer calls one Equal: the chain stays, as it does with real models."""

_BOTH = "Input: the new input"
"""Stands in the prompts whose replies state instruction and input."""

_OLD = re.compile(r"<instruction>\n(.*?)\n</instruction>(?:\n+<input>\n(.*?)\n</input>)?", re.DOTALL)


def seeds(count: int) -> dict[str, Instruction]:
    """`count` different seeds by id: the shipped ones, over again with a number as often as need be."""
    lines = (files("teams_dagster.instructions") / "data" / "seeds.jsonl").read_text(encoding="utf-8").splitlines()
    shipped = [json.loads(line) for line in lines]
    made = {}
    for index in range(count):
        row, again = shipped[index % len(shipped)], index // len(shipped)
        text = f"{row['instruction']} Case {again}." if again else row["instruction"]
        made[f"seed-{index:05}"] = Instruction(text, row.get("input", ""))
    return made


def answer(body: dict[str, Any]) -> str:
    """The reply to a chat completions body that holds one of this project's prompts."""
    system, user = (message["content"] for message in body["messages"])
    old = _OLD.search(user)
    if old is None:
        return _verdict(user)
    return _edit(old[1], old[2] or "", both=_BOTH in system, salt=system + user)


class InstantModel:
    """An `LLMClient` whose answers take no time and are kept nowhere."""

    def identity(self, role: Role) -> ModelIdentity:
        """The same model for every role."""
        return ModelIdentity("instant", "toy")

    async def ask(self, request: Request, *, transition_id: str | None = None, sample_id: str | None = None) -> Answer:
        """Answer by what the question means: no prompt is read."""
        intent, salt = request.intent, request.messages[-1].content
        if intent.purpose is Purpose.REVIEW:
            text = _verdict(salt)
        else:
            both = intent.operation is not None and intent.operation.returns is Returns.INSTRUCTION_AND_INPUT
            salt = request.messages[0].content + salt
            text = _edit(intent.before.text, intent.before.input, both=both, salt=salt)
        key = _digest(salt).hex()
        return Answer(Completion(text, "stop", Outcome.USABLE), key, key, reused=False)


def _edit(text: str, material: str, *, both: bool, salt: str) -> str:
    digest = _digest(salt).hex()
    fresh = " ".join(f"w{digest[at : at + 4]}" for at in range(0, 4 * WORDS_ADDED, 4))
    edited = f"{text} Also consider {fresh}."
    return f"Instruction: {edited}\nInput: {material or 'None'}" if both else edited


def _verdict(user: str) -> str:
    return "Equal" if _digest(user)[0] % ONE_EQUAL_IN == 0 else "Not Equal"


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=2 * WORDS_ADDED).digest()
