"""Short programs for common requests; a plan for the others."""

from __future__ import annotations

import re

from resources.language_models.offline.topics import Topic

_SNIPPETS = (
    (r"\bsort", "def sort_values(values):\n    return sorted(values, reverse={reverse})"),
    (r"\bsecond largest", "def second_largest(values):\n    return sorted(set(values))[-2]"),
    (r"\b(largest|maximum|biggest)", "def largest(values):\n    return max(values)"),
    (r"\b(count|occurrences?)", "def count_value(value, values):\n    return sum(item == value for item in values)"),
    (r"\b(sum|total)", "def total(first, last):\n    return sum(range(first, last + 1))"),
    (r"\breverse", "def reverse(values):\n    return values[::-1]"),
    (r"\bpalindrome", "def is_palindrome(text):\n    return text == text[::-1]"),
    (r"\bfactorial", "def factorial(number):\n    return 1 if number < 2 else number * factorial(number - 1)"),
    (r"\bprime", "def is_prime(number):\n    return number > 1 and all(number % n for n in range(2, number))"),
    (r"\beven\b", "def even(values):\n    return [value for value in values if value % 2 == 0]"),
)
_OTHER_LANGUAGE = re.compile(
    r"\b(java|javascript|sql|html|css|bash|haskell|rust|c|go|julia|lua|regex|regular expression|script)\b",
    re.IGNORECASE,
)
_LARGE_FIRST = re.compile(r"\b(descending|large to small|largest first|reverse)\b", re.IGNORECASE)


def snippet(text: str, topic: Topic) -> list[str]:
    """The lines of a Python function where a rule knows one that fits, or else of a plan for the code."""
    if not _OTHER_LANGUAGE.search(text):
        for pattern, code in _SNIPPETS:
            if re.search(pattern, text, re.IGNORECASE):
                return [
                    code.format(reverse=bool(_LARGE_FIRST.search(text))),
                    f"The function works on {topic.first} and returns a new value without changing what it is handed.",
                ]
    return [
        f"A plan for {topic.main}:",
        f"1. Read {topic.first} and check that it is complete.",
        f"2. Go through it once and handle {topic.second} in a small function.",
        "3. Return the result and test it with an easy case and an empty one.",
    ]
