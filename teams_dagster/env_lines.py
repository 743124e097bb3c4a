"""Lines of `.env` that are plainly meant as settings and would not be read as such: each is named, none is ignored.

Every sentence names a line and a setting and never a value, which may be a key.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from dotenv.parser import Binding, parse_stream

from teams_dagster.core.lookalikes import folded_text
from teams_dagster.env_values import value_fault

PREFIX = "TEAMS_"

_NAME = r"(?P<name>\w[\w .-]*?)"
_FORMS = (
    ("is written for PowerShell", rf"\$env:{_NAME}\s*="),
    ("is written for Windows' command line", rf"(?:set\s+\"?{_NAME}\s*=|setx\s+(?P<other>\w+))"),
    ("is written for fish", r"set\s+(?:-\w+\s+)+(?P<name>\w+)"),
    ("is written for csh", r"setenv\s+(?P<name>\w+)"),
    ("is written with `declare`", r"declare\s+(?:-\w+\s+)*(?P<name>\w+)"),
    ("is written as in YAML or JSON", rf"[{{\s]*[\"']?{_NAME}[\"']?\s*:(?!=)"),
    (None, rf"(?:export\s+)?{_NAME}\s*="),
    ("is no NAME=VALUE", rf".*?\b(?P<name>{PREFIX}\w+)"),
)
"""How people write a setting, each with what to say of it; None for a name that is to be looked at."""
_READERS = tuple((said, re.compile(form, re.IGNORECASE | re.DOTALL)) for said, form in _FORMS)
_WRONG_BEGINNINGS = "=>\u201c\u201d\u201e\u00ab\u00bb\u2018\u2019\u201a"
"""What no value begins with: a second sign of an assignment, and quotation marks of a word processor."""
_OTHERS = frozenset({"RAY_ADDRESS"})
"""Names without the prefix that are another program's, whose settings may stand beside these."""


class Line(NamedTuple):
    """A line that sets something."""

    number: int
    text: str
    name: str | None
    """None where it is no NAME=VALUE."""
    value: str | None


def line_faults(place: Path, text: str, known: Collection[str], given: Collection[str]) -> Iterator[str]:
    """What is wrong with the lines of `.env` at `place`, whose content is `text`.

    Args:
        place: What messages call the file.
        text: Its content.
        known: The names of every setting.
        given: The names that the environment sets: without its prefix, a name of these belongs to another program.
    """
    lines = [line for binding in parse_stream(StringIO(text)) if (line := _line(binding)) is not None]
    set_here = {line.name for line in lines} | set(given)
    before: dict[str, str | None] = {}
    for line in lines:
        said = _of_setting(line, known, before, set_here) if line.name in known else _of_other(line, known, set_here)
        if said is not None:
            yield f"{place}, line {line.number}{said}"


def plainly_meant(name: str, known: Collection[str]) -> str | None:
    """The setting that `name` is but for its prefix, its case, or a character in the place of `_`; None for none."""
    plain = re.sub(r"[\s.-]+", "_", folded_text(name).strip()).upper()
    return next((meant for meant in (plain, f"{PREFIX}{plain}") if meant in known), None)


def _line(binding: Binding) -> Line | None:
    written = binding.original.string
    text = written.strip()
    if not text or text.startswith("#"):
        return None
    above = written[: len(written) - len(written.lstrip())].count("\n")
    return Line(binding.original.line + above, text, None if binding.error else binding.key, binding.value)


def _of_setting(
    line: Line, known: Collection[str], before: dict[str, str | None], set_here: Collection[str | None]
) -> str | None:
    """What is wrong with a line that sets one; `before` has what those above it set."""
    name, value = str(line.name), line.value
    if value is None:
        return f" is no NAME=VALUE: write {name}=VALUE"
    if before.setdefault(name, value) != value:
        return f" sets {name} again, to another value: leave one of the two"
    if value[:1] and value[0] in _WRONG_BEGINNINGS:
        return f" has a value that begins with {value[0]!r}: write {name}=VALUE"
    within = re.search(rf"\b({PREFIX}\w+)\s*=", value)
    if within is not None and within[1] in known:
        return f" sets {within[1]} within the value of {name}: give each setting a line of its own"
    fault = value_fault(line.text.partition("=")[2], value, [each for each in set_here if each is not None])
    return f": {name} {fault}" if fault is not None else None


def _of_other(line: Line, known: Collection[str], set_here: Collection[str | None]) -> str | None:
    """What a line that sets nothing of ours is plainly meant as; None where it is another program's."""
    readable = line.name is not None and line.value is not None and re.fullmatch(r"\w+", line.name) is not None
    for said, form in _READERS[-2:-1] if readable else _READERS:
        found = form.match(unicodedata.normalize("NFKC", line.text))
        if found is None:
            continue
        name = next(name for name in found.groupdict().values() if name)
        meant = plainly_meant(name, known)
        if meant is None and said != "is no NAME=VALUE":
            continue
        if name in _OTHERS or (readable and meant in set_here):
            return None
        if said is None and name not in known:
            return f": {name} is no setting of this project; did you mean {meant}?"
        return f" {said or 'is no NAME=VALUE'}: write {meant or name}=VALUE"
    return None
