"""Chosen and rejected answers for preference training: `<split>.preference.jsonl`, beside the other files of a dataset.

One row is `{"prompt": [user], "chosen": [assistant], "rejected": [assistant]}`: TRL's conversational preference format
with an explicit prompt. Only rows with a worse answer are in it, and the files are there only where there are some.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from teams_dagster.core.files import replacing
from teams_dagster.core.instruction import user_message
from teams_dagster.dataset.sample import Example
from teams_dagster.instructions.seed_splits import Split

PREFERENCE = "preference"


def preference_file(split: str) -> str:
    """The name of a split's file."""
    return f"{split}.{PREFERENCE}.jsonl"


def write_preferences(folder: Path, splits: Mapping[Split, Iterable[Example]]) -> None:
    """Write the file of each split that has a row with a worse answer into `folder`."""
    for split, examples in splits.items():
        lines = [_line(example, example.rejected) for example in examples if example.rejected is not None]
        if lines:
            with replacing(folder / preference_file(split)) as draft:
                draft.write_text("".join(lines), encoding="utf-8")


def _line(example: Example, rejected: str) -> str:
    turns = {
        "prompt": ("user", user_message(example.instruction)),
        "chosen": ("assistant", example.response),
        "rejected": ("assistant", rejected),
    }
    row = {name: [{"role": role, "content": text}] for name, (role, text) in turns.items()}
    return json.dumps(row, ensure_ascii=False) + "\n"
