"""Texts as a reader takes them, and whether one imitates the tags that a prompt puts around it."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache


@lru_cache(maxsize=4_096)
def folded_text(text: str) -> str:
    """`text` in lower case, compatible letters alike, nothing invisible, HTML's character references resolved.

    Kept for a while: a text is read again with each edit of it.
    """
    unescaped = html.unescape(text) if "&" in text else text
    if unescaped.isascii():
        return unescaped.lower()
    seen = (c for c in unicodedata.normalize("NFKC", unescaped) if unicodedata.category(c) != "Cf")
    return "".join(seen).lower()


def imitates_tags(text: str, names: Iterable[str]) -> bool:
    """Whether `text` has something that looks like `<name>` or `</name>`, whatever follows the name."""
    plain = folded_text(text)
    return "<" in plain and re.search(rf"<\s*/?\s*(?:{'|'.join(names)})\b", plain) is not None
