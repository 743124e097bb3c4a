"""Values in `.env` that a shell would read otherwise than they are read here, and those that nobody can mean.

Every sentence names what is wrong and never the value, which may be a key.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

_JOINERS = "\u200c\u200d"
"""Characters that nobody sees and names of folders are spelt with."""

_JSON = ("{", "[")

_OF_SHELLS = (
    ("`$(...)`, which is not run", re.compile(r"\$\(|`[^`]*`")),
    ("a command after it", re.compile(r";\s*(?:export\b|$)|\s(?:&&|\|\|)\s|;\s+\w")),
    ("a backslash before a space or the end of the line, which is kept", re.compile(r"\\(?:\s|$)")),
)
"""What unquoted values may have in a shell."""

_PLACEHOLDER = re.compile(r"<[^<>]*>")

_VARIABLE = re.compile(r"\$([A-Za-z_]\w*)")

_QUOTES = "\"'\u201c\u201d\u201e\u2018\u2019"


def value_fault(written: str, value: str, given: Collection[str]) -> str | None:
    """What is wrong with a value, and what to write, as the end of a sentence; None where it is read as it is meant.

    Args:
        written: What stands behind the `=`, with its quotes.
        value: What is read of it.
        given: The names of the environment and of the file's other lines.
    """
    raw = written.strip()
    if _PLACEHOLDER.fullmatch(value):
        return "still has the placeholder of an example for its value: write your own"
    if raw.startswith("'"):
        return _unseen(value)
    if not value.startswith(_JSON) and (unseen := _unseen(value)) is not None:
        return unseen
    name = next((found[1] for found in _VARIABLE.finditer(value) if found[1] in given), None)
    if name is not None:
        return f"has ${name} in its value, which is not replaced: write ${{{name}}}, or single quotes around the value"
    if raw.startswith('"'):
        return "has `\\$`, whose backslash is kept: write single quotes around the value" if r"\$" in raw else None
    shell = next((what for what, form in _OF_SHELLS if form.search(value)), None)
    if shell is not None:
        return f"has {shell}: write the value itself, in single quotes where such characters belong to it"
    if not value.startswith(_JSON) and any(quote in value for quote in _QUOTES):
        return "has a quotation mark within its value: put quotes around all of it, or none"
    return None


def _unseen(value: str) -> str | None:
    """A control character, which `\\t` in double quotes is, too, or one that nobody sees."""
    found = next((c for c in value if unicodedata.category(c) in ("Cc", "Cf") and c not in _JOINERS), None)
    if found is None:
        return None
    known = unicodedata.name(found, "a control character")
    return (
        f"has U+{ord(found):04X} ({known}) in its value: take it out, and write single quotes where a backslash belongs"
        " to it"
    )
