"""What is worth looking at beside a number: tables, pictures, nested values, folders, whoever shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Table:
    """Rows of plain cells under the names of their columns."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]


@dataclass(frozen=True)
class Picture:
    """A PNG, and in words what it shows."""

    png: bytes
    alt: str


@dataclass(frozen=True)
class Markdown:
    """Text with mark-up of our own: what came from elsewhere in it was made inert."""

    text: str


@dataclass(frozen=True)
class Json:
    """A nested value."""

    value: Mapping[str, Any] | Sequence[Any]


Detail: TypeAlias = str | int | float | bool | Path | Table | Picture | Markdown | Json
"""A value of an asset's metadata."""

Details: TypeAlias = Mapping[str, Detail]
