"""What Python holds at most while something is done."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable


def most_held(work: Callable[[], object]) -> int:
    """Bytes of Python's objects at their highest while `work` is done, beyond those before."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
