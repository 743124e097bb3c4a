"""What the rows of a dataset say of it: its content, and how many rows are of which kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from teams_dagster.core.disk_rows import Rows
from teams_dagster.core.hashing import content_hash
from teams_dagster.dataset.pairs import Pairs
from teams_dagster.dataset.sample import Example
from teams_dagster.instructions.seed_splits import Split


@dataclass
class RowCounts:
    """What one reading of a dataset's rows tells of them."""

    contents: dict[Split, list[str]] = field(default_factory=dict[Split, list[str]])
    """By side, a hash of each row."""
    seeds: dict[str, int] = field(default_factory=dict[str, int])
    reasoned: Counter[str] = field(default_factory=Counter[str])
    """Those with what was thought before their answer."""
    pairs: Counter[str] = field(default_factory=Counter[str])
    """Those that people wrote."""
    of_target: Counter[str] = field(default_factory=Counter[str])
    """By partition, those of each generation with a target."""
    preferences: bool = False
    """Whether one has a worse answer beside its own."""

    @property
    def thoughts(self) -> dict[str, int]:
        """The `reasoned` on each side; nothing where none is."""
        return {split: self.reasoned[split] for split in self.contents} if self.reasoned.total() else {}


def count_rows(splits: Mapping[Split, Rows[Example]], partitions: Mapping[str, str], pairs: Pairs | None) -> RowCounts:
    """Read the rows of `splits` once.

    `partitions` are of the samples of generations with a target, each with its generation's partition.
    """
    written = {sample.sample_id for sample in pairs.samples} if pairs else set[str]()
    found = RowCounts()
    for split, examples in splits.items():
        seeds, contents = set[str](), list[str]()
        for example in examples:
            contents.append(_content(example))
            seeds.add(example.seed_id)
            found.reasoned[split] += example.reasoning is not None
            found.pairs[split] += example.sample_id in written
            found.preferences |= example.rejected is not None
            if (partition := partitions.get(example.sample_id)) is not None:
                found.of_target[partition] += 1
        found.contents[split], found.seeds[split] = contents, len(seeds)
    return found


def _content(example: Example) -> str:
    texts = (example.instruction.text, example.instruction.input, example.response)
    rejected = () if example.rejected is None else (example.rejected,)
    thought = () if example.reasoning is None else ("thought", example.reasoning)
    return content_hash(example.sample_id, *texts, *rejected, *thought)
