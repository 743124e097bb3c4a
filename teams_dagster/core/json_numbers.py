"""Numbers in JSON that others wrote."""

import math

_MOST_DIGITS = 1_000
"""Python refuses to read an integer of some thousand digits: one such number would make the whole text unreadable."""


def whole_number(digits: str) -> float:
    """For `parse_int` of `json.loads`: the integer, or infinity where it has more digits than any count has."""
    return int(digits) if len(digits) <= _MOST_DIGITS else math.copysign(math.inf, -digits.startswith("-"))
