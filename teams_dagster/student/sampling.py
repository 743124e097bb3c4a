"""The order in which a training meets its examples: a function of seed and epoch, whatever ran before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch.utils.data import Sampler

from teams_dagster.core.rng import generator

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
        shuffled = stream.permutation(len(self._lengths)).tolist()
        window = self._per_update * WINDOW
        for start in range(0, len(shuffled), window):
            near = sorted(shuffled[start : start + window], key=lambda index: -self._lengths[index])
            updates = [near[at : at + self._per_update] for at in range(0, len(near), self._per_update)]
            last = updates.pop() if len(updates[-1]) < self._per_update else []
            first, rest = updates[:1], updates[1:]
            order = stream.permutation(len(rest)).tolist()
            for update in [*first, *(rest[k] for k in order), last]:
                yield from update
