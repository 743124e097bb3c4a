"""Examples as the tokens a training reads, in Arrow, four bytes a token; and the order in which it meets them.

The order is a function of seed and epoch, whatever ran before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from torch.utils.data import Sampler

from teams_dagster.core.rng import generator
from teams_dagster.dataset.sample import Example
from teams_dagster.student.adapter_config import TrainedReasoning
from teams_dagster.student.chat import MASKED, Encoded, ExampleTooLong, encode_example, labels_learn
from teams_dagster.student.conversation import PromptChanged

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

WINDOW = 50
"""Updates among which examples of like length are brought together."""


class LengthGrouped(Sampler[int]):
    """A fresh shuffle each epoch, examples of like length in the same update, so that little is padding.

    It draws from no global stream and knows nothing of processes: a resumed training, or one on several processes
    that share an update, meets the same examples in the same updates.
    """

    def __init__(self, lengths: Sequence[int], per_update: int, seed: int) -> None:
        self._lengths = lengths
        self._per_update = per_update
        self._seed = seed
        self.epoch = 0
        """Which pass is next: the trainer's callback sets it."""

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        """The order of pass `epoch`: updates in random order, the longest first so that memory runs out at once."""
        stream = generator("training order", self._seed, self.epoch)
        shuffled: list[int] = stream.permutation(len(self._lengths)).tolist()
        window = self._per_update * WINDOW
        for start in range(0, len(shuffled), window):
            near = sorted(shuffled[start : start + window], key=lambda index: -self._lengths[index])
            updates = [near[at : at + self._per_update] for at in range(0, len(near), self._per_update)]
            last: list[int] = updates.pop() if len(updates[-1]) < self._per_update else []
            first, rest = updates[:1], updates[1:]
            order: list[int] = stream.permutation(len(rest)).tolist()
            for update in [*first, *(rest[k] for k in order), last]:
                yield from update


AT_ONCE = 1_000
"""Examples that are Python objects at one time."""
SCHEMA = pa.schema({"input_ids": pa.list_(pa.int32()), "labels": pa.list_(pa.int32())})


@dataclass(frozen=True)
class Rows:
    """Encoded examples: `input_ids` and `labels`, MASKED on the prompt."""

    table: pa.Table
    too_long: tuple[str, ...]
    """Sample ids left out, because they exceed the length asked for."""
    unwritable: tuple[str, ...]
    """Sample ids left out, because their tokens do not decode to their response, or another prompt comes before it."""
    reasoned: int = 0
    """How many are learnt with their thought."""

    def __len__(self) -> int:
        return self.table.num_rows

    @property
    def longest(self) -> int:
        """Tokens of the longest example."""
        lengths = pc.call_function("list_value_length", [self.table["input_ids"]])
        return pc.call_function("max", [lengths]).as_py() or 0

    @property
    def response_tokens(self) -> int:
        """Tokens that carry loss, the end-of-sequence tokens included."""
        labels = pc.call_function("list_flatten", [self.table["labels"]])
        return pc.call_function("sum", [pc.call_function("not_equal", [labels, MASKED])]).as_py() or 0


def encode_rows(
    tokenizer: PreTrainedTokenizerBase,
    examples: Iterable[Example],
    max_length: int,
    reasoning: TrainedReasoning = "none",
) -> Rows:
    """Encodes what fits into `max_length` tokens, in order; `reasoning` says how thoughts are learnt.

    Raises ValueError when there are some and none is left, TemplateFault where a template cannot write thoughts.
    """
    too_long: list[str] = []
    unwritable: list[str] = []
    reasoned: list[str] = []
    batches = list(_batches(tokenizer, iter(examples), max_length, reasoning, too_long, unwritable, reasoned))
    rows = Rows(pa.Table.from_batches(batches, SCHEMA), tuple(too_long), tuple(unwritable), len(reasoned))
    if unwritable and not len(rows):
        raise ValueError(f"the tokenizer has no tokens for the responses of {len(unwritable)} examples: none is left")
    if too_long and not len(rows):
        raise ValueError(f"none of {len(too_long)} examples fits in max_length {max_length} tokens: raise it")
    return rows


def _batches(
    tokenizer: PreTrainedTokenizerBase,
    examples: Iterator[Example],
    max_length: int,
    reasoning: TrainedReasoning,
    too_long: list[str],
    unwritable: list[str],
    reasoned: list[str],
) -> Iterator[pa.RecordBatch]:
    while group := list(islice(examples, AT_ONCE)):
        encoded: list[Encoded] = []
        for example in group:
            try:
                tokens = encode_example(tokenizer, example, max_length, reasoning)
            except ExampleTooLong:
                too_long.append(example.sample_id)
                continue
            except PromptChanged:
                unwritable.append(example.sample_id)
                continue
            if labels_learn(tokenizer, tokens.labels, example, reasoning):
                encoded.append(tokens)
                if reasoning != "none" and example.reasoning:
                    reasoned.append(example.sample_id)
            else:
                unwritable.append(example.sample_id)
        columns = {"input_ids": [e.input_ids for e in encoded], "labels": [e.labels for e in encoded]}
        yield pa.RecordBatch.from_pydict(columns, SCHEMA)
