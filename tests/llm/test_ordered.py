import asyncio
from collections.abc import Iterator

import pytest

from teams_dagster.llm.ordered import in_order


def collect(call, items, width: int) -> list:
    async def main() -> list:
        return [result async for result in in_order(call, items, width)]

    return asyncio.run(main())


def test_results_come_in_the_order_of_the_items_however_long_each_takes():
    async def slow_first(item: int) -> int:
        await asyncio.sleep(0.02 if item == 0 else 0)
        return item * 10

    assert collect(slow_first, range(20), 4) == [item * 10 for item in range(20)]


def test_no_more_than_the_width_are_under_way():
    under_way, most = 0, 0

    async def watched(_: int) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.001)
        under_way -= 1

    collect(watched, range(50), 5)
    assert most == 5


def test_items_are_taken_lazily():
    taken = 0

    def endless() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    async def first_two() -> None:
        results = in_order(lambda item: asyncio.sleep(0, item), endless(), 3)
        assert [await anext(results), await anext(results)] == [1, 2]
        await results.aclose()

    asyncio.run(first_two())
    assert taken <= 20


def test_the_first_error_ends_it_and_cancels_what_is_under_way():
    cancelled = []

    async def call(item: int) -> int:
        if item == 1:
            raise ValueError("one is broken")
        try:
            await asyncio.sleep(30 if item > 1 else 0)
        except asyncio.CancelledError:
            cancelled.append(item)
            raise
        return item

    with pytest.raises(ValueError, match="one is broken"):
        collect(call, range(4), 4)
    assert sorted(cancelled) == [2, 3]
