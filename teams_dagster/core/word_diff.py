"""What differs between two texts, word by word, as plain text shows it."""

from __future__ import annotations

import re
from difflib import SequenceMatcher

_WORDS = re.compile(r"(?<!\s)\s*\S+")

LEAST_SHARED = 0.3
"""With a smaller share of their words in common, two texts are no edit of one another."""


MOST_WORDS = 2_000
"""Of a longer text nobody reads a comparison, and one that repeats itself takes the square of its words to compare."""


def word_diff(before: str, after: str) -> str:
    """`after` with what is new as `{+...+}` and what is gone as `[-...-]`, as `git diff --word-diff` writes it.

    Texts that have next to nothing in common are no edit, and `after` is given as it is; so it is where one of the two
    has more than `MOST_WORDS` words.
    """
    old, new = _WORDS.findall(before), _WORDS.findall(after)
    if max(len(old), len(new)) > MOST_WORDS:
        return after
    matcher = SequenceMatcher(None, [word.strip() for word in old], [word.strip() for word in new], autojunk=False)
    if matcher.ratio() < LEAST_SHARED:
        return after
    parts: list[str] = []
    for tag, old_from, old_to, new_from, new_to in matcher.get_opcodes():
        if tag == "equal":
            parts.append("".join(new[new_from:new_to]))
            continue
        gone, added = "".join(old[old_from:old_to]), "".join(new[new_from:new_to])
        parts += [_marked("[-", gone, "-]"), _marked("{+", added.lstrip() if gone else added, "+}")]
    return "".join(parts).strip()


def _marked(left: str, text: str, right: str) -> str:
    """`text` between marks, which its leading white space stays outside of."""
    bare = text.lstrip()
    return f"{text[: len(text) - len(bare)]}{left}{bare}{right}" if bare else ""
