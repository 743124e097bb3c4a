"""Which replies a query allows, and the forms in which a model that is held to them gives them.

The prompt states the plain form: the bare reply, or texts under labels. Some ways of holding a model to its replies
force JSON instead; what comes back is turned into the plain form strictly, so that nothing else reads JSON.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from teams_dagster.core.type_guards import is_dict

STRUCTURED = "structured"
"""The trait of an endpoint that says how models there are held to their replies: a Way, or `OFF`."""

OFF = "off"


class Way(StrEnum):
    """How a model is held to the replies that a query allows."""

    JSON_SCHEMA = "json_schema"
    """`response_format` with a JSON schema: OpenAI, llama.cpp, vLLM, Ollama, LiteLLM."""
    CHOICE = "choice"
    """vLLM's `structured_outputs`."""
    GRAMMAR = "grammar"
    """llama.cpp's `grammar`."""
    LOGPROBS = "logprobs"
    """Local weights score each allowed reply. Replies of free text are not held."""


@dataclass(frozen=True)
class Choice:
    """One of a few replies, word for word."""

    name: str
    """What the reply is called where it is a field of a JSON object."""
    replies: tuple[str, ...]

    @property
    def properties(self) -> dict[str, Any]:
        """The JSON schema of each field."""
        return {self.name: {"type": "string", "enum": list(self.replies)}}

    @property
    def example(self) -> str:
        """The JSON form, as a model is told it."""
        return f'{{"{self.name}": {" | ".join(json.dumps(reply) for reply in self.replies)}}}'

    def plain(self, fields: dict[str, str]) -> str | None:
        """The bare reply; None for one that is not allowed."""
        return self.checked(fields[self.name])

    def checked(self, text: str) -> str | None:
        """`text` where it is an allowed reply."""
        return text if text in self.replies else None


@dataclass(frozen=True)
class Parts:
    """Texts under labels, each label at the beginning of a line: `Instruction: ...`, then `Input: ...`."""

    labels: tuple[str, ...]

    @property
    def properties(self) -> dict[str, Any]:
        """The JSON schema of each field."""
        return {label.lower(): {"type": "string"} for label in self.labels}

    @property
    def example(self) -> str:
        """The JSON form, as a model is told it."""
        return json.dumps({label.lower(): "..." for label in self.labels})

    def plain(self, fields: dict[str, str]) -> str | None:
        """The labelled texts; None where one of them holds a line that looks like the next label."""
        return self.checked("\n".join(f"{label}: {fields[label.lower()].strip()}" for label in self.labels))

    def checked(self, text: str) -> str | None:
        """`text` where every label begins exactly one line, in their order."""
        found = re.findall(rf"^({'|'.join(map(re.escape, self.labels))}):", text, re.MULTILINE)
        return text if tuple(found) == self.labels and text.startswith(f"{self.labels[0]}:") else None


AllowedReplies = Choice | Parts


def is_json(way: Way, allowed: AllowedReplies) -> bool:
    """Whether replies come as a JSON object; otherwise in the form that the prompt states."""
    return way is Way.JSON_SCHEMA or (way is Way.CHOICE and isinstance(allowed, Parts))


def json_schema(allowed: AllowedReplies) -> dict[str, Any]:
    """The JSON schema of the object that holds a reply, in the form that strict endpoints take."""
    properties = allowed.properties
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def read_reply(way: Way, allowed: AllowedReplies, text: str) -> str | None:
    """The plain form of a reply that a model was held to; None for any other text."""
    if not is_json(way, allowed):
        return allowed.checked(text.strip())
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not is_dict(fields) or fields.keys() != allowed.properties.keys():
        return None
    return allowed.plain(fields) if all(isinstance(value, str) for value in fields.values()) else None


def replies_json(allowed: AllowedReplies) -> str:
    """The allowed replies as the ledger keeps them: each field with its replies, or with `text`."""
    return json.dumps({name: schema.get("enum", "text") for name, schema in allowed.properties.items()})


def read_replies(kept: str) -> AllowedReplies:
    """What `replies_json` wrote."""
    fields: dict[str, Any] = json.loads(kept)
    ((name, replies), *others) = fields.items()
    if others or replies == "text":
        return Parts(tuple(label.capitalize() for label in fields))
    return Choice(name, tuple(replies))
