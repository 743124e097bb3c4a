"""pyarrow, which ships no types: its functions as `Any`, and of its classes what is used of them here."""

from __future__ import annotations

from typing import Any, Protocol, cast

import pyarrow  # pyright: ignore[reportMissingTypeStubs]
import pyarrow.compute  # pyright: ignore[reportMissingTypeStubs]

pa, pc = cast(Any, pyarrow), cast(Any, pyarrow.compute)


class Array(Protocol):
    """A column of a batch."""

    type: Any

    def __len__(self) -> int: ...

    def to_pylist(self) -> list[Any]:
        """The values, None for NULL."""
        ...

    def view(self, target_type: Any, /) -> Array:
        """The same bytes as another type of their width."""
        ...


class Schema(Protocol):
    """The columns of a batch."""

    names: list[str]


class RecordBatch(Protocol):
    """Rows, column by column."""

    columns: list[Array]
    num_rows: int
    schema: Schema

    def column(self, name: str, /) -> Array:
        """The column `name`."""
        ...

    def slice(self, offset: int, length: int, /) -> RecordBatch:
        """Some of the rows, without a copy."""
        ...
