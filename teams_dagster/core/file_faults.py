"""What is wrong with a file that people wrote, in one sentence: the line, the place in the file, and the matter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from numbers import Number
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import yaml
    from pydantic import ValidationError

Place = tuple[str | int, ...]
"""Where in a file: names of fields, and numbers in lists from 0."""

_MOST_FAULTS = 3
_MOST_CHARACTERS = 60


def yaml_fault(error: yaml.YAMLError) -> str:
    """Why a text is no YAML, with the line."""
    at, since = (getattr(error, name, None) for name in ("problem_mark", "context_mark"))
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    told = problem.splitlines()[0]
    if at is None:
        return told
    begins = "" if since is None or since.line == at.line else f" in what begins in line {since.line + 1}"
    return f"line {at.line + 1}: {told}{begins}"


def value_faults(error: ValidationError, line_of: Callable[[Place], int | None] = lambda place: None) -> str:
    """Which values do not fit, the first few of them; `line_of` tells the line of a place, where it has one."""
    return first_faults(list(_faults(error, line_of)))


def first_faults(faults: Sequence[str]) -> str:
    """The first few of `faults`, and how many there are beside them."""
    more = len(faults) - _MOST_FAULTS
    return "; ".join([*faults[:_MOST_FAULTS], *([f"and {more} more"] if more > 0 else [])])


def yaml_line(text: str, place: Sequence[str | int]) -> int | None:
    """The line of a place in a YAML text, or of the nearest one around it that is there; None for no YAML."""
    import yaml

    try:
        node = cast(Any, yaml.compose(text, Loader=yaml.SafeLoader))  # pyright: ignore[reportUnknownMemberType]
    except yaml.YAMLError:
        return None
    line: int | None = None if node is None else node.start_mark.line + 1
    for part in place:
        if isinstance(node, yaml.MappingNode):
            key, node = next(((k, v) for k, v in node.value if k.value == part), (None, None))
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            key = node = node.value[part]
        else:
            break
        line = line if key is None else key.start_mark.line + 1
    return line


def _faults(error: ValidationError, line_of: Callable[[Place], int | None]) -> Iterator[str]:
    missing: dict[Place, list[str]] = {}
    for fault in error.errors():
        if fault["type"] == "missing":
            missing.setdefault(fault["loc"][:-1], []).append(str(fault["loc"][-1]))
        else:
            value, said = fault["input"], fault["msg"].removeprefix("Value error, ")
            value = str(value) if isinstance(value, Number) else repr(value)
            shown = value if len(value) <= _MOST_CHARACTERS else f"{value[:_MOST_CHARACTERS]} ..."
            yield f"{_named(fault['loc'], line_of)}: {said}, and is {shown}"
    for place, names in missing.items():
        yield f"{_named(place, line_of)} has no {', '.join(names)}"


def _named(place: Place, line_of: Callable[[Place], int | None]) -> str:
    """`price 1, input (line 3)`."""
    name = ""
    for part in place:
        name += f" {part + 1}" if isinstance(part, int) else f", {part}" if name else part
    line = line_of(place)
    return (name or "it") + ("" if line is None else f" (line {line})")
