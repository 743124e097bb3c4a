"""The dataset's held-out side as documents of the harness's local tasks.

The tasks are ordinary ones: `lm-eval run --include_path <this folder>/local --tasks teams_held_out_choice
--apply_chat_template --metadata '{"held_out": "held_out.jsonl"}'` scores any model on the same file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from teams_dagster.core.instruction import user_message
from teams_dagster.core.rng import generator
from teams_dagster.core.type_guards import is_dict
from teams_dagster.evaluation.choice import Question

if TYPE_CHECKING:
    from datasets import DatasetDict  # pyright: ignore[reportMissingTypeStubs]

LOCAL_TASKS = Path(__file__).parent / "local"
DATA = "held_out"
"""The key of a task's metadata that names the file."""


def write_held_out(questions: Sequence[Question], path: Path, *, seed: int) -> None:
    """One document a question, its choices in an order drawn by (seed, sample)."""
    with path.open("w", encoding="utf-8") as file:
        for question in questions:
            file.write(json.dumps(_document(question, seed), ensure_ascii=False, sort_keys=True) + "\n")


def _document(question: Question, seed: int) -> dict[str, Any]:
    example = question.example
    order = generator("held-out choices", seed, example.sample_id).permutation(len(question.choices))
    return {
        "sample_id": example.sample_id,
        "prompt": user_message(example.instruction),
        "response": example.response,
        "choices": [question.choices[int(i)] for i in order],
        "answer": int(list(order).index(0)),
    }


def read_documents(path: Path) -> list[dict[str, Any]]:
    """The rows of a file in JSON lines. Raises ValueError with the line's number where one is none."""
    documents: list[dict[str, Any]] = []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                document = json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"{path}, line {number}: {error}") from None
            if not is_dict(document):
                raise ValueError(f"{path}, line {number}: not an object but {type(document).__name__}")
            documents.append(document)
    if not documents:
        raise ValueError(f"{path} holds no rows")
    return documents


def read_held_out(held_out: str = "", **_: Any) -> DatasetDict:
    """What the tasks' files call: `held_out` comes from the task's metadata. Raises ValueError where it is missing."""
    from datasets import Dataset, DatasetDict  # pyright: ignore[reportMissingTypeStubs]

    if not held_out:
        raise ValueError(f"the task reads a file of the dataset's held-out side: name it in the metadata as {DATA!r}")
    documents = Dataset.from_list(read_documents(Path(held_out)))  # pyright: ignore[reportUnknownMemberType] (the library's own)
    return DatasetDict({"test": documents})


def answer_metrics(document: Mapping[str, Any], results: Sequence[tuple[float, bool]]) -> dict[str, float]:
    """Loss of the response after its prompt, in nats per UTF-8 byte, and whether greedy decoding would write it.

    By the byte, so that students with different tokenizers can be compared.
    """
    ((log_probability, greedy),) = results
    return {
        "nats_per_byte": -log_probability / len(document["response"].encode("utf-8")),
        "greedy_match": float(greedy),
    }
