"""Examples as the tokens a training reads, in Arrow: four bytes a token, however many examples there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from teams_dagster.dataset.sample import Example
from teams_dagster.student.chat import MASKED, ExampleTooLong, encode_example

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

AT_ONCE = 1_000
"""Examples that are Python objects at one time."""
SCHEMA = pa.schema({"input_ids": pa.list_(pa.int32()), "labels": pa.list_(pa.int32())})


@dataclass(frozen=True)
class Rows:
    """Encoded examples: `input_ids` and `labels`, MASKED on the prompt."""

    table: pa.Table
    too_long: tuple[str, ...]
    """Sample ids left out, because they exceed the length asked for."""

    def __len__(self) -> int:
        return self.table.num_rows

    @property
    def response_tokens(self) -> int:
        """Tokens that carry loss, the end-of-sequence tokens included."""
        labels = pc.call_function("list_flatten", [self.table["labels"]])
        return pc.call_function("sum", [pc.call_function("not_equal", [labels, MASKED])]).as_py() or 0


def encode_rows(tokenizer: PreTrainedTokenizerBase, examples: Iterable[Example], max_length: int) -> Rows:
    """Encodes what fits into `max_length` tokens, in order. Raises ValueError when there are some and none fits."""
    too_long: list[str] = []
    batches = list(_batches(tokenizer, iter(examples), max_length, too_long))
    rows = Rows(pa.Table.from_batches(batches, SCHEMA), tuple(too_long))
    if too_long and not len(rows):
        raise ValueError(f"none of {len(too_long)} examples fits in max_length {max_length} tokens: raise it")
    return rows


def _batches(
    tokenizer: PreTrainedTokenizerBase, examples: Iterator[Example], max_length: int, too_long: list[str]
) -> Iterator[pa.RecordBatch]:
    while group := list(islice(examples, AT_ONCE)):
        encoded = []
        for example in group:
            try:
                encoded.append(encode_example(tokenizer, example, max_length))
            except ExampleTooLong:
                too_long.append(example.sample_id)
        columns = {"input_ids": [e.input_ids for e in encoded], "labels": [e.labels for e in encoded]}
        yield pa.RecordBatch.from_pydict(columns, SCHEMA)
