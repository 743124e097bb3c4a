"""Lists and mappings among values of any kind: `isinstance` tells a type checker nothing of what they hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import TypeIs


def is_list(value: object) -> TypeIs[list[Any]]:
    """Whether it is a list, of whatever."""
    return isinstance(value, list)


def is_dict(value: object) -> TypeIs[dict[Any, Any]]:
    """Whether it is a dictionary, of whatever: of what was JSON, one with strings for keys."""
    return isinstance(value, dict)


def is_mapping(value: object) -> TypeIs[Mapping[Any, Any]]:
    """Whether it is a mapping of any class, of whatever."""
    return isinstance(value, Mapping)
