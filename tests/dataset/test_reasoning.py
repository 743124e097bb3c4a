"""Thoughts of an expert: kept on request, beside answers and never in them, wherever a dataset is written to."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from teams_dagster.core.files import file_sha256
from teams_dagster.core.instruction import Instruction
from teams_dagster.core.protocol import Answer, Completion, LLMClient, ModelIdentity, Outcome, Request, Role
from teams_dagster.dataset.answers import Answering, answer_transitions
from teams_dagster.dataset.copying import Part, StoredDataset, copy_dataset
from teams_dagster.dataset.croissant import CROISSANT
from teams_dagster.dataset.curation import curate
from teams_dagster.dataset.export import examples_in, export_dataset
from teams_dagster.dataset.formats import Format, Thoughts
from teams_dagster.dataset.sample import Accepted, Example, Sample
from teams_dagster.dataset.splits import SPLITS
from teams_dagster.instructions.seed_splits import Split
from tests.support.datasets import CARD

THOUGHT = "Two and two. That is four."
WITH = Example("a", "s1", Instruction("Add.", "2 + 2"), "4", reasoning=THOUGHT)
WITHOUT = Example("b", "s2", Instruction("Name a tree."), "Oak.")


class Thinking:
    """Answers every query with an answer and a thought of so many words."""

    def __init__(self, words: int, text: str = "It is four.") -> None:
        self._completion = Completion(text, "stop", Outcome.USABLE, reasoning=" ".join(["hm"] * words) or None)

    async def ask(self, request: Request, *, transition_id: str | None = None, sample_id: str | None = None) -> Answer:
        return Answer(self._completion, "request", "key", reused=False)

    def identity(self, role: Role) -> ModelIdentity:
        return ModelIdentity("openai", "thinker")


def answered(client: LLMClient, reasoning_words: int | None) -> Sample:
    async def first() -> Sample:
        waiting = [Accepted("t", "e", 0, "seed", Instruction("Add two and two."))]
        work = Answering({"seed": 0}, "week", reasoning_words=reasoning_words)
        made = answer_transitions(client, waiting, work, width=1)
        return await anext(made)

    return asyncio.run(first())


@pytest.fixture
def stored(tmp_path: Path) -> StoredDataset:
    folder = tmp_path / "stored"
    rows: dict[Split, tuple[Example, ...]] = {"train": (WITH, WITHOUT), "validation": (WITHOUT,), "held_out": (WITH,)}
    export_dataset(folder / "files", rows, reasoning=True)
    digests = {f"files/{path.name}": file_sha256(path) for path in (folder / "files").iterdir()}
    card = replace(CARD, reasoned={"train": 1, "validation": 0, "held_out": 1})
    return StoredDataset(folder, digests, card)


def exported(stored: StoredDataset, target: Path, thoughts: Thoughts) -> Path:
    copy_dataset(stored, Part(tuple(Format), SPLITS, thoughts=thoughts), target)
    return target


def test_samples_are_without_thoughts_unless_asked_for():
    assert answered(Thinking(5), None).reasoning is None


def test_a_sample_keeps_the_thought_beside_its_response():
    sample = answered(Thinking(5), 5)
    assert (sample.accepted, sample.response, sample.reasoning) == (True, "It is four.", "hm hm hm hm hm")


def test_an_answer_whose_thought_is_longer_than_the_limit_is_refused_by_name():
    sample = answered(Thinking(6), 5)
    assert (sample.accepted, sample.reason) == (False, "reasoning_too_long")


def test_what_an_answer_says_counts_before_how_long_was_thought_about_it():
    assert answered(Thinking(6, "Sorry, no."), 5).reason == "short_apology"


def test_a_model_that_does_not_think_is_not_refused():
    sample = answered(Thinking(0), 5)
    assert (sample.accepted, sample.reasoning) == (True, None)


def test_a_thought_with_words_of_an_evaluation_set_drops_its_sample():
    thought = "the thirteen words that an evaluation set has in a row are these here"
    sample = Sample("a", "t", "e", 0, "w", "s", Instruction("Add."), "4", None, True, None, reasoning=thought)
    [drop] = curate([sample], evaluation_texts=[thought]).dropped
    assert drop.reason == "contaminated"


def test_thoughts_come_back_from_a_split_that_was_written(tmp_path: Path):
    export_dataset(tmp_path, {"train": (WITH, WITHOUT)}, reasoning=True)
    assert list(examples_in(tmp_path / "train.parquet")) == [WITH, WITHOUT]


def test_a_dataset_without_thoughts_has_no_column_for_them(tmp_path: Path):
    export_dataset(tmp_path, {"train": (WITHOUT,)})
    assert "reasoning" not in pq.read_schema(tmp_path / "train.parquet").names


def test_chat_rows_have_thoughts_as_reasoning_content(stored: StoredDataset, tmp_path: Path):
    folder = exported(stored, tmp_path / "export", Thoughts.FIELD)
    first, second = (json.loads(line)["messages"][1] for line in (folder / "train.chat.jsonl").open())
    assert first == {"role": "assistant", "content": "4", "reasoning_content": THOUGHT}
    assert second == {"role": "assistant", "content": "Oak."}


def test_chat_rows_have_thoughts_as_a_block_before_the_answer_where_that_is_asked_for(
    stored: StoredDataset, tmp_path: Path
):
    folder = exported(stored, tmp_path / "export", Thoughts.THINK)
    [first, second] = (json.loads(line)["messages"][1] for line in (folder / "train.chat.jsonl").open())
    assert first == {"role": "assistant", "content": f"<think>\n{THOUGHT}\n</think>\n\n4"}
    assert second["content"] == "Oak."


@pytest.mark.parametrize("thoughts", Thoughts)
def test_no_column_of_responses_has_a_thought_in_parquet(stored: StoredDataset, tmp_path: Path, thoughts: Thoughts):
    rows = pq.read_table(exported(stored, tmp_path / "export", thoughts) / "train.parquet").to_pylist()
    assert [row["output"] for row in rows] == ["4", "Oak."]


def test_an_export_without_thoughts_mentions_none(stored: StoredDataset, tmp_path: Path):
    for path in exported(stored, tmp_path / "export", Thoughts.NONE).iterdir():
        assert b"That is four" not in path.read_bytes(), path.name
        assert "reasoning" not in path.read_bytes().decode("utf-8", "replace"), path.name


def test_card_and_croissant_say_where_thoughts_stand(stored: StoredDataset, tmp_path: Path):
    folder = exported(stored, tmp_path / "export", Thoughts.FIELD)
    assert "kept of 2 examples, as `reasoning_content`" in (folder / "README.md").read_text(encoding="utf-8")
    assert '"@id": "train/reasoning"' in (folder / CROISSANT).read_text(encoding="utf-8")
