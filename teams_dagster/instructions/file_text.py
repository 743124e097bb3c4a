"""The text of a file: decoded, its lines ended as everywhere."""

from __future__ import annotations

import re
import unicodedata

from teams_dagster.instructions.file_rows import SeedFileError

_BYTE_ORDER_MARKS = {b"\xff\xfe\0\0": "utf-32", b"\0\0\xfe\xff": "utf-32", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}

_MARKS_WITHIN = re.compile(r"(?m)^\ufeff+(?=[\[{])")
"""Byte order marks before a row of JSON: of files that were joined."""

_UNMARKED = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")

_NO_TEXT = ("Cc", "Cn", "Co", "Cs")

_LOOKED_AT = 1_024
"""Bytes from which an encoding without a mark is told; a multiple of 4."""

_MOST_ODD = 0.05
"""The largest share of characters that no text has, in UTF-8; two may stand in any: a stray NUL is not UTF-16."""


def decoded(name: str, content: bytes) -> str:
    """The text of a file. Bytes that are not UTF-8 become lone surrogates (PEP 383), to be judged with their row.

    UTF-16 and UTF-32 are told by their mark, or by what is left where they are read as anything else. Raises
    SeedFileError naming the file.
    """
    encoding = _encoding(content)
    try:
        text = content.decode(encoding, "surrogateescape" if encoding == "utf-8" else "strict")
    except UnicodeDecodeError as error:
        raise SeedFileError(f"{name}: is damaged {encoding.upper()} ({error}). Save it as UTF-8.") from error
    text = _MARKS_WITHIN.sub("", text.lstrip("\ufeff"))
    if not text.strip():
        raise SeedFileError(f"{name}: is empty. Give it one instruction a row.")
    return text if "\n" in text else text.replace("\r", "\n")


def _encoding(content: bytes) -> str:
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if content.startswith(mark):
            return encoding
    start = content[:_LOOKED_AT]
    if b"\0" not in start or _odd(text := start.decode("utf-8", "surrogateescape")) <= max(2, _MOST_ODD * len(text)):
        return "utf-8"
    read = {encoding: start.decode(encoding, "replace") for encoding in _UNMARKED}
    best = min(_UNMARKED, key=lambda encoding: (_odd(read[encoding]), -_ascii(read[encoding])))
    return best if _odd(read[best]) <= 1 and _ascii(read[best]) >= start.count(b"\0") / 4 else "utf-8"


def _odd(text: str) -> int:
    """How many characters it has that texts do not have: controls, half pairs, and what Unicode has not assigned."""
    return sum(c == "\ufffd" or (unicodedata.category(c) in _NO_TEXT and c not in "\t\n\r") for c in text)


def _ascii(text: str) -> int:
    """How many ASCII characters; nearly each NUL of a text is in one."""
    return sum(c.isascii() and c != "\0" for c in text)
